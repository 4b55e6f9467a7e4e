"""Bodies as they come: unpacked piece by piece within a limit, and cut into lines."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import httpx

from app.errors import SourceMalformed
from app.http.connection import Exchange

_PIECE = 65536
_PLAIN = frozenset({"identity", ""})
_PACKED = frozenset({"gzip", "x-gzip"})


class Decompressor:
    """Unpacks what was packed and counts both sides, so that neither a flood nor a bomb fills the memory. Raises
    SourceMalformed."""

    def __init__(self, source: str, encoding: str, limit: int) -> None:
        encoding = encoding.strip().lower()
        if encoding not in _PLAIN and encoding not in _PACKED:
            raise SourceMalformed(source, detail=f"unasked content encoding {encoding[:50]!r}")
        self._source = source
        self._limit = limit
        self._packed = encoding in _PACKED
        self._inflate = zlib.decompressobj(wbits=31) if self._packed else None
        self._received = self._unpacked = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What a chunk unpacks to, in pieces."""
        self._received = self._counted(self._received, chunk, "bytes on the wire")
        if self._inflate is None:
            if chunk:
                yield chunk
            return
        while chunk:
            if self._inflate.eof:  # gzip allows several members one after the other.
                self._inflate = zlib.decompressobj(wbits=31)
            try:
                plain = self._inflate.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise SourceMalformed(self._source, detail=f"broken gzip: {error}") from error
            self._unpacked = self._counted(self._unpacked, plain, "bytes unpacked")
            chunk = self._inflate.unconsumed_tail or self._inflate.unused_data
            if plain:
                yield plain

    def end(self) -> None:
        """The body has ended."""
        if self._inflate is not None and self._received and not self._inflate.eof:
            raise SourceMalformed(self._source, detail="the gzip answer ends in the middle")

    def whole(self, body: bytes) -> bytes:
        """A body that has come whole."""
        plain = b"".join(self.feed(body))
        self.end()
        return plain

    def _counted(self, before: int, chunk: bytes, what: str) -> int:
        after = before + len(chunk)
        if after > self._limit:
            raise SourceMalformed(self._source, detail=too_large(self._limit, what))
        return after


def too_large(limit: int, what: str) -> str:
    """The detail for a body that passes the limit."""
    return f"answer exceeds max_response_bytes = {limit} ({what})"


class BoundedBody(httpx.AsyncByteStream):
    """A body of httpx, unpacked within the limit."""

    def __init__(self, source: str, stream: httpx.AsyncByteStream, encoding: str, limit: int) -> None:
        self._source, self._stream, self._encoding, self._limit = source, stream, encoding, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        unpacker = Decompressor(self._source, self._encoding, self._limit)
        async for chunk in self._stream:
            for piece in unpacker.feed(chunk):
                yield piece
        unpacker.end()

    async def aclose(self) -> None:
        await self._stream.aclose()


class StreamedResponse:
    """An answer that is being read, whichever way it comes."""

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        *,
        exchange: Exchange | None = None,
        response: httpx.Response | None = None,
    ) -> None:
        self.pieces = pieces
        self._exchange = exchange
        self._response = response

    async def aclose(self) -> None:
        """Give up what has not come."""
        if self._exchange is not None:
            self._exchange.abandon()
        await cast(Any, self.pieces).aclose()
        if self._response is not None:
            await self._response.aclose()


async def decompressed(exchange: Exchange, unpacker: Decompressor) -> AsyncIterator[bytes]:
    """The pieces of a streamed answer, unpacked."""
    while parts := await exchange.read():
        for part in parts:
            for piece in unpacker.feed(part):
                yield piece
    unpacker.end()


class LineSplitter:
    """Cuts pieces into lines, without their ends; empty lines are left out."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that a piece completes."""
        self._parts.append(piece)
        end = piece.find(b"\n")
        if end < 0:
            return []
        text = piece if len(self._parts) == 1 else b"".join(self._parts)
        start, end = 0, len(text) - len(piece) + end
        lines: list[bytes] = []
        while end >= 0:  # bytes.split() takes ten times as long for long lines.
            lines.append(text[start:end].strip())
            start = end + 1
            end = text.find(b"\n", start)
        self._parts = [text[start:]] if start < len(text) else []
        return [line for line in lines if line]

    def end(self) -> list[bytes]:
        """What is left: a last line without an end."""
        last = b"".join(self._parts).strip()
        return [last] if last else []
