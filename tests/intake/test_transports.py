"""Commands by every way that takes them: POST and WebSocket, as every role, and a partner's trusted document."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from app.auth.principal import UNRESTRICTED, Role
from app.gateway.documents.stores.document_store import document_id
from app.sandbox import Sandbox
from app.settings import DocumentSettings
from tests.intake.test_submit import order, settled
from tests.support.gateway import CSR, Graph, gateway, signed

ROOT = Path(__file__).resolve().parents[2]
ORDERING = {Role.BUYER, Role.BUYER_ADMIN, Role.PARTNER, Role.SALES_REP, Role.CSR, Role.CSR_LEAD}
SUBMIT = """mutation Submit($input: SubmitOrderInput!) {
  submitOrder(input: $input) { intake { id key acknowledgement } problems { code path } }
}
"""

REQUEST_QUOTE = "mutation ($input: RequestQuoteInput!) { requestQuote(input: $input) { quote { id number status } } }"
DECIDE_QUOTE = "mutation ($input: DecideQuoteInput!) { decideQuote(input: $input) { intake { id } } }"


def header(role: Role) -> dict[str, str]:
    return signed(role) if role in UNRESTRICTED else signed(role, "CUST-0001")


async def by_socket(graph: Graph, query: str, variables: Any, principal: Any) -> dict[str, Any]:
    """The result of an operation by WebSocket."""
    address = f"ws{str(graph.client.base_url)[4:].rstrip('/')}/graphql"
    async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": principal}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        payload = {"query": query, "variables": variables}
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        return json.loads(await socket.recv())["payload"]


@pytest.mark.parametrize("way", ["post", "websocket"])
async def test_every_role_submits_or_is_refused(ordering: Graph, way: str):
    for role in Role:
        input = order(f"key-{role.value}")
        if way == "post":
            answer = await ordering.ask(SUBMIT, {"input": input}, principal=header(role))
        else:
            answer = await by_socket(ordering, SUBMIT, {"input": input}, header(role))
        codes = [error["extensions"]["code"] for error in answer.get("errors", ())]
        if role in ORDERING:
            assert (codes, answer["data"]["submitOrder"]["intake"]["key"]) == ([], input["key"])
        else:
            assert (codes, answer["data"]) == (["FORBIDDEN"], {"submitOrder": None}), role
    found = await ordering.data("{ orderIntakes(first: 50) { nodes { key } } }", principal=CSR)
    assert {one["key"] for one in found["orderIntakes"]["nodes"]} == {f"key-{role.value}" for role in ORDERING}


@pytest.mark.parametrize("way", ["post", "websocket"])
async def test_every_role_requests_and_accepts_quotes_or_is_refused(ordering: Graph, way: str):
    async def send(text: str, input: dict[str, Any], role: Role) -> dict[str, Any]:
        if way == "post":
            return await ordering.ask(text, {"input": input}, principal=header(role))
        return await by_socket(ordering, text, {"input": input}, header(role))

    line = {"lineNumber": 1, "item": {"sku": "SKU-0001"}, "quantity": "12"}
    request = {"key": "offered", "customer": {"number": "CUST-0001"}, "lines": [line]}
    quote = (await send(REQUEST_QUOTE, request, Role.CSR))["data"]["requestQuote"]["quote"]
    await ordering.backends["erp"].post(f"/sandbox/quotes/{quote['number']}", json={"status": "OFFERED"})
    intakes: set[str] = set()
    for role in Role:
        wanted = request | {"key": f"quote-{role.value}"}
        decision = {"id": quote["id"], "version": 2, "decision": "ACCEPT", "customerPo": f"PO-{role.value}"}
        requested, accepted = await send(REQUEST_QUOTE, wanted, role), await send(DECIDE_QUOTE, decision, role)
        codes = [error["extensions"]["code"] for error in (*requested.get("errors", ()), *accepted.get("errors", ()))]
        if role in ORDERING:
            assert (codes, requested["data"]["requestQuote"]["quote"]["status"]) == ([], "REQUESTED")
            intakes.add(accepted["data"]["decideQuote"]["intake"]["id"])
        else:
            assert codes == ["FORBIDDEN", "FORBIDDEN"], role
    (id,) = intakes
    await settled(ordering, id, "POSTED", principal=CSR)
    counted = (await ordering.backends["erp"].get("/sandbox/submitted-orders")).json()
    assert counted == {"keys": 1, "orders": 1, "doubled": []}


@pytest.mark.parametrize("way", ["post", "websocket"])
async def test_bad_input_is_a_problem_by_every_way(ordering: Graph, way: str):
    for key in ("", "x" * 10_000, "k\u0435y", "a\u0000b"):
        variables = {"input": order(key, customerPo="1")}
        if way == "post":
            answer = await ordering.ask(SUBMIT, variables, principal=CSR)
        else:
            answer = await by_socket(ordering, SUBMIT, variables, CSR)
        payload = answer["data"]["submitOrder"]
        assert (payload["intake"], [one["path"] for one in payload["problems"]]) == (None, [["input", "key"]])


async def test_simultaneous_submissions_by_socket_are_one_order(ordering: Graph):
    variables = {"input": order()}
    answers = await asyncio.gather(*(by_socket(ordering, SUBMIT, variables, CSR) for _ in range(20)))
    (id,) = {one["data"]["submitOrder"]["intake"]["id"] for one in answers}
    await settled(ordering, id, "POSTED", principal=CSR)
    counted = (await ordering.backends["erp"].get("/sandbox/submitted-orders")).json()
    assert counted == {"keys": 1, "orders": 1, "doubled": []}


async def run(folder: Path, *words: str | Path) -> None:
    """A command of ours in a folder of its own."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from app.cli import main; main()"
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", program, *map(str, words), cwd=folder, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await running.communicate()
    assert running.returncode == 0, out.decode()


async def test_partner_orders_by_its_published_document(dated_sandbox: Sandbox, tmp_path: Path):
    (tmp_path / "submit.graphql").write_text(SUBMIT)
    await run(tmp_path, "documents", "add", "--client", "a-partner", "--contact", "edi@example.com", "submit.graphql")
    await run(tmp_path, "documents", "publish", "--client", "a-partner")
    folder = tmp_path / ".tradegraph"
    partner = signed(Role.PARTNER, "CUST-0001")
    async with gateway(dated_sandbox, data_dir=folder, documents=DocumentSettings()) as graph:
        body = {"documentId": document_id(SUBMIT), "variables": {"input": order()}}
        answer = (await graph.client.post("/graphql", json=body, headers=partner)).json()
        params = {"documentId": document_id(SUBMIT), "variables": json.dumps({"input": order("by-get")})}
        by_get = await graph.client.get("/graphql", params=params, headers=partner)
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
    assert answer["data"]["submitOrder"]["intake"]["acknowledgement"] == "ACCEPTED"
    assert by_get.status_code == 405
