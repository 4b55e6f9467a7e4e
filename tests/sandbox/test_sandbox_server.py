"""The sandbox's servers as ASGI applications."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from app.sandbox import Sandbox
from app.sandbox.server import create_app
from app.sandbox.store import SandboxStore


async def test_client_that_leaves_before_it_was_read_is_no_error(sandbox: Sandbox):
    app, sent = create_app("erp", SandboxStore(Path(sandbox.data_dir) / "erp.db"), "sandbox"), []
    headers = [(b"authorization", b"Bearer sandbox")]
    scope = {"type": "http", "method": "POST", "path": "/v1/batch", "headers": headers, "query_string": b""}

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message.get("status"))

    await app(scope, receive, send)
    assert sent[0] == 499
