"""A scripted Vendure with logins."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.upstreams.graphql import Answer, GraphQLUpstream, fault, graphql_upstream


class Sessions:
    """Logins of a scripted Vendure: the n-th login gives the token `session-n`; `valid` are those that still hold."""

    def __init__(self) -> None:
        self.logins = 0
        self.valid: set[str] = set()

    def login(self, variables: dict[str, Any], request: Request) -> Response:
        assert variables == {"username": "connector@example.com", "password": "connector-demo"}
        self.logins += 1
        self.valid = {f"Bearer session-{self.logins}"}
        body = {"data": {"login": {"__typename": "CurrentUser"}}}
        return JSONResponse(body, headers={"vendure-auth-token": f"session-{self.logins}"})

    def guarded(self, answer: Any) -> Answer:
        """Gives the answer with a valid session, else FORBIDDEN."""
        return lambda variables, request: (
            answer if request.headers["authorization"] in self.valid else fault("FORBIDDEN", {"me": None})
        )


NO_ORDERS = {"data": {"orders": {"totalItems": 0, "items": []}}}


def vendure_upstream(sessions: Sessions, **answers: Answer) -> AbstractAsyncContextManager[GraphQLUpstream]:
    """Logins by `sessions`, `ping`, and the answers to named operations."""
    return graphql_upstream({"Login": sessions.login, "": sessions.guarded({"data": {"me": {"id": "52"}}}), **answers})
