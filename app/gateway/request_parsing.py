"""Parsing of requests: the body within its limit, its JSON, and the types of GraphQL over HTTP."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.types import Receive

from app.errors import InvalidTimeout, MethodNotAllowed, PayloadTooLarge, RequestError, UnsupportedMediaType
from app.execution.engine import Request
from app.gateway.disconnect import ClientDisconnected
from app.gateway.media_types import check_body_type

_SECONDS = re.compile(rb"[0-9]{1,6}(\.[0-9]{1,6})?")
PARAMETERS = ("documentId", "query", "operationName", "variables", "extensions")


async def read_request(
    method: str, headers: Mapping[bytes, bytes], query_string: bytes, receive: Receive, max_body_bytes: int
) -> Request:
    """Read a request. Raises RequestError."""
    if method == "GET":
        if len(query_string) > max_body_bytes:
            raise PayloadTooLarge(f"The query string may have at most {max_body_bytes} bytes.")
        return parse_request(_query_parameters(query_string))
    if method != "POST":
        raise MethodNotAllowed("Send GraphQL by POST, or a query by GET.")
    check_body_type(_text_of(headers.get(b"content-type")))
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise UnsupportedMediaType("Send the body as it is: no Content-Encoding is accepted.")
    body = await read_body(_text_of(headers.get(b"content-length")), receive, max_body_bytes)
    return parse_request(_json(body, "The body"))


def parse_timeout(text: bytes, most: float) -> float:
    """The seconds of a `Tradegraph-Timeout` header, at most `most`. Raises InvalidTimeout."""
    seconds = float(text) if _SECONDS.fullmatch(text) else 0.0
    if not 0 < seconds <= most:
        raise InvalidTimeout(f"Tradegraph-Timeout must be a number of seconds above 0 and at most {most:g}, like 0.8.")
    return seconds


def _text_of(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


async def read_body(declared: str | None, receive: Receive, limit: int) -> bytes:
    """Read a body of at most `limit` bytes. Raises PayloadTooLarge, before reading where the length is declared."""
    too_large = f"The body may have at most {limit} bytes."
    if declared is not None and declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        raise PayloadTooLarge(too_large)
    chunks: list[bytes] = []
    length = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        chunk = message.get("body", b"")
        length += len(chunk)
        if length > limit:
            raise PayloadTooLarge(too_large)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _query_parameters(query_string: bytes) -> dict[str, Any]:
    """The parameters of a GET request. `variables` and `extensions` are JSON; a duplicate parameter is refused."""
    found: dict[str, Any] = {}
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except (UnicodeDecodeError, ValueError):
        raise RequestError("The query string is not percent-encoded UTF-8, or has too many parameters.") from None
    for name, value in pairs:
        if name not in PARAMETERS:
            continue
        if name in found:
            raise RequestError(f"The parameter {name!r} comes twice.")
        found[name] = value
    for name in ("variables", "extensions"):
        if name in found:
            found[name] = _json(found[name], f"The parameter {name!r}") if found[name] else None
    if found.get("operationName") == "":
        del found["operationName"]
    return found


def _json(text: bytes | str, what: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        # Only line and column: the parser's message could repeat the input.
        raise RequestError(f"{what} is not JSON in UTF-8 (line {error.lineno}, column {error.colno}).") from None


def parse_request(parameters: Any) -> Request:
    """The request in the parameters of any transport, each of its type. The DocumentResolver decides whether they
    suffice and may be sent."""
    if not isinstance(parameters, dict):
        hint = "; batches are not supported" if isinstance(parameters, list) else ""
        raise RequestError(f"The body must be a JSON object with the key 'query'{hint}.")
    query = parameters.get("query")
    if query is not None and not isinstance(query, str):
        raise RequestError("'query' is required and must be a string.")
    return Request(
        query or "",
        _text(parameters, "operationName"),
        _map(parameters, "variables"),
        _map(parameters, "extensions"),
        _text(parameters, "documentId"),
    )


def _text(parameters: dict[str, Any], name: str) -> str | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, str):
        raise RequestError(f"{name!r} must be a string or null.")
    return value


def _map(parameters: dict[str, Any], name: str) -> dict[str, Any]:
    value = parameters.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RequestError(f"{name!r} must be an object or null.")
    return value
