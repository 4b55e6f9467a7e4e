"""Quotes by GraphQL: requests by key, decisions, and the order of an accepted quote."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from app.auth.principal import Role
from app.sandbox import Sandbox
from app.settings import Domain, IntakeSettings
from app.sources.node_ids import node_id
from tests.support.gateway import BUYER, BUYER_ADMIN, CSR, OPERATIONS, OTHER_BUYER, REP, Graph, gateway, signed

PARTNER = signed(Role.PARTNER, "CUST-0001")
FINANCE = signed(Role.FINANCE)

QUOTE = """id number version status validTo note message total { amount } orderNumber
  lines { number sku quantity uom targetPrice { amount currency } unitPrice { amount } note }
  intake { id state orderNumber } order { number }"""
PAYLOAD = f"""quote {{ {QUOTE} }} problems {{ code message path lineNumber }}
  intake {{ id key state acknowledgement orderNumber customerPo quote {{ number status }}
    lines {{ lineNumber current {{ amount }} item {{ sku }} }} checks {{ kind result lineNumber }} }}"""
REQUEST = f"mutation Request($input: RequestQuoteInput!) {{ requestQuote(input: $input) {{ {PAYLOAD} }} }}"
DECIDE = f"mutation Decide($input: DecideQuoteInput!) {{ decideQuote(input: $input) {{ {PAYLOAD} }} }}"
READ = f"query Read($number: String!) {{ quote(by: {{number: $number}}) {{ {QUOTE} }} }}"
INTAKE = """query Intake($id: ID!) { orderIntake(by: {id: $id}) { state orderNumber problems { code }
  order { number customerPo lines { number quantity unitPrice { amount } } } quote { number status } } }"""
OFFERED, EXPIRED = node_id("Quote", "erp", "q2002"), node_id("Quote", "erp", "q2006")


def line(number: int = 1, sku: str = "SKU-0001", quantity: str = "500", **given: Any) -> dict[str, Any]:
    return {"lineNumber": number, "item": {"sku": sku}, "quantity": quantity, **given}


def wanted(key: str = "q-1", **given: Any) -> dict[str, Any]:
    """The input of a request of one line."""
    return {"key": key, "customer": {"number": "CUST-0001"}, "lines": [line()], **given}


def decision(kind: str, id: str = OFFERED, version: int = 2, **given: Any) -> dict[str, Any]:
    po = {"customerPo": f"PO-{id[-6:]}"} if kind == "ACCEPT" else {}
    return {"id": id, "version": version, "decision": kind, **po, **given}


async def request(graph: Graph, input: dict[str, Any], principal: Any = BUYER) -> dict[str, Any]:
    return (await graph.data(REQUEST, {"input": input}, principal=principal))["requestQuote"]


async def decide(graph: Graph, input: dict[str, Any], principal: Any = BUYER) -> dict[str, Any]:
    return (await graph.data(DECIDE, {"input": input}, principal=principal))["decideQuote"]


async def read(graph: Graph, number: str, principal: Any = BUYER) -> dict[str, Any]:
    return (await graph.data(READ, {"number": number}, principal=principal))["quote"]


async def offer(graph: Graph, number: str, **given: Any) -> None:
    """The distributor's change of a quote, in the sandbox."""
    answer = await graph.backends["erp"].post(f"/sandbox/quotes/{number}", json={"status": "OFFERED", **given})
    assert answer.status_code == 200, answer.text


async def offered(graph: Graph, key: str, **given: Any) -> dict[str, Any]:
    """A new quote that is offered."""
    quote = (await request(graph, wanted(key)))["quote"]
    await offer(graph, quote["number"], **given)
    return await read(graph, quote["number"])


async def settled(graph: Graph, id: str) -> dict[str, Any]:
    """The intake once it is posted or given up."""
    while True:
        found = (await graph.data(INTAKE, {"id": id}, principal=BUYER))["orderIntake"]
        if found["state"] not in ("RECEIVED", "POSTING"):
            return found
        await asyncio.sleep(0.01)


