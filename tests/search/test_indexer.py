"""The indexer: the first build, changes of the event log, rebuilds, a killed build."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from app.events.invalidation import EVERY_KEY
from app.events.log import ChangeEvent
from app.events.stores import connect_events
from app.search.documents import IndexDocument
from app.search.indexer import Indexer
from app.search.stores.store import IndexStore
from app.settings import SearchSettings, Settings
from app.sources.changes import ChangeHint, ChangeKind
from tests.support.search import build, find, open_store

NOW = datetime(2126, 1, 1, tzinfo=UTC)  # Later than any build.


class Rows:
    """Items by their SKUs; `failing` makes reads fail."""

    kinds = frozenset({ChangeKind.ITEM})
    sources = frozenset({"erp"})

    def __init__(self, **names: str) -> None:
        self.names = names
        self.failing = False
        self.reads: list[Sequence[str]] = []

    async def pages(self, size: int) -> AsyncIterator[Sequence[IndexDocument]]:
        keys = sorted(self.names)
        for start in range(0, len(keys), size):
            if self.failing and start:
                raise RuntimeError("the source is away")
            yield [self._document(key) for key in keys[start : start + size]]

    async def read(self, keys: Sequence[str]) -> tuple[list[IndexDocument], list[str]]:
        self.reads.append(keys)
        return [self._document(key) for key in keys if key in self.names], [k for k in keys if k not in self.names]

    def _document(self, key: str) -> IndexDocument:
        return IndexDocument(key=key, codes=(key,), name=self.names[key])


@asynccontextmanager
async def indexing(folder: Path, rows: Rows, *, page: int = 500):
    """An indexer over an event log, its store, and a function that records a change."""
    settings = Settings(data_dir=folder)
    events = connect_events(settings)

    async def changed(key: str, kind: ChangeKind = ChangeKind.ITEM, source: str = "erp") -> None:
        hint = ChangeHint(source=source, kind=kind, key=key, received_at=NOW)
        await events.enqueue([hint])
        leased = await events.claim("w", 10, 60)
        event = ChangeEvent(kind=kind, source=source, key=key, node_id="", recorded_at=NOW)
        await events.record(leased, [event])

    async with open_store(folder / "search") as store:
        search = SearchSettings(page=page, refresh=0.01)
        try:
            yield Indexer("items", store, rows, events, search, (), lambda: datetime.now(UTC)), store, changed
        finally:
            await events.close()


async def follow(indexer: Indexer, store: IndexStore) -> bool:
    """Index what the log has; False where a rebuild is needed."""
    state = await store.state()
    assert state is not None
    return await indexer._follow(state)


async def test_the_first_build_reads_all_pages(tmp_path: Path):
    rows = Rows(**{f"S{number}": f"bolt {number}" for number in range(7)})
    async with indexing(tmp_path, rows, page=3) as (indexer, store, _):
        await indexer.build()
        assert (await find(store, "bolt")).total == 7


async def test_changes_of_the_log_are_indexed_once_and_others_are_not_read(tmp_path: Path):
    rows = Rows(A="red bolt", B="blue bolt")
    async with indexing(tmp_path, rows) as (indexer, store, changed):
        await indexer.build()
        rows.names = {"A": "green bolt", "C": "new nut"}
        for key in ("A", "B", "C", "A"):
            await changed(key)
        await changed("Z", ChangeKind.ORDER)
        await changed("Z", source="shop")
        assert await follow(indexer, store)
        assert await follow(indexer, store)
        assert rows.reads == [["A", "B", "C"]]
        assert [(await find(store, text)).rows for text in ("green", "red", "blue", "nut")] == [("A",), (), (), ("C",)]


async def test_changes_made_while_the_index_is_built_are_indexed_after_it(tmp_path: Path):
    rows = Rows(A="red bolt", B="blue bolt")
    async with indexing(tmp_path, rows, page=1) as (indexer, store, changed):
        pages = rows.pages

        async def changing(size: int) -> AsyncIterator[Sequence[IndexDocument]]:
            async for page in pages(size):
                yield page
                if page[0].key == "A":
                    rows.names = rows.names | {"A": "green bolt"}
                    await changed("A")

        rows.pages = changing
        await indexer.build()
        assert (await find(store, "red")).rows == ("A",)
        assert await follow(indexer, store)
        assert (await find(store, "green")).rows == ("A",)


async def test_index_is_rebuilt_where_anything_may_have_changed(tmp_path: Path):
    rows = Rows(A="red bolt")
    async with indexing(tmp_path, rows) as (indexer, store, changed):
        await indexer.build()
        await changed(EVERY_KEY)
        assert not await follow(indexer, store)


async def test_changes_trimmed_from_the_log_cause_a_rebuild(tmp_path: Path):
    rows = Rows(A="red bolt")
    async with indexing(tmp_path / "first", rows) as (indexer, store, _):
        await indexer.build()
        (tmp_path / "second" / "search").mkdir(parents=True)
        for file in (tmp_path / "first" / "search").iterdir():
            (tmp_path / "second" / "search" / file.name).write_bytes(file.read_bytes())
    async with indexing(tmp_path / "second", rows) as (indexer, store, changed):
        await changed("A")
        assert not await follow(indexer, store)  # The position is one of another log.


async def test_a_build_whose_source_fails_leaves_the_index_that_serves(tmp_path: Path):
    rows = Rows(A="red bolt", B="blue bolt")
    async with indexing(tmp_path, rows, page=1) as (indexer, store, _):
        await indexer.build()
        rows.names, rows.failing = {"C": "nut", "D": "nut"}, True
        with pytest.raises(RuntimeError, match="away"):
            await indexer.build()
        assert (await find(store, "bolt")).total == 2
        rows.failing = False
        await indexer.build()
        assert (await find(store)).rows == ("C", "D")
        assert _unfinished(tmp_path / "search") == []


FEEDING = """
import asyncio, sys
from pathlib import Path
from app.search.build import BuildProcess
from app.search.documents import IndexDocument
from app.search.stores.sqlite_index import SQLiteIndex

