"""Cancelling orders: submitted ones and those of the system of record, once for each key."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from app.auth.principal import SYSTEM, UNRESTRICTED, Role
from app.errors import NotSupported
from app.intake.order_changes import OrderChanges
from app.sandbox import Sandbox
from tests.intake.test_submit import counts, order, settled, submit
from tests.intake.test_transports import ORDERING, by_socket
from tests.support.gateway import BUYER, CSR, OTHER_BUYER, Graph, gateway, signed

CANCEL = """mutation Cancel($input: CancelOrderInput!) { cancelOrder(input: $input) {
    order { number status } intake { id state acknowledgement decisions { decision by note } orderNumber }
    problems { code message path } } }"""


async def cancel(graph: Graph, input: dict[str, Any], principal: Any = BUYER) -> dict[str, Any]:
    return (await graph.data(CANCEL, {"input": {"key": "cancel-1", **input}}, principal=principal))["cancelOrder"]


async def posted(graph: Graph, key: str = "key-1", principal: Any = BUYER) -> dict[str, Any]:
    """A submitted order that the system of record has."""
    return await settled(
        graph, (await submit(graph, order(key), principal=principal))["intake"]["id"], "POSTED", principal=principal
    )


async def cancel_requests(graph: Graph) -> int:
    """How many requests to cancel the system of record has got."""
    log = (await graph.backends["erp"].get("/sandbox/requests", params={"limit": "5000"})).json()
    return sum(one["path"] == "/v1/order-submissions/cancel" for one in log)


async def pick(graph: Graph, number: str) -> None:
    body = {"status": "PROCESSING"}
    (await graph.backends["erp"].post(f"/sandbox/orders/{number}", json=body)).raise_for_status()


def codes(payload: dict[str, Any]) -> list[str]:
    return [one["code"] for one in payload["problems"]]


async def test_posted_order_is_cancelled_in_its_system_of_record(ordering: Graph):
    intake = await posted(ordering)
    input = {"order": {"number": intake["orderNumber"]}, "reason": "ordered twice"}
    payload = await cancel(ordering, input)
    assert (payload["order"], payload["problems"]) == (
        {"number": intake["orderNumber"], "status": "CANCELLED"}, [],
    )  # fmt: skip
    assert payload["intake"] == {
        "id": intake["id"], "state": "CANCELLED", "acknowledgement": "REJECTED", "orderNumber": intake["orderNumber"],
        "decisions": [{"decision": "CANCEL", "by": "a-buyer", "note": "ordered twice"}],
    }  # fmt: skip
    assert (await counts(ordering))["orders"] == 0
    assert await cancel(ordering, input) == payload
    assert await cancel_requests(ordering) == 1


async def test_order_is_cancelled_by_its_intake_posted_or_not(ordering: Graph):
    done = await posted(ordering)
    payload = await cancel(ordering, {"intake": done["id"]})
    assert (payload["order"]["status"], payload["intake"]["state"]) == ("CANCELLED", "CANCELLED")
    await submit(ordering, order("a", customerPo="4711"))
    held = (await submit(ordering, order("b", customerPo="4711")))["intake"]
    for _ in range(2):
        payload = await cancel(ordering, {"intake": held["id"], "key": "cancel-2", "reason": "no"})
        assert (payload["order"], payload["intake"]["state"], payload["problems"]) == (None, "CANCELLED", [])
        assert payload["intake"]["decisions"] == [{"decision": "CANCEL", "by": "a-buyer", "note": "no"}]


async def test_order_of_the_erp_that_was_not_submitted_here_is_cancelled(ordering: Graph):
    text = """{ customer(by: {number: "CUST-0001"}) {
        orders(first: 1, filter: {status: [CONFIRMED]}) { nodes { number } } } }"""
    number = (await ordering.data(text, principal=BUYER))["customer"]["orders"]["nodes"][0]["number"]
    payload = await cancel(ordering, {"order": {"number": number}})
    assert (payload["order"], payload["intake"], payload["problems"]) == (
        {"number": number, "status": "CANCELLED"}, None, [],
    )  # fmt: skip
    (await ordering.backends["erp"].post(f"/sandbox/orders/{number}", json={"status": "CONFIRMED"})).raise_for_status()


async def test_order_that_is_picked_is_refused_and_stays_refused_under_its_key(ordering: Graph):
    intake = await posted(ordering)
    await pick(ordering, intake["orderNumber"])
    for _ in range(2):
        payload = await cancel(ordering, {"intake": intake["id"]})
        assert (codes(payload), payload["order"]["status"], payload["intake"]["state"]) == (
            ["ORDER_ALREADY_PICKED"], "PROCESSING", "POSTED",
        )  # fmt: skip
    assert await cancel_requests(ordering) == 1


async def test_order_that_somebody_else_has_cancelled_is_cancelled_without_a_request(ordering: Graph):
    intake = await posted(ordering)
    body = {"status": "CANCELLED"}
    (await ordering.backends["erp"].post(f"/sandbox/orders/{intake['orderNumber']}", json=body)).raise_for_status()
    payload = await cancel(ordering, {"intake": intake["id"]})
    assert (codes(payload), payload["intake"]["state"], await cancel_requests(ordering)) == ([], "CANCELLED", 0)


# Keys


async def test_key_with_another_input_is_refused(ordering: Graph):
    first, second = await posted(ordering, "a"), await posted(ordering, "b")
    await cancel(ordering, {"intake": first["id"]})
    for other in ({"intake": second["id"]}, {"order": {"number": first["orderNumber"]}, "reason": "x"}):
        payload = await cancel(ordering, other)
        assert [(one["code"], one["path"]) for one in payload["problems"]] == [("KEY_REUSED", ["input", "key"])]
    assert await cancel_requests(ordering) == 1


async def test_key_of_a_cancellation_here_is_of_its_order_and_reason(ordering: Graph):
    await submit(ordering, order("a", customerPo="4711"))
    first, second = [(await submit(ordering, order(key, customerPo="4711")))["intake"] for key in ("b", "c")]
    await cancel(ordering, {"intake": first["id"]})
    for other in ({"intake": second["id"]}, {"intake": first["id"], "reason": "x"}):
        payload = await cancel(ordering, other)
        assert [(one["code"], one["path"]) for one in payload["problems"]] == [("KEY_REUSED", ["input", "key"])]
    again = await cancel(ordering, {"intake": first["id"]})
    assert (again["intake"]["state"], again["problems"]) == ("CANCELLED", [])
    assert (await cancel(ordering, {"intake": second["id"], "key": "cancel-2"}))["intake"]["state"] == "CANCELLED"


async def test_simultaneous_cancellations_of_one_key_are_one_request(ordering: Graph):
    intake = await posted(ordering)
    input = {"order": {"number": intake["orderNumber"]}}
    payloads = await asyncio.gather(*(cancel(ordering, input) for _ in range(20)))
    assert {tuple(codes(one)) for one in payloads} <= {(), ("ORDER_CHANGE_PENDING",)}
    assert () in {tuple(codes(one)) for one in payloads}
    assert await cancel_requests(ordering) == 1
    assert codes(await cancel(ordering, input)) == []


# Faults


async def test_lost_answer_is_looked_up_once_the_request_can_no_longer_take_effect(dated_sandbox: Sandbox):
    limits = {"timeouts": {"order_submissions": 2.0}}
    changed = {"erp": {"options": {"max_order_seconds": 2.0}, "limits": limits}}
    async with gateway(dated_sandbox, sources=changed) as graph:
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
        intake = await posted(graph)
        input = {"order": {"number": intake["orderNumber"]}}
        await graph.turn("erp", resource="order-submissions", errorRate=1.0, errorKind="reset")
        answer = await graph.ask(CANCEL, {"input": {"key": "c", **input}}, principal=BUYER)
        assert [one["extensions"]["code"] for one in answer["errors"]] == ["SOURCE_UNAVAILABLE"]
        assert codes(await cancel(graph, {"key": "c", **input})) == ["ORDER_CHANGE_PENDING"]
        await graph.repair()
        while codes(payload := await cancel(graph, {"key": "c", **input})) == ["ORDER_CHANGE_PENDING"]:
            await asyncio.sleep(0.05)
        assert (codes(payload), payload["order"]["status"], payload["intake"]["state"]) == (
            [],
            "CANCELLED",
            "CANCELLED",
        )
        assert await cancel_requests(graph) == 1
        await graph.backends["erp"].delete("/sandbox/submitted-orders")


async def test_request_that_was_not_accepted_may_be_sent_again_at_once(ordering: Graph):
    intake = await posted(ordering)
    await ordering.turn("erp", resource="order-submissions", rateLimit=0)
    answer = await ordering.ask(CANCEL, {"input": {"key": "c", "intake": intake["id"]}}, principal=BUYER)
    assert [one["extensions"]["code"] for one in answer["errors"]] == ["SOURCE_THROTTLED"]
    await ordering.repair()
    payload = await cancel(ordering, {"key": "c", "intake": intake["id"]})
    assert (codes(payload), payload["order"]["status"]) == ([], "CANCELLED")


# Callers and bad input


@pytest.mark.parametrize("way", ["post", "websocket"])
async def test_every_role_cancels_or_is_refused(ordering: Graph, way: str):
    for role in Role:
        intake = await posted(ordering, f"key-{role.value}", principal=CSR)
        principal = signed(role) if role in UNRESTRICTED else signed(role, "CUST-0001")
        variables = {"input": {"key": f"c-{role.value}", "order": {"number": intake["orderNumber"]}}}
        if way == "post":
            answer = await ordering.ask(CANCEL, variables, principal=principal)
        else:
            answer = await by_socket(ordering, CANCEL, variables, principal)
        errors = [error["extensions"]["code"] for error in answer.get("errors", ())]
        if role in ORDERING:
            assert (errors, codes(answer["data"]["cancelOrder"])) == ([], []), role
        else:
            assert (errors, answer["data"]) == (["FORBIDDEN"], {"cancelOrder": None}), role


async def test_foreign_and_unknown_orders_are_the_same(ordering: Graph):
    intake = await posted(ordering)
    foreign = await cancel(ordering, {"order": {"number": intake["orderNumber"]}}, principal=OTHER_BUYER)
    unknown = await cancel(ordering, {"order": {"number": "SO-NOBODY"}}, principal=OTHER_BUYER)
    assert foreign == unknown
    assert (codes(foreign), foreign["order"], foreign["intake"]) == (["INVALID_INPUT"], None, None)
    by_intake = await cancel(ordering, {"intake": intake["id"]}, principal=OTHER_BUYER)
    assert codes(by_intake) == ["INVALID_INPUT"]
    assert (await counts(ordering))["orders"] == 1


@pytest.mark.parametrize(
    ("input", "paths"),
    [
        ({"key": "", "order": {"number": "SO-1"}}, [["input", "key"]]),
        ({"key": "x" * 10_000, "order": {"number": "SO-1"}}, [["input", "key"]]),
        ({"key": "k\u0435y", "order": {"number": "SO-1"}}, [["input", "key"]]),
        ({"order": {"number": "SO-1"}, "reason": "x" * 1001}, [["input", "reason"]]),
        ({"order": {"number": "SO-1"}, "reason": "a\u0000b"}, [["input", "reason"]]),
        ({}, [["input"]]),
        ({"order": {"number": "SO-1"}, "intake": "x"}, [["input"]]),
        ({"order": {"number": ""}}, [["input"]]),
        ({"intake": "no id"}, [["input"]]),
    ],
)
async def test_wrong_input_is_a_problem(ordering: Graph, input: dict[str, Any], paths: list[list[str]]):
    payload = await cancel(ordering, input)
    assert (payload["order"], [one["path"] for one in payload["problems"]]) == (None, paths)
    assert await cancel_requests(ordering) == 0


async def test_source_that_takes_no_orders_is_named():
    changes = OrderChanges(None, SimpleNamespace(order_targets=None))  # type: ignore[arg-type]
    shipped = SimpleNamespace(source="shop", id="1", number="SO-1", customer="C-1")
    with pytest.raises(NotSupported) as refused:
        await changes.cancel(SYSTEM, shipped, "k", None)  # type: ignore[arg-type]
    assert refused.value.message == "shop does not let the gateway change its orders."
