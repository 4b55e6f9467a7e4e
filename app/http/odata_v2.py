"""OData V2, as SAP Gateway speaks it: its literals, dates and pages, multipart batches, and the CSRF token.

Facts are from OData 2.0 of odata.org and the SAP Gateway Foundation guide: decimals are texts, times `/Date(ms)/`,
collections `{"results": [...]}`, an empty text stands for null, and a write needs a token that belongs to a cookie.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Generic, TypeVar, cast
from urllib.parse import quote
from uuid import UUID

import msgspec
from msgspec import inspect

from app.errors import SourceMalformed, SourceRejected
from app.http import odata
from app.http.call import SIGN_IN
from app.http.errors import error_for_status
from app.http.odata import BatchAnswer, ODataPage, ODataQuery
from app.http.request import OutgoingRequest, printable
from app.http.response import HTTPResponse
from app.http.sign_in import SessionSignIn

R = TypeVar("R")

_DATE = re.compile(r"/Date\((-?\d{1,16})([+-]\d{1,4})?\)/")
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})[^\r\n]*\r?\n")
_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,70})"?', re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ODataList(msgspec.Struct, Generic[R], frozen=True):
    """An expanded collection: a navigation property of a row that leads to many."""

    results: tuple[R, ...] = ()


class V2Page(msgspec.Struct, Generic[R], frozen=True):
    """The content of a page."""

    results: tuple[R, ...]
    next_link: str | None = msgspec.field(default=None, name="__next")
    count: str | int | None = msgspec.field(default=None, name="__count")


class V2Response(msgspec.Struct, Generic[R], frozen=True):
    """A page as it is received."""

    d: V2Page[R]


def literal(value: object) -> str:
    """A value in an expression. Raises TypeError for what has no literal."""
    if isinstance(value, datetime):
        return f"datetime'{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}'"
    if isinstance(value, date):
        return f"datetime'{value.isoformat()}T00:00:00'"
    if isinstance(value, Decimal):
        return f"{value:f}M"
    if isinstance(value, UUID):
        return f"guid'{value}'"
    return odata.literal(value)


def offset_literal(value: datetime) -> str:
    """A time in an expression over a field of type `Edm.DateTimeOffset`."""
    text = value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"datetimeoffset'{text}Z'"


def entity_key(**values: object) -> str:
    """The key of one entity in a path, quoted: `(Product='TG11',Plant='1710')`."""
    return "(" + ",".join(f"{name}={quote(literal(value), safe='')}" for name, value in values.items()) + ")"


def parse_date(text: str | None) -> datetime | None:
    """The time of `/Date(ms)/`, in UTC; None for no value. An offset beside it says in which zone it was written, and
    does not change the moment. Raises ValueError."""
    if not text:
        return None
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("not a date of OData V2")
    try:
        return _EPOCH + timedelta(milliseconds=int(match[1]))
    except OverflowError:
        raise ValueError("a date out of range") from None


class ODataV2:
    """V2 with multipart batches."""

    def literal(self, value: object) -> str:
        """See `ODataDialect`."""
        return literal(value)

    def text(self, query: ODataQuery, row: Any) -> str:
        """See `ODataDialect`."""
        pairs: list[tuple[str, str]] = [] if query.filter is None else [("$filter", query.filter)]
        pairs += [("$orderby", ",".join(query.orderby))] if query.orderby else []
        pairs += [("$top", str(query.top))] if query.top is not None else []
        pairs += [("$skip", str(query.skip))] if query.skip else []
        pairs += [("$inlinecount", "allpages")] if query.count else []
        pairs += [*_selection(row), ("$format", "json"), *query.options.items()]
        return "&".join(f"{name}={quote(value, safe=odata.SAFE)}" for name, value in pairs)

    def wire_type(self, row: Any) -> Any:
        """See `ODataDialect`."""
        return _response_of(row)

    def page(self, received: Any) -> ODataPage[Any]:
        """See `ODataDialect`."""
        page = cast("V2Response[Any]", received).d
        text = str(page.count)
        return ODataPage(page.results, page.next_link, int(text) if text.isdecimal() else None)

    def batch(self, targets: Mapping[int, str], headers: Mapping[str, str]) -> tuple[bytes, Mapping[str, str]]:
        """See `ODataDialect`. Responses come in the order of the requests."""
        boundary = f"batch_{secrets.token_hex(12)}"
        lines = "".join(f"{name}: {printable(value)}\r\n" for name, value in headers.items())
        parts = [
            f"--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
            f"GET {target} HTTP/1.1\r\n{lines}\r\n\r\n"
            for target in targets.values()
        ]
        body = f"{''.join(parts)}--{boundary}--\r\n".encode("ascii")
        return body, {"content-type": f"multipart/mixed; boundary={boundary}", "accept": "multipart/mixed"}

    def answers(self, response: HTTPResponse, numbers: Sequence[int]) -> Sequence[BatchAnswer]:
        """See `ODataDialect`."""
        found = _BOUNDARY.search(response.headers.get("content-type", ""))
        if found is None:
            raise SourceMalformed(response.source, detail="the response to a batch is not multipart")
        parts = _parts(response.body, found[1].encode())
        return [BatchAnswer(str(number), *part) for number, part in zip(numbers, parts, strict=False)]


def post_batch(path: str, bodies: Sequence[bytes]) -> tuple[bytes, Mapping[str, str]]:
    """A batch that posts each of these JSON bodies to `path`, and its headers. Each is a change set of its own, so that
    one that fails leaves the others; `ODataV2.answers` reads the response."""
    boundary = f"batch_{secrets.token_hex(12)}"
    parts: list[bytes] = []
    for number, body in enumerate(bodies):
        inner = f"changeset_{number}_{boundary}"
        head = (
            f"--{boundary}\r\nContent-Type: multipart/mixed; boundary={inner}\r\n\r\n"
            f"--{inner}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
            f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        parts.append(head.encode("ascii") + body + f"\r\n--{inner}--\r\n".encode("ascii"))
    content = b"".join(parts) + f"--{boundary}--\r\n".encode("ascii")
    return content, {"content-type": f"multipart/mixed; boundary={boundary}", "accept": "multipart/mixed"}


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[int, dict[str, object], msgspec.Raw]]:
    """Status, headers and body of each response in a multipart body."""
    for part in body.split(b"--" + boundary)[1:]:
        match = _STATUS.search(part)
        if match is None:
            continue
        head, _, content = part[match.end() :].replace(b"\r\n", b"\n").partition(b"\n\n")
        inner = _BOUNDARY.search(part[: match.start()].decode("latin-1"))
        if inner is not None:  # The response to a change set is a multipart body of its own.
            content = content.partition(b"\n--" + inner[1].encode("latin-1"))[0]
        pairs = [line.partition(b":") for line in head.split(b"\n") if b":" in line]
        headers: dict[str, object] = {
            name.decode("latin-1").strip().lower(): value.decode("latin-1").strip() for name, _, value in pairs
        }
        yield int(match[1]), headers, msgspec.Raw(content.strip())


class CSRFSignIn(SessionSignIn):
    """Basic authentication, with the CSRF token and its cookie on every request: Gateway refuses a write without them,
    and says `x-csrf-token: Required` with status 403 when they have ended. `path` is that of a service."""

    def __init__(self, source: str, path: str, username: str, password: str) -> None:
        super().__init__(source)
        credentials = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._path = path
        self._basic = f"Basic {credentials}"

    def expire(self) -> None:
        """Discard token and cookie, because a request inside another one was refused."""
        self._session = None

    def is_unauthorized(self, request: OutgoingRequest, response: HTTPResponse) -> bool:
        """See `SignIn`."""
        return response.status == 403 and response.headers.get("x-csrf-token", "").lower() == "required"

    def login(self) -> OutgoingRequest:
        """See `SessionSignIn`."""
        headers = {"authorization": self._basic, "x-csrf-token": "Fetch"}
        return OutgoingRequest(method="GET", path=self._path, headers=headers, call=SIGN_IN)

    def session_headers(self, response: HTTPResponse) -> Mapping[str, str]:
        """See `SessionSignIn`. The response's own text is never part of an error."""
        if response.status != 200:
            error = error_for_status(self.source, "the sign-in", response.status, response.headers, b"")
            refused = isinstance(error, SourceRejected)
            raise SourceRejected(self.source, status=401, detail=error.detail) if refused else error
        token = response.headers.get("x-csrf-token")
        cookies = [part.split(";")[0].strip() for part in _COOKIES.split(response.headers.get("set-cookie", ""))]
        if not token:
            raise SourceMalformed(self.source, detail="the sign-in gave no CSRF token")
        session = {"authorization": self._basic, "x-csrf-token": token}
        return session | ({"cookie": "; ".join(cookies)} if any(cookies) else {})


