"""GET and HEAD /downloads/LINK: streams a document from its source, for the caller that the signed link is for."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.auth.credentials import Authenticator, from_headers
from app.auth.link_signing import LinkSigner, SignedLink
from app.auth.policy import Permissions
from app.auth.principal import Principal
from app.errors import (
    DownloadLinkInvalid,
    DownloadNotFound,
    DownloadNotPDF,
    DownloadTooLarge,
    Forbidden,
    SourceError,
    TradegraphError,
)
from app.gateway import response as graphql
from app.gateway.admission.admission import AdmissionController
from app.gateway.request_audit import RequestAuditor, finish_request
from app.gateway.response import error_response
from app.protocol.error_responses import error_body
from app.resolvers.downloads import PATH
from app.settings import DownloadSettings
from app.sources.downloads import PDF, DocumentKind, DocumentStream
from app.sources.source import Source
from app.telemetry import RequestScope
from app.telemetry import scope as request_scope

MAGIC = b"%PDF-"
COST = 10
"""Budget units of a download."""

FIELDS: Mapping[str, tuple[str, str]] = {
    DocumentKind.INVOICE: ("Invoice", "document"),
    DocumentKind.PROOF_OF_DELIVERY: ("Shipment", "proofOfDeliveryDocument"),
}
"""The field that links to a kind of document: who may not see it may not download either."""


class DownloadEndpoint:
    """Authenticates, verifies the link, checks policy and row scope again, and streams. The log line and the audit
    entry are written when the stream has ended."""

    def __init__(
        self,
        settings: DownloadSettings,
        signer: LinkSigner | None,
        authenticator: Authenticator,
        admission: AdmissionController,
        permissions: Callable[[Principal], Permissions],
        sources: Mapping[str, Source],
        clock: Callable[[], datetime],
        auditor: RequestAuditor | None = None,
    ) -> None:
        self._max_bytes = settings.max_bytes
        self._signer = signer
        self._authenticator = authenticator
        self._admission = admission
        self._permissions = permissions
        self._sources = sources
        self._clock = clock
        self._auditor = auditor

    async def respond(self, request: Request) -> Response:
        """The document, or the error that refuses it."""
        started, running = time.perf_counter(), RequestScope(transport="download", kind="download")
        token = request_scope.set(running)
        stack = AsyncExitStack()
        try:
            link, document, first = await self._open(request, running, stack)
        except TradegraphError as error:
            await stack.aclose()
            return self._refused(running, error, started)
        except BaseException:
            await stack.aclose()
            raise
        finally:
            request_scope.reset(token)
        headers = {"content-disposition": f'attachment; filename="{link.name}"', "cache-control": "no-store"}
        if document.size is not None:
            headers["content-length"] = str(document.size)
        if request.method == "HEAD":
            await stack.aclose()
            self._finish(running, 200, "ok", started)
            return Response(None, 200, headers, PDF)
        body = self._body(link, document, first, stack, running, started)
        return StreamingResponse(body, 200, headers, PDF)

    async def _open(
        self, request: Request, running: RequestScope, stack: AsyncExitStack
    ) -> tuple[SignedLink, DocumentStream, bytes]:
        principal = await self._authenticator.authenticate(from_headers(request.scope["headers"]))
        running.principal = principal
        if self._signer is None:
            raise DownloadLinkInvalid
        link = self._signer.verify(request.path_params["link"], principal, self._clock())
        running.operation = link.kind
        if self._permissions(principal).refuses(*FIELDS[link.kind]):
            raise Forbidden("Your role may not download this document.")
        source = self._sources.get(link.source)
        if source is None or source.downloads is None or not principal.belongs_to(source.tenant):
            raise DownloadNotFound
        if principal.restricted and link.customer not in principal.customers:
            raise DownloadNotFound
        stack.enter_context(await self._admission.admit_download(principal, COST))
        document = await stack.enter_async_context(
            source.downloads.open(principal, DocumentKind(link.kind), link.id, link.customer)
        )
        if document is None:
            raise DownloadNotFound
        return link, document, await self._first_chunk(link, document)

    async def _first_chunk(self, link: SignedLink, document: DocumentStream) -> bytes:
        """The beginning of the document, once it is known to be a PDF of a size that is allowed."""
        if document.media_type.partition(";")[0].strip().lower() != PDF:
            raise DownloadNotPDF(link.source, detail=f"media type {document.media_type[:80]!r}")
        if document.size is not None and document.size > self._max_bytes:
            raise DownloadTooLarge(link.source, detail=f"{document.size} bytes of {self._max_bytes}")
        first = b""
        while len(first) < len(MAGIC):
            chunk = await anext(document.chunks, None)
            if chunk is None:
                break
            first += chunk
        if not first.startswith(MAGIC):
            raise DownloadNotPDF(link.source, detail=f"begins with {first[:16]!r}")
        return first

    async def _body(
        self,
        link: SignedLink,
        document: DocumentStream,
        first: bytes,
        stack: AsyncExitStack,
        running: RequestScope,
        started: float,
    ) -> AsyncIterator[bytes]:
        """The document in chunks. An error ends the response before its end, which a client notices."""
        sent, outcome = 0, "client_gone"
        try:
            async with stack:
                sent = self._count(link, 0, first)
                yield first
                async for chunk in document.chunks:
                    sent = self._count(link, sent, chunk)
                    yield chunk
            outcome = "ok"
        except TradegraphError as error:
            running.code, outcome = error.code, "failed"
            raise
        finally:
            self._finish(running, 200, outcome, started)

    def _count(self, link: SignedLink, sent: int, chunk: bytes) -> int:
        if sent + len(chunk) > self._max_bytes:
            raise DownloadTooLarge(link.source, detail=f"more than {self._max_bytes} bytes")
        return sent + len(chunk)

    def _refused(self, running: RequestScope, error: TradegraphError, started: float) -> Response:
        answer = error_response(error)
        status = 502 if isinstance(error, SourceError) else error.http_status
        finish_request(self._auditor, running, graphql.Response(status, answer.body), "failed", started)
        return Response(error_body(error), status, {"cache-control": "no-store", **answer.headers}, "application/json")

    def _finish(self, running: RequestScope, status: int, outcome: str, started: float) -> None:
        finish_request(self._auditor, running, graphql.Response(status, {}), outcome, started)


def download_route(endpoint: DownloadEndpoint) -> Route:
    """The route of downloads; HEAD is served like GET, without the body."""
    return Route(f"{PATH}{{link}}", endpoint.respond, methods=["GET"])
