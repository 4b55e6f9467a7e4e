"""Documents of an identity provider are read over verified TLS only."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.auth.fetching import Fetcher, FetchFailed
from tests.support.certificates import certificate

BODY = b'{"keys": []}'


@asynccontextmanager
async def self_signed(folder: Path) -> AsyncIterator[str]:
    """The host and port of a server whose certificate no authority has signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(folder, "127.0.0.1"))

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (len(BODY), BODY))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["https", "HTTPS", "Https"])
async def test_certificate_that_no_authority_signed_is_refused_in_every_spelling(tmp_path: Path, scheme: str):
    async with self_signed(tmp_path) as host:
        with pytest.raises(FetchFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await Fetcher().read(f"{scheme}://{host}/jwks")
