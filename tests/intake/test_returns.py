"""Returns by GraphQL: requests by key, decisions, receipt and credit memo; faults, callers and bad input."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.auth.principal import UNRESTRICTED, Role
from app.sandbox import Sandbox
from app.settings import Domain, DomainSettings, OrderDomain, Settings
from app.sources.node_ids import node_id
from tests.intake.test_transports import by_socket
from tests.support.gateway import BUYER, BUYER_ADMIN, CSR, OTHER_BUYER, Graph, gateway, signed

CSR_LEAD = signed(Role.CSR_LEAD)
DELIVERED, PARTIAL, OPEN, RETURNED = "SO-119238", "SO-100040", "SO-119992", "SO-116356"
"""Orders of CUST-0001: all lines delivered, line 4 partly, nothing, and with line 1 returned."""

RETURN = """id number version requestedBy note message orderNumber shipmentState creditState creditMemo receivedOn
  lines { lineNumber quantity uom reason condition note }"""
PAYLOAD = f"return {{ {RETURN} }} problems {{ code message path lineNumber }}"
REQUEST = f"mutation Request($input: RequestReturnInput!) {{ requestReturn(input: $input) {{ {PAYLOAD} }} }}"
DECIDE = f"mutation Decide($input: DecideReturnInput!) {{ decideReturn(input: $input) {{ {PAYLOAD} }} }}"
READ = f"query Read($id: ID!) {{ node(id: $id) {{ ... on Return {{ {RETURN} }} }} }}"
CREDIT = "query Credit($id: ID!) { node(id: $id) { ... on Return { credit { number kind total { amount } } } } }"
ALLOWED = {Role.BUYER, Role.BUYER_ADMIN, Role.CSR, Role.CSR_LEAD}


@pytest.fixture
async def ordering(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """A gateway over the sandbox, whose requests of returns have an effect within 2 s of being sent."""
    limits = {"timeouts": {"order_submissions": 2.0}}
    changed = {"erp": {"options": {"max_order_seconds": 2.0}, "limits": limits}}
    async with gateway(dated_sandbox, sources=changed) as running:
        await running.backends["erp"].delete("/sandbox/submitted-orders")
        try:
            yield running
        finally:
            await running.repair()
            await running.backends["erp"].delete("/sandbox/submitted-orders")


def line(number: int = 1, quantity: str = "2", reason: str = "DAMAGED", **given: Any) -> dict[str, Any]:
    return {"lineNumber": number, "quantity": quantity, "reason": reason, **given}


def wanted(key: str = "r-1", order: str = DELIVERED, **given: Any) -> dict[str, Any]:
    """The input of a request of one line."""
    return {"key": key, "customer": {"number": "CUST-0001"}, "order": {"number": order}, "lines": [line()], **given}


async def request(graph: Graph, input: dict[str, Any], principal: Any = BUYER) -> dict[str, Any]:
    return (await graph.data(REQUEST, {"input": input}, principal=principal))["requestReturn"]


async def decide(graph: Graph, row: dict[str, Any], kind: str, principal: Any = CSR, **given: Any) -> dict[str, Any]:
    input = {"id": row["id"], "version": row["version"], "decision": kind, **given}
    return (await graph.data(DECIDE, {"input": input}, principal=principal))["decideReturn"]


async def change(graph: Graph, row: dict[str, Any], **given: Any) -> dict[str, Any]:
    """The return after a change by the distributor, in the sandbox."""
    answer = await graph.backends["erp"].post(f"/sandbox/returns/{row['number']}", json=given)
    assert answer.status_code == 200, answer.text
    return (await graph.data(READ, {"id": row["id"]}, principal=CSR))["node"]


async def counts(graph: Graph) -> dict[str, Any]:
    return (await graph.backends["erp"].get("/sandbox/submitted-returns")).json()


async def sent(graph: Graph, path: str = "request") -> int:
    log = (await graph.backends["erp"].get("/sandbox/requests", params={"limit": "5000"})).json()
    return sum(one["path"] == f"/v1/return-submissions/{path}" for one in log)


def codes(payload: dict[str, Any]) -> list[str]:
    return [one["code"] for one in payload["problems"]]


async def test_return_from_request_to_credit_memo(ordering: Graph):
    lines = [line(2, "1", "WRONG_ITEM", condition="UNOPENED", note="Blue, not red"), line(1)]
    payload = await request(ordering, wanted(lines=lines, note="Two cartons"))
    found = payload["return"]
    assert payload["problems"] == []
    assert found | {"id": None, "number": None} == {
        "id": None, "number": None, "version": 1, "requestedBy": "a-buyer", "note": "Two cartons", "message": None,
        "orderNumber": DELIVERED, "shipmentState": "REQUESTED", "creditState": "NONE", "creditMemo": None,
        "receivedOn": None,
        "lines": [
            {"lineNumber": 1, "quantity": "2", "uom": "EA", "reason": "DAMAGED", "condition": None, "note": None},
            {"lineNumber": 2, "quantity": "1", "uom": "XBX", "reason": "WRONG_ITEM", "condition": "UNOPENED",
             "note": "Blue, not red"},
        ],
    }  # fmt: skip
    assert found["id"] == node_id("Return", "erp", found["number"].replace("RMA-", "r"))
    approved = await decide(ordering, found, "APPROVE", note="Send to dock 4")
    assert (codes(approved), approved["return"]["shipmentState"], approved["return"]["creditState"]) == (
        [], "APPROVED", "PENDING",
    )  # fmt: skip
    assert (approved["return"]["version"], approved["return"]["message"]) == (2, "Send to dock 4")
    transit = await change(ordering, found, shipmentState="IN_TRANSIT")
    assert (transit["shipmentState"], transit["creditState"]) == ("IN_TRANSIT", "PENDING")
    received = await change(ordering, found, shipmentState="RECEIVED")
    assert (received["shipmentState"], received["receivedOn"], received["creditMemo"]) == (
        "RECEIVED", "2026-11-21", None,
    )  # fmt: skip
    text = (
        f'{{ order(by: {{number: "{DELIVERED}"}}) {{ lines {{ number returnedQuantity unitPrice {{ amount }} }} }} }}'
    )
    ordered = (await ordering.data(text, principal=CSR))["order"]["lines"]
    assert [one["returnedQuantity"] for one in ordered[:3]] == ["2", "1", "0"]
    credited = await change(ordering, found, credited=True)
    memo = f"CM-{found['number']}"
    assert (credited["creditState"], credited["creditMemo"]) == ("CREDITED", memo)
    credit = (await ordering.data(CREDIT, {"id": found["id"]}, principal=CSR))["node"]["credit"]
    prices = [float(one["unitPrice"]["amount"]) for one in ordered]
    assert (credit["number"], credit["kind"], float(credit["total"]["amount"])) == (
        memo, "CREDIT_MEMO", -round(round(2 * prices[0], 2) + prices[1], 2),
    )  # fmt: skip
    page = await ordering.data("{ returns(first: 5, filter: {open: true}) { nodes { number } } }", principal=BUYER)
    assert found["number"] not in [one["number"] for one in page["returns"]["nodes"]]


# Keys


async def test_same_key_and_input_is_the_same_return(ordering: Graph):
    first = await request(ordering, wanted(lines=[line(1), line(2, "1")]))
    again = wanted(lines=[line(2, "1.00"), line(1, "2.0")])
    assert (await request(ordering, again))["return"]["id"] == first["return"]["id"]
    for other in (wanted(), wanted(lines=[line(1), line(2, "1")], note="n"), wanted(order=PARTIAL)):
        payload = await request(ordering, other)
        assert [(one["code"], one["path"]) for one in payload["problems"]] == [("KEY_REUSED", ["input", "key"])]
        assert payload["return"] is None
    assert (await counts(ordering), await sent(ordering)) == ({"keys": 1, "returns": 1, "doubled": []}, 1)
    assert (await request(ordering, again, principal=CSR))["return"]["id"] != first["return"]["id"]


async def test_simultaneous_requests_of_a_key_are_one_return(ordering: Graph):
    found = await asyncio.gather(*(request(ordering, wanted("many")) for _ in range(20)))
    assert {tuple(codes(one)) for one in found} <= {(), ("ORDER_CHANGE_PENDING",)}
    assert len({one["return"]["id"] for one in found if one["return"]}) == 1
    assert (await sent(ordering), codes(await request(ordering, wanted("many")))) == (1, [])


async def test_simultaneous_requests_of_an_order_return_no_more_than_was_delivered(ordering: Graph):
    """Five were delivered of the line: of ten requests of two, two."""
    keys = [f"race-{n}" for n in range(10)]
    pending = list(keys)
    outcomes: dict[str, list[str]] = {}
    while pending:
        found = await asyncio.gather(*(request(ordering, wanted(key)) for key in pending))
        outcomes |= {key: codes(one) for key, one in zip(pending, found, strict=True)}
        pending = [key for key in pending if outcomes[key] == ["ORDER_CHANGE_PENDING"]]
    assert sorted(outcomes.values()) == [[], [], *[["RETURN_EXCEEDS_DELIVERY"]] * 8]
    assert (await counts(ordering))["returns"] == 2


# Faults


async def test_lost_answer_is_looked_up_and_nothing_is_sent_twice(dated_sandbox: Sandbox, settings: Settings):
    """Of a source that makes a second return of a key, over both stores."""
    limits = {"timeouts": {"order_submissions": 1.0}}
    changed = {"erp": {"options": {"max_order_seconds": 1.0, "unique_order_keys": False}, "limits": limits}}
    given = {"intake": settings.intake, "postgres": settings.postgres}
    async with gateway(dated_sandbox, sources=changed, **given) as graph:
        erp = graph.backends["erp"]
        await erp.delete("/sandbox/submitted-orders")
        await erp.delete("/sandbox/requests")
        await graph.turn("erp", resource="return-submissions", ignoreKeys=True)
        await graph.turn("erp", resource="return-submissions/request", errorRate=1.0, errorKind="reset")
        try:
            lost = await graph.ask(REQUEST, {"input": wanted("lost")}, principal=BUYER)
            assert [one["extensions"]["code"] for one in lost["errors"]] == ["SOURCE_UNAVAILABLE"]
            assert codes(await request(graph, wanted("lost"))) == ["ORDER_CHANGE_PENDING"]
            assert codes(await request(graph, wanted("another", lines=[line(2, "1")]))) == ["ORDER_CHANGE_PENDING"]
            await graph.turn("erp", resource="return-submissions/request", errorRate=0)
            while codes(payload := await request(graph, wanted("lost"))) == ["ORDER_CHANGE_PENDING"]:
                await asyncio.sleep(0.05)
            assert (codes(payload), payload["return"]["shipmentState"]) == ([], "REQUESTED")
            assert (await sent(graph), await counts(graph)) == (1, {"keys": 1, "returns": 1, "doubled": []})
            assert codes(await request(graph, wanted("another", lines=[line(2, "1")]))) == []
        finally:
            await graph.repair()
            await erp.delete("/sandbox/submitted-orders")


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"resource": "return-submissions/request", "rateLimit": 0}, "SOURCE_THROTTLED"),
        ({"resource": "return-submissions/find", "errorRate": 1.0}, "SOURCE_UNAVAILABLE"),
        ({"resource": "returns", "errorRate": 1.0}, "SOURCE_UNAVAILABLE"),
    ],
)
async def test_request_that_had_no_effect_may_be_sent_again_at_once(ordering: Graph, fault: Any, code: str):
    await ordering.turn("erp", **fault)
    failed = await ordering.ask(REQUEST, {"input": wanted()}, principal=BUYER)
    assert [one["extensions"]["code"] for one in failed["errors"]] == [code]
    assert (failed["data"], (await counts(ordering))["returns"]) == ({"requestReturn": None}, 0)
    await ordering.repair()
    assert codes(await request(ordering, wanted())) == []


async def test_refusal_of_the_source_is_a_problem_and_stays_one_under_its_key(ordering: Graph):
    await ordering.turn("erp", resource="return-submissions/request", errorRate=1.0, errorKind="refuse")
    for _ in range(2):
        payload = await request(ordering, wanted())
        assert (codes(payload), payload["return"]) == (["RETURN_REFUSED"], None)
        await ordering.repair()
    assert codes(await request(ordering, wanted("new"))) == []


async def test_lost_answer_of_a_decision_is_not_sent_twice(ordering: Graph):
    row = (await request(ordering, wanted()))["return"]
    await ordering.turn("erp", resource="return-submissions/decide", errorRate=1.0, errorKind="reset")
    lost = await ordering.ask(DECIDE, {"input": {"id": row["id"], "version": 1, "decision": "APPROVE"}}, principal=CSR)
    assert [one["extensions"]["code"] for one in lost["errors"]] == ["SOURCE_UNAVAILABLE"]
    await ordering.repair()
    again = await decide(ordering, row, "APPROVE")
    assert (codes(again), again["return"]["version"], again["return"]["shipmentState"]) == (
        ["VERSION_CONFLICT"], 2, "APPROVED",
    )  # fmt: skip
    assert await sent(ordering, "decide") == 1


# Quantities


@pytest.mark.parametrize(
    ("order", "lines", "expected"),
    [
        (DELIVERED, [line(1, "6")], [("RETURN_EXCEEDS_DELIVERY", 1)]),
        (DELIVERED, [line(1, "5"), line(2, "2.001")], [("RETURN_EXCEEDS_DELIVERY", 2)]),
        (PARTIAL, [line(4, "11"), line(1, "13")], [("RETURN_EXCEEDS_DELIVERY", 1), ("RETURN_EXCEEDS_DELIVERY", 4)]),
        (RETURNED, [line(1, "1")], [("RETURN_EXCEEDS_DELIVERY", 1)]),
        (OPEN, [line(1, "1")], [("ORDER_NOT_DELIVERED", None)]),
        (DELIVERED, [line(99, "1"), line(1, "1")], [("LINE_UNKNOWN", 99)]),
    ],
)
async def test_no_more_than_was_delivered_comes_back(ordering: Graph, order: str, lines: Any, expected: Any):
    for _ in range(2):
        payload = await request(ordering, wanted(order=order, lines=lines))
        assert [(one["code"], one["lineNumber"]) for one in payload["problems"]] == expected
        assert payload["return"] is None
    assert (await sent(ordering), (await counts(ordering))["returns"]) == (0, 0)


async def test_what_is_in_an_open_return_cannot_be_returned_again(ordering: Graph):
    first = (await request(ordering, wanted("a", lines=[line(1, "4")])))["return"]
    assert codes(await request(ordering, wanted("b", lines=[line(1, "2")]))) == ["RETURN_EXCEEDS_DELIVERY"]
    assert codes(await request(ordering, wanted("c", lines=[line(1, "1")]))) == []
    assert codes(await decide(ordering, first, "REJECT")) == []
    assert codes(await request(ordering, wanted("d", lines=[line(1, "4")]))) == []
    assert codes(await request(ordering, wanted("e", lines=[line(1, "0.001")]))) == ["RETURN_EXCEEDS_DELIVERY"]


async def test_quantity_that_the_source_refuses_is_named_by_line(ordering: Graph):
    """The gateway is told of the order's returns by a read that shows none; the source knows them."""
    await request(ordering, wanted("a", lines=[line(1, "5")]))
    body = {
        "key": "other", "customer": "CUST-0001", "orderId": "519238", "orderNumber": DELIVERED, "channel": "API",
        "requestedBy": "b", "lines": [{"number": 1, "quantity": "1", "reason": "OTHER"}],
    }  # fmt: skip
    refused = await ordering.backends["erp"].post("/v1/return-submissions/request", json=body)
    assert (refused.status_code, refused.json()["code"], refused.json()["problems"][0]["lineNumber"]) == (
        422, "QUANTITY", 1,
    )  # fmt: skip


