"""`./run intake`: submitted orders, their queue, dead letters and reconciliation with the ERP."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import orjson
import typer

from app.cli.stores import Config, DataDir, run_with, settings_of
from app.cli.tables import print_table
from app.errors import ConfigurationError, RequestError, SourceError

if TYPE_CHECKING:
    from app.intake.records import OrderIntake
    from app.intake.store import IntakeStore
    from app.settings import Settings

T = TypeVar("T")

intake = typer.Typer(help="Submitted orders: queue, dead letters, reconciliation.", no_args_is_help=True)

Most = Annotated[int, typer.Option(help="Maximum number of rows.", min=1, max=10_000)]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Ids = Annotated[list[str], typer.Argument(help="Intake ids, as `intake list` prints them.")]
Note = Annotated[str | None, typer.Option(help="Reason, stored with the decision.")]


@intake.command("list")
def list_intakes(
    state: Annotated[list[str] | None, typer.Option(help="Filter: state, such as FAILED; repeatable.")] = None,
    customer: Annotated[list[str] | None, typer.Option(help="Filter: customer number; repeatable.")] = None,
    most: Most = 20,
    config: Config = None,
    data_dir: DataDir = None,
    json: JSON = False,
) -> None:
    """Print submitted orders, newest first, and the number queued, held and failed."""
    from app.intake.records import IntakeFilter, IntakeState

    try:
        states = frozenset(IntakeState(one.upper()) for one in state) if state else None
    except ValueError:
        raise ConfigurationError("--state", state, f"use some of {', '.join(IntakeState)}") from None
    query = IntakeFilter(states=states, customers=frozenset(customer) if customer else None)

    async def found(store: IntakeStore) -> tuple[list[dict[str, Any]], list[Any]]:
        page = await store.page(query, most)
        return [_plain(one) for _, one in page.rows], list(await store.depths())

    rows, depths = _with_store(config, data_dir, found)
    if json:
        _print_json({"intakes": rows, "queue": [_plain(one) for one in depths]})
        return
    columns = (
        "id",
        "receivedAt",
        "state",
        "awaitedTier",
        "customer",
        "customerPo",
        "target",
        "attempts",
        "orderNumber",
        "cause",
    )
    print_table([tuple(name.upper() for name in columns), *([one.get(name) for name in columns] for one in rows)])
    for depth in depths:
        print(f"{depth.target} {depth.state.value}: {depth.count}, oldest {time.time() - depth.oldest:.0f} s")


@intake.command()
def show(
    id: Annotated[str, typer.Argument(help="Intake id.")], config: Config = None, data_dir: DataDir = None
) -> None:
    """Print one order as JSON: lines, checks, problems, decisions, attempts."""
    found = _with_store(config, data_dir, lambda store: store.by_id([id]))
    if id not in found:
        print(f"There is no intake {id}.")
        raise typer.Exit(1)
    _print_json(_plain(found[id]))


@intake.command()
def retry(ids: Ids, note: Note = None, config: Config = None, data_dir: DataDir = None) -> None:
    """Retry failed orders. The target is searched for their keys first."""
    _decide(ids, "RETRY", note, config, data_dir)


@intake.command()
def cancel(ids: Ids, note: Note = None, config: Config = None, data_dir: DataDir = None) -> None:
    """Cancel orders that are not posted yet."""
    _decide(ids, "CANCEL", note, config, data_dir)


@intake.command()
def reconcile(
    days: Annotated[float, typer.Option(help="Only orders received within this number of days.", min=0)] = 7.0,
    config: Config = None,
    data_dir: DataDir = None,
    json: JSON = False,
) -> None:
    """Search the targets for every posted order by its key. Exits with 1 if a key has more than one order, or none."""
    from app.intake.reconcile import reconcile as compare
    from app.intake.reconciliation import Reconciliation
    from app.sources.wiring import connect_all

    settings = settings_of(config, data_dir)

    async def work(store: IntakeStore) -> Reconciliation:
        sources = connect_all(settings)
        try:
            if sources.order_targets is None:
                cure = "names no source that takes orders; there is nothing to compare with"
                raise ConfigurationError("domains.orders.write", None, cure)
            since = time.time() - days * 86_400
            found = await compare(store, sources.order_targets.writers, since)
            for tenant in found.compared_by_tenant:
                await store.finish_reconciliation(tenant, found.result_of(tenant, since, time.time()))
            return found
        finally:
            await sources.close()

    try:
        found = _run(settings, work)
    except SourceError as error:
        raise ConfigurationError(f"sources.{error.source}", None, f"cannot be compared with: {error.message}") from None
    if json:
        _print_json(
            {
                "compared": found.compared,
                "doubled": found.doubled,
                "discrepancies": [
                    {"kind": one.kind, "orders": one.orders, "intake": _plain(one.intake)}
                    for one in found.discrepancies
                ],
            }
        )
    else:
        print(f"compared: {found.compared}, doubled: {found.doubled}, discrepancies: {len(found.discrepancies)}")
        for one in found.discrepancies:
            print(f"{one.kind} {one.intake.id} {one.intake.customer} {one.intake.customer_po} {', '.join(one.orders)}")
    if found.discrepancies:
        raise typer.Exit(1)


def _decide(ids: list[str], name: str, note: str | None, config: Path | None, data_dir: Path | None) -> None:
    from app.intake.commands import decided
    from app.intake.records import IntakeDecision

    settings = settings_of(config, data_dir, demo=True)

    def apply(one: OrderIntake, now: float) -> OrderIntake:
        at = datetime.fromtimestamp(now, UTC)
        made = IntakeDecision(decision=name, by="command line", at=at, note=note)
        return decided(one, made, bool(settings.intake.approvals.tiers))

    async def work(store: IntakeStore) -> list[str]:
        refused: list[str] = []
        for id in ids:
            try:
                changed = await store.change(id, None, apply)
                refused += [] if changed is not None else [f"{id}: there is no such intake"]
            except RequestError as error:
                refused.append(f"{id}: {error.message}")
        return refused

    refused = _run(settings, work)
    print(f"{name.lower()}: {len(ids) - len(refused)} of {len(ids)}")
    for line in refused:
        print(line)
    if refused:
        raise typer.Exit(1)


def _with_store(config: Path | None, data_dir: Path | None, work: Callable[[IntakeStore], Awaitable[T]]) -> T:
    return _run(settings_of(config, data_dir, demo=True), work)


def _run(settings: Settings, work: Callable[[IntakeStore], Awaitable[T]]) -> T:
    from app.intake.stores import connect_intakes

    return run_with(connect_intakes, settings, "intake", work)


def _plain(value: Any) -> dict[str, Any]:
    import msgspec

    from app.intake.records import OrderIntake

    plain = msgspec.to_builtins(value)
    if isinstance(value, OrderIntake):
        plain["awaitedTier"] = value.awaited_tier
        plain["receivedAt"] = datetime.fromtimestamp(plain["received"], UTC).isoformat(timespec="seconds")
    return plain


def _print_json(value: Any) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
