"""Downloads by signed links: what is served to whom, what is refused, and what reaches the backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.audit.store import FILE, SQLiteAuditReader
from app.auth.demo import issue_demo_token
from app.auth.link_signing import LinkSigner, SignedLink
from app.auth.principal import Principal, Role
from app.errors import DownloadLinkInvalid
from app.sandbox import Sandbox
from app.settings import BudgetSettings, DownloadSettings
from tests.audit.test_audit import written
from tests.support.gateway import AUTH, DOWNLOADS, NOON, Graph, gateway, signed
from tests.upstreams import serve

OWN = "CUST-0001"
ADMIN = signed(Role.BUYER_ADMIN, OWN)
SUBJECT = f"a-{Role.BUYER_ADMIN.value}"
SECRET = DOWNLOADS.secrets[0].get_secret_value().encode()
INVOICE = (
    """{ order(by: {number: "SO-100040"}) { invoices { number document { url fileName mediaType expiresAt } } } }"""
)

shared = pytest.mark.shared_gateway


def code(response: httpx.Response) -> str:
    return response.json()["errors"][0]["extensions"]["code"]


def token(subject: str = SUBJECT, tenant: str = "default", role: Role = Role.BUYER_ADMIN) -> dict[str, str]:
    """The header of a caller with the accounts of ADMIN."""
    text = issue_demo_token(AUTH, roles=[role], subject=subject, customers=[OWN], tenant=tenant, ttl=86_400)
    return {"authorization": f"Bearer {text}"}


async def link_of(graph: Graph, principal: dict[str, str] = ADMIN) -> dict[str, Any]:
    return (await graph.data(INVOICE, principal=principal))["order"]["invoices"][0]["document"]


@shared
async def test_invoice_is_downloaded_as_pdf(graph: Graph):
    link = await link_of(graph)
    assert link["url"].startswith("/downloads/")
    assert (link["fileName"], link["mediaType"]) == ("INV-800040.pdf", "application/pdf")
    assert link["expiresAt"] == "2026-11-21T12:05:00Z"
    response = await graph.client.get(link["url"], headers=ADMIN)
    assert response.status_code == 200
    assert response.content.startswith(b"%PDF-1.4\n")
    assert b"(Invoice INV-800040)" in response.content
    assert response.content.endswith(b"%%EOF\n")
    expected = {
        "content-type": "application/pdf",
        "content-disposition": 'attachment; filename="INV-800040.pdf"',
        "cache-control": "no-store",
        "content-length": str(len(response.content)),
        "x-content-type-options": "nosniff",
    }
    assert {name: response.headers[name] for name in expected} == expected
    head = await graph.client.head(link["url"], headers=ADMIN)
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in expected} == expected


@shared
async def test_proof_of_delivery_is_downloaded_as_pdf(graph: Graph):
    query = """{ order(by: {number: "SO-100040"}) { shipments { id proofOfDelivery { signedBy }
      proofOfDeliveryDocument { url fileName } } } }"""
    shipments = (await graph.data(query, principal=ADMIN))["order"]["shipments"]
    assert [one["proofOfDelivery"] is None for one in shipments] == [
        one["proofOfDeliveryDocument"] is None for one in shipments
    ]
    link = next(one["proofOfDeliveryDocument"] for one in shipments if one["proofOfDeliveryDocument"])
    response = await graph.client.get(link["url"], headers=ADMIN)
    assert b"(Proof of delivery shp-" in response.content


@shared
async def test_altered_link_is_refused(graph: Graph):
    url = (await link_of(graph))["url"]
    text = url.removeprefix("/downloads/")
    altered = [text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :] for at in range(0, len(text), 7)]
    payload, _, signature = text.partition(".")
    others = [payload, f"{payload}.", f".{signature}", f"{signature}.{payload}", text + "A", "x" * 5000, "%00", "..%2F"]
    for wrong in (*altered, *others):
        response = await graph.client.get(f"/downloads/{wrong}", headers=ADMIN)
        assert (response.status_code, code(response)) in {(403, "DOWNLOAD_LINK_INVALID"), (404, "NOT_FOUND")}, wrong
    assert (await graph.client.get(url)).status_code == 401
    assert (await graph.client.post(url, headers=ADMIN)).status_code == 405


@shared
async def test_link_is_for_its_caller_alone(graph: Graph):
    url = (await link_of(graph))["url"]
    for principal in (token("another"), token(tenant="another"), signed(Role.FINANCE)):
        response = await graph.client.get(url, headers=principal)
        assert (response.status_code, code(response)) == (403, "DOWNLOAD_LINK_FOREIGN")


@shared
async def test_row_scope_and_policy_are_checked_again(graph: Graph):
    url = (await link_of(graph))["url"]
    moved = await graph.client.get(url, headers=signed(Role.BUYER_ADMIN, "CUST-0002"))
    assert (moved.status_code, code(moved)) == (404, "DOWNLOAD_NOT_FOUND")
    narrowed = await graph.client.get(url, headers=token(role=Role.BUYER))
    assert (narrowed.status_code, code(narrowed)) == (403, "FORBIDDEN")


async def test_link_expires(dated_sandbox: Sandbox):
    now = NOON
    async with gateway(dated_sandbox, clock=lambda: now) as graph:
        url = (await link_of(graph))["url"]
        now = NOON + timedelta(seconds=299)
        assert (await graph.client.get(url, headers=ADMIN)).status_code == 200
        now = NOON + timedelta(seconds=300)
        response = await graph.client.get(url, headers=ADMIN)
        assert (response.status_code, code(response)) == (410, "DOWNLOAD_LINK_EXPIRED")


async def test_without_a_secret_there_are_no_links(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, downloads=DownloadSettings()) as graph:
        answer = await graph.ask(INVOICE, principal=ADMIN)
        assert answer["data"]["order"]["invoices"][0]["document"] is None
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["NOT_SUPPORTED"]
        response = await graph.client.get("/downloads/any", headers=ADMIN)
        assert (response.status_code, code(response)) == (403, "DOWNLOAD_LINK_INVALID")


async def test_links_cost_no_backend_call_and_downloads_are_limited(dated_sandbox: Sandbox):
    erp = {"options": {"batch": False}}
    budgets = BudgetSettings(capacity=120, restore_rate=0.001, roles={})
    async with gateway(dated_sandbox, sources={"erp": erp}, budgets=budgets) as graph:
        counts = []
        for selection in ("number", "number document { url }"):
            await graph.forget()
            query = f'{{ order(by: {{number: "SO-100040"}}) {{ invoices {{ {selection} }} }} }}'
            await graph.data(query, principal=ADMIN)
            counts.append((await graph.requests())["erp"])
        assert counts == [2, 2]
        url = (await link_of(graph))["url"]
        statuses = [(await graph.client.get(url, headers=ADMIN)).status_code for _ in range(12)]
        assert statuses[0] == 200
        assert statuses[-1] == 429


# A backend that misbehaves

CHUNK = b"x" * 65536
FEW, MANY = 100, 2000
"""Chunks of a document that is read whole, and of one that is more than sockets hold."""


class Backend:
    """Answers by the id of the document. `sent` counts the chunks of a large one, `ended` says how it ended."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        body = await request.json()
        pdf = "application/pdf"
        answers = {
            "html": Response("<h1>password=hunter2</h1>", 200, media_type="text/html"),
            "mislabelled": Response("<h1>password=hunter2</h1>", 200, media_type=pdf),
            "empty": Response(b"", 200, media_type=pdf),
            "announced": Response(b"%PDF-" + CHUNK, 200, media_type=pdf),
            "medium": StreamingResponse(self._chunks(FEW), 200, media_type=pdf),
            "large": StreamingResponse(self._chunks(MANY), 200, media_type=pdf),
            "gone": Response("password=hunter2", 404),
            "broken": Response("password=hunter2", 500),
            "refused": Response("password=hunter2", 403),
        }
        return answers[body["id"]]

    async def _chunks(self, many: int) -> AsyncIterator[bytes]:
        try:
            yield b"%PDF-1.7\n"
            for _ in range(many):
                self.sent += 1
                yield CHUNK
                await asyncio.sleep(0)  # A closed connection takes chunks at once: let its end be noticed.
        finally:
            self.ended.set()