# Decisions


async def test_decisions_apply_to_their_states_and_versions(ordering: Graph):
    row = (await request(ordering, wanted()))["return"]
    old = await decide(ordering, row | {"version": 0}, "APPROVE")
    assert (codes(old), old["return"]["version"]) == (["VERSION_CONFLICT"], 1)
    approved = (await decide(ordering, row, "APPROVE"))["return"]
    for kind in ("APPROVE", "REJECT"):
        assert codes(await decide(ordering, approved, kind)) == ["INVALID_TRANSITION"]
    cancelled = await decide(ordering, approved, "CANCEL", BUYER, note="Fits after all")
    assert (codes(cancelled), cancelled["return"]["shipmentState"], cancelled["return"]["creditState"]) == (
        [], "CANCELLED", "NONE",
    )  # fmt: skip
    assert cancelled["return"]["message"] == "Fits after all"
    for kind in ("APPROVE", "REJECT", "CANCEL"):
        assert codes(await decide(ordering, cancelled["return"], kind)) == ["INVALID_TRANSITION"]
    sent_back = (await request(ordering, wanted("b")))["return"]
    transit = await change(ordering, sent_back, shipmentState="IN_TRANSIT")
    assert codes(await decide(ordering, transit, "CANCEL", BUYER)) == ["INVALID_TRANSITION"]
    rejected = await decide(ordering, (await request(ordering, wanted("c", lines=[line(2)])))["return"], "REJECT")
    assert rejected["return"]["shipmentState"] == "REFUSED"


