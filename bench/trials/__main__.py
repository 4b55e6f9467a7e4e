"""`./run trial soak|faults|crossing|sharing|orders|sync|search`: the gateway while things go wrong, what workers share,
a first download, and the search index."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.postgres import Postgres

Database = Callable[[], AbstractAsyncContextManager[str | None]]
"""An empty database for one trial, by its address; None for a store in files."""

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
BEGIN, END = "<!-- measured -->", "<!-- end -->"


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./run trial", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go as well")
    trials = parser.add_subparsers(dest="trial", required=True)
    soak = trials.add_parser("soak", help="random faults under load")
    soak.add_argument("--minutes", type=float, default=30)
    soak.add_argument("--rate", type=float, default=20, help="reads a second")
    soak.add_argument("--workers", type=int, default=2)
    soak.add_argument("--seed", type=int, default=1)
    faults = trials.add_parser("faults", help="one fault after the other")
    faults.add_argument("--seconds", type=float, default=8, help="of load, without and with each fault")
    faults.add_argument("--only", nargs="+", default=[], metavar="FAULT")
    faults.add_argument("--markdown", action="store_true", help="write the table into docs/faults.md")
    crossing = trials.add_parser("crossing", help="many customers at once")
    crossing.add_argument("--requests", type=int, default=10_000)
    crossing.add_argument("--workers", type=int, default=2)
    sharing = trials.add_parser("sharing", help="one call for all, changes heard of, hits and calls, throughput")
    sharing.add_argument("--rounds", type=int, default=100, help="changes")
    sharing.add_argument("--views", type=int, default=1000, help="sales views")
    _order_arguments(
        trials.add_parser("orders", help="none lost, none twice: workers killed, answers lost, the target away")
    )
    sync = trials.add_parser("sync", help="first download of an app, killed and resumed")
    sync.add_argument("--kills", type=int, default=10, help="times that the app is killed")
    search = trials.add_parser("search", help="build and search an index of a whole catalogue")
    search.add_argument("--items", type=int, default=200_000)
    search.add_argument("--searches", type=int, default=4000)
    search.add_argument("--workers", type=int, default=2)
    search.add_argument("--in-flight", type=int, default=20)
    search.add_argument("--store", nargs="+", default=["sqlite", "postgres"], choices=["sqlite", "postgres"])
    return parser.parse_args()


def _order_arguments(orders: argparse.ArgumentParser) -> None:
    orders.add_argument("--only", nargs="+", default=[], choices=["killed", "zombie", "away", "accept", "reads"])
    orders.add_argument("--store", nargs="+", default=["sqlite", "postgres"], choices=["sqlite", "postgres"])
    orders.add_argument("--orders", type=int, default=2000)
    orders.add_argument("--kills", type=int, default=20)
    orders.add_argument("--lost", type=float, default=0.1, help="share of answers that are lost")
    orders.add_argument("--queued", type=int, default=20_000, help="orders while the target is away")
    orders.add_argument("--away", type=float, default=600, help="seconds that the target is away")
    orders.add_argument("--submitted", type=int, default=3000, help="orders submitted over HTTP, for each measurement")
    orders.add_argument("--in-flight", type=int, default=50, help="submissions at once")
    orders.add_argument("--rate", type=float, default=20, help="reads a second while the queue drains")
    orders.add_argument("--seconds", type=float, default=10, help="of a window of reads")
    orders.add_argument("--pairs", type=int, default=10, help="of windows of reads, without and with draining")
    orders.add_argument("--backlog", type=int, default=40_000, help="orders in the queue while it drains")


def main() -> int:
    """Run one of them; 1 where it found what was not promised."""
    given = arguments()
    figures, text = asyncio.run(TRIALS[given.trial](given))
    print(text)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return int(not figures["kept"])


async def _soak(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from bench.trials.soak import as_text, soak

    figures = (await soak(given.minutes, given.rate, given.workers, given.seed)).as_json()
    return figures, as_text(figures)


async def _orders(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from bench.trials import acceptance, draining, orders

    found, accepted, reads = [], [], []
    with TemporaryDirectory(prefix="tradegraph-sandbox-") as folder:
        for store in given.store:
            with postgres_server() if store == "postgres" else nullcontext() as server:
                database = server.database if server else nullcontext
                found += await _accounts(given, store, database, Path(folder))
                if not given.only or "accept" in given.only:
                    for run in acceptance.RUNS[store]:
                        options = {"orders": given.submitted, "in_flight": given.in_flight, **run}
                        if (share := options.pop("of_capacity", None)) is not None:
                            options["rate"] = round(share * accepted[-1].a_second, 1)
                        async with database() as url:
                            accepted.append(await acceptance.measure(store, url, Path(folder), **options))
                if not given.only or "reads" in given.only:
                    for background in (False, True):
                        async with database() as url:
                            reads.append(
                                await draining.measure(
                                    store, url, background=background,
                                    backlog=given.backlog, rate=given.rate, seconds=given.seconds, pairs=given.pairs,
                                )
                            )  # fmt: skip
    figures = orders.as_json(found)
    figures["kept"] &= all(one.kept for one in (*accepted, *reads))
    figures["acceptance"], figures["reads"] = list(map(asdict, accepted)), list(map(asdict, reads))
    texts = orders.as_text(found), acceptance.as_text(accepted), draining.as_text(reads)
    return figures, "\n\n".join(filter(None, texts))


async def _accounts(given: argparse.Namespace, store: Any, database: Database, folder: Path) -> list[Any]:
    from bench.trials import orders

    found, only = [], given.only or ["killed", "zombie", "away"]
    if "killed" in only:
        async with database() as url:
            found.append(
                await orders.killed(
                    store, url, folder, orders=given.orders, kills=given.kills, lost=given.lost, every=2.0
                )
            )
    if "zombie" in only:
        async with database() as url:
            found.append(await orders.zombies(store, url, folder, orders=given.orders // 4, rounds=5))
    if "away" in only:
        async with database() as url:
            found.append(await orders.away(store, url, folder, orders=given.queued, seconds=given.away))
    return found


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL of the trial's own."""
    from tests.support.postgres import Postgres

    server = Postgres(durable=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()


async def _search(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from bench.trials import search

    rows = []
    for store in given.store:
        with (
            TemporaryDirectory(prefix="tradegraph-search-") as folder,
            postgres_server() if store == "postgres" else nullcontext() as server,
        ):
            where = server.url if server else folder
            rows.append(await search.measure(store, where, given.items, given.searches, given.workers, given.in_flight))
    return {"kept": all(map(search.kept, rows)), "stores": rows}, search.as_text(rows)


async def _faults(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from bench.trials.faults import as_json, as_table, faults

    rows = await faults(given.seconds, given.only)
    table = as_table(rows)
    if given.markdown:
        page = PAGE.read_text(encoding="utf-8")
        head, tail = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{head}{BEGIN}\n\n{table}\n\n{END}{tail}", encoding="utf-8")
    broken = [f"{row.fault}: {'; '.join(row.differences) or 'not as promised'}" for row in rows if not row.kept]
    return as_json(rows), "\n".join([table, *broken])


async def _crossing(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from bench.trials.crossing import crossing

    figures = await crossing(given.requests, given.workers)
    return figures, json.dumps(figures, indent=1)


async def _sharing(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from bench.trials.sharing import as_text, sharing

    figures = await sharing(given.rounds, given.views)
    return figures, as_text(figures)


async def _sync(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from bench.trials.sync import as_text, sync

    figures = await sync(given.kills)
    return figures, as_text(figures)


TRIALS = {
    "orders": _orders,
    "search": _search,
    "soak": _soak,
    "faults": _faults,
    "crossing": _crossing,
    "sharing": _sharing,
    "sync": _sync,
}


if __name__ == "__main__":
    sys.exit(main())