@asynccontextmanager
async def misbehaving(sandbox: Sandbox, max_bytes: int) -> AsyncIterator[tuple[Graph, Backend]]:
    backend = Backend()
    routes = [Route("/v1/documents/{kind}/read", backend.answer, methods=["POST"])]
    downloads = DownloadSettings(secrets=DOWNLOADS.secrets, max_bytes=max_bytes)
    async with (
        serve(Starlette(routes=routes)) as url,
        gateway(
            sandbox, sources={"erp": {"base_url": url, "max_response_bytes": 1 << 30}}, downloads=downloads
        ) as graph,
    ):
        yield graph, backend


def url_of(id_: str) -> str:
    expires = int((NOON + timedelta(minutes=1)).timestamp())
    link = SignedLink("invoices", "erp", id_, OWN, "INV-1.pdf", "default", SUBJECT, expires)
    return f"/downloads/{LinkSigner([SECRET], 60).sign(link)}"


async def test_what_the_backend_answers_is_checked(dated_sandbox: Sandbox):
    expected = {
        "html": (502, "DOWNLOAD_NOT_PDF"),
        "mislabelled": (502, "DOWNLOAD_NOT_PDF"),
        "empty": (502, "DOWNLOAD_NOT_PDF"),
        "announced": (502, "DOWNLOAD_TOO_LARGE"),
        "gone": (404, "DOWNLOAD_NOT_FOUND"),
        "broken": (502, "SOURCE_UNAVAILABLE"),
        "refused": (502, "SOURCE_REJECTED"),
    }
    async with misbehaving(dated_sandbox, max_bytes=65536) as (graph, _):
        for id_, wanted in expected.items():
            response = await graph.client.get(url_of(id_), headers=ADMIN)
            assert (response.status_code, code(response)) == wanted, id_
            assert "hunter2" not in response.text
            assert (await graph.client.head(url_of(id_), headers=ADMIN)).status_code == wanted[0]
        with pytest.raises(httpx.RemoteProtocolError):  # The size was not announced: the response breaks off.
            await graph.client.get(url_of("large"), headers=ADMIN)


