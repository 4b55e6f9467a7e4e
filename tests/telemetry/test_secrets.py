"""Secrets planted everywhere, through a real server: none may be found in what it writes, keeps or answers."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from app.auth.api_keys import new_key
from app.auth.demo import AUDIENCE, ISSUER, issue_demo_token
from app.auth.principal import Role
from app.settings import AuthSettings, credentials_of, load
from tests.support.serving import serving

ROOT = Path(__file__).resolve().parents[2]
SIGNING = "planted-signing-secret-of-32-bytes-or-more"
ERP_TOKEN = "planted-erp-token"
BODY_PASSWORD = "planted-body-password"
EXCEPTION = "planted-exception-text"
VARIABLE = "planted-variable-value"
QUERY_TOKEN = "planted-query-token"
COOKIE = "planted-cookie-value"
USERINFO = "planted-userinfo"
CONFIG = """
demo = true
[auth]
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["HS256"]
[sources.erp]
vendor = "rest"
base_url = "{backend}"
[domains.customers]
master = "erp"
"""


async def telling_backend(scope: Scope, receive: Receive, send: Send) -> None:
    """A backend that repeats what it was sent, and worse."""
    if scope["type"] != "http":
        return
    sent = dict(scope["headers"]).get(b"authorization", b"").decode()
    token = sent.removeprefix("Bearer ")
    text = (
        f'{{"error": "wrong token {token}", "password": "{BODY_PASSWORD}", "raw": "{token}", '
        f'"at": "https://joe:{USERINFO}@erp.example.com/?access_token={QUERY_TOKEN}"}}'
    ).encode()
    await send({"type": "http.response.start", "status": 500, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


@dataclass
class Running:
    url: str
    process: asyncio.subprocess.Process
    folder: Path

    async def written(self) -> str:
        """All that the server wrote and kept, once it has ended."""
        self.process.terminate()
        out, _ = await asyncio.wait_for(self.process.communicate(), 120)
        kept = b"".join(path.read_bytes() for path in self.folder.rglob("*") if path.is_file())
        return (out + kept).decode("latin-1")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(telling_backend) as backend:
        config = tmp_path / "tradegraph.toml"
        config.write_text(CONFIG.format(issuer=ISSUER, audience=AUDIENCE, backend=backend))
        data, port = tmp_path / "data", free_port()
        given = {
            "TRADEGRAPH_SERVER__PORT": str(port),
            "TRADEGRAPH_DATA_DIR": str(data),
            "TRADEGRAPH_LOG__LEVEL": "debug",
            "TRADEGRAPH_AUTH__SECRET": SIGNING,
            "TRADEGRAPH_SOURCES__ERP__CREDENTIALS__TOKEN": ERP_TOKEN,
        }
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "app.cli", "serve", "--config", str(config)],
            cwd=ROOT,
            env={**os.environ, **given},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        lines: list[bytes] = []
        while not lines or b'"serving"' not in lines[-1]:
            lines.append(await asyncio.wait_for(process.stdout.readline(), 120))
            assert lines[-1], lines
        yield Running(f"http://127.0.0.1:{port}", process, data)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_planted_secrets_are_found_nowhere(running: Running):
    settings = AuthSettings(issuer=ISSUER, audience=AUDIENCE, algorithms=("HS256",), secret=SIGNING)  # type: ignore[arg-type]
    good = issue_demo_token(settings, roles=[Role.CSR], subject="a-csr")
    header, payload, _ = good.split(".")
    forged = f"{header}.{payload}.cGxhbnRlZC1mb3JnZWQtc2lnbmF0dXJl"
    _, key = new_key()
    signed = {"authorization": f"Bearer {good}"}
    query = "query Q($n: String!) { customer(by: {number: $n}) { name } }"
    said: list[str] = []
    async with httpx.AsyncClient(base_url=running.url) as client:

        async def ask(headers: dict[str, str], body: object = None, **params: str) -> None:
            asked = {"query": query, "variables": {"n": VARIABLE}} if body is None else body
            response = await client.post("/graphql", json=asked, headers=headers, params=params)
            said.append(response.text + str(response.headers))

        await ask(signed)
        await ask({**signed, "cookie": f"session={COOKIE}"}, access_token=QUERY_TOKEN)
        await ask({"authorization": f"Bearer {forged}"})
        await ask({"authorization": f"Bearer {key}"})
        await ask({"authorization": f"Basic {EXCEPTION}"})
        await ask({**signed, "x-request-id": f"id {good}", "traceparent": good, "x-correlation-id": f"{key} x"})
        await ask(signed, {"query": query, "variables": {"n": {"password": VARIABLE}}})
        await ask(signed, {"query": f'{{ customer(by: {{number: "{VARIABLE}"}}) {{ name nothing }} }}'})
        await ask(signed, {"query": query, "operationName": VARIABLE})
        for path in (f"/nothing?token={QUERY_TOKEN}", f"/{good}", "/readyz", "/metrics"):
            response = await client.get(path, headers={"cookie": f"session={COOKIE}"})
            said.append(response.text + str(response.headers))
        reader, writer = await asyncio.open_connection("127.0.0.1", int(running.url.rpartition(":")[2]))
        writer.write(f"GET /?token={QUERY_TOKEN} HTTP/1.1\nAuthorization: Bearer {good}\n\n".encode())
        said.append((await reader.read()).decode())
        writer.close()
    logged = await running.written()
    assert "SOURCE_UNAVAILABLE" in logged  # what the backend said was logged, without its secrets
    assert "[hidden]" in logged
    planted = [good, forged, forged.rpartition(".")[2], key, SIGNING, ERP_TOKEN, BODY_PASSWORD, EXCEPTION]
    planted += [QUERY_TOKEN, COOKIE, USERINFO]
    assert [secret for secret in planted if secret in logged] == []
    assert VARIABLE not in logged
    answered = "".join(said)
    assert [secret for secret in planted if secret in answered] == []


def test_every_credential_of_settings_is_known_to_be_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "tradegraph.toml"
    file.write_text(CONFIG.format(issuer="i", audience="a", backend="http://127.0.0.1:1"))
    monkeypatch.setenv("TRADEGRAPH_AUTH__SECRET", SIGNING)
    monkeypatch.setenv("TRADEGRAPH_SOURCES__ERP__CREDENTIALS__TOKEN", ERP_TOKEN)
    assert {SIGNING, ERP_TOKEN} <= set(credentials_of(load(file)))
