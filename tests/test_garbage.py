"""What an operation leaves behind: nothing that only the garbage collector would find. That would keep what was read
until then, and all requests would wait while it looks."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.consumers import VARIABLES
from tests.gateway import SELLER, Graph, document


@contextmanager
def uncollected() -> Iterator[Counter[str]]:
    """Our objects that a collection at the end found, by type."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found.update(type(one).__qualname__ for one in gc.garbage if type(one).__module__.startswith("app."))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("name", VARIABLES)
async def test_operation_leaves_no_cycles(graph: Graph, name: str):
    async def asked() -> None:
        assert (await graph.ask(document(name), VARIABLES[name], who=SELLER))["data"]

    await asked()  # The plan is compiled once, and leaves some.
    await asked()
    with uncollected() as found:
        for _ in range(3):
            await asked()
    assert found == {}
