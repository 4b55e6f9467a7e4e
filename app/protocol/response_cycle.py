"""One request's response on the wire: status line, headers and body in one write where the body is there at once."""

from __future__ import annotations

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_OWN_FRAMING = frozenset({b"connection", b"transfer-encoding"})


class ResponseCycle(RequestResponseCycle):
    """uvicorn's cycle with a shorter way for a response of known length: headers are checked as one text, and wait for
    the body. All other responses go uvicorn's way."""

    _head: bytes | None = None

    async def send(self, message: Any) -> None:
        """Send a part of the response. Raises RuntimeError for a header that would break the framing."""
        head = self._head
        if head is not None:
            self._head = None
            await self._send_whole(head, message)
        elif self.response_started or self.flow.write_paused or self.disconnected or not self._defer(message):
            await super().send(message)

    def _defer(self, message: Any) -> bool:
        if message["type"] != "http.response.start" or not self.keep_alive or self.scope["method"] == "HEAD":
            return False
        headers = [*self.default_headers, *message["headers"]]
        length = -1
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name in _OWN_FRAMING:
                return False
        if length < 0:
            return False
        lines = [b"%b: %b\r\n" % header for header in headers]
        head = STATUS_LINE[message["status"]] + b"".join(lines) + b"\r\n"
        ends = len(lines) + 2
        if head.count(b"\n") != ends or head.count(b"\r") != ends or _CONTROL.search(head) is not None:
            raise RuntimeError("Invalid HTTP header.")
        self.response_started = True
        self.waiting_for_100_continue = False
        self.chunked_encoding = False
        self.expected_content_length = length
        self._head = head
        return True

    async def _send_whole(self, head: bytes, message: Any) -> None:
        body = message.get("body", b"")
        if not message.get("more_body", False) and len(body) == self.expected_content_length and not self.disconnected:
            self.transport.write(head + body)
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()
            return
        if not self.disconnected:
            self.transport.write(head)
        await super().send(message)
