"""Acceptance while its store fails: refused with a code, nothing half written, and back by itself."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.sandbox import Sandbox
from app.settings import IntakeSettings, PostgresSettings
from tests.intake.test_submit import SUBMIT, counts, order, settled, submit
from tests.support.gateway import BUYER, Graph, gateway
from tests.support.postgres import Postgres


@contextmanager
def full_disk(beyond: Path) -> Iterator[None]:
    """No file grows beyond the size of this one: the system refuses the write, as that of a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (beyond.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def refusal(graph: Graph, input: dict[str, Any]) -> list[str]:
    """The codes of the errors of a submission that stores nothing."""
    answer = await graph.ask(SUBMIT, {"input": input}, principal=BUYER)
    assert answer["data"] == {"submitOrder": None}
    return [error["extensions"]["code"] for error in answer["errors"]]


async def test_full_disk_refuses_orders_and_takes_them_again_when_there_is_room(ordering: Graph):
    intakes = [(await submit(ordering, order(f"before-{n}")))["intake"] for n in range(12)]
    for intake in intakes:
        await settled(ordering, intake["id"], "POSTED")
    with full_disk(ordering.data_dir / "intake.sqlite-wal"):
        assert await refusal(ordering, order("k")) == ["STORE_UNAVAILABLE"]
        assert await refusal(ordering, order("k")) == ["STORE_UNAVAILABLE"]
    by_key = '{ orderIntake(by: {key: "k"}) { id } orderIntakes(first: 50) { nodes { key } } }'
    found = await ordering.data(by_key, principal=BUYER)
    assert found["orderIntake"] is None
    assert len(found["orderIntakes"]["nodes"]) == 12
    intake = (await submit(ordering, order("k")))["intake"]
    await settled(ordering, intake["id"], "POSTED")
    assert (await counts(ordering)) == {"keys": 13, "orders": 13, "doubled": []}


async def test_killed_postgres_refuses_orders_and_takes_them_again_within_seconds(dated_sandbox: Sandbox):
    server = Postgres()
    try:
        server.start()
        postgres = PostgresSettings(url=SecretStr(server.url), timeout=1.0, command_timeout=2.0)
        async with gateway(dated_sandbox, intake=IntakeSettings(store="postgres"), postgres=postgres) as graph:
            await graph.backends["erp"].delete("/sandbox/submitted-orders")
            first = (await submit(graph, order("a")))["intake"]
            await settled(graph, first["id"], "POSTED")
            server.kill()
            assert await refusal(graph, order("b")) == ["STORE_UNAVAILABLE"]
            server.start()
            async with asyncio.timeout(120):
                second = (await submit(graph, order("b")))["intake"]
            await settled(graph, second["id"], "POSTED")
            assert (await counts(graph)) == {"keys": 2, "orders": 2, "doubled": []}
            await graph.backends["erp"].delete("/sandbox/submitted-orders")
    finally:
        server.stop()