_COOKIES = re.compile(r",(?=\s*[^;,=\s]+=)")
"""Between cookies of several `Set-Cookie` headers in one; an `Expires` holds a comma too."""


@cache
def _response_of(row: Any) -> Any:
    return V2Response[row]


@cache
def _selection(row: Any) -> tuple[tuple[str, str], ...]:
    fields, expanded = _selected(cast("inspect.StructType", inspect.type_info(row)), "")
    return tuple((name, ",".join(names)) for name, names in (("$select", fields), ("$expand", expanded)) if names)


def _selected(info: inspect.StructType, path: str) -> tuple[list[str], list[str]]:
    """The fields of a struct and of what it expands, by path; nested structs are navigation properties."""
    fields: list[str] = []
    expanded: list[str] = []
    for one in info.fields:
        nested = _nested(one.type)
        if nested is None:
            fields.append(f"{path}{one.encode_name}")
            continue
        inner, deeper = _selected(nested, f"{path}{one.encode_name}/")
        fields += inner
        expanded += deeper or [f"{path}{one.encode_name}"]
    return fields, expanded


def _nested(info: inspect.Type) -> inspect.StructType | None:
    found = odata.struct_of(info)
    if found is not None and [one.encode_name for one in found.fields] == ["results"]:
        return odata.struct_of(found.fields[0].type)
    return found