async def test_nobody_approves_what_he_requested(ordering: Graph):
    row = (await request(ordering, wanted(), principal=CSR))["return"]
    own = await decide(ordering, row, "APPROVE", CSR)
    assert (codes(own), own["return"]["shipmentState"]) == (["SELF_APPROVAL"], "REQUESTED")
    assert codes(await decide(ordering, row, "APPROVE", CSR_LEAD)) == []
    assert await sent(ordering, "decide") == 1


async def test_customers_may_cancel_only(ordering: Graph):
    row = (await request(ordering, wanted()))["return"]
    for principal in (BUYER, BUYER_ADMIN):
        for kind in ("APPROVE", "REJECT"):
            input = {"id": row["id"], "version": 1, "decision": kind}
            answer = await ordering.ask(DECIDE, {"input": input}, principal=principal)
            assert [one["extensions"]["code"] for one in answer["errors"]] == ["FORBIDDEN"]
    assert codes(await decide(ordering, row, "CANCEL", BUYER_ADMIN)) == []


async def test_of_two_approvers_one_decides(ordering: Graph):
    row = (await request(ordering, wanted()))["return"]
    both = await asyncio.gather(decide(ordering, row, "APPROVE", CSR), decide(ordering, row, "REJECT", CSR_LEAD))
    failed = [codes(one) for one in both if codes(one)]
    assert len(failed) == 1
    assert failed[0] in (["ORDER_CHANGE_PENDING"], ["VERSION_CONFLICT"], ["INVALID_TRANSITION"])
    assert await sent(ordering, "decide") == 1


