"""Recordings of real systems, replayed on a real port.

    with cassette("tryton", TRYTON, record=recording) as tape:
        source = connect("erp", SourceSettings(vendor="tryton", base_url=tape.url, ...))

`--record` puts a proxy before the real system and keeps what it answers in `recorded/<name>.json`; without it those
answers are served, and a request that was never recorded gets 599 and fails the test that made it, by name.
Recording replaces what is asked again and keeps the rest: delete the file to start afresh.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.upstreams import serve_in_thread

RECORDED = Path(__file__).parent / "recorded"
NOT_RECORDED = 599
HIDDEN = "hidden"

_SECRET_KEY = re.compile(
    r"password|secret|api[_-]?key|^(access|refresh|token|session)$|auth-token|set-cookie", re.IGNORECASE
)
_KEPT_HEADERS = ("content-type", "link", "location", "retry-after", "vendure-auth-token")


@dataclass(frozen=True)
class Asked:
    """A request as a vendor's `match` and `hide` see it: JSON bodies are parsed, numbers keep their digits."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class System:
    """A real system and what tells its requests apart.

    `headers` matter beside method, path, query and body; `packed` are query parameters and headers that hold base64url
    of JSON; `ignored` are keys at the top of a JSON body that never matter (a JSON-RPC `id`). `hide` replaces what is
    secret in an answer's body and is not found by the name of its key.
    """

    url: str
    headers: tuple[str, ...] = ()
    packed: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    hide: Callable[[Asked, Any], Any] = lambda asked, body: body

    def match(self, asked: Asked) -> dict[str, Any]:
        """What must be equal for a recorded answer to be given."""
        query = sorted(([name, self._plain(name, value)] for name, value in asked.query), key=_canonical)
        matter = {name: self._plain(name, asked.headers[name]) for name in self.headers if name in asked.headers}
        body = asked.body
        if isinstance(body, dict):
            body = {key: value for key, value in body.items() if key not in self.ignored}
        found = {"query": query, "headers": matter, "body": _tidied(without_secrets(body))}
        return {key: value for key, value in found.items() if value}

    def _plain(self, name: str, value: str) -> Any:
        if name not in self.packed:
            return value
        try:
            return loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode())
        except (binascii.Error, ValueError):
            return value


