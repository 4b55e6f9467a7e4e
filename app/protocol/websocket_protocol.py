"""uvicorn's WebSocket protocol with limits, and with little memory per idle socket.

uvicorn waits without limit for a client that does not read, and keeps each handshake's request.
"""

from __future__ import annotations

import asyncio
from asyncio import Transport
from functools import partial
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.protocol.slow_readers import SlowReaderWatch
from app.settings import ConnectionSettings

HEARTBEAT = 12.0
"""Seconds between two pings, and until the answer to one: a client that is gone is noticed within 24 s."""

GOING_AWAY = 1001
LINGER = 2.0
"""Seconds that a client has to take what was sent before the end."""


def limited_websocket_protocol(limits: ConnectionSettings) -> Any:
    """uvicorn's `ws=` for these limits."""
    return partial(LimitedWebSocketProtocol, limits=limits)


class ReceiveQueue:
    """Received messages for one reader: the needed part of asyncio.Queue at a fifth of its size."""

    __slots__ = ("_messages", "_reader")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._reader: asyncio.Future[None] | None = None

    def put_nowait(self, message: Any) -> None:
        """Add a message."""
        self._messages.append(message)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def get(self) -> Any:
        """Take the oldest message."""
        while not self._messages:
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._messages.pop(0)

    def empty(self) -> bool:
        return not self._messages


class WriteEvent:
    """The needed part of asyncio.Event: a future while someone waits, and no list of waiters."""

    __slots__ = ("_message_put",)

    def __init__(self) -> None:
        self._message_put: asyncio.Future[None] | None = None

    def set(self) -> None:
        put, self._message_put = self._message_put, None
        if put is not None and not put.done():
            put.set_result(None)

    def clear(self) -> None:
        if self._message_put is None:
            self._message_put = asyncio.get_running_loop().create_future()

    async def wait(self) -> None:
        while self._message_put is not None:
            await asyncio.shield(self._message_put)


class LimitedWebSocketProtocol(SlowReaderWatch, WebSocketsSansIOProtocol):
    transport: Transport

    def __init__(self, *arguments: Any, limits: ConnectionSettings, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.write_timeout = limits.write_timeout
        self.queue: Any = ReceiveQueue()
        self.writable: Any = WriteEvent()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stop_watching_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_watching_reader()
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        """The client did not answer a ping: abort without waiting for the close handshake."""
        super().keepalive_timeout()
        self.loop.call_later(LINGER, self.transport.abort)

    def shutdown(self) -> None:
        """Close with 1001 (going away), so that the client reconnects elsewhere."""
        if not self.handshake_complete or self.close_sent:
            super().shutdown()
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY})
        self.conn.send_close(GOING_AWAY, "Going away")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
        self.loop.call_later(LINGER, self.transport.abort)

    async def send(self, message: Any) -> None:
        """Send, and release the handshake's request once it is accepted."""
        await super().send(message)
        if message["type"] == "websocket.accept":
            self.request.headers.clear()  # websockets' parser keeps the request as long as the connection.
            del self.request, self.response
        elif message["type"] == "websocket.close" and self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)
