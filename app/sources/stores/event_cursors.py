"""Cursors of the event log: a place in one log, opaque to whoever keeps it."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from struct import Struct
from zlib import crc32

from app.errors import InvalidCursor

LAYOUT = Struct(">8sQ")
CHECK = Struct(">I")


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a log. Logs have random ids, and positions are times in microseconds: those of a log that was put
    back to an earlier state come after those that it has lost."""

    log: bytes
    position: int

    def __str__(self) -> str:
        """The cursor."""
        body = LAYOUT.pack(self.log, self.position)
        return urlsafe_b64encode(body + CHECK.pack(crc32(body))).decode().rstrip("=")


def place_of(cursor: str) -> Place:
    """The place that a cursor stands for. Raises InvalidCursor where no log has made it."""
    try:
        whole = urlsafe_b64decode(cursor.encode("ascii") + b"=")
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidCursor from None
    if len(whole) != LAYOUT.size + CHECK.size:
        raise InvalidCursor
    place = Place(*LAYOUT.unpack(whole[: LAYOUT.size]))
    if str(place) != cursor:
        raise InvalidCursor
    return place
