"""What every read by keys must do, whatever the port: the product's checks, and those of an adapter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.auth.principal import SYSTEM
from app.errors import SourceError, SourceMalformed, SourceRejected, SourceThrottled, SourceUnavailable
from app.http.call import SIGN_IN
from app.sources.conformance import (
    HOSTILE,
    KeyedCall,
    check_cursors,
    check_hostile_keys,
    check_pages,
    check_reads_by_keys,
    check_total,
    read_all,
    stable,
)
from app.sources.lists import SortKey
from app.sources.pipeline.derived_capabilities import limitation_of
from app.sources.source import Source
from app.sources.values import Page, PageRequest
from tests.contract.case import Case, Selection, counted_calls
from tests.upstreams import serve

__all__ = [
    "HOSTILE",
    "Read",
    "Reader",
    "check_calls_do_not_grow",
    "check_cursors",
    "check_hostile_keys",
    "check_pages",
    "check_reads_by_keys",
    "check_total",
    "check_wrong_answers",
    "lacks",
    "read_all",
    "stable",
]

Read = KeyedCall
Reader = Callable[[Source], Read]


async def check_calls_do_not_grow(read: Read, known: Collection[Any], few: int = 1) -> None:
    """As many calls for all keys as for a few, and none for none."""
    keys = list(known)
    await read(keys)  # Sign-in and what is kept of reference data.
    with counted_calls() as one:
        await read(keys[:few])
    with counted_calls() as many:
        await read(keys)
    with counted_calls() as none:
        assert await read([]) == {}
    assert len(one) > 0
    assert len(many) == len(one)
    assert none == []


def lacks(source: Source, read: str) -> bool:
    """Whether a source declares a read missing; `test_capabilities` shows that it is then refused by name."""
    port, _, name = read.partition(".")
    return limitation_of(source, port, name).is_missing


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
    connect_to = case.connect_to
    if connect_to is None:
        pytest.skip("reads call no system")
    answer = Response()

    async def always(_: Request) -> Response:
        return answer

    app = Starlette(routes=[Route("/{path:path}", always, methods=["GET", "POST", "PUT"])])
    async with serve(app) as url:
        for name, (status, media, body, expected) in WRONG_ANSWERS.items():
            answer = Response(body, status, media_type=media)
            source = connect_to(url)
            try:
                with pytest.raises(SourceError) as caught:
                    await reader(source)([key])
            finally:
                await source.aclose()
            assert type(caught.value) is expected, f"{name}: {caught.value!r} {caught.value.detail}"
            assert body.decode() not in caught.value.message
            assert "hunter2" not in caught.value.message


async def check_lists(
    source: Source, read: str, selections: Sequence[Selection], query: type[Any], key: Callable[[Any], str]
) -> None:
    """The filters of a list select the rows that the source is known to hold, counted, of all or, if it can filter by
    them, of some customers; each filter that the source declares is tried, and takes the same number of calls for 1 and
    for 50 rows, a sign-in not counted."""
    able = source.lists[read]
    port, _, name = read.partition(".")
    search = getattr(getattr(source, port), name)
    by_customers = "customers" in able.filters
    tried = {"customers"} if by_customers else set[str]()
    for one in selections:
        tried.update(one.filters)
        calls = set()
        for first in (1, 50):
            page = PageRequest(first=first, count=True)
            with counted_calls() as made:
                found = await search(SYSTEM, query(page=page, today=one.today, **one.filters))
            calls.add(sum(call != SIGN_IN for _, call in made))
            keys = tuple(map(key, found.rows))
            assert keys[: len(one.first)] == one.first[:first], one.filters
            assert found.total == (one.total if able.totals else None), one.filters
            assert len(found.rows) == min(first, one.total)
        assert len(calls) == 1, one.filters
        if not by_customers:
            continue
        page = PageRequest(first=100, count=True)
        some = await search(SYSTEM, query(page=page, today=one.today, customers=one.restrict, **one.filters))
        assert {row.customer for row in some.rows} <= set(one.restrict)
        assert (some.total or len(some.rows)) < one.total or one.total == 0
    assert tried == able.filters


async def check_listed_pages(
    source: Source, reads: tuple[str, str], query: type[Any], sort_key: SortKey, customers: Sequence[str]
) -> None:
    """In every sort that the source declares, the pages of a list are the whole list, in order, and the pages by
    customer are the rows of that customer; a cursor of the source is refused if it is malformed."""
    by_customer, search = (getattr(getattr(source, read.partition(".")[0]), read.partition(".")[2]) for read in reads)
    by_customers = "customers" in source.lists[reads[1]].filters
    for sort in sorted(source.lists[reads[1]].sorts):

        async def turn(page: PageRequest, sort: Any = sort) -> Page[Any]:
            return await search(
                SYSTEM, query(page=page, sort=sort, customers=tuple(customers) if by_customers else None)
            )

        keys = await check_pages(turn, lambda row: row.id, size=20, most=1000)
        await check_cursors(turn)
        whole = query(page=PageRequest(first=len(keys)), sort=sort)
        pages = await by_customer(SYSTEM, list(customers), whole)
        own = sorted(row.id for page in pages.values() for row in page.rows)
        assert own == sorted(keys if by_customers else set(keys).intersection(own))
        for number, page in pages.items():
            ranks = [sort_key(whole)(row) for row in page.rows]
            assert ranks == sorted(ranks)
            assert {row.customer for row in page.rows} == {number}
