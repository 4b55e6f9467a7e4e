"""Bodies in chunks: decompressed within a limit, and split into lines."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from app.errors import SourceMalformed

_PIECE = 65536
_PLAIN = frozenset({"identity", ""})
_PACKED = frozenset({"gzip", "x-gzip"})


class Decompressor:
    """Decompresses gzip and counts the bytes of both sides, so that neither a flood nor a bomb fills the memory. Raises
    SourceMalformed."""

    def __init__(self, source: str, encoding: str, limit: int) -> None:
        encoding = encoding.strip().lower()
        if encoding not in _PLAIN and encoding not in _PACKED:
            raise SourceMalformed(source, detail=f"unrequested content encoding {encoding[:50]!r}")
        self._source = source
        self._limit = limit
        self._packed = encoding in _PACKED
        self._inflate = zlib.decompressobj(wbits=31) if self._packed else None
        self._received = self._unpacked = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What a chunk decompresses to, in pieces."""
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
        """Check that the body ended where its encoding does."""
        if self._inflate is not None and self._received and not self._inflate.eof:
            raise SourceMalformed(self._source, detail="the gzip answer ends in the middle")

    def whole(self, body: bytes) -> bytes:
        """A whole body, decompressed."""
        plain = b"".join(self.feed(body))
        self.end()
        return plain

    def _counted(self, before: int, chunk: bytes, part: str) -> int:
        after = before + len(chunk)
        if after > self._limit:
            raise SourceMalformed(self._source, detail=too_large(self._limit, part))
        return after


def too_large(limit: int, part: str) -> str:
    """The detail for a body that exceeds the limit."""
    return f"answer exceeds max_response_bytes = {limit} ({part})"


def split_lines(chunks: list[bytes], decompressor: Decompressor, splitter: LineSplitter) -> Iterator[bytes]:
    """The lines that chunks of a body complete; no chunks are its end."""
    for chunk in chunks:
        for piece in decompressor.feed(chunk):
            yield from splitter.feed(piece)
    if not chunks:
        decompressor.end()
        yield from splitter.end()


class LineSplitter:
    """Splits pieces into lines, without their ends; empty lines are left out."""

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
        """The last line, if it has no end."""
        last = b"".join(self._parts).strip()
        return [last] if last else []
