"""Sets of documents as integers: bit n is set if document n is in the set.

Python's integers are the bitmaps: intersection, union and count of sets among 200,000 documents take microseconds. They
are stored in chunks of 8,192 documents, so that a change of one document writes a kilobyte at most for each term.
"""

from __future__ import annotations

import re
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

CHUNK = 8192
"""Documents of a chunk."""

BYTES = CHUNK // 8
SPARSE = 128
"""Documents up to which a chunk is stored as their numbers, two bytes each, instead of as bits."""

MOST_LISTS = 1000
"""Lists of terms and words that are remembered: the last ones that were asked for."""

MOST_COUNTED = 256
"""Sets of documents whose counts are remembered: the last ones that were asked for."""

_NOT_ZERO = re.compile(rb"[^\0]")


def chunks_of(documents: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """The chunks of ascending document numbers."""
    start = 0
    while start < len(documents):
        chunk = documents[start] // CHUNK
        end = start
        numbers = array("H")
        while end < len(documents) and documents[end] // CHUNK == chunk:
            numbers.append(documents[end] % CHUNK)
            end += 1
        yield chunk, encode(numbers)
        start = end


def encode(numbers: Sequence[int]) -> bytes:
    """A chunk from the ascending numbers in it."""
    if len(numbers) <= SPARSE:
        return array("H", numbers).tobytes()
    bits = bytearray(BYTES)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return bytes(bits)


def decode(chunk: bytes) -> list[int]:
    """The numbers in a chunk, ascending."""
    if len(chunk) != BYTES:
        return array("H", chunk).tolist()
    return list(members(int.from_bytes(chunk, "little")))


def join_chunks(chunks: Iterable[tuple[int, bytes]]) -> int:
    """The set whose chunks these are."""
    whole = 0
    for number, chunk in chunks:
        bits = chunk if len(chunk) == BYTES else _dense(chunk)
        whole |= int.from_bytes(bits, "little") << (number * CHUNK)
    return whole


def _dense(chunk: bytes) -> bytes:
    numbers = array("H", chunk)
    bits = bytearray(max(numbers, default=0) // 8 + 1)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return bytes(bits)


def from_numbers(documents: Iterable[int]) -> int:
    """The set of these documents."""
    return join_chunks(chunks_of(sorted(set(documents))))


def members(documents: int, after: int = -1) -> Iterator[int]:
    """The documents of a set beyond one of them, ascending."""
    start = after + 1
    rest = documents >> start
    data = rest.to_bytes((rest.bit_length() + 7) // 8, "little")
    for found in _NOT_ZERO.finditer(data):
        byte, base = data[found.start()], start + found.start() * 8
        for bit in range(8):
            if byte >> bit & 1:
                yield base + bit


def membership(documents: int) -> Callable[[int], bool]:
    """Whether a document is in a set, for many documents: a shift of the whole set takes microseconds for each."""
    data = documents.to_bytes((documents.bit_length() + 7) // 8, "little")
    return lambda document: document >> 3 < len(data) and bool(data[document >> 3] >> (document & 7) & 1)


class BitmapCache:
    """The sets of terms that were read of one state of an index, the least recently used of which go first beyond
    `most` bytes. Usable by several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._sets: OrderedDict[str, int] = OrderedDict()
        self._lists: OrderedDict[str, Any] = OrderedDict()
        self._counted: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._state: object = None
        self._lock = threading.Lock()

    def get(self, state: object, terms: Iterable[str]) -> dict[str, int]:
        """The known sets among those of these terms, in this state of the index."""
        with self._lock:
            self._enter(state)
            found = {term: self._sets[term] for term in terms if term in self._sets}
            for term in found:
                self._sets.move_to_end(term)
            return found

    def _enter(self, state: object) -> None:
        if state != self._state:
            self._sets.clear()
            self._lists.clear()
            self._counted.clear()
            self._state, self._size = state, 0

    def listed(self, state: object, name: str) -> Any:
        """A list that was put by its name in this state of the index; None if it was not."""
        with self._lock:
            self._enter(state)
            found = self._lists.get(name)
            if found is not None:
                self._lists.move_to_end(name)
            return found

    def put_list(self, state: object, name: str, found: Any) -> None:
        """Remember a list."""
        with self._lock:
            if state == self._state:
                self._lists[name] = found
                if len(self._lists) > MOST_LISTS:
                    self._lists.popitem(last=False)

    def counted(self, state: object, documents: int) -> dict[str, Any]:
        """What has been counted of a set of documents in this state of the index, by name; the caller adds to it."""
        with self._lock:
            self._enter(state)
            found = self._counted.get(documents)
            if found is None:
                found = self._counted[documents] = {}
                if len(self._counted) > MOST_COUNTED:
                    self._counted.popitem(last=False)
            else:
                self._counted.move_to_end(documents)
            return found

    def put(self, state: object, sets: Mapping[str, int]) -> None:
        """Remember sets by their terms."""
        with self._lock:
            if state != self._state:
                return
            for term, documents in sets.items():
                if term not in self._sets:
                    self._size += _bytes(documents)
                    self._sets[term] = documents
            while self._size > self._most:
                _, documents = self._sets.popitem(last=False)
                self._size -= _bytes(documents)


def _bytes(documents: int) -> int:
    return documents.bit_length() // 8 + 150
