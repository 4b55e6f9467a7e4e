"""A proxy before Redis that can be down or silent, without Redis itself being so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

State = Literal["well", "down", "hanging"]


@dataclass
class RedisProxy:
    """A running proxy: its address, and how it is."""

    url: str
    _state: State = "well"
    _well: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def state(self) -> State:
        """Down: connections end at once. Hanging: what is sent stays unanswered until it is well."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state
        if state == "well":
            self._well.set()
        else:
            self._well.clear()
        if state == "down":
            for writer in self._open:
                writer.close()


@asynccontextmanager
async def redis_proxy(url: str) -> AsyncIterator[RedisProxy]:
    """Run a proxy before the Redis at this address, in this loop."""
    to = urlsplit(url)
    running: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await state._well.wait()
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        state._open.add(writer)
        try:
            if state.state != "down":
                there, back = await asyncio.open_connection(to.hostname, to.port)
                pumps = [asyncio.create_task(pump(reader, back)), asyncio.create_task(pump(there, writer))]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for one in pumps:
                        one.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            state._open.discard(writer)
            writer.close()
            running.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    state = RedisProxy(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}{to.path}")
    state.state = "well"
    try:
        yield state
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*running, return_exceptions=True)
