"""Seeing what belongs to others, or what one's role may not see."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import msgspec

from app.sources.node_ids import node_id
from tests.attacks.attacker import TRANSPORTS, Attacker
from tests.attacks.catalog import Attacks, Group
from tests.attacks.expect import refused
from tests.auth.test_row_scope import CASES

attacks = Attacks(Group.AUTHORIZATION)

OTHER_ORDER = "SO-119860"
"""Of CUST-0057, who is nobody's here."""


def _case(name: str, declared: str, foreign: object, missing: object) -> None:
    variable, _comma, field = declared.partition(", ")
    query = f"query({variable}) {{ {field} }}"

    @attacks.attack(f"another company's {name}", "a row of others, or to learn that there is one")
    async def _(attacker: Attacker) -> None:
        for principal in ("buyer", "sales_rep"):
            for transport in TRANSPORTS:
                there = await attacker.over(transport, {"query": query, "variables": {"by": foreign}}, principal)
                nowhere = await attacker.over(transport, {"query": query, "variables": {"by": missing}}, principal)
                assert there.text == nowhere.text
                assert "errors" not in there.body, there.text


for _name, _row in CASES.items():
    _case(_name, *_row)


ITEM = node_id("Item", "SKU-0001")
REFUSED = {
    "what an item costs": '{ item(by: {sku: "SKU-0001"}) { cost { unitCost { amount } } } }',
    "amounts of credit": '{ customer(by: {number: "CUST-0001"}) { creditStatus { limit { amount } } } }',
    "where stock is bound": '{ item(by: {sku: "SKU-0001"}) { availability { breakdown { onHand } } } }',
    "invoices": '{ order(by: {number: "SO-100040"}) { invoices { total { amount } } } }',
    "a refused field under an alias": '{ item(by: {sku: "SKU-0001"}) { name: cost { unitCost { amount } } } }',
    "a refused field in a fragment on an interface": f'{{ node(id: "{ITEM}") {{ ... on Node {{ ... on Item {{ cost {{ unitCost {{ amount }} }} }} }} }} }}',
    "a refused field in nested fragments": '{ item(by: {sku: "SKU-0001"}) { ...A } } fragment A on Item { ...B } '
    "fragment B on Item { ... on Item { ... { c: cost { unitCost { amount } } } } }",
    "a refused field switched on by a variable": 'query($on: Boolean! = true) { item(by: {sku: "SKU-0001"}) '
    "{ cost @include(if: $on) { unitCost { amount } } } }",
    "a refused field by the long way": '{ order(by: {number: "SO-100040"}) { lines { item { cost { unitCost { amount } } } } '
    "} }",
    "a refused field by a list": '{ itemsBySku(skus: ["SKU-0001"]) { cost { marginFloor } } }',
    "a refused field by nodes": f'{{ nodes(ids: ["{ITEM}"]) {{ ... on Item {{ cost {{ marginFloor }} }} }} }}',
    "only the typename of what is refused": '{ item(by: {sku: "SKU-0001"}) { cost { __typename } } }',
    "a field of an order's customer that is refused": '{ order(by: {number: "SO-100040"}) { customer { creditStatus { exposure { amount } } } } }',
    "why credit is not OK": '{ customer(by: {number: "CUST-0001"}) { creditStatus { reason overdue { amount } } } }',
}


def _refused(name: str, query: str) -> None:
    @attacks.attack(name, "a field that the role may not see")
    async def _(attacker: Attacker) -> None:
        for reply in (await attacker.everywhere({"query": query})).values():
            assert "FORBIDDEN" in reply.codes, reply.text[:300]
            assert set(reply.codes) == {"FORBIDDEN"}
            assert '"amount"' not in reply.text
            assert "marginFloor" not in json.dumps(_leaves(reply.data))


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [value]


for _name, _query in REFUSED.items():
    _refused(_name, _query)


