"""What every read by keys must do, whatever the port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.errors import InvalidCursor, SourceError, SourceMalformed, SourceRejected, SourceThrottled, SourceUnavailable
from app.sources.source import Source
from app.sources.values import Page, PageRequest
from tests.contract.case import Case, counted_calls
from tests.upstreams import serve

K = TypeVar("K")
Read = Callable[[Sequence[Any]], Awaitable[Mapping[Any, Any]]]
Reader = Callable[[Source], Read]

HOSTILE = (
    "",
    " ",
    "../../etc/passwd",
    "a/b?c=d&e=f#g",
    "%2e%2e%2f%00",
    "' OR '1'='1",
    '"}]} --',
    "nul\0inside",
    "\U0001f529",
    "%",
    "*",
    "x" * 10_000,
)
"""Texts that are nobody's key."""


def stable(value: object) -> object:
    """A record as plain data without the moments of reading."""
    return _without_moments(msgspec.to_builtins(_plain(value), str_keys=True))


def _plain(value: object) -> object:
    return {repr(key): inner for key, inner in value.items()} if isinstance(value, Mapping) else value


def _without_moments(value: Any) -> Any:
    if isinstance(value, dict):
        moments = {"freshness", "asOf", "checkedAt", "quotedAt", "proofId"}
        return {key: _without_moments(inner) for key, inner in value.items() if key not in moments}
    if isinstance(value, (list, tuple)):
        return [_without_moments(inner) for inner in value]
    return value


async def read_all(read: Read, known: Collection[Any]) -> Mapping[Any, Any]:
    """The rows of keys that the source is known to hold, every one: what a test may loop over."""
    assert len(known) > 0
    found = await read(list(known))
    assert set(found) == set(known)
    return found


async def check_reads_by_keys(read: Read, known: Sequence[Any], unknown: Any) -> None:
    """Unknown keys are absent, order and repetition do not matter, and nothing is asked for nothing."""
    found = await read([*known, unknown])
    assert set(found) == set(known)
    assert stable(await read([unknown, *reversed(known), *known])) == stable(
        {key: found[key] for key in reversed(known)}
    )
    assert set(await read([known[0]])) == {known[0]}
    assert await read([unknown]) == {}
    with counted_calls() as calls:
        assert await read([]) == {}
    assert calls == []


async def check_calls_do_not_grow(read: Read, known: Collection[Any], few: int = 1) -> None:
    """As many calls for all keys as for a few."""
    keys = list(known)
    await read(keys)  # Sign-in and what is kept of reference data.
    with counted_calls() as one:
        await read(keys[:few])
    with counted_calls() as many:
        await read(keys)
    assert len(one) > 0
    assert len(many) == len(one)


async def check_hostile_keys(read: Read, key: Any, hostile: Sequence[Any] = HOSTILE) -> None:
    """Hostile texts are unknown keys and do no harm to their neighbours."""
    assert set(await read([hostile[0], key, *hostile[1:]])) == {key}


WRONG_ANSWERS: dict[str, tuple[int, str, bytes, type[SourceError]]] = {
    "html": (200, "text/html", b"<!doctype html><title>Maintenance</title>", SourceMalformed),
    "truncated": (200, "application/json", b'[{"key":"x","val', SourceMalformed),
    "wrong types": (200, "application/json", b'{"data":7,"key":[[["x"]]],"result":{"a":[]}}', SourceMalformed),
    "wrong row": (200, "application/json", b"[7, null]", SourceMalformed),
    "error page": (500, "text/html", b"<h1>Oops: password=hunter2</h1>", SourceUnavailable),
    "gateway": (502, "text/plain", b"Bad gateway", SourceUnavailable),
    "refused": (403, "application/json", b'{"detail":"no such key"}', SourceRejected),
    "throttled": (429, "text/plain", b"slow down", SourceThrottled),
}


async def check_wrong_answers(case: Case, reader: Reader, key: Any) -> None:
    """Whatever a broken system answers is an error of ours, which does not tell its text."""
    answer = Response()

    async def always(_: Request) -> Response:
        return answer

    app = Starlette(routes=[Route("/{path:path}", always, methods=["GET", "POST", "PUT"])])
    async with serve(app) as url:
        for name, (status, media, body, expected) in WRONG_ANSWERS.items():
            answer = Response(body, status, media_type=media)
            source = case.connect_to(url)
            try:
                with pytest.raises(SourceError) as caught:
                    await reader(source)([key])
            finally:
                await source.aclose()
            assert type(caught.value) is expected, f"{name}: {caught.value!r} {caught.value.detail}"
            assert body.decode() not in caught.value.message
            assert "hunter2" not in caught.value.message


Turn = Callable[[PageRequest], Awaitable[Page[Any]]]


async def check_pages(turn: Turn, key_of: Callable[[Any], str], *, size: int, most: int = 200) -> list[str]:
    """All pages of a list together: no row lost, none twice, and a cursor for each. Returns the keys in order."""
    keys: list[str] = []
    after: str | None = None
    for _ in range(most // size + 2):
        page = await turn(PageRequest(first=size, after=after))
        assert len(page.rows) == len(page.cursors) <= size
        assert page.has_previous is (after is not None)
        keys += [key_of(row) for row in page.rows]
        if not page.has_next:
            break
        assert len(page.rows) == size
        after = page.cursors[-1]
    else:
        raise AssertionError("the list does not end")
    assert len(keys) == len(set(keys))
    return keys


async def check_cursors(turn: Turn) -> None:
    """A cursor from the middle goes on after its row; one that the source did not make is refused."""
    whole = await turn(PageRequest(first=3))
    rest = await turn(PageRequest(first=2, after=whole.cursors[0]))
    assert stable(list(rest.rows)) == stable(list(whole.rows[1:]))
    for garbage in ("garbage", "", "-1", "\U0001f529", "e30", "x" * 5000, "WyJ4Il0"):
        with pytest.raises(InvalidCursor):
            await turn(PageRequest(first=2, after=garbage))


async def check_total(turn: Turn, total: int | None) -> None:
    """The total is told when asked for, and only then."""
    assert (await turn(PageRequest(first=1, count=True))).total == total
    assert (await turn(PageRequest(first=1))).total in {None, total}