async def counts(graph: Graph) -> dict[str, Any]:
    return (await graph.backends["erp"].get("/sandbox/submitted-orders")).json()


def codes(payload: dict[str, Any]) -> list[str]:
    return [problem["code"] for problem in payload["problems"]]


async def test_requested_quote_is_offered_accepted_and_ordered(ordering: Graph):
    payload = await request(
        ordering,
        wanted(note="Spring project", lines=[line(1, uom="box", quantity="12", targetPrice="4.50", note="in one go"),
                                             line(2, "SKU-0002", "6")]),
    )  # fmt: skip
    quote = payload["quote"]
    assert (payload["problems"], quote["status"], quote["version"], quote["note"]) == (
        [], "REQUESTED", 1, "Spring project",
    )  # fmt: skip
    assert quote["lines"][0] == {
        "number": 1, "sku": "SKU-0001", "quantity": "12", "uom": "XBX", "note": "in one go", "unitPrice": None,
        "targetPrice": {"amount": "4.50", "currency": "USD"},
    }  # fmt: skip
    await offer(ordering, quote["number"], percent="-10", message="Best price")
    quote = await read(ordering, quote["number"])
    assert (quote["status"], quote["version"], quote["message"]) == ("OFFERED", 2, "Best price")
    assert quote["lines"][0]["unitPrice"] == {"amount": "4.49"}
    accepted = await decide(ordering, decision("ACCEPT", quote["id"], customerPo="PO-Q1"))
    intake = accepted["intake"]
    assert (accepted["problems"], intake["acknowledgement"], intake["customerPo"]) == ([], "ACCEPTED", "PO-Q1")
    assert (intake["lines"][0]["lineNumber"], intake["lines"][0]["current"]) == (1, {"amount": "4.49"})
    assert {(one["kind"], one["result"]) for one in intake["checks"]} == {
        ("CUSTOMER", "PASSED"), ("ITEM", "PASSED"), ("PRICE", "PASSED"), ("CREDIT", "PASSED"),
        ("AVAILABILITY", "PASSED"),
    }  # fmt: skip
    posted = await settled(ordering, intake["id"])
    assert (posted["state"], posted["problems"]) == ("POSTED", [])
    assert (posted["order"]["customerPo"], posted["quote"]) == (
        "PO-Q1", {"number": quote["number"], "status": "ACCEPTED"},
    )  # fmt: skip
    assert posted["order"]["lines"][0] == {"number": 1, "quantity": "12", "unitPrice": {"amount": "4.49"}}
    quote = await read(ordering, quote["number"])
    assert (quote["status"], quote["orderNumber"], quote["order"]) == (
        "ACCEPTED", posted["orderNumber"], {"number": posted["orderNumber"]},
    )  # fmt: skip
    assert quote["intake"] == {"id": intake["id"], "state": "POSTED", "orderNumber": posted["orderNumber"]}
    assert await counts(ordering) == {"keys": 1, "orders": 1, "doubled": []}


async def test_invoice_is_compared_with_the_quote(ordering: Graph):
    quote = await offered(ordering, "invoiced", percent="-50")
    accepted = await decide(ordering, decision("ACCEPT", quote["id"], customerPo="PO-INVOICED"))
    number = (await settled(ordering, accepted["intake"]["id"]))["orderNumber"]
    await ordering.backends["erp"].post(f"/sandbox/order-invoices/{number}", json={"percent": "100"})
    text = """query ($by: OrderKey!) { order(by: $by) { priceChecks {
      lineNumber quoted { amount } ordered { amount } invoiced { amount } result } } }"""
    checks = (await ordering.data(text, {"by": {"number": number}}, principal=CSR))["order"]["priceChecks"]
    price = quote["lines"][0]["unitPrice"]["amount"]
    assert checks == [{
        "lineNumber": 1, "quoted": {"amount": price}, "ordered": {"amount": price},
        "invoiced": {"amount": f"{2 * Decimal(price)}"}, "result": "HIGHER",
    }]  # fmt: skip


