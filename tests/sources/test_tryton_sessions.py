"""The session that Tryton's JSON-RPC wants, and how its errors are told apart."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import JSONResponse, Response

from app.auth.principal import SYSTEM
from app.errors import SourceMalformed, SourceRejected, SourceUnavailable
from app.sources.items import ItemQuery
from app.sources.values import PageRequest
from tests.upstreams.tryton import connected, tryton_upstream

COUNTED = ItemQuery(page=PageRequest(first=1, count=True))


async def test_many_first_calls_share_one_login():
    async with tryton_upstream() as upstream, connected(upstream) as source:
        pages = await asyncio.gather(*(source.items.search(SYSTEM, COUNTED) for _ in range(20)))
        assert [page.total for page in pages] == [7] * 20
        assert (upstream.logins, len(upstream.called)) == (1, 20)


async def test_ended_session_is_renewed_once_for_all():
    async with tryton_upstream() as upstream, connected(upstream) as source:
        await source.items.search(SYSTEM, COUNTED)
        upstream.end_session()
        pages = await asyncio.gather(*(source.items.search(SYSTEM, COUNTED) for _ in range(10)))
        assert [page.total for page in pages] == [7] * 10
        assert upstream.logins == 2


@pytest.mark.parametrize("status", [401, 403])
async def test_session_refused_again_after_renewal_is_a_refusal(status):
    async with tryton_upstream() as upstream, connected(upstream) as source:
        await source.items.search(SYSTEM, COUNTED)
        upstream.refusing = status
        with pytest.raises(SourceRejected) as error:
            await source.items.search(SYSTEM, COUNTED)
        assert error.value.status == status
        assert upstream.logins == 2


async def test_wrong_password_is_a_refusal_and_reads_over_rest_go_on():
    async with tryton_upstream() as upstream, connected(upstream) as source:
        upstream.password = "another"
        with pytest.raises(SourceRejected) as error:
            await source.items.search(SYSTEM, COUNTED)
        assert (error.value.status, upstream.logins, upstream.called) == (401, 1, [])
        assert "gateway-demo-password" not in f"{error.value!r} {error.value.detail}"
        assert (await source.items.search(SYSTEM, ItemQuery(page=PageRequest(first=1)))).total is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (JSONResponse({"id": 1, "error": ["UserError", ["No.", "", None]]}), SourceRejected),
        (JSONResponse({"id": 1, "error": ["UserWarning", ["w", "Sure?", ""]]}), SourceRejected),
        (JSONResponse({"id": 1, "error": ["'nope'", "Traceback"]}), SourceUnavailable),
        (JSONResponse({"id": 1, "error": []}), SourceUnavailable),
        (JSONResponse({"id": 1, "result": "seven"}), SourceMalformed),
        (JSONResponse({"id": 1}), SourceMalformed),
        (JSONResponse([]), SourceMalformed),
        (Response("<html>"), SourceMalformed),
        (Response("busy", 503), SourceUnavailable),
    ],
)
async def test_json_rpc_error_is_classified_by_its_kind(answer, error):
    async with tryton_upstream() as upstream, connected(upstream) as source:
        upstream.rpc = lambda method, params: answer
        with pytest.raises(error) as raised:
            await source.items.search(SYSTEM, COUNTED)
        assert raised.value.source == "erp"
        assert "No." not in raised.value.message
