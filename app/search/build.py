"""The process that builds an index beside the one that serves: it takes documents on its standard input.

A frame is its length in four bytes and then its content: first the `Build`, then lists of documents, at the end an
empty frame and the position in the event log. If the input ends before that, the one who feeds it was killed, and the
process ends without a trace in the current index.
"""

from __future__ import annotations

import asyncio
import os
import sys
from array import array
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

import msgspec

from app.search.bitmaps import chunks_of
from app.search.documents import IndexDocument
from app.search.stores.store import Build, IndexState, vocabulary_of
from app.sources.values import Record, Timestamp

FORMAT = "2-"
"""The beginning of the generations whose documents have the terms of this version."""


class BuildEnd(Record):
    """The last frame: the position in the event log that the documents are of, and when they began to be read."""

    cursor: str
    started_at: Timestamp


class IndexBuilder:
    """Collects the postings of all terms in memory, four bytes for each term of each document."""

    def __init__(self, bulk: Any) -> None:
        self._bulk = bulk
        self._ids: dict[str, int] = {}
        self._postings: list[array[int]] = []
        self._keys: set[str] = set()
        self.count = 0

    def add(self, documents: Sequence[IndexDocument]) -> None:
        """Index documents; of several with one key the first counts."""
        rows: list[tuple[int, str, bytes]] = []
        codes: list[tuple[str, int]] = []
        for document in documents:
            if document.key in self._keys:
                continue
            self._keys.add(document.key)
            number, self.count = self.count, self.count + 1
            terms = array("I", [self._post(term, number) for term in document.terms()])
            rows.append((number, document.key, terms.tobytes()))
            codes += [(code, number) for code in document.code_forms()]
        self._bulk.add_documents(rows)
        self._bulk.add_codes(codes)

    def _post(self, term: str, number: int) -> int:
        id = self._ids.get(term)
        if id is None:
            id = self._ids[term] = len(self._postings)
            self._postings.append(array("I"))
        self._postings[id].append(number)
        return id

    def finish(self, end: BuildEnd) -> None:
        """Write the postings, and commit."""
        words: dict[str, int] = {}
        for term, id in self._ids.items():
            for word in vocabulary_of((term,)):
                words[word] = words.get(word, 0) + len(self._postings[id])
        terms = [(id, term, len(self._postings[id])) for term, id in self._ids.items()]
        now = datetime.now(UTC)
        state = IndexState(
            generation=FORMAT + token_hex(8),
            version=0,
            documents=self.count,
            cursor=end.cursor,
            built_at=now,
            checked_at=end.started_at,
        )
        self._bulk.finish(terms, self._chunks(), words, state)

    def _chunks(self) -> Iterator[tuple[int, int, bytes]]:
        for id, numbers in enumerate(self._postings):
            for chunk, documents in chunks_of(numbers):
                yield id, chunk, documents


def open_bulk(build: Build) -> Any:
    """The writer of a new index."""
    if build.kind == "postgres":
        from app.search.stores.postgres_tables import PostgresBulk

        return PostgresBulk(build)
    from app.search.stores.sqlite_tables import SQLiteBulk

    return SQLiteBulk(Path(build.target))


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame; None at the end of the input."""
    length = stream.read(4)
    if len(length) < 4:
        return None
    size = int.from_bytes(length, "big")
    content = stream.read(size)
    return content if len(content) == size else None


def run(stream: BinaryIO, *, nice: int = 10) -> int:
    """Build an index from frames; the exit status of the process. What serves comes first: `nice` is added to the
    process's niceness."""
    first = read_frame(stream)
    if first is None:
        return 1
    os.nice(nice)
    builder = IndexBuilder(open_bulk(msgspec.msgpack.decode(first, type=Build)))
    while frame := read_frame(stream):
        builder.add(msgspec.msgpack.decode(frame, type=list[IndexDocument]))
    end = read_frame(stream) if frame is not None else None
    if end is None:
        return 1
    builder.finish(msgspec.msgpack.decode(end, type=BuildEnd))
    return 0


class BuildProcess:
    """The child that builds, as its parent sees it. It ends with its parent."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, build: Build) -> BuildProcess:
        """Start it for this index."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "app.search.build", stdin=asyncio.subprocess.PIPE
        )
        child = cls(process)
        await child._send(msgspec.msgpack.encode(build))
        return child

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def add(self, documents: Sequence[IndexDocument]) -> None:
        """Send documents; waits while the child is behind."""
        if documents:
            await self._send(msgspec.msgpack.encode(documents))

    async def finish(self, end: BuildEnd) -> None:
        """End the input, and wait until the index is written. Raises RuntimeError where it is not."""
        await self._send(b"")
        await self._send(msgspec.msgpack.encode(end))
        if await self._process.wait() != 0:
            raise RuntimeError(f"the index was not built: exit status {self._process.returncode}")

    async def abort(self) -> None:
        """End the process, if it runs."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _send(self, content: bytes) -> None:
        stream = self._process.stdin
        assert stream is not None  # noqa: S101 - it is a pipe
        stream.write(len(content).to_bytes(4, "big") + content)
        await stream.drain()


if __name__ == "__main__":
    sys.exit(run(sys.stdin.buffer))