async def test_quotes_of_intakes_are_one_call(ordering: Graph):
    for number in range(3):
        quote = await offered(ordering, f"call-{number}")
        accepted = await decide(ordering, decision("ACCEPT", quote["id"], customerPo=f"PO-CALL-{number}"))
        await settled(ordering, accepted["intake"]["id"])
    found: list[int] = []
    for first in (1, 3):
        text = f"{{ orderIntakes(first: {first}) {{ nodes {{ quote {{ status intake {{ state }} }} }} }} }}"
        await ordering.backends["erp"].delete("/sandbox/requests")
        nodes = (await ordering.data(text, principal=CSR))["orderIntakes"]["nodes"]
        assert nodes == [{"quote": {"status": "ACCEPTED", "intake": {"state": "POSTED"}}}] * first
        reads = (await ordering.backends["erp"].get("/sandbox/counters")).json()["reads"]
        found.append(reads["quotes"])
    assert found == [1, 1]


async def test_same_key_and_input_is_the_same_quote(ordering: Graph):
    first = await request(ordering, wanted(lines=[line(1), line(2, "SKU-0002", "6")]))
    again = wanted(lines=[line(2, "SKU-0002", "6.00"), line(1, quantity="500.0")])
    assert (await request(ordering, again))["quote"]["id"] == first["quote"]["id"]
    other = await request(ordering, wanted(lines=[line(quantity="501")]))
    assert (codes(other), other["problems"][0]["path"], other["quote"]) == (["KEY_REUSED"], ["input", "key"], None)
    assert (await request(ordering, again, principal=PARTNER))["quote"]["id"] != first["quote"]["id"]


async def test_key_is_looked_up_where_the_source_has_no_unique_keys(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, sources={"erp": {"options": {"unique_order_keys": False}}}) as graph:
        erp = graph.backends["erp"]
        await erp.delete("/sandbox/submitted-orders")
        await erp.post("/sandbox/faults", json={"resource": "quote-submissions", "ignoreKeys": True})
        try:
            first = await request(graph, wanted())
            assert (await request(graph, wanted()))["quote"]["id"] == first["quote"]["id"]
            assert codes(await request(graph, wanted(note="other"))) == ["KEY_REUSED"]
            assert (await request(graph, wanted("q-2")))["quote"]["id"] != first["quote"]["id"]
        finally:
            await graph.repair()
            await erp.delete("/sandbox/submitted-orders")


async def test_simultaneous_requests_of_a_key_are_one_quote(ordering: Graph):
    found = await asyncio.gather(*(request(ordering, wanted("many")) for _ in range(20)))
    assert len({payload["quote"]["id"] for payload in found}) == 1


