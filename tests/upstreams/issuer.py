"""A small issuer of tokens on a real port, whose answers a test can spoil."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from joserfc import jwt
from joserfc.jwk import Key, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.serving import serving

DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"


def rsa(key_id: str) -> RSAKey:
    """A fresh key of this id."""
    return RSAKey.generate_key(2048, {"kid": key_id}, private=True)


class FakeIssuer:
    """Publishes `keys`. `spoiled` answers in the place of a path's own answer; while `open` is not set, keys wait."""

    def __init__(self, *keys: Key) -> None:
        self.url = ""
        self.keys: Sequence[Key] = keys
        self.key_set: Any = None
        self.headers: dict[str, str] = {}
        self.spoiled: dict[str, Response] = {}
        self.reads: Counter[str] = Counter()
        self.open = asyncio.Event()
        self.open.set()
        self.app = Starlette(routes=[Route("/{path:path}", self._answer)])

    async def _answer(self, request: Request) -> Response:
        path = request.url.path
        self.reads[path] += 1
        await self.open.wait()
        if path in self.spoiled:
            return self.spoiled[path]
        if path == DISCOVERY:
            return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}{KEYS}"})
        if path == KEYS:
            return JSONResponse(self.published(), headers=self.headers)
        return Response(status_code=404)

    def published(self) -> Any:
        """The key set, as written by a test or made of `keys`."""
        return self.key_set or {"keys": [key.as_dict(private=False) for key in self.keys]}

    def spoil(self, response: Response) -> None:
        """Answer everything with this."""
        self.spoiled = {DISCOVERY: response, KEYS: response}

    def token(self, key: Key, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that is good in every way but those that are overridden; None leaves a claim out."""
        said = {"iss": self.url, "aud": "tradegraph", "sub": "ann", "exp": 4_000_000_000, "roles": ["buyer"], **claims}
        named = {"alg": "RS256", "kid": key.kid, **(header or {})}
        kept = {name: value for name, value in named.items() if value is not None}
        return jwt.encode(kept, {name: value for name, value in said.items() if value is not None}, key)


@asynccontextmanager
async def issuing(*keys: Key) -> AsyncIterator[FakeIssuer]:
    """An issuer on a port of its own."""
    issuer = FakeIssuer(*keys)
    async with serving(issuer.app) as issuer.url:
        try:
            yield issuer
        finally:
            issuer.open.set()
