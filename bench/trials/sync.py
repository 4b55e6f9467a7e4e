"""`./run trial sync`: the first download of one app: rows a second, killed after pages and resumed.

The app is a process of its own (`bench/trials/sync_client.py`), which stores each page and its cursor in one
transaction. A second app is that of a sales rep to whom the ERP assigns 5,000 customers.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.auth.demo import issue_demo_token
from app.auth.principal import Role
from app.resolvers.snapshot import READS
from app.sandbox import start_sandbox
from app.sandbox.accounts import LARGE_BOOKS
from app.sources.changes import ChangeKind
from tests.support.gateway import AUTH
from tests.support.processes import serve, served

PROMISED_ROWS, PROMISED_SECONDS = 50_000, 60.0
REP = "rep-14"
STORED = {
    ChangeKind.CUSTOMER: ("erp", "customers.number"),
    ChangeKind.ITEM: ("erp", "items.sku"),
    ChangeKind.ORDER: ("erp", "orders.number"),
    ChangeKind.SHIPMENT: ("logistics", "shipments.id"),
    ChangeKind.INVOICE: ("erp", "invoices.id"),
    ChangeKind.QUOTE: ("erp", "quotes.id"),
    ChangeKind.RETURN: ("erp", "returns.id"),
}
"""Where the sandbox stores the objects of a kind."""


@dataclass(frozen=True)
class Downloaded:
    """What an app has stored: how often each object was, and how long it took."""

    objects: dict[str, int]
    bytes: int
    seconds: float
    kills: int

    @property
    def doubled(self) -> int:
        """Objects that were stored more than once."""
        return sum(times > 1 for times in self.objects.values())


async def sync(kills: int) -> dict[str, Any]:
    """All figures."""
    with TemporaryDirectory(prefix="tradegraph-sync-") as name:
        folder = Path(name)
        (folder / "gateway").mkdir()
        with start_sandbox(folder / "sandbox", large=True) as sandbox:
            environment = served(sandbox, data_dir=folder / "gateway")
            auth = json.loads(environment["TRADEGRAPH_AUTH"]) | {"accounts": "source"}
            async with serve(environment | {"TRADEGRAPH_AUTH": json.dumps(auth)}) as running:
                staff, rep = _token(Role.CSR, "csr"), _token(Role.SALES_REP, REP)
                whole = await _download(running.url, staff, folder / "whole.sqlite")
                killed = await _download(running.url, staff, folder / "killed.sqlite", kills)
                assigned = await _download(running.url, rep, folder / "rep.sqlite")
        counts = {kind: _stored(folder / "sandbox", kind) for kind in READS}
    return _figures(whole, killed, assigned, counts, kills)


def _figures(
    whole: Downloaded, killed: Downloaded, assigned: Downloaded, counts: dict[ChangeKind, int], kills: int
) -> dict[str, Any]:
    rate = len(whole.objects) / whole.seconds
    lost = len(whole.objects.keys() - killed.objects.keys())
    figures: dict[str, Any] = {
        "kinds": {kind.value: count for kind, count in counts.items()},
        "rows": len(whole.objects),
        "seconds": round(whole.seconds, 1),
        "rows_a_second": round(rate),
        "seconds_for_50000": round(PROMISED_ROWS / rate, 1),
        "megabytes": round(whole.bytes / 1e6, 1),
        "killed": {"kills": killed.kills, "rows": len(killed.objects), "lost": lost, "doubled": killed.doubled},
        "rep": {
            "accounts": LARGE_BOOKS[REP],
            "rows": len(assigned.objects),
            "seconds": round(assigned.seconds, 1),
        },
    }
    figures["kept"] = (
        len(whole.objects) == sum(counts.values())
        and not (lost or killed.doubled or whole.doubled or assigned.doubled)
        and killed.kills == kills
        and len(assigned.objects) == LARGE_BOOKS[REP] + counts[ChangeKind.ITEM]
        and figures["seconds_for_50000"] < PROMISED_SECONDS
    )
    return figures


def _token(role: Role, subject: str) -> str:
    return issue_demo_token(AUTH, roles=[role], subject=subject, ttl=86_400)


def _stored(folder: Path, kind: ChangeKind) -> int:
    system, key = STORED[kind]
    store = sqlite3.connect(f"file:{folder / system}.db?mode=ro", uri=True)
    try:
        return store.execute("SELECT count(DISTINCT n) FROM keys WHERE kind = ?", (key,)).fetchone()[0]
    finally:
        store.close()


async def _download(url: str, token: str, file: Path, kills: int = 0) -> Downloaded:
    """Run the app until it ends by itself; the first times it is killed after some pages."""
    rng, began = random.Random(1), time.perf_counter()
    killed = 0
    while True:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.trials.sync_client", url, token, str(file), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None  # noqa: S101 - it was asked for
        left = rng.randint(1, 8) if killed < kills else -1
        while left and await process.stdout.readline():
            left -= 1
        if left == 0:
            process.kill()
            killed += 1
        await process.wait()
        if left != 0:
            break
    if process.returncode:
        raise RuntimeError(f"the app has ended with {process.returncode}")
    seconds = time.perf_counter() - began
    store = sqlite3.connect(file)
    objects = dict(store.execute("SELECT id, times FROM objects").fetchall())
    (size,) = store.execute("SELECT bytes FROM state").fetchone()
    store.close()
    return Downloaded(objects, size, seconds, killed)


def as_text(figures: dict[str, Any]) -> str:
    """The figures, to read."""
    killed, rep = figures["killed"], figures["rep"]
    lines = (
        f"{figures['rows']} rows ({figures['megabytes']} MB) in {figures['seconds']} s",
        f"{figures['rows_a_second']} rows a second: 50,000 in {figures['seconds_for_50000']} s",
        f"killed {killed['kills']} times and resumed: {killed['rows']} rows, {killed['lost']} lost",
        f"stored more than once: {killed['doubled']}",
        f"a sales rep with {rep['accounts']} accounts: {rep['rows']} rows in {rep['seconds']} s",
    )
    return "\n".join(lines)
