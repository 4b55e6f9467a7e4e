"""Returns by a partner's trusted documents, and the audit of requests and decisions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.auth.principal import Role
from app.gateway.documents.stores import connect_documents
from app.gateway.documents.stores.document_store import document_id
from app.sandbox import Sandbox
from app.settings import DocumentSettings, PolicySettings, ScopeSettings, Settings
from tests.intake.test_returns import DECIDE, REQUEST, codes, counts, decide, request, sent, wanted
from tests.support.gateway import BUYER, CSR, CSR_LEAD, Graph, gateway, signed
from tests.support.stored import keep, stored

PARTNER, ADMIN = signed(Role.PARTNER, "CUST-0001"), signed(Role.ADMIN)
RETURNS = PolicySettings(
    scopes={"RETURNS": ScopeSettings(add=("partner",)), "RETURNS_WRITE": ScopeSettings(add=("partner",))}
)
AUDIT = """{ auditEvents(first: 50) { nodes { client subject roles document operation kind outcome commands } } }"""


@pytest.fixture
async def graph(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """A gateway whose partners may request returns, by trusted documents only."""
    async with gateway(dated_sandbox, documents=DocumentSettings(), policy=RETURNS) as running:
        await publish(running)
        await running.backends["erp"].delete("/sandbox/submitted-orders")
        try:
            yield running
        finally:
            await running.repair()
            await running.backends["erp"].delete("/sandbox/submitted-orders")


async def publish(graph: Graph) -> None:
    """Publish both commands for the partner."""
    documents = connect_documents(Settings(data_dir=graph.data_dir))
    try:
        await keep(documents, stored("a-partner", REQUEST), stored("a-partner", DECIDE))
    finally:
        await documents.close()


async def post(graph: Graph, document: str, input: dict[str, Any], **body: Any) -> httpx.Response:
    """The response to a document that is named by its id."""
    body = {"documentId": document_id(document), "variables": {"input": input}, **body}
    return await graph.client.post("/graphql", json=body, headers=PARTNER)


async def commands(graph: Graph, expected: int) -> list[dict[str, Any]]:
    """The audit entries of mutations, oldest first, once there are as many as expected."""
    async with asyncio.timeout(120):
        while True:
            nodes = (await graph.data(AUDIT, principal=ADMIN))["auditEvents"]["nodes"]
            found = [one for one in reversed(nodes) if one["kind"] == "mutation"]
            if len(found) >= expected:
                return found
            await asyncio.sleep(0.01)


async def test_partner_requests_and_cancels_a_return_by_its_trusted_documents(graph: Graph):
    requested = (await post(graph, REQUEST, wanted())).json()["data"]["requestReturn"]
    row = requested["return"]
    assert (codes(requested), row["shipmentState"], row["requestedBy"]) == ([], "REQUESTED", "a-partner")
    again = (await post(graph, REQUEST, wanted())).json()["data"]["requestReturn"]
    assert (again["return"]["id"], await sent(graph)) == (row["id"], 1)
    decision = {"id": row["id"], "version": 1}
    approved = (await post(graph, DECIDE, decision | {"decision": "APPROVE"})).json()
    assert [one["extensions"]["code"] for one in approved["errors"]] == ["FORBIDDEN"]
    cancelled = (await post(graph, DECIDE, decision | {"decision": "CANCEL"})).json()["data"]["decideReturn"]
    assert (codes(cancelled), cancelled["return"]["shipmentState"]) == ([], "CANCELLED")


async def test_partner_requests_no_return_by_text_or_by_get(graph: Graph):
    by_text = await graph.client.post(
        "/graphql", json={"query": REQUEST, "variables": {"input": wanted()}}, headers=PARTNER
    )
    assert (by_text.status_code, by_text.json()["errors"][0]["extensions"]["code"]) == (
        403, "TRUSTED_DOCUMENT_REQUIRED",
    )  # fmt: skip
    params = {"documentId": document_id(REQUEST), "variables": json.dumps({"input": wanted()})}
    by_get = await graph.client.get("/graphql", params=params, headers=PARTNER)
    assert (by_get.status_code, (await counts(graph))["returns"]) == (405, 0)


async def test_partner_returns_nothing_of_another_customer(graph: Graph):
    foreign = wanted(customer={"number": "CUST-0002"})
    payload = (await post(graph, REQUEST, foreign)).json()["data"]["requestReturn"]
    assert ([one["path"] for one in payload["problems"]], payload["return"]) == ([["input", "order"]], None)
    theirs = (await request(graph, wanted("k-2"), principal=CSR))["return"]
    own = signed(Role.PARTNER, "CUST-0002")
    body = {
        "documentId": document_id(DECIDE),
        "variables": {"input": {"id": theirs["id"], "version": 1, "decision": "CANCEL"}},
    }
    refused = (await graph.client.post("/graphql", json=body, headers=own)).json()["data"]["decideReturn"]
    assert (codes(refused), refused["return"]) == (["INVALID_INPUT"], None)
    assert await sent(graph, "decide") == 0


async def test_partner_without_the_scope_is_refused(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, documents=DocumentSettings()) as graph:
        await publish(graph)
        answer = (await post(graph, REQUEST, wanted())).json()
        assert [one["extensions"]["code"] for one in answer["errors"]] == ["FORBIDDEN"]
        assert (answer["data"], await sent(graph)) == ({"requestReturn": None}, 0)


async def test_audit_names_caller_document_key_and_outcome(graph: Graph):
    row = (await post(graph, REQUEST, wanted("rma-1"))).json()["data"]["requestReturn"]["return"]
    await post(graph, REQUEST, wanted("rma-1"))
    await post(graph, REQUEST, wanted("rma-2", lines=[{"lineNumber": 1, "quantity": "100000", "reason": "OTHER"}]))
    id = f"erp:{row['number'].replace('RMA-', 'r')}"
    await decide(graph, row | {"version": 7}, "APPROVE")
    await decide(graph, row, "APPROVE", CSR_LEAD, note="Send to dock 4")
    entries = await commands(graph, 5)
    assert [one["commands"] for one in entries] == [
        ["return_requested rma-1 erp:SO-119238 DONE"],
        ["return_request_replayed rma-1 erp:SO-119238 DONE"],
        ["return_requested rma-2 erp:SO-119238 REFUSED"],
        [f"return_decided {id} APPROVE VERSION_CONFLICT"],
        [f"return_decided {id} APPROVE DONE"],
    ]
    by_partner = {
        "client": "a-partner", "subject": "a-partner", "roles": ["partner"], "document": document_id(REQUEST),
        "operation": "Request", "kind": "mutation", "outcome": "OK",
    }  # fmt: skip
    assert [{**one, "commands": None} for one in entries[:3]] == [by_partner | {"commands": None}] * 3
    assert [one["subject"] for one in entries[3:]] == ["a-csr", "a-csr_lead"]
    assert "dock" not in json.dumps(entries)


async def test_audit_names_whoever_may_not_request_returns_or_approve_his_own(graph: Graph):
    row = (await request(graph, wanted("own"), principal=CSR))["return"]
    refused = await decide(graph, row, "APPROVE", CSR)
    assert codes(refused) == ["SELF_APPROVAL"]
    await graph.ask(DECIDE, {"input": {"id": row["id"], "version": 1, "decision": "REJECT"}}, principal=BUYER)
    entries = await commands(graph, 3)
    id = f"erp:{row['number'].replace('RMA-', 'r')}"
    assert [(one["subject"], one["commands"]) for one in entries] == [
        ("a-csr", ["return_requested own erp:SO-119238 DONE"]),
        ("a-csr", [f"return_decided {id} APPROVE SELF_APPROVAL"]),
        ("a-buyer", []),
    ]