async def test_downloads_are_audited(dated_sandbox: Sandbox):
    async with misbehaving(dated_sandbox, max_bytes=1 << 30) as (graph, _):
        for id_ in ("medium", "gone"):
            await graph.client.get(url_of(id_), headers=ADMIN)
        await graph.client.get("/downloads/x.y", headers=ADMIN)
        entries = await written(SQLiteAuditReader(graph.data_dir / FILE), 3)
    found = [(one.transport, one.subject, one.operation, one.status, one.outcome, one.code) for one in entries]
    assert sorted(found, key=lambda one: one[3]) == [
        ("download", SUBJECT, "invoices", 200, "ok", None),
        ("download", SUBJECT, None, 403, "failed", "DOWNLOAD_LINK_INVALID"),
        ("download", SUBJECT, "invoices", 404, "failed", "DOWNLOAD_NOT_FOUND"),
    ]


async def test_document_is_streamed_and_given_up_with_its_client(dated_sandbox: Sandbox):
    async with misbehaving(dated_sandbox, max_bytes=1 << 30) as (graph, backend):
        whole = await graph.client.get(url_of("medium"), headers=ADMIN)
        assert whole.content == b"%PDF-1.7\n" + FEW * CHUNK
        backend.sent = 0
        backend.ended.clear()
        async with graph.client.stream("GET", url_of("large"), headers=ADMIN) as response:
            assert (await anext(response.aiter_bytes())).startswith(b"%PDF-1.7")
        await asyncio.wait_for(backend.ended.wait(), 120)
        assert backend.sent < MANY


# Signing

WHO = Principal(subject="s", roles=frozenset({Role.BUYER_ADMIN}), tenant="t")
LINK = SignedLink("invoices", "erp", "1", OWN, "a.pdf", "t", "s", int(NOON.timestamp()) + 60)


def test_secrets_are_rotated():
    old, new = b"o" * 32, b"n" * 32
    text = LinkSigner([old], 60).sign(LINK)
    assert LinkSigner([new, old], 60).verify(text, WHO, NOON) == LINK
    assert LinkSigner([new, old], 60).sign(LINK) == LinkSigner([new], 60).sign(LINK) != text
    with pytest.raises(DownloadLinkInvalid):
        LinkSigner([new], 60).verify(text, WHO, NOON)


def test_signature_covers_every_bit():
    signer = LinkSigner([b"s" * 32], 60)
    text = signer.sign(LINK)
    for at, letter in enumerate(text):
        for other in "AB.-":
            if other != letter:
                with pytest.raises(DownloadLinkInvalid):
                    signer.verify(text[:at] + other + text[at + 1 :], WHO, NOON)


def test_short_secret_is_refused():
    with pytest.raises(ValidationError, match="at least 32 characters"):
        DownloadSettings(secrets=("short",))  # type: ignore[arg-type]