@pytest.mark.parametrize("kind", ["500", "reset"])
async def test_request_whose_answer_is_lost_is_repeated_by_its_key(ordering: Graph, kind: str):
    fault = {"resource": "quote-submissions", "errorRate": 1.0, "errorKind": kind}
    await ordering.backends["erp"].post("/sandbox/faults", json=fault)
    lost = await ordering.ask(REQUEST, {"input": wanted("lost")}, principal=BUYER)
    assert lost["data"]["requestQuote"] is None
    assert lost["errors"][0]["extensions"]["code"] in ("SOURCE_UNAVAILABLE", "SOURCE_TIMEOUT")
    await ordering.repair()
    quote = (await request(ordering, wanted("lost")))["quote"]
    page = await ordering.data(
        "{ quotes(first: 50, filter: {status: [REQUESTED]}) { nodes { number } } }", principal=BUYER
    )
    assert [row["number"] for row in page["quotes"]["nodes"]] == [quote["number"], "QU-2001"]


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"key": ""}, "INVALID_INPUT", "key"),
        ({"key": "k" * 129}, "INVALID_INPUT", "key"),
        ({"key": "a b"}, "INVALID_INPUT", "key"),
        ({"key": "ключ"}, "INVALID_INPUT", "key"),
        ({"note": "n" * 1001}, "INVALID_INPUT", "note"),
        ({"note": "a\0b"}, "INVALID_INPUT", "note"),
        ({"lines": []}, "INVALID_INPUT", "lines"),
        ({"lines": [line(number) for number in range(1, 502)]}, "INVALID_INPUT", "lines"),
        ({"lines": [line(1), line(1)]}, "INVALID_INPUT", "lines"),
        ({"lines": [line(0)]}, "INVALID_INPUT", "lines"),
        ({"lines": [line(quantity="0")]}, "INVALID_INPUT", "lines"),
        ({"lines": [line(quantity="-1")]}, "INVALID_INPUT", "lines"),
        ({"lines": [line(quantity="1000000000001")]}, "INVALID_INPUT", "lines"),
        ({"lines": [line(targetPrice="0")]}, "INVALID_INPUT", "lines"),
        ({"lines": [line(targetPrice="-0.01")]}, "INVALID_INPUT", "lines"),
        ({"lines": [line(sku="SKU-9999999")]}, "ITEM_UNKNOWN", "lines"),
        ({"lines": [line(sku="S\0")]}, "INVALID_INPUT", "lines"),
        ({"lines": [line(uom="furlong")]}, "UNIT_UNKNOWN", "lines"),
        ({"customer": {"number": "CUST-0002"}}, "CUSTOMER_UNKNOWN", "customer"),
        ({"customer": {"number": "CUST-9999"}}, "CUSTOMER_UNKNOWN", "customer"),
        ({"customer": {"number": ""}}, "INVALID_INPUT", "customer"),
    ],
)
async def test_bad_requests_are_problems_and_make_no_quote(ordering: Graph, given: Any, code: str, path: str):
    await ordering.backends["erp"].delete("/sandbox/requests")
    payload = await request(ordering, wanted("bad") | given)
    assert payload["quote"] is None
    assert (codes(payload)[0], payload["problems"][0]["path"][1]) == (code, path)
    asked = (await ordering.backends["erp"].get("/sandbox/counters")).json()["reads"]
    assert "quote-submissions" not in asked


async def test_expired_quotes_are_refused(ordering: Graph):
    by_source = await decide(ordering, decision("ACCEPT", EXPIRED))
    assert (codes(by_source), by_source["intake"], by_source["quote"]["status"]) == (["QUOTE_EXPIRED"], None, "EXPIRED")
    assert codes(await decide(ordering, decision("RENEGOTIATE", EXPIRED, note="Again?"))) == ["QUOTE_EXPIRED"]
    quote = await offered(ordering, "old", validTo="2026-11-20")
    by_day = await decide(ordering, decision("ACCEPT", quote["id"]))
    assert (codes(by_day), by_day["intake"]) == (["QUOTE_EXPIRED"], None)
    last_day = await offered(ordering, "last-day", validTo="2026-11-21")
    assert codes(await decide(ordering, decision("ACCEPT", last_day["id"]))) == []


async def test_old_versions_are_refused(ordering: Graph):
    quote = await offered(ordering, "versions")
    for kind, given in (("ACCEPT", {}), ("DECLINE", {}), ("RENEGOTIATE", {"note": "Cheaper"})):
        payload = await decide(ordering, decision(kind, quote["id"], version=1, **given))
        assert (codes(payload), payload["quote"]["version"]) == (["VERSION_CONFLICT"], 2)
    assert (await counts(ordering))["orders"] == 0


