"""Vendure's session and its shapes of errors."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.auth.principal import SYSTEM
from app.errors import (
    SourceError,
    SourceMalformed,
    SourceRejected,
    SourceUnavailable,
)
from tests.contract.vendure_case import connect_to
from tests.upstreams.graphql import fault, graphql_upstream
from tests.upstreams.vendure import NO_ORDERS, Sessions, vendure_upstream


async def test_many_first_calls_log_in_once():
    sessions = Sessions()
    async with vendure_upstream(sessions) as upstream:
        source = connect_to(upstream.url)
        await asyncio.gather(*(source.ping() for _ in range(20)))
        await source.aclose()
    assert (sessions.logins, upstream.count("")) == (1, 20)


async def test_ended_session_is_renewed_once_for_all_that_meet_it():
    sessions = Sessions()
    async with vendure_upstream(sessions, Orders=sessions.guarded(NO_ORDERS)) as upstream:
        source = connect_to(upstream.url)
        await source.ping()
        sessions.valid.clear()
        await asyncio.gather(*(source.orders.by_number(SYSTEM, [f"SO-{n}"]) for n in range(10)))
        await source.aclose()
    assert sessions.logins == 2


async def test_missing_permission_is_rejected_and_causes_no_further_logins():
    sessions = Sessions()
    async with vendure_upstream(sessions, Orders=lambda variables, request: fault("FORBIDDEN")) as upstream:
        source = connect_to(upstream.url)
        await source.ping()
        for _ in range(3):
            with pytest.raises(SourceRejected) as caught:
                await source.orders.by_number(SYSTEM, ["SO-1"])
            assert caught.value.status == 403
        await source.ping()
        await source.aclose()
    assert sessions.logins == 2
    assert "ORA-00942" not in caught.value.message
    assert "ORA-00942" in (caught.value.detail or "")


async def test_wrong_password_is_rejected_and_asked_once_by_all_who_wait():
    refused = {"data": {"login": {"__typename": "InvalidCredentialsError", "errorCode": "INVALID_CREDENTIALS_ERROR"}}}
    async with graphql_upstream({"Login": lambda variables, request: refused}) as upstream:
        source = connect_to(upstream.url)
        errors = await asyncio.gather(*(source.ping() for _ in range(10)), return_exceptions=True)
        with pytest.raises(SourceRejected):
            await source.ping()
        await source.aclose()
    assert [(type(error), getattr(error, "status", None)) for error in errors] == [(SourceRejected, 401)] * 10
    assert all("connector" not in f"{error} {getattr(error, 'detail', '')}" for error in errors)
    assert upstream.count("Login") == 2


async def test_login_that_breaks_is_unavailable_and_tried_again():
    sessions = Sessions()
    answers = iter([HTMLResponse("<h1>Bad gateway</h1>", 502)])

    def login(variables: dict[str, Any], request: Request) -> Response:
        return next(answers, None) or sessions.login(variables, request)

    async with vendure_upstream(sessions, Login=login) as upstream:
        source = connect_to(upstream.url)
        with pytest.raises(SourceUnavailable):
            await source.ping()
        await source.ping()
        await source.aclose()
    assert sessions.logins == 1


async def test_cancelled_login_does_not_block_the_next():
    sessions = Sessions()
    async with vendure_upstream(sessions) as upstream:
        source = connect_to(upstream.url)
        first = asyncio.ensure_future(source.ping())
        while not upstream.asked:
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await source.ping()
        await source.aclose()


# Errors


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (fault("CHANNEL_NOT_FOUND"), SourceRejected),
        (fault("USER_INPUT_ERROR"), SourceRejected),
        (JSONResponse(fault("GRAPHQL_VALIDATION_FAILED"), 400), SourceRejected),
        (JSONResponse({"statusCode": 400, "message": "x", "path": "/admin-api"}, 400), SourceRejected),
        (fault("INTERNAL_SERVER_ERROR"), SourceUnavailable),
        (HTMLResponse("<h1>Oops</h1>", 500), SourceUnavailable),
        (HTMLResponse("<h1>Login</h1>"), SourceMalformed),
        (Response('{"data": {"orders": {"items": [', media_type="application/json"), SourceMalformed),
        ({"data": None}, SourceMalformed),
        ({"data": {"orders": {"totalItems": 1, "items": [{"id": 7}]}}}, SourceMalformed),
        ({"data": {"orders": {"totalItems": 1, "items": "none"}}}, SourceMalformed),
        ([], SourceMalformed),
    ],
)
async def test_wrong_answers_become_our_errors(answer, error):
    sessions = Sessions()
    async with vendure_upstream(sessions, Orders=lambda variables, request: answer) as upstream:
        source = connect_to(upstream.url)
        with pytest.raises(SourceError) as caught:
            await source.orders.by_number(SYSTEM, ["SO-1"])
        await source.aclose()
    assert type(caught.value) is error
    assert "ORA" not in caught.value.message
    assert sessions.logins == 1