# Callers and bad input


@pytest.mark.parametrize("way", ["post", "websocket"])
async def test_every_role_requests_returns_or_is_refused(ordering: Graph, way: str):
    for role in Role:
        principal = signed(role) if role in UNRESTRICTED else signed(role, "CUST-0001")
        variables = {"input": wanted(f"role-{role.value}", lines=[line(4, "1")])}
        if way == "post":
            answer = await ordering.ask(REQUEST, variables, principal=principal)
        else:
            answer = await by_socket(ordering, REQUEST, variables, principal)
        errors = [error["extensions"]["code"] for error in answer.get("errors", ())]
        if role in ALLOWED:
            assert (errors, codes(answer["data"]["requestReturn"])) == ([], []), role
        else:
            assert (errors, answer["data"]) == (["FORBIDDEN"], {"requestReturn": None}), role
    assert (await counts(ordering))["returns"] == len(ALLOWED)


@pytest.mark.parametrize("way", ["post", "websocket"])
async def test_every_role_decides_or_is_refused(ordering: Graph, way: str):
    row = (await request(ordering, wanted()))["return"]
    for role in Role:
        principal = signed(role) if role in UNRESTRICTED else signed(role, "CUST-0001")
        for kind in ("APPROVE", "REJECT", "CANCEL"):
            variables = {"input": {"id": row["id"], "version": 0, "decision": kind}}
            if way == "post":
                answer = await ordering.ask(DECIDE, variables, principal=principal)
            else:
                answer = await by_socket(ordering, DECIDE, variables, principal)
            errors = [error["extensions"]["code"] for error in answer.get("errors", ())]
            allowed = ALLOWED if kind == "CANCEL" else {Role.CSR, Role.CSR_LEAD}
            if role in allowed:
                assert (errors, codes(answer["data"]["decideReturn"])) == ([], ["VERSION_CONFLICT"]), role
            else:
                assert (errors, answer["data"]) == (["FORBIDDEN"], {"decideReturn": None}), role
    assert await sent(ordering, "decide") == 0