@attacks.attack("an alias that stands in for another field", "a refused value under the name of an allowed one")
async def _(attacker: Attacker) -> None:
    query = '{ item(by: {sku: "SKU-0001"}) { sku: name name: sku cost: baseUom } }'
    for reply in (await attacker.everywhere({"query": query})).values():
        item = reply.data["item"]
        assert item["name"] == "SKU-0001"
        assert isinstance(item["cost"], str)
    clash = '{ item(by: {sku: "SKU-0001"}) { x: sku x: cost { unitCost { amount } } } }'
    refused(await attacker.ask(clash), "GRAPHQL_VALIDATION_FAILED")


@attacks.attack("own and foreign under two aliases", "a foreign row, by a check of the first argument only")
async def _(attacker: Attacker) -> None:
    query = f'{{ a: order(by: {{number: "SO-100040"}}) {{ number }} b: order(by: {{number: "{OTHER_ORDER}"}}) {{ number }} }}'
    for reply in (await attacker.everywhere({"query": query})).values():
        assert reply.body == {"data": {"a": {"number": "SO-100040"}, "b": None}}


@attacks.attack("made-up ids of every type", "rows by guessing, or an error that tells", watched=True)
async def _(attacker: Attacker) -> None:
    kinds = (
        "Customer",
        "Order",
        "Shipment",
        "Invoice",
        "CustomerLocation",
        "Viewer",
        "Query",
        "CreditStatus",
        "__Schema",
        "Package",
    )
    keys = (
        ("CUST-0057",),
        ("erp", "519860"),
        ("erp", "1057"),
        ("logistics", "shp-014986"),
        ("nowhere", "1"),
        ("erp",),
        ("*",),
        ("",),
    )
    for kind in kinds:
        for key in keys:
            reply = await attacker.ask("query($id: ID!) { node(id: $id) { __typename id } }", id=node_id(kind, *key))
            assert not (reply.data or {}).get("node"), (kind, key, reply.text)
            assert set(reply.codes) <= {"INVALID_ID", "FORBIDDEN"}, reply.text


@attacks.attack("an id under another type's name", "a row of one type by the rules of another")
async def _(attacker: Attacker) -> None:
    order = node_id("Order", "erp", "500040")
    for field in ("customer", "item", "shipment"):
        reply = await attacker.ask(f'{{ {field}(by: {{id: "{order}"}}) {{ id }} }}')
        refused(reply, "INVALID_ID")


@attacks.attack("a bent id", "a row by an id that was never given out")
async def _(attacker: Attacker) -> None:
    good = node_id("Customer", "CUST-0057")
    bent = (good + "=", good + "==", good[:-1], good + "A", " " + good, good + "\n", good.swapcase(), base64.b64encode(b"Customer:CUST-0057\x00").decode(),
            base64.b64encode(b"customer:CUST-0057").decode(), base64.b64encode(b"Customer::CUST-0057").decode(), "", "=", "..", "CUST-0057", "1")  # fmt: skip
    for text in bent:
        reply = await attacker.ask("query($id: ID!) { node(id: $id) { id } }", id=text)
        assert not (reply.data or {}).get("node")
        assert set(reply.codes) <= {"INVALID_ID"}, (text, reply.text)


@attacks.attack("a cursor of another company", "its orders, after a place in its list")
async def _(attacker: Attacker) -> None:
    query = "query($by: CustomerKey!, $after: String) { customer(by: $by) { orders(first: 2, after: $after) { nodes { number } pageInfo { endCursor } } } }"
    theirs = await attacker.post({"query": query, "variables": {"by": {"number": "CUST-0002"}}}, "sales_rep")
    cursor = theirs.data["customer"]["orders"]["pageInfo"]["endCursor"]
    payload = {"query": query, "variables": {"by": {"number": "CUST-0001"}, "after": cursor}}
    for reply in (await attacker.everywhere(payload)).values():
        assert reply.codes == ["INVALID_CURSOR"]
        assert reply.data == {"customer": {"orders": None}}


