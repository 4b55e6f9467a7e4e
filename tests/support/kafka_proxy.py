"""TLS and SASL PLAIN before Tansu, which has neither: a proxy that ends both and forwards whole frames."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.certificates import serving

SASL_HANDSHAKE, SASL_AUTHENTICATE = 17, 36
SASL_AUTHENTICATION_FAILED = 58


class KafkaProxy:
    """What it saw: `signed_in` counts accepted logins, `refused` refused ones."""

    def __init__(self, upstream: int, login: tuple[str, str]) -> None:
        self._upstream, self._login = upstream, login
        self.signed_in = self.refused = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker, to_broker = await asyncio.open_connection("127.0.0.1", self._upstream)
        answers = asyncio.create_task(_copy(broker, writer))
        try:
            while frame := await _frame(reader):
                api, version, number, _ = struct.unpack_from(">hhih", frame)
                if api == SASL_HANDSHAKE:
                    _answer(writer, number, struct.pack(">hih", 0, 1, 5) + b"PLAIN")
                elif api == SASL_AUTHENTICATE:
                    _answer(writer, number, self._authenticate(frame, version))
                else:
                    to_broker.write(struct.pack(">i", len(frame)) + frame)
        except (ConnectionError, OSError):
            pass
        finally:
            answers.cancel()
            to_broker.close()
            writer.close()

    def _authenticate(self, frame: bytes, version: int) -> bytes:
        """Error code, message, bytes, and from version 1 on the lifetime of the session."""
        client_id = struct.unpack_from(">h", frame, 8)[0]
        _, name, password = frame[10 + client_id + 4 :].split(b"\0")
        code = 0 if (name.decode(), password.decode()) == self._login else SASL_AUTHENTICATION_FAILED
        self.signed_in += code == 0
        self.refused += code != 0
        return struct.pack(">hhi", code, -1, 0) + (struct.pack(">q", 0) if version else b"")


def _answer(writer: asyncio.StreamWriter, number: int, body: bytes) -> None:
    writer.write(struct.pack(">ii", len(body) + 4, number) + body)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    try:
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError, OSError):
        return b""


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)


@asynccontextmanager
async def kafka_proxy(upstream: int, port: int, certificate: Path, login: tuple[str, str]) -> AsyncIterator[KafkaProxy]:
    """Listens on `port` and forwards to `upstream`."""
    proxy = KafkaProxy(upstream, login)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port, ssl=serving(certificate))
    try:
        yield proxy
    finally:
        server.close()