async def test_requests_by_get_are_not_run(ordering: Graph):
    params = {"query": REQUEST, "variables": '{"input": {}}'}
    answer = await ordering.client.get("/graphql", params=params, headers=BUYER)
    assert (answer.status_code, await sent(ordering)) == (405, 0)


async def test_foreign_orders_and_returns_are_as_unknown_ones(ordering: Graph):
    row = (await request(ordering, wanted()))["return"]
    own = {"customer": {"number": "CUST-0002"}}
    foreign = await request(ordering, wanted("x", **own), principal=OTHER_BUYER)  # pyright: ignore[reportArgumentType]
    assert foreign == await request(ordering, wanted("x", order="SO-NOBODY", **own), principal=OTHER_BUYER)
    assert [(one["code"], one["path"]) for one in foreign["problems"]] == [("INVALID_INPUT", ["input", "order"])]
    other_customer = await request(ordering, wanted("y"), principal=OTHER_BUYER)
    assert (codes(other_customer), other_customer["return"]) == (["INVALID_INPUT"], None)
    mixed = await request(ordering, wanted("z", customer={"number": "CUST-0002"}), principal=CSR)
    assert codes(mixed) == ["INVALID_INPUT"]
    unknown = node_id("Return", "erp", "r1")
    assert await decide(ordering, row, "CANCEL", OTHER_BUYER) == await decide(
        ordering, {"id": unknown, "version": 1}, "CANCEL", OTHER_BUYER
    )
    assert (await ordering.data(READ, {"id": row["id"]}, principal=OTHER_BUYER))["node"] is None
    assert (await counts(ordering))["returns"] == 1


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"key": ""}, "key"),
        ({"key": "k" * 10_000}, "key"),
        ({"key": "a b"}, "key"),
        ({"key": "k\u0435y"}, "key"),
        ({"note": "n" * 1001}, "note"),
        ({"note": "a\0b"}, "note"),
        ({"lines": []}, "lines"),
        ({"lines": [line(number) for number in range(1, 502)]}, "lines"),
        ({"lines": [line(1), line(1)]}, "lines"),
        ({"lines": [line(1, "0")]}, "lines"),
        ({"lines": [line(1, "-1")]}, "lines"),
        ({"lines": [line(1, "1000000000001")]}, "lines"),
        ({"lines": [line(1, note="a\0")]}, "lines"),
        ({"order": {"number": ""}}, "order"),
        ({"order": {"id": "no id"}}, "order"),
        ({"customer": {"number": ""}}, "customer"),
    ],
)
async def test_wrong_input_is_a_problem_and_makes_no_return(ordering: Graph, given: dict[str, Any], path: str):
    payload = await request(ordering, wanted("bad") | given)
    assert (payload["return"], codes(payload)[0], payload["problems"][0]["path"][1]) == (None, "INVALID_INPUT", path)
    assert (await sent(ordering), await sent(ordering, "find")) == (0, 0)


