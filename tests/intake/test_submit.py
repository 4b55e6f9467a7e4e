"""Orders submitted by GraphQL: acceptance, keys, problems, decisions, and the order in the system of record."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from app.auth.principal import Role
from app.cli.demo import SANDBOX_DOMAINS
from app.sandbox import Sandbox
from app.settings import DocumentSettings, IntakeSettings, OrderDomain
from tests.support.gateway import BUYER, CSR, OPERATIONS, OTHER_BUYER, Graph, gateway, signed

PARTNER = signed(Role.PARTNER, "CUST-0001")
FINANCE = signed(Role.FINANCE)
AGENT = signed(Role.AGENT, agents=["A-1"])

INTAKE = """
id key version state acknowledgement attempts orderNumber customerPo submittedBy
  checks { kind result lineNumber } lines { lineNumber quantity uom quoted { amount currency } item { sku } }
  problems { code lineNumber path } order { number customerPo status lines { number quantity } }
"""
FIELDS = f"intake {{ {INTAKE} }} problems {{ code message path lineNumber }}"
SUBMIT = f"mutation Submit($input: SubmitOrderInput!) {{ submitOrder(input: $input) {{ {FIELDS} }} }}"
DECIDE = f"mutation Decide($input: DecideInput!) {{ decideIntake(input: $input) {{ {FIELDS} }} }}"
RETRY = f"mutation Retry($input: RetryInput!) {{ retryIntake(input: $input) {{ {FIELDS} }} }}"
READ = f"query Read($by: OrderIntakeKey!) {{ orderIntake(by: $by) {{ {INTAKE} }} }}"


def order(key: str = "key-1", **given: Any) -> dict[str, Any]:
    """The input of an order of two lines."""
    return {
        "key": key,
        "customer": {"number": "CUST-0001"},
        "customerPo": f"PO-{key}",
        "lines": [line(1, "SKU-0001", "12"), line(2, "SKU-0002", "6")],
        **given,
    }


def line(number: int, sku: str = "SKU-0001", quantity: str = "12", **given: Any) -> dict[str, Any]:
    return {"lineNumber": number, "item": {"sku": sku}, "quantity": quantity, **given}


async def submit(graph: Graph, input: dict[str, Any], principal: Any = BUYER) -> dict[str, Any]:
    """The payload of a submission without errors."""
    return (await graph.data(SUBMIT, {"input": input}, principal=principal))["submitOrder"]


async def settled(graph: Graph, id: str, *states: str, principal: Any = BUYER) -> dict[str, Any]:
    """The intake once it is in one of these states."""
    while True:
        found = (await graph.data(READ, {"by": {"id": id}}, principal=principal))["orderIntake"]
        if found["state"] in states:
            return found
        await asyncio.sleep(0.01)


async def counts(graph: Graph) -> dict[str, Any]:
    return (await graph.backends["erp"].get("/sandbox/submitted-orders")).json()


async def test_order_is_accepted_posted_and_read(ordering: Graph):
    payload = await submit(ordering, order())
    intake = payload["intake"]
    assert (intake["acknowledgement"], payload["problems"], intake["problems"]) == ("ACCEPTED", [], [])
    assert {(one["kind"], one["result"]) for one in intake["checks"]} == {
        ("CUSTOMER", "PASSED"), ("ITEM", "PASSED"), ("UNIT", "PASSED"), ("PRICE", "PASSED"), ("CREDIT", "PASSED"),
        ("AVAILABILITY", "PASSED"),
    }  # fmt: skip
    assert [one["item"]["sku"] for one in intake["lines"]] == ["SKU-0001", "SKU-0002"]
    assert all(one["quoted"]["currency"] == "USD" for one in intake["lines"])
    posted = await settled(ordering, intake["id"], "POSTED")
    assert (posted["attempts"], posted["version"], posted["order"]["customerPo"]) == (1, 2, "PO-key-1")
    assert posted["order"]["number"] == posted["orderNumber"]
    assert [(one["number"], one["quantity"]) for one in posted["order"]["lines"]] == [(1, "12"), (2, "6")]
    assert await counts(ordering) == {"keys": 1, "orders": 1, "doubled": []}


async def test_same_submission_again_is_the_intake_as_it_is_now(ordering: Graph):
    first = (await submit(ordering, order()))["intake"]
    await settled(ordering, first["id"], "POSTED")
    lines = [line(2, "SKU-0002", "6.0"), line(1, "SKU-0001", "12.00")]
    again = await submit(ordering, order(lines=lines))
    assert (again["intake"]["id"], again["intake"]["state"], again["problems"]) == (first["id"], "POSTED", [])
    assert (await counts(ordering))["orders"] == 1


@pytest.mark.parametrize(
    "other",
    [
        {"customerPo": "another"},
        {"lines": [line(1, "SKU-0001", "13"), line(2, "SKU-0002", "6")]},
        {"note": "a note"},
        {"allowPartial": False},
        {"requestedDate": "2026-12-24"},
    ],
)
async def test_key_with_another_input_is_refused(ordering: Graph, other: dict[str, Any]):
    await submit(ordering, order())
    payload = await submit(ordering, order(**other))
    assert (payload["intake"], [(one["code"], one["path"]) for one in payload["problems"]]) == (
        None, [("KEY_REUSED", ["input", "key"])],
    )  # fmt: skip


async def test_key_counts_where_no_checks_are_made(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, intake=IntakeSettings(checks=())) as graph:
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
        payloads = await asyncio.gather(*(submit(graph, order()) for _ in range(5)))
        other = await submit(graph, order(note="a note"))
        await settled(graph, payloads[0]["intake"]["id"], "POSTED")
        assert {one["intake"]["id"] for one in payloads} == {payloads[0]["intake"]["id"]}
        assert (other["intake"], [one["code"] for one in other["problems"]]) == (None, ["KEY_REUSED"])
        assert await counts(graph) == {"keys": 1, "orders": 1, "doubled": []}


async def test_hundred_simultaneous_submissions_of_one_key_are_one_order(ordering: Graph):
    payloads = await asyncio.gather(*(submit(ordering, order()) for _ in range(100)))
    assert {one["intake"]["id"] for one in payloads} == {payloads[0]["intake"]["id"]}
    await settled(ordering, payloads[0]["intake"]["id"], "POSTED")
    assert await counts(ordering) == {"keys": 1, "orders": 1, "doubled": []}


async def test_purchase_order_number_used_twice_is_held_until_it_is_released(ordering: Graph):
    await submit(ordering, order("a", customerPo="4711"))
    held = await submit(ordering, order("b", customerPo="4711"))
    assert (held["intake"]["state"], held["intake"]["acknowledgement"]) == ("HELD", "PENDING")
    assert [one["code"] for one in held["problems"]] == ["DUPLICATE_PO"]
    input = {"id": held["intake"]["id"], "version": 1, "decision": "RELEASE", "note": "is another one"}
    refused = await ordering.ask(DECIDE, {"input": input}, principal=BUYER)
    assert [one["extensions"]["code"] for one in refused["errors"]] == ["FORBIDDEN"]
    released = (await ordering.data(DECIDE, {"input": input}, principal=CSR))["decideIntake"]
    assert (released["intake"]["state"], released["intake"]["version"], released["problems"]) == ("POSTING", 2, [])
    old = (await ordering.data(DECIDE, {"input": input}, principal=CSR))["decideIntake"]
    assert [one["code"] for one in old["problems"]] in (["VERSION_CONFLICT"], ["INTAKE_BUSY"])
    await settled(ordering, held["intake"]["id"], "POSTED")
    assert (await counts(ordering))["orders"] == 2
    allowed = await submit(ordering, order("c", customerPo="4711", allowDuplicatePo=True))
    assert allowed["intake"]["state"] in ("POSTING", "POSTED")


# Checks


@pytest.mark.parametrize(
    ("change", "code", "at"),
    [
        ({"lines": [line(1), line(7, "NO-SUCH")]}, "ITEM_UNKNOWN", 7),
        ({"lines": [line(3, uom="BARREL")]}, "UNIT_UNKNOWN", 3),
        ({"lines": [line(3, quantity="0.3")]}, "QUANTITY_NOT_ORDERABLE", 3),
        ({"shipTo": "S-NOBODY"}, "SHIP_TO_UNKNOWN", None),
    ],
)
async def test_wrong_order_is_rejected_with_its_problems(ordering: Graph, change: dict[str, Any], code: str, at: Any):
    payload = await submit(ordering, order(**change))
    assert (payload["intake"]["state"], payload["intake"]["acknowledgement"]) == ("REJECTED", "REJECTED")
    assert (code, at) in [(one["code"], one["lineNumber"]) for one in payload["problems"]]
    assert (await counts(ordering))["orders"] == 0
    again = await submit(ordering, order(**change))
    assert again["intake"]["id"] == payload["intake"]["id"]


async def test_several_problems_are_returned_together_by_line(ordering: Graph):
    payload = await submit(ordering, order(lines=[line(1, "NO-1"), line(2), line(3, "NO-3"), line(4, uom="BARREL")]))
    told = [(one["code"], one["lineNumber"]) for one in payload["problems"] if one["code"] != "PRICE_MISSING"]
    assert told == [("ITEM_UNKNOWN", 1), ("ITEM_UNKNOWN", 3), ("UNIT_UNKNOWN", 4)]


async def test_source_that_is_away_makes_the_order_pending_and_it_is_posted_later(ordering: Graph):
    for resource in ("items", "prices", "customers"):
        await ordering.turn("erp", resource=resource, errorRate=1.0, errorKind="500")
    payload = (await ordering.ask(SUBMIT, {"input": order()}, principal=BUYER))["data"]["submitOrder"]
    intake = payload["intake"]
    assert (intake["state"], intake["acknowledgement"], payload["problems"]) == ("RECEIVED", "PENDING", [])
    unknown = {one["kind"] for one in intake["checks"] if one["result"] == "UNKNOWN"}
    assert {"CUSTOMER", "ITEM", "UNIT", "PRICE"} <= unknown
    await ordering.repair()
    posted = await settled(ordering, intake["id"], "POSTED")
    assert {one["result"] for one in posted["checks"]} == {"PASSED"}


async def test_order_that_waits_for_a_check_does_not_hold_up_those_that_are_checked(ordering: Graph):
    await ordering.turn("erp", resource="prices", errorRate=1.0, errorKind="500")
    orders = [order(f"w-{n}", customer={"number": f"CUST-{n + 2:04d}"}) for n in range(20)]
    waiting = [(await submit(ordering, each, principal=CSR))["intake"] for each in orders]
    assert {one["state"] for one in waiting} == {"RECEIVED"}
    await ordering.turn("erp", resource="prices")
    done = (await submit(ordering, order("checked")))["intake"]
    await settled(ordering, done["id"], "POSTED")
    for one in waiting:
        await settled(ordering, one["id"], "POSTED", "HELD", "REJECTED", principal=CSR)


async def test_slow_source_does_not_hold_up_the_answer_beyond_its_limit(ordering: Graph):
    await submit(ordering, order("warm"))
    await ordering.turn("erp", resource="prices", delayMs=20_000)
    began = asyncio.get_running_loop().time()
    payload = await submit(ordering, order())
    assert asyncio.get_running_loop().time() - began < 15
    unknown = [one["kind"] for one in payload["intake"]["checks"] if one["result"] == "UNKNOWN"]
    assert (payload["intake"]["state"], unknown) == ("RECEIVED", ["PRICE", "PRICE"])


async def test_order_refused_by_the_system_of_record_is_rejected(ordering: Graph):
    await ordering.turn("erp", resource="order-submissions", errorRate=1.0, errorKind="refuse")
    intake = (await submit(ordering, order()))["intake"]
    rejected = await settled(ordering, intake["id"], "REJECTED")
    assert [one["code"] for one in rejected["problems"]] == ["ORDER_REFUSED"]


# Callers


@pytest.mark.parametrize("principal", [FINANCE, OPERATIONS, AGENT])
async def test_role_without_the_scope_submits_nothing(ordering: Graph, principal: Any):
    answer = await ordering.ask(SUBMIT, {"input": order()}, principal=principal)
    assert answer["data"] == {"submitOrder": None}
    assert [one["extensions"]["code"] for one in answer["errors"]] == ["FORBIDDEN"]
    assert (await counts(ordering))["orders"] == 0


async def test_customer_of_others_does_not_exist(ordering: Graph):
    foreign = await submit(ordering, order(customer={"number": "CUST-0002"}))
    unknown = await submit(ordering, order(customer={"number": "CUST-NOBODY"}))
    assert foreign == unknown
    assert (foreign["intake"], [one["code"] for one in foreign["problems"]]) == (None, ["INVALID_INPUT"])


async def test_intake_of_others_does_not_exist(ordering: Graph):
    intake = (await submit(ordering, order()))["intake"]
    for principal in (OTHER_BUYER, signed(Role.SALES_REP, "CUST-0009")):
        assert (await ordering.data(READ, {"by": {"id": intake["id"]}}, principal=principal))["orderIntake"] is None
        node = "query ($id: ID!) { node(id: $id) { id } orderIntakes(first: 5) { nodes { id } } }"
        assert await ordering.data(node, {"id": intake["id"]}, principal=principal) == {
            "node": None,
            "orderIntakes": {"nodes": []},
        }
        cancel = {"id": intake["id"], "version": 1, "decision": "CANCEL"}
        payload = (await ordering.data(DECIDE, {"input": cancel}, principal=principal))["decideIntake"]
        assert (payload["intake"], [one["message"] for one in payload["problems"]]) == (
            None, ["There is no such intake."],
        )  # fmt: skip


async def test_key_of_another_client_is_another_key(ordering: Graph):
    first = (await submit(ordering, order()))["intake"]
    other = (await submit(ordering, order(customerPo="other"), principal=CSR))["intake"]
    assert first["id"] != other["id"]
    by_key = await ordering.data(READ, {"by": {"key": "key-1"}}, principal=CSR)
    assert by_key["orderIntake"]["id"] == other["id"]


async def test_partner_submits_by_a_published_document_only(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, documents=DocumentSettings()) as graph:
        answer = await graph.ask(SUBMIT, {"input": order()}, principal=PARTNER)
    assert answer["errors"][0]["extensions"]["code"] == "TRUSTED_DOCUMENT_REQUIRED"


async def test_order_has_at_most_so_many_lines(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, intake=IntakeSettings(max_lines=3)) as graph:
        payload = await submit(graph, order(lines=[line(n + 1) for n in range(4)]))
        refused = await graph.ask(SUBMIT, {"input": order(lines=[line(n + 1) for n in range(10_000)])}, principal=BUYER)
    assert [one["message"] for one in payload["problems"]] == ["An order has 1 to 3 lines, not 4."]
    assert refused["errors"][0]["extensions"]["code"] in ("LIMIT_EXCEEDED", "PAYLOAD_TOO_LARGE")


async def test_mutation_by_get_is_refused(ordering: Graph):
    params = {"query": SUBMIT, "variables": json.dumps({"input": order()})}
    response = await ordering.client.get("/graphql", params=params, headers=BUYER)
    assert response.status_code == 405
    assert (await counts(ordering))["orders"] == 0


# Decisions


async def test_buyer_cancels_a_held_order(ordering: Graph):
    await submit(ordering, order("a", customerPo="4711"))
    held = (await submit(ordering, order("b", customerPo="4711")))["intake"]
    input = {"id": held["id"], "version": held["version"], "decision": "CANCEL"}
    payload = (await ordering.data(DECIDE, {"input": input}, principal=BUYER))["decideIntake"]
    assert (payload["intake"]["state"], payload["intake"]["acknowledgement"]) == ("CANCELLED", "REJECTED")
    again = (await ordering.data(DECIDE, {"input": {**input, "version": 2}}, principal=BUYER))["decideIntake"]
    assert [one["code"] for one in again["problems"]] == ["INVALID_TRANSITION"]


async def test_posted_order_is_neither_cancelled_nor_retried(ordering: Graph):
    intake = (await submit(ordering, order()))["intake"]
    posted = await settled(ordering, intake["id"], "POSTED")
    input = {"id": intake["id"], "version": posted["version"]}
    cancelled = (await ordering.data(DECIDE, {"input": {**input, "decision": "CANCEL"}}, principal=CSR))["decideIntake"]
    retried = (await ordering.data(RETRY, {"input": input}, principal=OPERATIONS))["retryIntake"]
    for payload in (cancelled, retried):
        assert [one["code"] for one in payload["problems"]] == ["INVALID_TRANSITION"]
        assert payload["intake"]["state"] == "POSTED"


# Bad input


@pytest.mark.parametrize(
    "key", ["", "x" * 129, "x" * 10_000, "with space", "tab\t", "n\0l", "k\u0435y", "ke\u200by", "\u202eyek"]
)
async def test_wrong_key_is_a_problem(ordering: Graph, key: str):
    payload = await submit(ordering, order(key, customerPo="1"))
    assert (payload["intake"], [one["path"] for one in payload["problems"]]) == (None, [["input", "key"]])


@pytest.mark.parametrize(
    ("lines", "at"),
    [
        ([], [None]),
        ([line(1, quantity="0")], [1]),
        ([line(1), line(2, quantity="-3")], [2]),
        ([line(1, quantity="1000000000001")], [1]),
        ([line(1), line(1)], [1]),
        ([line(0)], [0]),
        ([line(1, uom="x" * 33)], [1]),
        ([line(1, sku="")], [1]),
        ([line(1, sku="a\u0007b")], [1]),
    ],
)
async def test_wrong_lines_are_problems(ordering: Graph, lines: list[dict[str, Any]], at: list[int | None]):
    payload = await submit(ordering, order(lines=lines))
    assert (payload["intake"], [one["lineNumber"] for one in payload["problems"]]) == (None, at)
    assert {one["code"] for one in payload["problems"]} == {"INVALID_INPUT"}


@pytest.mark.parametrize("quantity", ["1e30", "NaN", "1" * 30, None])
async def test_quantity_that_is_no_decimal_is_refused_before_anything_runs(ordering: Graph, quantity: Any):
    answer = await ordering.ask(SUBMIT, {"input": order(lines=[line(1, quantity=quantity)])}, principal=BUYER)
    assert "data" not in answer
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"customerPo": " "}, "customerPo"),
        ({"customerPo": "x" * 65}, "customerPo"),
        ({"customerPo": "a\u0000b"}, "customerPo"),
        ({"note": "x" * 1001}, "note"),
        ({"shipTo": "a\u001bb"}, "shipTo"),
        ({"customer": {"number": ""}}, "customer"),
    ],
)
async def test_wrong_text_is_a_problem(ordering: Graph, change: dict[str, Any], path: str):
    payload = await submit(ordering, order(**change))
    assert (payload["intake"], [one["path"] for one in payload["problems"]]) == (None, [["input", path]])


async def test_customer_part_number_of_another_customer_is_a_problem(ordering: Graph):
    part = {"customerPart": {"customer": {"number": "CUST-0002"}, "number": "P-1"}}
    payload = await submit(ordering, order(lines=[{"lineNumber": 1, "item": part, "quantity": "1"}]))
    assert [one["lineNumber"] for one in payload["problems"]] == [1]


# Beside the orders of the system of record


BESIDE = """query { customer(by: {number: "CUST-0001"}) {
    openIntakes(first: 10) { key state } orders(first: 2) { nodes { number intake { key submittedBy } } } } }"""


async def test_submitted_order_is_beside_the_orders_until_it_is_one_of_them(ordering: Graph):
    await ordering.turn("erp", resource="order-submissions", rateLimit=0)
    intake = (await submit(ordering, order()))["intake"]
    before = (await ordering.data(BESIDE, principal=BUYER))["customer"]
    assert before["openIntakes"] == [{"key": "key-1", "state": "POSTING"}]
    assert [one["intake"] for one in before["orders"]["nodes"]] == [None, None]
    await ordering.repair()
    posted = await settled(ordering, intake["id"], "POSTED")
    after = (await ordering.data(BESIDE, principal=BUYER))["customer"]
    assert after["openIntakes"] == []
    assert after["orders"]["nodes"][0] == {
        "number": posted["orderNumber"], "intake": {"key": "key-1", "submittedBy": "a-buyer"},
    }  # fmt: skip


async def test_posted_order_is_listed_beside_until_the_list_of_orders_has_it(ordering: Graph):
    """A list of orders that was read before the order was posted lacks it; the intakes that are read with it do not."""
    text = """query ($within: Int!) { customer(by: {number: "CUST-0001"}) {
        openIntakes(first: 10, postedWithin: $within) { id state orderNumber }
        orders(first: 2) { nodes { number intake { id } } } } }"""
    lacking = (await ordering.data(text, {"within": 0}, principal=BUYER))["customer"]["orders"]["nodes"]
    intake = (await submit(ordering, order()))["intake"]
    posted = await settled(ordering, intake["id"], "POSTED")
    read = (await ordering.data(text, {"within": 3600}, principal=BUYER))["customer"]
    assert read["openIntakes"] == [{"id": intake["id"], "state": "POSTED", "orderNumber": posted["orderNumber"]}]

    def beside(orders: list[dict[str, Any]]) -> list[str]:
        listed = {one["intake"]["id"] for one in orders if one["intake"]}
        return [one["id"] for one in read["openIntakes"] if one["id"] not in listed]

    assert (beside(lacking), beside(read["orders"]["nodes"])) == ([intake["id"]], [])
    foreign = await ordering.data(text.replace("CUST-0001", "CUST-0002"), {"within": 3600}, principal=OTHER_BUYER)
    assert foreign["customer"]["openIntakes"] == []


@pytest.mark.parametrize("seconds", [-1, 86_401])
async def test_period_of_posted_orders_is_limited(ordering: Graph, seconds: int):
    text = f'{{ customer(by: {{number: "CUST-0001"}}) {{ openIntakes(first: 1, postedWithin: {seconds}) {{ id }} }} }}'
    (error,) = (await ordering.ask(text, principal=BUYER))["errors"]
    assert (error["extensions"]["code"], error["path"]) == ("INVALID_INPUT", ["customer", "openIntakes"])


async def test_open_intakes_of_many_customers_cost_no_backend_call(ordering: Graph):
    await ordering.turn("erp", resource="order-submissions", rateLimit=0)
    for number in range(1, 4):
        await submit(ordering, order(f"k-{number}", customer={"number": f"CUST-{number:04d}"}), principal=CSR)
    text = "query ($n: Int!) { customers(first: $n) { nodes { number openIntakes(first: 5) { key } } } }"
    costs = []
    for count in (1, 50):
        await ordering.forget()
        found = await ordering.data(text, {"n": count}, principal=CSR)
        reads = (await ordering.backends["erp"].get("/sandbox/counters")).json()["reads"]
        costs.append({name: calls for name, calls in reads.items() if name != "order-submissions"})
    nodes = {one["number"]: one["openIntakes"] for one in found["customers"]["nodes"]}
    assert [nodes[f"CUST-{number:04d}"] for number in range(1, 5)] == [[{"key": f"k-{n}"}] for n in (1, 2, 3)] + [[]]
    assert costs[0] == costs[1] == {"customers": 1}


async def test_order_goes_to_the_system_of_the_channel_of_its_client(dated_sandbox: Sandbox):
    """Another subject of the same customer has no channel of its own."""
    orders = OrderDomain(master="erp", write="erp", write_channels={"EDI": "edi"})
    async with gateway(
        dated_sandbox,
        sources={"edi": {}},
        domains=SANDBOX_DOMAINS.model_copy(update={"orders": orders}),
        intake=IntakeSettings(channels={"edi-hub": "EDI", "a-csr": "PHONE"}),
    ) as graph:
        read = (
            "query Read($id: ID!) { node(id: $id) { ... on OrderIntake { channel order { freshness { source } } } } }"
        )
        found: dict[str, tuple[str, str]] = {}
        for client in ("edi-hub", "a-csr", "other"):
            principal = signed(Role.BUYER, "CUST-0001", subject=client)
            intake = (await submit(graph, order(f"channel-{client}"), principal))["intake"]
            await settled(graph, intake["id"], "POSTED", principal=principal)
            node = (await graph.data(read, {"id": intake["id"]}, principal=principal))["node"]
            found[client] = (node["channel"], node["order"]["freshness"]["source"])
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
    assert found == {"edi-hub": ("EDI", "edi"), "a-csr": ("PHONE", "erp"), "other": ("API", "erp")}