@dataclass
class Tape:
    """A cassette that plays. `missing` are requests nobody recorded; `asked` is every request, in order."""

    name: str
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Fail if a request was not recorded."""
        if self.missing:
            named = "\n  ".join(self.missing)
            raise AssertionError(f"not in {self.name}.json (record with --record, against the real system):\n  {named}")


@contextmanager
def cassette(name: str, system: System, *, record: bool = False, folder: Path = RECORDED) -> Iterator[Tape]:
    """Play `<folder>/<name>.json`, or record into it, on a port of its own; checks the tape at the end."""
    tape = Tape(name)
    file = folder / f"{name}.json"
    player = _Player(tape, system, _load(file), record=record)
    with serve_in_thread(player.app()) as tape.url:
        yield tape
    if record:
        _save(file, player.answers, player.fresh)
    tape.check()


class _Player:
    def __init__(self, tape: Tape, system: System, answers: dict[str, dict[str, Any]], *, record: bool) -> None:
        self.answers = answers
        self.fresh: set[str] = set()
        self._tape = tape
        self._system = system
        self._record = record
        self._client: httpx.AsyncClient | None = None

    def app(self) -> Starlette:
        @asynccontextmanager
        async def lifespan(_: Starlette):
            async with httpx.AsyncClient(base_url=self._system.url, timeout=60, trust_env=False) as self._client:
                yield

        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return Starlette(routes=[Route("/{path:path}", self._handle, methods=methods)], lifespan=lifespan)

    async def _handle(self, request: Request) -> Response:
        content = await request.body()
        asked = Asked(
            request.method,
            request.scope.get("raw_path", b"").decode().partition("?")[0] or request.url.path,
            parse_qsl(request.url.query, keep_blank_values=True),
            dict(request.headers),
            parsed(content),
        )
        self._tape.asked.append(asked)
        entry = {"method": asked.method, "path": asked.path, **self._system.match(asked)}
        key = _canonical(entry)
        if self._record:
            real = await self._forward(request, asked, content)
            self.answers[key] = {"request": entry, "response": self._kept(asked, real)}
            self.fresh.add(key)
            return _response(real.status_code, _headers(real), real.content)
        if key not in self.answers:
            self._tape.missing.append(key)
            return Response(f"not recorded: {key}", NOT_RECORDED)
        kept = self.answers[key]["response"]
        body = kept["body"]
        content = body.encode() if "text" in kept else dumps(body).encode() if body is not None else b""
        return _response(kept["status"], kept["headers"], content)

    async def _forward(self, request: Request, asked: Asked, content: bytes) -> httpx.Response:
        assert self._client is not None
        hop = {"host", "connection", "content-length", "transfer-encoding"}
        headers = [(name, value) for name, value in request.headers.items() if name not in hop]
        url = asked.path + (f"?{request.url.query}" if request.url.query else "")
        return await self._client.request(request.method, url, headers=headers, content=content)

    def _kept(self, asked: Asked, real: httpx.Response) -> dict[str, Any]:
        headers = {name: HIDDEN if _SECRET_KEY.search(name) else value for name, value in _headers(real).items()}
        body = self._system.hide(asked, without_secrets(parsed(real.content)))
        return {"status": real.status_code, "headers": headers, "body": body} | (
            {"text": True} if isinstance(body, str) else {}
        )


def _headers(answer: httpx.Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}


def _response(status: int, headers: dict[str, str], content: bytes) -> Response:
    return Response(content, status, headers)


def without_secrets(value: Any) -> Any:
    """The value with whatever stands under a secret's name replaced."""
    if isinstance(value, dict):
        return {
            k: HIDDEN if isinstance(v, str) and _SECRET_KEY.search(k) else without_secrets(v) for k, v in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return value


def _tidied(value: Any) -> Any:
    """The value with runs of blanks in a GraphQL text made one, so that a document's layout does not matter."""
    if isinstance(value, dict) and isinstance(value.get("query"), str):
        return value | {"query": " ".join(value["query"].split())}
    return value


# JSON that keeps the digits of its numbers: a float would turn 12.10 into 12.1.

_MARK = "\x01"
_MARKED = re.compile(r'"\\u0001([^"]+)"')


def loads(text: str) -> Any:
    """Parse JSON; a number with a fraction becomes a marked text, which `dumps` writes as it was."""
    return json.loads(text, parse_float=lambda digits: _MARK + digits)


def dumps(value: Any, **layout: Any) -> str:
    """Write what `loads` read, digit by digit."""
    return _MARKED.sub(r"\1", json.dumps(value, ensure_ascii=False, **layout))


def parsed(content: bytes) -> Any:
    """A body as JSON, as text where it is none, None where it is empty. A line-wise JSON text stays text."""
    if not content:
        return None
    try:
        value = loads(content.decode())
    except ValueError:
        return content.decode(errors="replace")
    return content.decode() if isinstance(value, str) else value


def _canonical(value: Any) -> str:
    return dumps(value, sort_keys=True, separators=(",", ":"))


def _load(file: Path) -> dict[str, dict[str, Any]]:
    """The exchanges of a file. Rows that several answers have are in it once, and named by their position."""
    if not file.exists():
        return {}
    stored = loads(file.read_text())
    rows: list[Any] = stored["rows"]
    for exchange in stored["exchanges"]:
        response = exchange["response"]
        if isinstance(response["body"], list):
            response["body"] = [rows[one[_ROW]] if _is_named(one) else one for one in response["body"]]
    return {_canonical(exchange["request"]): exchange for exchange in stored["exchanges"]}


def _save(file: Path, answers: dict[str, dict[str, Any]], fresh: set[str]) -> None:
    """Write in the order of the requests; what another cassette of this name recorded meanwhile is kept."""
    if not fresh:
        return
    merged = _load(file) | {key: answers[key] for key in fresh}
    file.parent.mkdir(exist_ok=True)
    positions: dict[str, int] = {}
    lines = [_line(merged[key], positions) for key in sorted(merged)]
    file.write_text('{"rows":[\n' + ",\n".join(positions) + '\n],"exchanges":[\n' + ",\n".join(lines) + "\n]}\n")


def _line(exchange: dict[str, Any], positions: dict[str, int]) -> str:
    response = exchange["response"]
    if isinstance(response["body"], list):
        named = [_named(one, positions) for one in response["body"]]
        response = response | {"body": named}
    asked, answered = (dumps(part, separators=(",", ":")) for part in (exchange["request"], response))
    return f'{{"request":{asked},\n "response":{answered}}}'


_ROW = "$row"


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {_ROW}


def _named(row: Any, positions: dict[str, int]) -> Any:
    if not isinstance(row, dict):
        return row
    return {_ROW: positions.setdefault(dumps(row, separators=(",", ":")), len(positions))}