async def test_quote_that_changed_after_acceptance_is_refused_by_its_source(ordering: Graph):
    quote = await offered(ordering, "changed")
    erp = ordering.backends["erp"]
    await erp.post("/sandbox/faults", json={"resource": "order-submissions", "rateLimit": 0})
    accepted = await decide(ordering, decision("ACCEPT", quote["id"]))
    assert accepted["intake"]["state"] == "POSTING"
    await offer(ordering, quote["number"], percent="20")
    await ordering.repair()
    refused = await settled(ordering, accepted["intake"]["id"])
    assert (refused["state"], [one["code"] for one in refused["problems"]]) == ("REJECTED", ["ORDER_REFUSED"])
    assert (await counts(ordering))["orders"] == 0
    again = await decide(ordering, decision("ACCEPT", quote["id"], version=3, customerPo="PO-AGAIN"))
    assert again["intake"]["id"] != accepted["intake"]["id"]
    assert (await settled(ordering, again["intake"]["id"]))["state"] == "POSTED"
    assert (await read(ordering, quote["number"]))["intake"]["id"] == again["intake"]["id"]


async def test_simultaneous_acceptances_are_one_order(ordering: Graph):
    quote = await offered(ordering, "race")
    callers = [BUYER, BUYER_ADMIN, PARTNER, CSR, REP] * 4
    found = await asyncio.gather(
        *(
            decide(ordering, decision("ACCEPT", quote["id"], customerPo=f"PO-{n}"), principal)
            for n, principal in enumerate(callers)
        )
    )
    assert len({payload["intake"]["id"] for payload in found}) == 1
    assert (await settled(ordering, found[0]["intake"]["id"]))["state"] == "POSTED"
    later = await decide(ordering, decision("ACCEPT", quote["id"]))
    assert (later["intake"]["id"], codes(later)) == (found[0]["intake"]["id"], [])
    assert await counts(ordering) == {"keys": 1, "orders": 1, "doubled": []}


async def test_lost_answers_still_make_one_order(ordering: Graph):
    quote = await offered(ordering, "lost-order")
    erp = ordering.backends["erp"]
    await erp.post("/sandbox/faults", json={"resource": "order-submissions", "errorRate": 1.0, "errorKind": "reset"})
    accepted = await decide(ordering, decision("ACCEPT", quote["id"]))
    while (await counts(ordering))["orders"] == 0:
        await asyncio.sleep(0.01)
    await ordering.repair()
    posted = await settled(ordering, accepted["intake"]["id"])
    assert (posted["state"], posted["quote"]["status"]) == ("POSTED", "ACCEPTED")
    assert await counts(ordering) == {"keys": 1, "orders": 1, "doubled": []}


async def test_declined_and_renegotiated_quotes(ordering: Graph):
    quote = await offered(ordering, "talks")
    again = await decide(
        ordering, decision("RENEGOTIATE", quote["id"], note="More", lines=[line(1, quantity="900", targetPrice="0.03")])
    )
    changed = again["quote"]
    assert (codes(again), changed["status"], changed["version"], changed["validTo"], changed["total"]) == (
        [], "RENEGOTIATING", 3, None, None,
    )  # fmt: skip
    assert [(one["quantity"], one["targetPrice"]["amount"], one["unitPrice"]) for one in changed["lines"]] == [
        ("900", "0.03", None)
    ]
    assert codes(await decide(ordering, decision("ACCEPT", quote["id"], version=3))) == ["INVALID_TRANSITION"]
    await offer(ordering, quote["number"])
    declined = await decide(ordering, decision("DECLINE", quote["id"], version=4, note="Too expensive"))
    assert (declined["quote"]["status"], declined["quote"]["version"]) == ("DECLINED", 5)
    for kind, given in (("ACCEPT", {}), ("DECLINE", {}), ("RENEGOTIATE", {"note": "Please"})):
        payload = await decide(ordering, decision(kind, quote["id"], version=5, **given))
        assert codes(payload) == ["INVALID_TRANSITION"]


