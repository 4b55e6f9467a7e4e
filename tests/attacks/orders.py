"""Submitted orders and links to documents of others."""

from __future__ import annotations

from typing import Any

from app.resolvers.downloads import PATH
from app.sources.node_ids import node_id
from tests.attacks.attacker import Attacker, Reply
from tests.attacks.catalog import Attacks, Group
from tests.attacks.expect import refused, reveals_nothing

attacks = Attacks(Group.AUTHORIZATION)

SUBMIT = (
    "mutation($input: SubmitOrderInput!) { submitOrder(input: $input) { intake { id version } problems { code } } }"
)
DECIDE = "mutation($input: DecideInput!) { decideIntake(input: $input) { intake { id } problems { code message } } }"
READS = (
    "query($id: ID!) { orderIntake(by: {id: $id}) { id customerPo } }",
    "query($id: ID!) { node(id: $id) { id } }",
    "query($id: ID!) { nodes(ids: [$id]) { id } }",
)
NO_INTAKE = node_id("OrderIntake", "none")
LINK = """{ customer(by: {number: "CUST-0001"}) { shipments(first: 50) { nodes {
  proofOfDeliveryDocument { url } } } } }"""


async def submitted(attacker: Attacker, customer: str, key: str, principal: str) -> dict[str, Any]:
    """An order of this customer, stored; the same one for the same key."""
    line = {"lineNumber": 1, "item": {"sku": "SKU-0001"}, "quantity": "1"}
    order = {"key": key, "customer": {"number": customer}, "customerPo": f"PO-{key}", "lines": [line]}
    reply = await attacker.ask(SUBMIT, principal, input=order)
    assert reply.data["submitOrder"]["intake"], reply.text
    return reply.data["submitOrder"]["intake"]


@attacks.attack("a submitted order of another company", "its purchase order number, or to learn that there is one")
async def _(attacker: Attacker) -> None:
    theirs = await submitted(attacker, "CUST-0002", "attack-read", "csr")
    for query in READS:
        assert theirs["id"] in (await attacker.ask(query, "csr", id=theirs["id"])).text
        there = await attacker.everywhere({"query": query, "variables": {"id": theirs["id"]}})
        nowhere = await attacker.everywhere({"query": query, "variables": {"id": NO_INTAKE}})
        assert {name: reply.text for name, reply in there.items()} == {
            name: reply.text for name, reply in nowhere.items()
        }
    by_key = await attacker.ask('{ orderIntake(by: {key: "attack-read"}) { id } }')
    assert by_key.body == {"data": {"orderIntake": None}}
    for given in ("", ', filter: {customer: {number: "CUST-0002"}}', ', filter: {customerPo: "PO-attack-read"}'):
        listed = await attacker.ask(f"{{ orderIntakes(first: 100{given}) {{ nodes {{ customerPo }} }} }}")
        assert "PO-attack-read" not in listed.text
        assert "errors" not in listed.body, listed.text


@attacks.attack("a decision on the order of another company", "to cancel it, or to learn that there is one")
async def _(attacker: Attacker) -> None:
    theirs = await submitted(attacker, "CUST-0002", "attack-cancel", "csr")
    answers = []
    for id in (theirs["id"], NO_INTAKE):
        given = {"id": id, "version": theirs["version"], "decision": "CANCEL"}
        answers.append((await attacker.ask(DECIDE, input=given)).text)
    assert answers[0] == answers[1]
    assert "There is no such intake." in answers[0]
    state = await attacker.ask("query($id: ID!) { orderIntake(by: {id: $id}) { state } }", "csr", id=theirs["id"])
    assert state.data["orderIntake"]["state"] != "CANCELLED"


@attacks.attack("a release of one's own held order", "to pass a hold that only staff may lift")
async def _(attacker: Attacker) -> None:
    own = await submitted(attacker, "CUST-0001", "attack-release", "buyer")
    for decision in ("RELEASE", "REJECT"):
        given = {"id": own["id"], "version": own["version"], "decision": decision}
        refused(await attacker.ask(DECIDE, input=given), "FORBIDDEN")
    retry = "mutation($input: RetryInput!) { retryIntake(input: $input) { intake { id } } }"
    refused(await attacker.ask(retry, input={"id": own["id"], "version": own["version"]}), "FORBIDDEN")


@attacks.attack("an order on the account of another company", "goods at the cost of others")
async def _(attacker: Attacker) -> None:
    line = {"lineNumber": 1, "item": {"sku": "SKU-0001"}, "quantity": "1"}
    answers = []
    for number in ("CUST-0002", "NOBODY"):
        order = {"key": "attack-foreign", "customer": {"number": number}, "customerPo": "PO-F", "lines": [line]}
        reply = await attacker.ask(SUBMIT, input=order)
        assert reply.data["submitOrder"]["intake"] is None
        answers.append(reply.text)
    assert answers[0] == answers[1]


@attacks.attack("a forged or foreign download link", "a document of others, or one by a link that was bent")
async def _(attacker: Attacker) -> None:
    nodes = (await attacker.ask(LINK)).data["customer"]["shipments"]["nodes"]
    url = next(one["proofOfDeliveryDocument"]["url"] for one in nodes if one["proofOfDeliveryDocument"])
    payload, _dot, signature = url.removeprefix(PATH).partition(".")

    async def get(text: str, principal: str | None = "buyer") -> Reply:
        return await attacker.send("GET", PATH + text, headers=attacker.headers(principal))

    assert (await get(f"{payload}.{signature}")).status == 200
    bent = (payload, f"{payload}.", f".{signature}", f"{payload[:-2]}AA.{signature}", f"{payload}.{signature[::-1]}",
            f"{payload}.{signature}.{signature}", "x", "." * 50, "A" * 4000)  # fmt: skip
    for text in bent:
        reply = await get(text)
        assert reply.status in {403, 404}, (text, reply.status)
        assert "%PDF" not in reply.text
        reveals_nothing(reply)
    for principal in ("buyer_admin", "sales_rep", None):
        reply = await get(f"{payload}.{signature}", principal)
        assert reply.status in {401, 403}, (principal, reply.status)
        assert "%PDF" not in reply.text


@attacks.attack("a search by a masked contact detail", "a mail address or telephone number, a guess at a time")
async def _(attacker: Attacker) -> None:
    contacts = '{ customer(by: {number: "CUST-0001"}) { contacts { phone mobile email } } }'
    seen = (await attacker.ask(contacts, "csr")).data["customer"]["contacts"]
    details = [value for one in seen for value in one.values() if value]
    assert details
    shown = (await attacker.ask(contacts)).text
    assert not [value for value in details if value in shown]
    query = "query($s: String) { customers(first: 5, filter: {search: $s}) { totalCount nodes { number } } }"
    for detail in details:
        found = await attacker.ask(query, s=detail)
        assert found.body == {"data": {"customers": {"totalCount": 0, "nodes": []}}}, (detail, found.text)
