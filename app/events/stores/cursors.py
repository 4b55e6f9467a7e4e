"""Cursors of the event log: a place in one log, opaque to whoever keeps it."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from struct import Struct
from zlib import crc32

from app.errors import InvalidCursor
from app.events.log import LossReason

LAYOUT = Struct(">8sQ")
CHECK = Struct(">I")


@dataclass(frozen=True, slots=True)
class LogPosition:
    """A position in a log. Logs have random ids, and positions are times in microseconds: those of a log that was put
    back to an earlier state come after those that it has lost."""

    log: bytes
    position: int

    def __str__(self) -> str:
        """The cursor."""
        body = LAYOUT.pack(self.log, self.position)
        return urlsafe_b64encode(body + CHECK.pack(crc32(body))).decode().rstrip("=")


def parse_cursor(cursor: str) -> LogPosition:
    """The place that a cursor stands for. Raises InvalidCursor where no log has made it."""
    try:
        whole = urlsafe_b64decode(cursor.encode("ascii") + b"=")
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidCursor from None
    if len(whole) != LAYOUT.size + CHECK.size:
        raise InvalidCursor
    place = LogPosition(*LAYOUT.unpack(whole[: LAYOUT.size]))
    if str(place) != cursor:
        raise InvalidCursor
    return place


BEGINNING = str(LogPosition(bytes(8), 0))
"""A cursor of no log: reading after it begins with the oldest update there is."""


def loss_reason(asked: LogPosition, start: LogPosition, gone: int, why: LossReason | None) -> LossReason | None:
    """What is to be told to a reader who asked for one place and begins at another. Updates are gone up to a position,
    and why. A cursor stands where an update is, so one that is gone and was not trimmed means that the log was put
    back."""
    if asked.log != start.log:
        return LossReason.OTHER_LOG
    if asked.position == start.position:
        return None
    return why if asked.position < gone else LossReason.RESTORED
