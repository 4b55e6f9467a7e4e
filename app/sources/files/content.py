"""The content of a file as a stream, decompressed within limits. The format is recognised by its first bytes."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from app.errors import FileMalformed, FileTooLarge, FileTruncated
from app.sources.files.options import Limits

_GZIP, _ZIP, _ZIP_END = b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06"
_BUFFER = 256 * 1024
_RATIO_FROM = 1024 * 1024
"""Decompressed bytes from which the ratio counts: a small file of zeros is none."""


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


@contextmanager
def open_content(file: BinaryIO, size: int, limits: Limits) -> Iterator[BinaryIO]:
    """The content of an open file of `size` bytes. Raises FileTooLarge, FileMalformed and FileTruncated, also while it
    is read."""
    start = file.read(4)
    file.seek(0)
    if start.startswith(_GZIP):
        source: _Readable = gzip.GzipFile(fileobj=file)
    elif start.startswith(_ZIP):
        source = _zip_member(file)
    else:
        if size > limits.max_bytes:
            raise FileTooLarge(detail=f"{size} bytes")
        source = file
    stream = io.BufferedReader(_Bounded(source, size, limits), _BUFFER)
    try:
        yield stream
    except EOFError:
        raise FileTruncated(detail="the compressed content ends early") from None
    except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise FileMalformed(detail=str(error)) from None


def _zip_member(file: BinaryIO) -> _Readable:
    """The only member of an archive. Its name is not used."""
    file.seek(0, io.SEEK_END)
    file.seek(max(0, file.tell() - 65_557))
    tail = file.read()
    end = tail.rfind(_ZIP_END)
    if end < 0 or len(tail) < end + 22:
        raise FileTruncated(detail="the archive has no directory")
    (entries,) = struct.unpack_from("<H", tail, end + 10)
    if entries != 1:
        raise FileMalformed(detail=f"the archive has {entries} members instead of one")
    try:
        archive = zipfile.ZipFile(file)
        [member] = archive.infolist()
        return archive.open(member)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise FileMalformed(detail=str(error)[:200]) from None


class _Bounded(io.RawIOBase):
    """Counts what is read, and stops at the limits."""

    def __init__(self, source: _Readable, size: int, limits: Limits) -> None:
        self._source = source
        self._most = limits.max_bytes
        self._ratio_limit = max(size * limits.max_ratio, _RATIO_FROM)
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        data = self._source.read(len(buffer))
        self._read += len(data)
        if self._read > self._most:
            raise FileTooLarge(detail=f"more than {self._most} bytes of content")
        if self._read > self._ratio_limit:
            raise FileTooLarge(detail="compressed beyond the allowed ratio")
        buffer[: len(data)] = data
        return len(data)
