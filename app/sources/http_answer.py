"""A backend's answer, read whole, and how it becomes typed values."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

import msgspec

from app.errors import SourceMalformed

T = TypeVar("T")

_EXCERPT = 200
_MAX_RETRY_AFTER = 3600.0
_NOT_A_NUMBER = re.compile(rb'"\s*[+-]?(?:s?nan\d*|inf(?:inity)?)\s*"')


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers (by name without regard to case) and body of an answer."""

    source: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<Answer {self.status} of {self.source}, {len(self.body)} bytes>"

    def decode(self, into: type[T]) -> T:
        """The JSON body as `into`, numbers exact. Raises SourceMalformed. An empty body is None, if `into` is that."""
        if not self.body and into is type(None):
            return None  # type: ignore[return-value]
        try:
            if not self.body.isascii():
                self.body.decode()  # msgspec does not look into what it skips.
            value = _decoder(into).decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SourceMalformed(self.source, detail=self._describe(str(error))) from error
        if self._may_hold_no_number() and not _finite(value):
            raise SourceMalformed(self.source, detail=self._describe("a number is not finite"))
        return value

    def _may_hold_no_number(self) -> bool:
        """msgspec reads the texts "NaN" and "Infinity" into a Decimal. Look closer only where one of them occurs."""
        lower = self.body.lower()
        return (b"nan" in lower or b"inf" in lower) and _NOT_A_NUMBER.search(lower) is not None

    def _describe(self, trouble: str) -> str:
        kind = self.headers.get("content-type", "no content type")
        start = self.body[:_EXCERPT].decode(errors="replace")
        return f"{self.status} {kind}, {len(self.body)} bytes, {trouble}: {start}"


@cache
def _decoder(into: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(into)


def _finite(value: Any) -> bool:
    plain = msgspec.to_builtins(value, builtin_types=(Decimal,), str_keys=True)
    waiting = [plain]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Decimal) and not one.is_finite():
            return False
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple, set, frozenset)):
            waiting.extend(one)
    return True


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After header, given as a number or a date; None where there is none to understand."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal() and text.isascii():
        return min(float(text[:9]), _MAX_RETRY_AFTER)
    try:
        seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(seconds, 0.0), _MAX_RETRY_AFTER)
