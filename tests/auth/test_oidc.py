"""The gateway behind a real OpenID Connect provider (npm's oidc-provider), on real ports, while its keys rotate."""

from __future__ import annotations

import asyncio
import base64
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.principal import Principal, Role
from app.auth.tokens import TokenAuthenticator
from app.errors import Unauthenticated
from app.server import create_app
from app.settings import AuthSettings, Settings
from tests.support.node_tools import node_folder
from tests.support.serving import serving

GRAPH = "https://graph.example.com"
ACME = Principal(
    subject="acme-edi", roles=frozenset({Role.BUYER}), customers=frozenset({"CUST-0001"}), client="acme-edi"
)
CLIENTS = {
    "acme-edi": {
        "secret": "acme-secret-of-this-test-only",
        "claims": {"roles": ["buyer"], "customers": ["CUST-0001"]},
    },
    "nobody": {"secret": "another-secret-of-this-test", "claims": {}},
}

pytestmark = pytest.mark.node


@dataclass(frozen=True, slots=True)
class Provider:
    """The running provider, and a client of its token endpoint."""

    issuer: str
    process: Process
    client: httpx.AsyncClient

    async def token(self, client: str = "acme-edi", resource: str = GRAPH) -> str:
        """An access token by client credentials, for the graph, as a JWT."""
        configuration = (await self.client.get(f"{self.issuer}/.well-known/openid-configuration")).json()
        secret = str(CLIENTS[client]["secret"])
        form = {"grant_type": "client_credentials", "resource": resource, "scope": "graph"}
        response = await self.client.post(configuration["token_endpoint"], data=form, auth=(client, secret))
        return response.raise_for_status().json()["access_token"]

    async def keys(self, command: str) -> list[str]:
        """Change its keys; the ids of those that it publishes from now on."""
        assert self.process.stdin
        self.process.stdin.write(f"{command}\n".encode())
        return await answered(self.process)


async def answered(process: Process) -> Any:
    assert process.stdout
    return json.loads(await process.stdout.readline())


@asynccontextmanager
async def running() -> AsyncIterator[Provider]:
    command = ("node", "oidc.mjs", json.dumps(CLIENTS))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=node_folder(), stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        issuer = (await answered(process))["issuer"]
        async with httpx.AsyncClient(verify=False) as client:
            yield Provider(issuer, process, client)
    finally:
        assert process.stdin
        process.stdin.close()
        await process.wait()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running() as started:
        yield started


@dataclass(slots=True)
class Clock:
    """Seconds since the test began, as far as keys are concerned."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def header(token: str) -> dict[str, Any]:
    head = token.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))


async def test_client_credentials_open_the_graph_over_discovery(provider: Provider, tmp_path: Path):
    settings = Settings(auth=AuthSettings(issuer=provider.issuer, audience=GRAPH), data_dir=tmp_path)
    async with serving(create_app(settings)) as url:

        async def ask(token: str) -> httpx.Response:
            return await provider.client.post(
                f"{url}/graphql", json={"query": "{ __typename }"}, headers={"authorization": f"Bearer {token}"}
            )

        token = await provider.token()
        assert header(token)["typ"] == "at+jwt"
        assert (await ask(token)).json() == {"data": {"__typename": "Query"}}
        elsewhere = await ask(await provider.token(resource="https://shop.example.com"))
        assert (elsewhere.status_code, elsewhere.headers["www-authenticate"]) == (401, "Bearer")
        roleless = await ask(await provider.token("nobody"))
        assert roleless.status_code == 401


async def test_token_by_client_credentials_is_its_applications(provider: Provider):
    door = TokenAuthenticator(AuthSettings(issuer=provider.issuer, audience=GRAPH))
    principal = await door.authenticate(f"Bearer {await provider.token()}")
    assert principal == ACME
    assert principal.expires_at is not None
    await door.aclose()


async def test_keys_rotate_without_a_refused_token(provider: Provider):
    """Published, signed with, and the old one retired: every token of a published key is believed all along."""
    clock = Clock()
    door = TokenAuthenticator(AuthSettings(issuer=provider.issuer, audience=GRAPH), timer=clock)
    first = await provider.token()
    assert await door.authenticate(f"Bearer {first}") == ACME
    old, new = await provider.keys("publish")
    assert header(await provider.token())["kid"] == old
    assert await provider.keys("sign") == [new, old]
    second = await provider.token()
    assert header(second)["kid"] == new
    clock.seconds = 10.0
    assert [await door.authenticate(f"Bearer {token}") for token in (first, second)] == [ACME, ACME]
    assert await provider.keys("retire") == [new]
    clock.seconds = 600.0
    third = await provider.token()
    assert await door.authenticate(f"Bearer {third}") == ACME
    await door.aclose()


async def test_key_that_was_replaced_without_notice_is_found_at_once(provider: Provider):
    clock = Clock()
    door = TokenAuthenticator(AuthSettings(issuer=provider.issuer, audience=GRAPH), timer=clock)
    stolen = await provider.token()
    await door.warm()
    for command in ("publish", "sign", "retire"):
        await provider.keys(command)
    clock.seconds = 10.0
    assert await door.authenticate(f"Bearer {await provider.token()}") == ACME
    with pytest.raises(Unauthenticated):
        await door.authenticate(f"Bearer {stolen}")
    await door.aclose()
