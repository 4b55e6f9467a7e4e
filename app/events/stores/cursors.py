"""Cursors of the event log: a position in one log, opaque to clients."""

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
    """A position in a log. Logs have random ids. Positions are times in microseconds, so that those of a restored log
    come after those that it has lost."""

    log: bytes
    position: int

    def __str__(self) -> str:
        body = LAYOUT.pack(self.log, self.position)
        return urlsafe_b64encode(body + CHECK.pack(crc32(body))).decode().rstrip("=")


def parse_cursor(cursor: str) -> LogPosition:
    """The position of a cursor. Raises InvalidCursor for a text that no log has made."""
    try:
        whole = urlsafe_b64decode(cursor.encode("ascii") + b"=")
    except (UnicodeEncodeError, binascii.Error):
        raise InvalidCursor from None
    if len(whole) != LAYOUT.size + CHECK.size:
        raise InvalidCursor
    position = LogPosition(*LAYOUT.unpack(whole[: LAYOUT.size]))
    if str(position) != cursor:
        raise InvalidCursor
    return position


BEGINNING = str(LogPosition(bytes(8), 0))
"""A cursor of no log: reading after it begins with the oldest update there is."""


def loss_reason(
    requested: LogPosition, start: LogPosition, trimmed_to: int, reason: LossReason | None
) -> LossReason | None:
    """Why a reader that requested one position starts at another: None if nothing is missing. Events up to `trimmed_to`
    were trimmed, for `reason`. Cursors are positions of events, so one that is missing and was not trimmed means that
    the log was restored to an earlier state."""
    if requested.log != start.log:
        return LossReason.OTHER_LOG
    if requested.position == start.position:
        return None
    return reason if requested.position < trimmed_to else LossReason.RESTORED