@pytest.mark.parametrize("quantity", ["1e30", "NaN", "two", ""])
async def test_quantity_that_is_no_decimal_fails_the_operation(ordering: Graph, quantity: str):
    answer = await ordering.ask(REQUEST, {"input": wanted(lines=[line(1, quantity)])}, principal=BUYER)
    assert [one["extensions"]["code"] for one in answer["errors"]] == ["BAD_USER_INPUT"]
    assert await sent(ordering) == 0


async def test_source_without_returns_is_named(dated_sandbox: Sandbox):
    serves = ["customers", "items", "orders", "billing", "order_writer"]
    domains = {name: Domain(master="erp") for name in ("customers", "items", "billing")}
    async with gateway(
        dated_sandbox,
        sources={"erp": {"options": {"serves": serves}}},
        domains=DomainSettings(orders=OrderDomain(master="erp", write="erp"), **domains),  # pyright: ignore[reportArgumentType]
    ) as graph:
        answer = await graph.ask(REQUEST, {"input": wanted()}, principal=BUYER)
        (error,) = answer["errors"]
        assert (error["extensions"]["code"], error["message"]) == (
            "NOT_SUPPORTED", "The source 'erp' does not take returns.",
        )  # fmt: skip


async def test_credit_memos_of_returns_are_one_call(ordering: Graph):
    found: list[int] = []
    for first in (1, 50):
        await ordering.forget()
        listed = f"returns(first: {first}, filter: {{creditState: [CREDITED]}})"
        text = f"{{ {listed} {{ nodes {{ creditMemo credit {{ number }} }} }} }}"
        nodes = (await ordering.data(text, principal=CSR))["returns"]["nodes"]
        assert len(nodes) == first
        assert all(one["credit"]["number"] == one["creditMemo"] for one in nodes)
        found.append((await ordering.backends["erp"].get("/sandbox/counters")).json()["requests"])
    assert found[0] == found[1]
