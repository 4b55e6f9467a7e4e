"""The console's page and its data. The page is the same for everybody and empty; who may see data is decided here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.auth.credentials import Authenticator, from_headers
from app.auth.principal import STAFF, Principal
from app.errors import Forbidden, NotFound, TradegraphError
from app.execution.engine import Operation
from app.gateway.encoding import encode_response
from app.gateway.explain.explain import Explanation
from app.gateway.explain.simulated_records import Assumptions
from app.gateway.response import error_response
from app.web.console.collector import ConsoleCollector
from app.web.console.operation_stats import ObservedEngine
from app.web.pages import page_routes

# Over a new connection each request may reach another worker, so that the page discovers all of them.
HEADERS = {"cache-control": "no-store", "vary": "Authorization", "connection": "close"}

Explain = Callable[[Operation, Principal, Assumptions], Awaitable[Explanation]]


def console_routes(
    observer: ConsoleCollector, engine: ObservedEngine, authenticator: Authenticator, explain: Explain
) -> list[Route]:
    """/console/ and what it asks: /console/state, and /console/plan of one operation."""

    async def state(_: Request) -> Any:
        return await observer.state()

    async def plan(request: Request) -> Any:
        query = request.query_params
        ran = engine.find(query.get("document", ""), query.get("operation") or None)
        if ran is None or ran.kind == "subscription":
            raise NotFound("This worker has no plan of it: it did not run here lately, or it is a stream.")
        return (await explain(ran.last, ran.principal, Assumptions())).as_json()

    def guarded(answer: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
        async def route(request: Request) -> Response:
            try:
                principal = await authenticator.authenticate(from_headers(request.scope["headers"]))
                if not principal.roles & STAFF:
                    raise Forbidden("The console is for operations and platform staff.")
                body = msgspec.json.encode(await answer(request))
            except TradegraphError as error:
                refused = error_response(error)
                return Response(
                    encode_response(refused), refused.status, {**HEADERS, **refused.headers}, "application/json"
                )
            return Response(body, headers=HEADERS, media_type="application/json")

        return route

    return [
        Route("/console/state", guarded(state)),
        Route("/console/plan", guarded(plan)),
        *page_routes("console"),
    ]
