"""Amending orders: submitted ones and those of the system of record."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from app.auth.principal import UNRESTRICTED, Role
from app.sandbox import Sandbox
from app.settings import ApprovalRule, ApprovalSettings, ApprovalTier, IntakeSettings
from tests.intake.test_order_changes import codes, pick, posted
from tests.intake.test_submit import counts, line, order, settled, submit
from tests.intake.test_transports import ORDERING, by_socket
from tests.support.gateway import BUYER, BUYER_ADMIN, CSR, OTHER_BUYER, Graph, gateway, signed

AMEND = """mutation Amend($input: AmendOrderInput!) { amendOrder(input: $input) {
    order { number status lines { number quantity cancelledQuantity } }
    intake { id version state awaitedTier lines { lineNumber quantity } decisions { decision by note }
      approvals { tier current } problems { code } }
    problems { code message path lineNumber } } }"""


async def amend(graph: Graph, input: dict[str, Any], *lines: tuple[int, str], principal: Any = BUYER) -> dict[str, Any]:
    quantities = [{"lineNumber": number, "quantity": quantity} for number, quantity in lines]
    variables = {"input": {"key": "amend-1", "lines": quantities, **input}}
    return (await graph.data(AMEND, variables, principal=principal))["amendOrder"]


async def amend_requests(graph: Graph) -> int:
    log = (await graph.backends["erp"].get("/sandbox/requests", params={"limit": "5000"})).json()
    return sum(one["path"] == "/v1/order-submissions/amend" for one in log)


def quantities(intake: dict[str, Any]) -> list[tuple[int, str]]:
    return [(one["lineNumber"], one["quantity"]) for one in intake["lines"]]


# In the system of record


async def test_posted_order_is_amended_once_for_each_key(ordering: Graph):
    intake = await posted(ordering)
    input = {"order": {"number": intake["orderNumber"]}, "reason": "less"}
    payload = await amend(ordering, input, (1, "6"), (2, "0"))
    assert (payload["problems"], payload["order"]["lines"]) == (
        [], [{"number": 1, "quantity": "6", "cancelledQuantity": "0"},
             {"number": 2, "quantity": "6", "cancelledQuantity": "6"}],
    )  # fmt: skip
    assert (payload["intake"]["state"], payload["intake"]["decisions"]) == (
        "POSTED", [{"decision": "AMEND", "by": "a-buyer", "note": "less"}],
    )  # fmt: skip
    again = await amend(ordering, input, (2, "0.0"), (1, "6.00"))
    assert (codes(again), again["order"], await amend_requests(ordering)) == ([], payload["order"], 1)
    reused = await amend(ordering, input, (1, "7"))
    assert [(one["code"], one["path"]) for one in reused["problems"]] == [("KEY_REUSED", ["input", "key"])]


async def test_picked_order_is_not_amended(ordering: Graph):
    intake = await posted(ordering)
    await pick(ordering, intake["orderNumber"])
    payload = await amend(ordering, {"intake": intake["id"]}, (1, "6"))
    assert (codes(payload), payload["order"]["lines"][0]["quantity"]) == (["ORDER_ALREADY_PICKED"], "12")


async def test_order_that_has_the_quantities_is_not_sent(ordering: Graph):
    intake = await posted(ordering)
    payload = await amend(ordering, {"intake": intake["id"]}, (1, "12"), (2, "6.0"))
    assert (codes(payload), await amend_requests(ordering)) == ([], 0)


async def test_lost_answer_is_not_sent_twice(dated_sandbox: Sandbox):
    limits = {"timeouts": {"order_submissions": 2.0}}
    changed = {"erp": {"options": {"max_order_seconds": 2.0, "amends_orders": True}, "limits": limits}}
    async with gateway(dated_sandbox, sources=changed) as graph:
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
        intake = await posted(graph)
        input = {"order": {"number": intake["orderNumber"]}}
        await graph.turn("erp", resource="order-submissions", errorRate=1.0, errorKind="reset")
        lines = [{"lineNumber": 1, "quantity": "6"}]
        answer = await graph.ask(AMEND, {"input": {"key": "amend-1", "lines": lines, **input}}, principal=BUYER)
        assert [one["extensions"]["code"] for one in answer["errors"]] == ["SOURCE_UNAVAILABLE"]
        await graph.repair()
        while codes(payload := await amend(graph, input, (1, "6"))) == ["ORDER_CHANGE_PENDING"]:
            await asyncio.sleep(0.05)
        assert (codes(payload), payload["order"]["lines"][0]["quantity"]) == ([], "6")
        assert await amend_requests(graph) == 1
        await graph.backends["erp"].delete("/sandbox/submitted-orders")


async def test_source_that_does_not_amend_is_named(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, sources={"erp": {"options": {}}}) as graph:
        intake = await posted(graph)
        payload = await amend(graph, {"intake": intake["id"]}, (1, "6"))
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
    assert [(one["code"], one["message"]) for one in payload["problems"]] == [
        ("NOT_SUPPORTED", "erp does not let the gateway amend its orders."),
    ]  # fmt: skip


# Before it is posted


async def held(graph: Graph) -> dict[str, Any]:
    """An order that is held for its purchase order number."""
    await submit(graph, order("a", customerPo="4711"))
    return (await submit(graph, order("b", customerPo="4711")))["intake"]


async def test_order_that_is_not_posted_is_amended_here(ordering: Graph):
    intake = await held(ordering)
    payload = await amend(ordering, {"intake": intake["id"], "reason": "less"}, (1, "24"), (2, "0"))
    amended = payload["intake"]
    assert (quantities(amended), amended["state"], amended["version"], payload["order"]) == (
        [(1, "24")], "HELD", 2, None,
    )  # fmt: skip
    assert codes(payload) == ["DUPLICATE_PO"]
    assert amended["decisions"] == [{"decision": "AMEND", "by": "a-buyer", "note": "less"}]
    again = await amend(ordering, {"intake": intake["id"], "reason": "less"}, (2, "0.0"), (1, "24.0"))
    assert (again["intake"]["version"], again["problems"]) == (2, [])
    decide = (
        """mutation ($input: DecideInput!) { decideIntake(input: $input) { intake { state } problems { code } } }"""
    )
    input = {"id": intake["id"], "version": 2, "decision": "RELEASE"}
    await ordering.data(decide, {"input": input}, principal=CSR)
    done = await settled(ordering, intake["id"], "POSTED")
    assert [(one["number"], one["quantity"]) for one in done["order"]["lines"]] == [(1, "24")]


async def test_amendment_that_the_checks_reject_changes_nothing(ordering: Graph):
    intake = await held(ordering)
    payload = await amend(ordering, {"intake": intake["id"]}, (1, "0.3"))
    assert [(one["code"], one["lineNumber"]) for one in payload["problems"]] == [("QUANTITY_NOT_ORDERABLE", 1)]
    assert (payload["intake"]["version"], quantities(payload["intake"])) == (1, [(1, "12"), (2, "6")])


async def test_key_of_an_amendment_here_is_of_its_order_and_quantities(ordering: Graph):
    first = await held(ordering)
    other = (await submit(ordering, order("c", customerPo="4711")))["intake"]
    await amend(ordering, {"intake": first["id"]}, (1, "24"))
    for input, lines in (
        ({"intake": first["id"]}, ((1, "36"),)),
        ({"intake": first["id"], "reason": "more"}, ((1, "24"),)),
        ({"intake": other["id"]}, ((1, "24"),)),
    ):
        payload = await amend(ordering, input, *lines)
        assert [(one["code"], one["path"]) for one in payload["problems"]] == [("KEY_REUSED", ["input", "key"])]
    assert (await amend(ordering, {"intake": first["id"]}, (1, "24")))["intake"]["version"] == 2
    read = (await amend(ordering, {"intake": other["id"], "key": "amend-2"}, (1, "12")))["intake"]
    assert (read["version"], quantities(read)) == (1, [(1, "12"), (2, "6")])


async def test_amendment_that_was_rejected_may_be_repeated_under_its_key(ordering: Graph):
    intake = await held(ordering)
    for _ in range(2):
        payload = await amend(ordering, {"intake": intake["id"]}, (1, "0.3"))
        assert codes(payload) == ["QUANTITY_NOT_ORDERABLE"]
    foreign = await amend(ordering, {"intake": intake["id"]}, (1, "24"))
    assert codes(foreign) == ["KEY_REUSED"]


async def test_simultaneous_amendments_of_one_key_are_one_change(ordering: Graph):
    intake = await held(ordering)
    payloads = await asyncio.gather(*(amend(ordering, {"intake": intake["id"]}, (1, "24")) for _ in range(10)))
    assert {tuple(codes(one)) for one in payloads} <= {("DUPLICATE_PO",), (), ("ORDER_CHANGE_PENDING",)}
    again = await amend(ordering, {"intake": intake["id"]}, (1, "24"))
    assert (again["intake"]["version"], len(again["intake"]["decisions"])) == (2, 1)


async def test_key_of_an_amendment_here_holds_once_the_order_is_posted(ordering: Graph):
    intake = await held(ordering)
    await amend(ordering, {"intake": intake["id"]}, (1, "24"))
    decide = "mutation ($input: DecideInput!) { decideIntake(input: $input) { problems { code } } }"
    await ordering.data(decide, {"input": {"id": intake["id"], "version": 2, "decision": "RELEASE"}}, principal=CSR)
    number = (await settled(ordering, intake["id"], "POSTED"))["orderNumber"]
    again = await amend(ordering, {"intake": intake["id"]}, (1, "24"))
    assert (codes(again), again["intake"]["state"], await amend_requests(ordering)) == ([], "POSTED", 0)
    by_number = await amend(ordering, {"order": {"number": number}}, (1, "36"))
    assert (codes(by_number), await amend_requests(ordering)) == (["KEY_REUSED"], 0)


async def test_amended_order_needs_new_approvals(dated_sandbox: Sandbox):
    tiers = (
        ApprovalTier(name="manager", role="buyer_admin", up_to=Decimal(1)),
        ApprovalTier(name="service", role="csr_lead"),
    )
    approvals = ApprovalSettings(tiers=tiers, rules=(ApprovalRule(name="all"),))
    decide = """mutation ($input: DecideInput!) { decideIntake(input: $input) { intake { awaitedTier version } } }"""
    async with gateway(dated_sandbox, intake=IntakeSettings(approvals=approvals)) as graph:
        intake = (await submit(graph, order()))["intake"]
        first = await amend(graph, {"intake": intake["id"]}, (1, "24"))
        assert [one["code"] for one in first["problems"]] == ["APPROVAL_REQUIRED"]
        input = {"id": intake["id"], "version": 2, "decision": "APPROVE"}
        approved = (await graph.data(decide, {"input": input}, principal=BUYER_ADMIN))["decideIntake"]["intake"]
        assert approved == {"awaitedTier": "service", "version": 3}
        second = await amend(graph, {"intake": intake["id"], "key": "amend-2"}, (1, "12"))
    assert (second["intake"]["state"], second["intake"]["awaitedTier"]) == ("NEEDS_APPROVAL", "manager")
    assert second["intake"]["approvals"] == [{"tier": "manager", "current": False}]
    assert codes(second) == ["APPROVAL_OUTDATED", "APPROVAL_REQUIRED"]


async def test_rejected_order_is_not_amended(ordering: Graph):
    intake = (await submit(ordering, order(lines=[line(1, "NO-SUCH")])))["intake"]
    payload = await amend(ordering, {"intake": intake["id"]}, (1, "6"))
    assert codes(payload) == ["INVALID_TRANSITION"]


# Callers and bad input


@pytest.mark.parametrize("way", ["post", "websocket"])
async def test_every_role_amends_or_is_refused(ordering: Graph, way: str):
    for role in Role:
        intake = await posted(ordering, f"key-{role.value}", principal=CSR)
        principal = signed(role) if role in UNRESTRICTED else signed(role, "CUST-0001")
        lines = [{"lineNumber": 1, "quantity": "6"}]
        variables = {"input": {"key": f"c-{role.value}", "order": {"number": intake["orderNumber"]}, "lines": lines}}
        if way == "post":
            answer = await ordering.ask(AMEND, variables, principal=principal)
        else:
            answer = await by_socket(ordering, AMEND, variables, principal)
        errors = [error["extensions"]["code"] for error in answer.get("errors", ())]
        if role in ORDERING:
            assert (errors, codes(answer["data"]["amendOrder"])) == ([], []), role
        else:
            assert (errors, answer["data"]) == (["FORBIDDEN"], {"amendOrder": None}), role


async def test_foreign_order_does_not_exist(ordering: Graph):
    intake = await posted(ordering)
    foreign = await amend(ordering, {"order": {"number": intake["orderNumber"]}}, (1, "6"), principal=OTHER_BUYER)
    unknown = await amend(ordering, {"order": {"number": "SO-NOBODY"}}, (1, "6"), principal=OTHER_BUYER)
    assert foreign == unknown
    assert (codes(foreign), foreign["order"]) == (["INVALID_INPUT"], None)
    assert codes(await amend(ordering, {"intake": intake["id"]}, (1, "6"), principal=OTHER_BUYER)) == ["INVALID_INPUT"]
    assert await amend_requests(ordering) == 0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "Name at least one line."),
        (((1, "6"), (1, "7")), "lineNumber must be unique."),
        (((1, "-1"),), "quantity must be from 0 to 10^12."),
        (((1, "1000000000001"),), "quantity must be from 0 to 10^12."),
        (((9, "1"),), "The order has no line 9."),
        (((1, "0"), (2, "0")), "No line would be left. Cancel the order instead."),
    ],
)
async def test_wrong_lines_are_problems(ordering: Graph, lines: tuple[tuple[int, str], ...], message: str):
    intake = await posted(ordering)
    payload = await amend(ordering, {"order": {"number": intake["orderNumber"]}}, *lines)
    assert [(one["code"], one["message"]) for one in payload["problems"]] == [("INVALID_INPUT", message)]
    assert (await amend_requests(ordering), (await counts(ordering))["orders"]) == (0, 1)
