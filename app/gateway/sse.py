"""Server-sent events, in the distinct connections mode of graphql-sse:
https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md

One request, one operation, one stream: a `next` event for each response, with an id to resume from where the stream has
one, then `complete`. Lines end with LF alone; some clients know no other end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.types import Send

from app.errors import ShuttingDown
from app.gateway.encoding import encode_response
from app.gateway.response import Response, ResponseStream

HEARTBEAT = 15.0
"""Seconds without an event after which a comment is sent: proxies keep the connection, and a dead one is noticed."""


async def send_events(
    responses: ResponseStream,
    send: Send,
    status: int,
    headers: Sequence[tuple[bytes, bytes]],
    *,
    heartbeat: float = HEARTBEAT,
) -> None:
    """Send a stream to its end. Where the gateway stops there is no `complete`: the client is to come back."""
    start = [*headers, (b"x-accel-buffering", b"no")]  # or a proxy keeps events until there are many
    await send({"type": "http.response.start", "status": status, "headers": start})
    # A first comment: the client learns that the stream is open before there is an event.
    await _write(send, b":\n\n")
    pending = asyncio.ensure_future(_next(responses))
    try:
        while True:
            await asyncio.wait({pending}, timeout=heartbeat)
            if not pending.done():
                await _write(send, b":\n\n")
                continue
            response = pending.result()
            if response is None:
                break
            await _write(send, next_event(response))
            pending = asyncio.ensure_future(_next(responses))
    except ShuttingDown:
        await send({"type": "http.response.body", "body": b""})
        return
    finally:
        if not pending.done():
            pending.cancel()
            await asyncio.wait({pending})
    await send({"type": "http.response.body", "body": b"event: complete\ndata: \n\n"})


def next_event(response: Response) -> bytes:
    """A response as a `next` event."""
    cursor_line = b"" if response.cursor is None else f"id: {response.cursor}\n".encode()
    return b"event: next\n%bdata: %b\n\n" % (cursor_line, encode_response(response))


async def _next(responses: ResponseStream) -> Response | None:
    return await anext(aiter(responses), None)


async def _write(send: Send, text: bytes) -> None:
    await send({"type": "http.response.body", "body": text, "more_body": True})
