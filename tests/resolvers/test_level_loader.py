"""graphql-core's dataloader: one call a level, waiters independent of each other, and no waiter left hanging."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Sequence
from typing import Any

import pytest

from app.errors import SourceUnavailable, TradegraphError
from app.resolvers.loading.level_loader import LevelLoader


class Parent:
    """An object with a name; equal to no other."""

    def __init__(self, name: str) -> None:
        self.name = name


class Edge:
    """Counts its calls and answers each parent's name in upper case once its gate is open."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.calls: list[list[str]] = []
        self.error = error
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, parents: Sequence[Parent], ctx: Any, **args: Any) -> list[str]:
        self.calls.append([one.name for one in parents])
        await self.gate.wait()
        if self.error:
            raise self.error
        return [one.name.upper() for one in parents]

    def loader(self) -> LevelLoader:
        async def function(parents: Sequence[Parent], ctx: Any, **args: Any) -> list[str]:
            return await self(parents, ctx, **args)

        return LevelLoader(function, None, {})


async def test_parents_of_a_level_become_one_call() -> None:
    edge = Edge()
    loader = edge.loader()
    a, b = Parent("a"), Parent("b")
    assert await asyncio.gather(loader.load(a), loader.load(b), loader.load(a)) == ["A", "B", "A"]
    assert await loader.load(b) == "B"
    assert edge.calls == [["a", "b"]]


async def test_cancelled_waiter_cancels_no_other_and_leaves_the_key() -> None:
    edge = Edge()
    edge.gate.clear()
    loader = edge.loader()
    parent = Parent("a")
    first, second = loader.load(parent), loader.load(parent)
    while not edge.calls:
        await asyncio.sleep(0)
    first.cancel()
    edge.gate.set()
    assert await second == "A"
    assert await loader.load(parent) == "A"
    assert edge.calls == [["a"]]


async def test_cancelled_batch_settles_its_waiters() -> None:
    """aiodataloader alone leaves them pending for ever."""
    loader = Edge(asyncio.CancelledError()).loader()
    async with asyncio.timeout(120):
        (found,) = await asyncio.gather(loader.load(Parent("a")))
    assert isinstance(found, TradegraphError)
    assert found.message == "The request was cancelled."


async def test_failure_is_the_value_of_every_parent_and_never_unretrieved(caplog: pytest.LogCaptureFixture) -> None:
    error = SourceUnavailable("erp")
    edge = Edge(error)
    loader = edge.loader()
    a, b = Parent("a"), Parent("b")
    abandoned = loader.load(a)
    assert await loader.load(b) is error
    assert await loader.load(b) is error
    del abandoned, loader
    gc.collect()
    assert edge.calls == [["a", "b"]]
    assert caplog.records == []


async def test_too_few_answers_fail_every_parent() -> None:
    async def short(parents: Sequence[Parent], ctx: Any) -> list[str]:
        return ["one"]

    loader = LevelLoader(short, None, {})
    found = await asyncio.gather(loader.load(Parent("a")), loader.load(Parent("b")))
    assert [getattr(one, "detail", None) for one in found] == ["an edge answered 1 of 2"] * 2


async def test_parents_live_as_long_as_their_answers() -> None:
    """They are known by identity: the next object at the same address would get the answer."""
    loader = Edge().loader()
    parent = Parent("a")
    left = weakref.ref(parent)
    assert await loader.load(parent) == "A"
    del parent
    gc.collect()
    assert left() is not None
