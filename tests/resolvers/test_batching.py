"""The loader of all batched reads: one call a level, failures kept apart, waiters independent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from app.errors import SourceUnavailable, TradegraphError
from app.resolvers.loading.key_loader import KeyLoader, first_exception, gather_in_order


class Port:
    """Counts its calls; answers each key with its upper case, and leaves out `absent`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[list[str]] = []
        self.error = error
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.calls.append(list(keys))
        await self.gate.wait()
        if self.error:
            raise self.error
        return {key: key.upper() for key in keys if key != "absent"}


async def test_keys_of_one_level_become_one_call_without_doubles() -> None:
    port = Port()
    loader = KeyLoader(port.read)
    assert await loader.many(["b", "a", "b", None, "absent"]) == ["B", "A", "B", None, None]
    assert port.calls == [["b", "a", "absent"]]


async def test_a_key_is_read_once_in_an_operation() -> None:
    port = Port()
    loader = KeyLoader(port.read)
    assert await loader.one("a") == "A"
    assert await loader.many(["a"]) == ["A"]
    assert port.calls == [["a"]]


async def test_a_failed_read_is_not_repeated_in_an_operation() -> None:
    error = SourceUnavailable("erp")
    port = Port(error)
    loader = KeyLoader(port.read)
    assert await loader.many(["a", "b"]) == [error, error]
    with pytest.raises(SourceUnavailable):
        await loader.one("a")
    assert port.calls == [["a", "b"]]


async def test_a_cancelled_waiter_takes_nothing_from_the_others() -> None:
    port = Port()
    port.gate.clear()
    loader = KeyLoader(port.read)
    first = asyncio.ensure_future(loader.one("a"))
    second = asyncio.ensure_future(loader.one("a"))
    while not port.calls:
        await asyncio.sleep(0)
    first.cancel()
    port.gate.set()
    assert await second == "A"
    assert await loader.one("a") == "A"
    assert port.calls == [["a"]]


async def test_started_reads_are_under_way_before_they_are_awaited() -> None:
    port = Port()
    loader = KeyLoader(port.read)
    reads = [loader.start(["a"]), loader.start(["b"])]
    assert [await read for read in reads] == [["A"], ["B"]]
    assert port.calls == [["a", "b"]]


def test_failure_finds_the_first_error_among_values() -> None:
    error = ValueError("x")
    assert first_exception(1, None, error, ValueError("y")) is error
    assert first_exception(1, None) is None


async def test_of_several_failures_the_first_in_order_is_raised_not_in_time() -> None:
    late = asyncio.Event()

    async def fails(name: str, *, first: bool) -> str:
        if first:
            await late.wait()
        late.set()
        raise ValueError(name)

    with pytest.raises(ValueError, match="first"):
        await gather_in_order(fails("first", first=True), fails("second", first=False))


async def test_closed_loader_stops_its_reads() -> None:
    port = Port()
    port.gate.clear()
    loader = KeyLoader(port.read)
    loader.prefetch("a")
    while not port.calls:
        await asyncio.sleep(0)
    loader.prefetch("b")
    loader.close()
    for _ in range(5):
        await asyncio.sleep(0)
    assert port.calls == [["a"]]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_closed_loader_reads_nothing_more_and_says_so() -> None:
    port = Port()
    loader = KeyLoader(port.read)
    assert await loader.one("a") == "A"
    loader.close()
    assert await loader.one("a") == "A"  # What was read is known.
    with pytest.raises(TradegraphError, match=r"^The request was cancelled\.$"):
        await loader.one("b")
    assert port.calls == [["a"]]


@pytest.mark.parametrize("turns", [0, 1], ids=["before its read is a task", "before the task has begun"])
async def test_loader_closed_before_it_reads_lets_nobody_wait(turns: int) -> None:
    port = Port()
    loader = KeyLoader(port.read)
    waiting = asyncio.ensure_future(loader.many(["a"]))
    answers = loader.start(["b"])
    for _ in range(turns):
        await asyncio.sleep(0)
    loader.close()
    for (found,) in (await waiting, await answers):
        assert isinstance(found, TradegraphError)
    assert port.calls == []
    assert asyncio.all_tasks() == {asyncio.current_task()}
