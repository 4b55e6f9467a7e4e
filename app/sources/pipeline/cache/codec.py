"""Entries as they lie in the shared cache: MessagePack of the record's own type, deflated where that pays.

Whatever cannot be read as exactly that (other records of another release, another key's value, somebody's bytes) is no
entry. The form of the records is part of every key, so that two releases beside each other do not meet.
"""

from __future__ import annotations

import hashlib
import zlib
from functools import cache
from typing import Any

import msgspec

DEFLATE_FROM = 1024
"""Bytes."""

LARGEST = 16 * 1024 * 1024
"""Bytes of a value, inflated."""

PLAIN, DEFLATED = b"\0", b"\1"


class EntryEnvelope(msgspec.Struct, array_like=True, frozen=True):
    """What surrounds a value: the key it is for, when its read began, in microseconds of the server's clock, and how
    long it took in seconds. A key that its source does not know has no value."""

    key: str
    read: int
    load_seconds: float
    known: bool
    value: msgspec.Raw


class UndecodableEntry(ValueError):
    """These bytes are no entry for this key."""


def encode(key: str, read: int, load_seconds: float, value: Any, *, known: bool) -> bytes:
    """The bytes of an entry."""
    raw = msgspec.Raw(msgspec.msgpack.encode(value if known else None))
    packed = msgspec.msgpack.encode(EntryEnvelope(key, read, load_seconds, known, raw))
    if len(packed) < DEFLATE_FROM:
        return PLAIN + packed
    return DEFLATED + zlib.compress(packed, 1)


def decode(data: bytes, key: str, kind: Any) -> tuple[EntryEnvelope, Any]:
    """An entry and its value. Raises Unreadable."""
    try:
        found: EntryEnvelope = _envelope.decode(_inflated(data))
        if found.key != key:
            raise UndecodableEntry(f"is of {found.key!r}")
        return found, _decoder(kind).decode(found.value) if found.known else None
    except (msgspec.MsgspecError, zlib.error, RecursionError, UnicodeDecodeError) as error:
        raise UndecodableEntry(str(error)) from error


@cache
def form(kind: Any) -> str:
    """A short name for the form of a type: another one for each change of its fields."""
    return hashlib.sha256(msgspec.json.encode(msgspec.json.schema(kind), order="deterministic")).hexdigest()[:10]


def _inflated(data: bytes) -> bytes:
    mark, body = data[:1], data[1:]
    if mark == PLAIN:
        return body
    if mark != DEFLATED:
        raise UndecodableEntry("has no format marker")
    inflating = zlib.decompressobj()
    found = inflating.decompress(body, LARGEST)
    if not inflating.eof:
        raise UndecodableEntry("is too large, or cut off")
    return found


_envelope = msgspec.msgpack.Decoder(EntryEnvelope)


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)