async def main():
    store = SQLiteIndex(Path(sys.argv[1]), "items", 1_000_000)
    async with store.leading() as leading:
        process = await BuildProcess.start(await store.begin_build())
        for number in range(100):
            await process.add([IndexDocument(key=f"N{number}", name="half built")])
        print(leading, process.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_build_that_is_killed_leaves_the_index_its_lock_and_no_process(tmp_path: Path):
    async with open_store(tmp_path) as store:
        await build(store, [IndexDocument(key="A", name="whole")])
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FEEDING, str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        assert parent.stdout is not None
        leading, child = (await parent.stdout.readline()).split()
        assert leading == b"True"
        async with store.leading() as second:
            assert second is False
        parent.send_signal(signal.SIGKILL)
        await parent.wait()
        while b"app.search.build" in _command(int(child)):
            await asyncio.sleep(0)
        assert (await find(store)).rows == ("A",)
        await build(store, [IndexDocument(key="B", name="next")])
        assert (await find(store)).rows == ("B",)
        assert _unfinished(tmp_path) == []


def _unfinished(folder: Path) -> list[Path]:
    """Files of builds that are neither current nor deleted."""
    current = (folder / "items.current").read_text()
    return [one for one in folder.glob("items-*") if not one.name.startswith(current)]


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_frames_that_end_early_build_nothing(tmp_path: Path):
    """What a child sees of a parent that dies in the middle of a frame."""
    from app.search.build import Build, run

    target = tmp_path / "items-1.building"
    first = msgspec.msgpack.encode(Build(kind="sqlite", target=str(target)))
    with (tmp_path / "frames").open("wb") as file:
        file.write(len(first).to_bytes(4, "big") + first + (1_000).to_bytes(4, "big") + b"half")
    with (tmp_path / "frames").open("rb") as file:
        before = os.nice(0)
        assert run(file, nice=0) == 1
        assert os.nice(0) == before
