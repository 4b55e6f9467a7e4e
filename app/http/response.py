"""A backend's response, read whole, and its decoding."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from app.errors import SourceMalformed
from app.http.finite_decimals import finite_check

T = TypeVar("T")

_EXCERPT = 200
_MAX_RETRY_AFTER = 3600.0


class Headers(Mapping[str, str]):
    """The headers of a response, by case-insensitive name; decoded when first read."""

    __slots__ = ("_found", "_raw")

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        self._raw = raw
        self._found: dict[str, str] | None = None

    def _all(self) -> dict[str, str]:
        if self._found is None:
            self._found = {}
            for raw_name, raw_value in self._raw:
                name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
                self._found[name] = f"{self._found[name]}, {value}" if name in self._found else value
        return self._found

    def __getitem__(self, name: str) -> str:
        return self._all()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


class ResponseDecoder:
    """Decodes JSON bodies as one type, and checks that their numbers are finite."""

    __slots__ = ("decode", "is_finite")

    def __init__(self, into: Any) -> None:
        self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(into).decode
        self.is_finite = finite_check(into)


class HTTPResponse(msgspec.Struct, frozen=True):
    """Status, headers (by case-insensitive name) and body of a response."""

    source: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<HTTPResponse {self.status} of {self.source}, {len(self.body)} bytes>"

    def decode(self, into: type[T]) -> T:
        """The JSON body as `into`, numbers exact. Raises SourceMalformed. An empty body is None, if `into` is that."""
        if not self.body and into is type(None):
            return None  # type: ignore[return-value]
        return self.decode_with(_decoder(into))

    def decode_with(self, decoder: ResponseDecoder) -> Any:
        """The JSON body decoded by `decoder`. Raises SourceMalformed."""
        try:
            if not self.body.isascii():
                self.body.decode()  # msgspec does not look into what it skips.
            value = decoder.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SourceMalformed(self.source, detail=self._describe(str(error))) from error
        if decoder.is_finite is not None and not decoder.is_finite(value):
            raise SourceMalformed(self.source, detail=self._describe("a number is not finite"))
        return value

    def _describe(self, reason: str) -> str:
        kind = self.headers.get("content-type", "no content type")
        start = self.body[:_EXCERPT].decode(errors="replace")
        return f"{self.status} {kind}, {len(self.body)} bytes, {reason}: {start}"


_decoder = cache(ResponseDecoder)


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
