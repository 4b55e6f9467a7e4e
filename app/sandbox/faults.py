"""Responses that hang or reset the connection, for fault injection."""

from __future__ import annotations

import socket
import struct
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Hang(Response):
    """Sends nothing until the client disconnects."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _disconnected(receive)


class Reset(Response):
    """Resets the connection before a response."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await abort(receive)


async def abort(receive: Receive) -> None:
    """Reset the connection that a request came by. ASGI has no word for that, so this looks into uvicorn's."""
    transport: Any = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("this server does not let a connection be reset")
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
    await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