@attacks.attack("a cursor of one's own making", "places in a list, or words to a backend, that were never given out")
async def _(attacker: Attacker) -> None:
    query = "query($after: String) { customers(first: 2, after: $after) { nodes { number } pageInfo { endCursor } } }"
    cursor = (await attacker.post({"query": query})).data["customers"]["pageInfo"]["endCursor"]
    mark = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[0]
    inner = (
        "",
        "CUST-0000",
        "CUST-0056",
        "0",
        "-1",
        "' OR 1=1 --",
        "../..",
        "\x00",
        "\r\nX: y",
        "x" * 1_000,
        "%00",
        "{}",
        "CUST-0001&customer=CUST-0057",
    )
    forged = [base64.urlsafe_b64encode(json.dumps([mark, own]).encode()).decode().rstrip("=") for own in inner]
    for after in [
        *forged,
        cursor[:-2],
        cursor + "A",
        "",
        "AAAA",
        "null",
        "x" * 5_000,
        base64.b64encode(b"[1,2]").decode(),
    ]:
        reply = await attacker.ask(query, after=after)
        numbers = [node["number"] for node in ((reply.data or {}).get("customers") or {}).get("nodes", [])]
        assert set(numbers) <= {"CUST-0001"}
        assert set(reply.codes) <= {"INVALID_CURSOR", "INVALID_INPUT"}, (after, reply.text)


@attacks.attack("a search as an oracle", "whether there is a company of a name, from counts")
async def _(attacker: Attacker) -> None:
    query = "query($s: String) { customers(first: 5, filter: {search: $s}) { totalCount nodes { number } } }"
    for search in ("CUST-0057", "CUST-00", "", "%", "*", "a", "CUST-0057' OR '1'='1", "57"):
        reply = await attacker.ask(query, s=search)
        found = reply.data["customers"]
        assert found["totalCount"] == len(found["nodes"]) <= 1
        assert {node["number"] for node in found["nodes"]} <= {"CUST-0001"}


@attacks.attack(
    "a spelling that means the same", "a foreign row, by a check that compares letters and a backend that does not"
)
async def _(attacker: Attacker) -> None:
    spellings = (
        "cust-0002",
        "CUST-0002 ",
        " CUST-0002",
        "CUST‐0002",
        "CUST-０００２",
        "ＣＵＳＴ-0002",
        "CUST-0002\u200b",
        "CUST-0002\u0301",
        "CUST-0002%20",
        "CUST-0002%00",
        "CUST-0002/",
        "CUST-0002,CUST-0001",
        "CUST-0001,CUST-0002",
        "CUST-0001&CUST-0002",
        "CUST-000%32",
        "CUST-0002#",
        "CUST-0002?",
        "./CUST-0002",
        "CUST-0001/../CUST-0002",
        "*",
        "CUST-*",
    )
    for number in spellings:
        reply = await attacker.ask(
            "query($by: CustomerKey!) { customer(by: $by) { name number } }", by={"number": number}
        )
        assert not (reply.data or {}).get("customer"), (number, reply.text)
        assert set(reply.codes) <= {"INVALID_INPUT"}
    for number in ("so-119860", "SO-119860 ", "SO-100040,SO-119860", "SO-100040/../SO-119860", "SO-119860%00"):
        reply = await attacker.ask("query($by: OrderKey!) { order(by: $by) { number } }", by={"number": number})
        assert not (reply.data or {}).get("order"), (number, reply.text)