async def test_accepted_quote_is_not_declined_before_its_source_has_the_order(ordering: Graph):
    quote = await offered(ordering, "both")
    erp = ordering.backends["erp"]
    await erp.post("/sandbox/faults", json={"resource": "order-submissions", "rateLimit": 0})
    await decide(ordering, decision("ACCEPT", quote["id"]))
    assert codes(await decide(ordering, decision("DECLINE", quote["id"]))) == ["INVALID_TRANSITION"]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (decision("ACCEPT", customerPo=" "), "customerPo"),
        (decision("ACCEPT", customerPo="p" * 65), "customerPo"),
        (decision("ACCEPT", lines=[line()]), "lines"),
        (decision("DECLINE", customerPo="PO"), "customerPo"),
        (decision("DECLINE", shipTo="1001-1"), "shipTo"),
        (decision("RENEGOTIATE"), "note"),
        (decision("RENEGOTIATE", lines=[]), "lines"),
        (decision("RENEGOTIATE", lines=[line(quantity="0")]), "lines"),
        (decision("DECLINE", note="a\0"), "note"),
        (decision("DECLINE", node_id("Quote", "erp", "no-such-quote")), "id"),
        (decision("DECLINE", node_id("Quote", "nowhere", "q2002")), "id"),
    ],
)
async def test_bad_decisions_are_problems(ordering: Graph, given: dict[str, Any], path: str):
    payload = await decide(ordering, given)
    assert (codes(payload)[0], payload["problems"][0]["path"]) == ("INVALID_INPUT", ["input", path])
    assert (await read(ordering, "QU-2002"))["version"] == 2


async def test_quotes_of_other_customers_cannot_be_decided_on(ordering: Graph):
    for kind in ("ACCEPT", "DECLINE"):
        payload = await decide(ordering, decision(kind), OTHER_BUYER)
        assert (codes(payload), payload["quote"], payload["intake"]) == (["INVALID_INPUT"], None, None)
    assert (await read(ordering, "QU-2002"))["version"] == 2


@pytest.mark.parametrize("principal", [OPERATIONS, FINANCE, signed(Role.ADMIN), signed(Role.AGENT, agents=("A-1",))])
async def test_commands_are_forbidden_to_other_roles(ordering: Graph, principal: Any):
    for text, input in ((REQUEST, wanted("forbidden")), (DECIDE, decision("DECLINE"))):
        answer = await ordering.ask(text, {"input": input}, principal=principal)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    assert (await read(ordering, "QU-2002"))["version"] == 2


async def test_source_without_quotes_is_named(dated_sandbox: Sandbox):
    serves = ["customers", "items", "quotes"]
    async with gateway(dated_sandbox, sources={"erp": {"options": {"serves": serves}}},
                       domains={"customers": Domain(master="erp"), "items": Domain(master="erp"),
                                "quotes": Domain(master="erp")}) as graph:  # fmt: skip
        for text, input in ((REQUEST, wanted()), (DECIDE, decision("DECLINE"))):
            answer = await graph.ask(text, {"input": input}, principal=BUYER)
            (error,) = answer["errors"]
            assert error["extensions"]["code"] == "NOT_SUPPORTED"
            assert error["message"] == "The source 'erp' does not take requests for quotes."


async def test_business_refusal_of_the_source_is_a_problem(ordering: Graph):
    fault = {"resource": "quote-submissions", "errorRate": 1.0, "errorKind": "refuse"}
    await ordering.backends["erp"].post("/sandbox/faults", json=fault)
    payload = await request(ordering, wanted("refused"))
    assert (codes(payload), payload["quote"]) == (["QUOTE_REFUSED"], None)


async def test_acceptance_is_held_like_other_orders(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, intake=IntakeSettings()) as graph:
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
        try:
            first, second = await offered(graph, "held-1"), await offered(graph, "held-2")
            await decide(graph, decision("ACCEPT", first["id"], customerPo="PO-SAME"))
            held = await decide(graph, decision("ACCEPT", second["id"], customerPo="po-same"))
            assert (held["intake"]["state"], codes(held)) == ("HELD", ["DUPLICATE_PO"])
        finally:
            await graph.backends["erp"].delete("/sandbox/submitted-orders")
