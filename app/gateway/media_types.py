"""Content negotiation: the media type of the response, and that of the request body."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from app.errors import NotAcceptable, UnsupportedMediaType

RESPONSE = "application/graphql-response+json"
LEGACY = "application/json"
EVENTS = "text/event-stream"


class Accepted(NamedTuple):
    """The media types that a client accepts: `json` for a single response, None for none; whether it accepts an event
    stream, and whether it prefers one even for a single response."""

    json: str | None
    stream: bool
    prefers_stream: bool


CACHED_LENGTH = 200
"""Bytes of the longest Accept header whose meaning is cached."""

SINGLE = Accepted(LEGACY, stream=False, prefers_stream=False)


def negotiate(header: bytes | None) -> Accepted:
    """The media types of an Accept header; short headers recur and are parsed once. Raises NotAcceptable."""
    if header is None or header == b"application/json":
        return SINGLE
    return _parse_cached(header) if len(header) <= CACHED_LENGTH else _parse(header)


def _parse(header: bytes) -> Accepted:
    """Parse an Accept header. For any type the legacy one, as clients expect. A client that accepts JSON as well as
    event streams gets JSON for a single response: some name both in every request."""
    accept = header.decode("latin-1")
    if not accept.strip():
        return SINGLE
    best: tuple[float, int, str] | None = None
    stream = 0.0
    for media_type, quality in _ranges(accept):
        if media_type == EVENTS:
            stream = max(stream, quality)
        answer = {RESPONSE: RESPONSE, LEGACY: LEGACY, "application/*": LEGACY, "*/*": LEGACY}.get(media_type)
        if answer is None or quality <= 0:
            continue
        # Of equals the one with status codes that mean something; what is named goes before a wildcard.
        rank = (quality, {RESPONSE: 2, LEGACY: 1}.get(media_type, 0), answer)
        best = max(best, rank) if best else rank
    if best is None and stream <= 0:
        raise NotAcceptable(f"Accept {RESPONSE}, {LEGACY} or {EVENTS}.")
    return Accepted(best and best[2], stream > 0, best is None or stream > best[0])


_parse_cached = lru_cache(maxsize=100)(_parse)


def check_body_type(content_type: str | None) -> None:
    """Refuse a body that is not declared as JSON in UTF-8."""
    if content_type == LEGACY:
        return
    media_type, _, parameters = (content_type or "").partition(";")
    if media_type.strip().lower() != LEGACY or not _utf8(parameters):
        raise UnsupportedMediaType(f"Send the body with Content-Type: {LEGACY}, in UTF-8.")


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for entry in accept.split(","):
        media_type, _, parameters = entry.partition(";")
        if _utf8(parameters):
            yield media_type.strip().lower(), _quality(parameters)


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(float(value), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def _utf8(parameters: str) -> bool:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower() in {"utf-8", "utf8"}
    return True