@attacks.attack(
    "a masked value by another way",
    "a whole number that is shown in part",
)
async def _(attacker: Attacker) -> None:
    by = f'by: {{id: "{node_id("Shipment", "logistics", "shp-000025")}"}}'
    query = f"{{ shipment({by}) {{ trackingNumber trackingUrl packages {{ trackingNumber }} proofOfDelivery {{ signedBy }} }} }}"
    for transport in TRANSPORTS:
        reply = await attacker.over(transport, {"query": query}, "operations")
        assert reply.data["shipment"]["trackingNumber"] == "****0401"
        assert "1ZSB001000401" not in reply.text
    fragment = "fragment F on Shipment { b: trackingNumber packages { c: trackingNumber } }"
    aliased = f"{{ shipment({by}) {{ a: trackingNumber ...F }} }} {fragment}"
    assert "1ZSB001000401" not in (await attacker.ask(aliased, "operations")).text
    for oracle in (
        '{ shipments(first: 1, filter: {text: "1ZSB001000401"}) { totalCount } }',
        '{ shipment(by: {trackingNumber: "1ZSB001000401"}) { id } }',
        '{ shipment(by: {trackingNumber: "1zsb001000401"}) { trackingNumber } }',
        '{ shipment(by: {trackingNumber: "1ZSB991000401"}) { id } }',
    ):
        for transport in TRANSPORTS:
            assert (await attacker.over(transport, {"query": oracle}, "operations")).codes == ["FORBIDDEN"], oracle
    tax = '{ customer(by: {number: "CUST-0001"}) { taxProfile { registrationNumber } t: taxProfile { r: registrationNumber } } }'
    assert "99-0000001" not in (await attacker.ask(tax)).text


@attacks.attack("what the warehouse may see", "prices of customers, by those who send their goods")
async def _(attacker: Attacker) -> None:
    query = (
        '{ item(by: {sku: "SKU-0001"}) { contractPrice(customer: {number: "CUST-0001"}) { unitPrice { amount } } } }'
    )
    for principal in ("operations", "admin"):
        for reply in (await attacker.everywhere({"query": query}, principal)).values():
            assert reply.codes == ["FORBIDDEN"]
            assert '"amount"' not in reply.text


@attacks.attack("substitutes that were not approved", "relations between items that are not for buyers")
async def _(attacker: Attacker) -> None:
    query = "{ items(first: 100) { nodes { relations { approved } } } }"
    for reply in (await attacker.everywhere({"query": query})).values():
        found = [one["approved"] for node in reply.data["items"]["nodes"] for one in node["relations"] or ()]
        assert set(found) <= {True}


@attacks.attack("a stream of another company's shipments", "news of others")
async def _(attacker: Attacker) -> None:
    for by in ('customer: {number: "CUST-0057"}', f'order: {{number: "{OTHER_ORDER}"}}'):
        query = f"subscription {{ shipmentUpdates({by}) {{ __typename }} }}"
        for transport in ("sse", "websocket"):
            reply = await attacker.over(transport, {"query": query})
            assert not (reply.body.get("data") or {}).get("shipmentUpdates")


@attacks.attack("asking while the other company asks", "its rows, by a mix-up under load")
async def _(attacker: Attacker) -> None:
    query = """query($by: CustomerKey!) { me { customers { number } } customer(by: $by) { number name
      orders(first: 3) { nodes { number customer { number } } } } item(by: {sku: "SKU-0001"}) {
      contractPrice(customer: $by) { unitPrice { amount } } } }"""
    callers = {
        number: f"Bearer {attacker.target.token('buyer', customers=(number,), sub=number)}"
        for number in ("CUST-0001", "CUST-0002")
    }

    def payload(number: str) -> dict[str, Any]:
        return {"query": query, "variables": {"by": {"number": number}}}

    alone = {number: (await attacker.post(payload(number), principal)).data for number, principal in callers.items()}
    assert alone["CUST-0001"] != alone["CUST-0002"]
    foreign = {
        number: (await attacker.post(payload(other), callers[number])).data
        for number, other in (("CUST-0001", "CUST-0002"), ("CUST-0002", "CUST-0001"))
    }
    places = asyncio.Semaphore(16)

    async def one(transport: str, number: str, backend_paths: str) -> None:
        async with places:
            reply = await attacker.over(transport, payload(backend_paths), callers[number])
        assert reply.data == (alone[number] if number == backend_paths else foreign[number])

    backend_paths = [
        one(transport, number, other)
        for _ in range(18)
        for transport in TRANSPORTS
        for number in callers
        for other in callers
    ]
    assert len(backend_paths) >= 200
    await asyncio.gather(*backend_paths)
    assert foreign["CUST-0001"]["customer"] is None
