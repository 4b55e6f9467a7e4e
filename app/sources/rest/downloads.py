"""Documents as PDF over the `rest` contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from app.auth.principal import Principal
from app.errors import SourceRejected
from app.sources.downloads import PDF, DocumentKind, DocumentStream
from app.sources.rest import account_operations
from app.sources.rest.client import RESTClient


@dataclass(frozen=True, slots=True)
class RestDownloads:
    """The downloads port."""

    client: RESTClient

    @asynccontextmanager
    async def open(
        self, principal: Principal, kind: DocumentKind, id: str, customer: str
    ) -> AsyncIterator[DocumentStream | None]:
        """Read the document; None for 404."""
        path = account_operations.DOCUMENTS.format(kind=kind.value)
        body = account_operations.DocumentRead(id=id, customer=customer)
        async with AsyncExitStack() as stack:
            document = None
            try:
                stream = self.client.stream(path, body, accept=PDF, call="documents")
                headers, chunks = await stack.enter_async_context(stream)
                size, packed = headers.get("content-length", ""), "content-encoding" in headers
                known = int(size) if size.isascii() and size.isdigit() and not packed else None
                document = DocumentStream(headers.get("content-type", ""), chunks, known)
            except SourceRejected as error:
                if error.status != 404:
                    raise
            yield document
