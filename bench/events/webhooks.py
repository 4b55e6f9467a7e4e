"""Tells a gateway of steps by webhooks, signed, each again and again until it is acknowledged."""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import orjson

from app.http.standard_webhooks import signed_headers

SOURCE = "logistics"
KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
PAUSE = 0.05
LOST = (OSError, asyncio.IncompleteReadError, TimeoutError)


def request(port: int, key: str, number: int) -> bytes:
    """The webhook that tells of a step, as it goes over the wire."""
    change = {"kind": "SHIPMENT", "key": key, "at": datetime.now(UTC).isoformat(), "id": f"step-{number}"}
    body = orjson.dumps({"events": [change]})
    headers = signed_headers([KEY], f"msg_{number}", int(time.time()), body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"POST /webhooks/{SOURCE} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{lines}\r\n"
    )
    return head.encode() + body


class Sender:
    """One connection that is kept open, and opened again when it is lost."""

    def __init__(self, port: Callable[[], int]) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()
        self.tries = 0

    async def tell(self, key: str, number: int) -> None:
        """Until it is acknowledged; one at a time."""
        while True:
            self.tries += 1
            with suppress(*LOST):
                async with self._turn, asyncio.timeout(5):
                    if await self.send(request(self._port(), key, number)) // 100 == 2:
                        return
            await asyncio.sleep(PAUSE * random.random() * 2)

    async def send(self, whole: bytes) -> int:
        """The status of the answer to a request."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port())
            reader, writer = self._streams
            writer.write(whole)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            if b"connection: close" in head.lower():
                self.close()
            return int(head[9:12])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
