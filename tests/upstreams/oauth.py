"""A token endpoint and a source behind it: tokens end when a test says so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.upstreams import serve


@dataclass
class TokenEndpoint:
    """The running endpoint. `forms` are the token requests, `valid` the tokens that the source takes; `answer` replaces
    the response to a token request."""

    url: str = ""
    expires_in: int | None = 3600
    forms: list[dict[str, str]] = field(default_factory=list)
    valid: set[str] = field(default_factory=set)
    answer: Callable[[dict[str, str]], Response] | None = None

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), strict_parsing=True))
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        self.forms.append(form)
        if self.answer is not None:
            return self.answer(form)
        token = f"token-{len(self.forms)}"
        self.valid.add(token)
        body: dict[str, Any] = {"access_token": token, "token_type": "Bearer", "ext_expires_in": 1}
        return JSONResponse(body if self.expires_in is None else body | {"expires_in": self.expires_in})

    def takes(self, request: Request) -> bool:
        """Whether a request to the source brings a valid token."""
        return request.headers.get("authorization", "").removeprefix("Bearer ") in self.valid


@asynccontextmanager
async def token_endpoint() -> AsyncIterator[TokenEndpoint]:
    """Serve a token endpoint on an address of its own."""
    endpoint = TokenEndpoint()
    async with serve(Starlette(routes=[Route("/tenant/token", endpoint.token, methods=["POST"])])) as url:
        endpoint.url = f"{url}/tenant/token"
        yield endpoint


@asynccontextmanager
async def guarded_source(endpoint: TokenEndpoint) -> AsyncIterator[tuple[str, list[str]]]:
    """Serve a source that takes the endpoint's tokens; its address, and the credentials that it has seen."""
    seen: list[str] = []

    async def read(request: Request) -> Response:
        seen.append(request.headers.get("authorization", ""))
        if endpoint.takes(request):
            return JSONResponse({"ok": True})
        return JSONResponse({"error": {"code": "Unauthorized"}}, 401)

    async with serve(Starlette(routes=[Route("/{path:path}", read)])) as url:
        yield url, seen
