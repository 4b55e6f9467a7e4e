"""Approvals: rules and spend limits, tiers, who may decide, and checks that are repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from app.auth.principal import UNRESTRICTED, Role
from app.sandbox import Sandbox
from app.settings import (
    ApprovalRule,
    ApprovalSettings,
    ApprovalTier,
    IntakeSettings,
    PolicySettings,
    RoleSettings,
)
from tests.intake.test_price_proofs import change_price
from tests.intake.test_submit import counts, order
from tests.intake.test_transports import by_socket
from tests.intake.test_updates import following, update
from tests.support.gateway import BUYER, BUYER_ADMIN, CSR, CSR_LEAD, OTHER_BUYER, Graph, gateway, signed

OTHER_ADMIN = signed(Role.BUYER_ADMIN, "CUST-0001", subject="another-admin")
FOREIGN_ADMIN = signed(Role.BUYER_ADMIN, "CUST-0002", subject="foreign-admin")

INTAKE = """id version state acknowledgement awaitedTier requiredApproval { rules tiers amount { amount currency } }
    approvals { tier decision by amount { amount } note current } decisions { decision by }
    problems { code } lines { current { amount } priceUnit quantity }"""
SUBMIT = f"mutation ($input: SubmitOrderInput!) {{ submitOrder(input: $input) {{ intake {{ {INTAKE} }} }} }}"
DECIDE = f"""mutation ($input: DecideInput!) {{ decideIntake(input: $input) {{
    intake {{ {INTAKE} }} problems {{ code }} }} }}"""
READ = f"query ($id: ID!) {{ orderIntake(by: {{id: $id}}) {{ {INTAKE} }} }}"
AWAITING = """query ($n: Int!, $after: String) { approvalsAwaitingMe(first: $n, after: $after) {
    nodes { key } pageInfo { endCursor hasNextPage hasPreviousPage } } }"""

ONE_TIER = ApprovalSettings(
    tiers=(ApprovalTier(name="manager", role="buyer_admin"),),
    rules=(ApprovalRule(name="all-orders", above=Decimal(0)),),
)
TWO_TIERS = ApprovalSettings(
    tiers=(
        ApprovalTier(name="manager", role="buyer_admin", up_to=Decimal(10)),
        ApprovalTier(name="service", role="csr_lead"),
    ),
    rules=(ApprovalRule(name="all-orders", above=Decimal(0)),),
)


def approving(sandbox: Sandbox, approvals: ApprovalSettings, **changed: Any) -> Any:
    return gateway(sandbox, intake=IntakeSettings(approvals=approvals), **changed)


async def run_with(sandbox: Sandbox, approvals: ApprovalSettings, **changed: Any) -> AsyncIterator[Graph]:
    async with approving(sandbox, approvals, **changed) as graph:
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
        try:
            yield graph
        finally:
            await graph.repair()
            await graph.backends["erp"].delete("/sandbox/submitted-orders")


@pytest.fixture
async def one_tier(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    async for graph in run_with(dated_sandbox, ONE_TIER):
        yield graph


@pytest.fixture
async def two_tiers(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    async for graph in run_with(dated_sandbox, TWO_TIERS):
        yield graph


async def submit(graph: Graph, input: dict[str, Any], principal: Any = BUYER) -> dict[str, Any]:
    return (await graph.data(SUBMIT, {"input": input}, principal=principal))["submitOrder"]["intake"]


async def decide(
    graph: Graph, intake: dict[str, Any], decision: str = "APPROVE", principal: Any = BUYER_ADMIN, **given: Any
) -> dict[str, Any]:
    input = {"id": intake["id"], "version": intake["version"], "decision": decision, **given}
    return (await graph.data(DECIDE, {"input": input}, principal=principal))["decideIntake"]


async def reached(graph: Graph, id: str, *states: str, principal: Any = BUYER) -> dict[str, Any]:
    """The intake once it is in one of these states."""
    while True:
        found = (await graph.data(READ, {"id": id}, principal=principal))["orderIntake"]
        if found["state"] in states:
            return found
        await asyncio.sleep(0.01)


async def awaiting(graph: Graph, principal: Any) -> list[str]:
    """The keys that wait for a caller."""
    nodes = (await graph.data(AWAITING, {"n": 50}, principal=principal))["approvalsAwaitingMe"]["nodes"]
    return [one["key"] for one in nodes]


def codes(payload: dict[str, Any]) -> list[str]:
    return [one["code"] for one in payload["problems"]]


def net(intake: dict[str, Any]) -> Decimal:
    return sum(
        (Decimal(one["current"]["amount"]) * Decimal(one["quantity"]) / Decimal(one["priceUnit"])
         for one in intake["lines"]), Decimal(0),
    )  # fmt: skip


# One tier


async def test_order_waits_for_an_approver_and_is_posted_once_approved(one_tier: Graph):
    intake = await submit(one_tier, order())
    assert (intake["state"], intake["acknowledgement"], intake["awaitedTier"]) == (
        "NEEDS_APPROVAL", "PENDING", "manager",
    )  # fmt: skip
    required = intake["requiredApproval"]
    assert (required["rules"], required["tiers"], required["amount"]["currency"]) == (
        ["all-orders"], ["manager"], "USD",
    )  # fmt: skip
    assert Decimal(required["amount"]["amount"]) == net(intake) > 0
    assert (codes(intake), intake["approvals"]) == (["APPROVAL_REQUIRED"], [])
    assert (await counts(one_tier))["orders"] == 0
    approved = await decide(one_tier, intake, note="fine")
    assert (codes(approved), approved["intake"]["awaitedTier"]) == ([], None)
    assert approved["intake"]["approvals"] == [
        {"tier": "manager", "decision": "APPROVE", "by": "a-buyer_admin", "note": "fine", "current": True,
         "amount": {"amount": required["amount"]["amount"]}},
    ]  # fmt: skip
    posted = await reached(one_tier, intake["id"], "POSTED")
    assert ([one["decision"] for one in posted["decisions"]], len(posted["approvals"])) == (["APPROVE"], 1)
    assert await counts(one_tier) == {"keys": 1, "orders": 1, "doubled": []}


async def test_rejected_order_is_final(one_tier: Graph):
    intake = await submit(one_tier, order())
    rejected = await decide(one_tier, intake, "REJECT", note="not now")
    assert (rejected["intake"]["state"], rejected["intake"]["acknowledgement"]) == ("REJECTED", "REJECTED")
    assert [(one["tier"], one["decision"], one["note"]) for one in rejected["intake"]["approvals"]] == [
        ("manager", "REJECT", "not now"),
    ]  # fmt: skip
    assert codes(rejected) == []
    late = await decide(one_tier, rejected["intake"])
    assert codes(late) == ["INVALID_TRANSITION"]
    assert await awaiting(one_tier, BUYER_ADMIN) == []


async def test_same_submission_again_is_the_intake_that_waits(one_tier: Graph):
    intake = await submit(one_tier, order())
    again = await submit(one_tier, order())
    assert (again["id"], again["version"], again["state"]) == (intake["id"], 1, "NEEDS_APPROVAL")


async def test_submitter_may_cancel(one_tier: Graph):
    intake = await submit(one_tier, order())
    cancelled = await decide(one_tier, intake, "CANCEL", principal=BUYER)
    assert (cancelled["intake"]["state"], cancelled["intake"]["approvals"]) == ("CANCELLED", [])


# Who decides


@pytest.mark.parametrize("way", ["post", "websocket"])
async def test_every_role_decides_or_is_refused(one_tier: Graph, way: str):
    intake = await submit(one_tier, order())
    for role in Role:
        if role is Role.BUYER_ADMIN:
            continue
        principal = signed(role) if role in UNRESTRICTED else signed(role, "CUST-0001")
        for decision in ("APPROVE", "REJECT"):
            variables = {"input": {"id": intake["id"], "version": 1, "decision": decision}}
            if way == "post":
                answer = await one_tier.ask(DECIDE, variables, principal=principal)
            else:
                answer = await by_socket(one_tier, DECIDE, variables, principal)
            payload = (answer["data"] or {}).get("decideIntake")
            errors = [error["extensions"]["code"] for error in answer.get("errors", ())]
            found = errors if payload is None else codes(payload)
            staff = {Role.CSR_LEAD: "APPROVAL_NOT_ALLOWED", Role.CSR: "APPROVAL_NOT_ALLOWED"}
            expected = staff.get(role, "FORBIDDEN") if decision == "REJECT" or role is Role.CSR_LEAD else "FORBIDDEN"
            assert found == [expected], (role, decision)
    found = (await one_tier.data(READ, {"id": intake["id"]}, principal=BUYER))["orderIntake"]
    assert (found["state"], found["version"], found["approvals"]) == ("NEEDS_APPROVAL", 1, [])


@pytest.mark.parametrize("way", ["post", "websocket"])
async def test_nobody_decides_on_an_order_of_their_own(one_tier: Graph, way: str):
    intake = await submit(one_tier, order(), principal=BUYER_ADMIN)
    for decision in ("APPROVE", "REJECT"):
        variables = {"input": {"id": intake["id"], "version": 1, "decision": decision}}
        if way == "post":
            answer = await one_tier.ask(DECIDE, variables, principal=BUYER_ADMIN)
        else:
            answer = await by_socket(one_tier, DECIDE, variables, BUYER_ADMIN)
        payload = answer["data"]["decideIntake"]
        assert (codes(payload), payload["intake"]["state"]) == (["SELF_APPROVAL"], "NEEDS_APPROVAL")
    assert (await awaiting(one_tier, BUYER_ADMIN), await awaiting(one_tier, OTHER_ADMIN)) == ([], ["key-1"])
    assert (await decide(one_tier, intake, principal=OTHER_ADMIN))["intake"]["state"] == "POSTING"


async def test_order_of_a_foreign_customer_does_not_exist(one_tier: Graph):
    intake = await submit(one_tier, order())
    payload = await decide(one_tier, intake, principal=FOREIGN_ADMIN)
    assert (payload["intake"], codes(payload)) == (None, ["INVALID_INPUT"])
    assert await awaiting(one_tier, FOREIGN_ADMIN) == []


async def test_old_version_is_refused(one_tier: Graph):
    intake = await submit(one_tier, order())
    for version in (0, 2, 2**31 - 1):
        payload = await decide(one_tier, {**intake, "version": version})
        assert (codes(payload), payload["intake"]["version"]) == (["VERSION_CONFLICT"], 1)


async def test_of_two_approvers_one_wins(one_tier: Graph):
    intake = await submit(one_tier, order())
    approve, reject = await asyncio.gather(
        decide(one_tier, intake), decide(one_tier, intake, "REJECT", principal=OTHER_ADMIN)
    )
    refused = [one for one in (approve, reject) if codes(one)]
    assert [codes(one) in (["VERSION_CONFLICT"], ["INTAKE_BUSY"]) for one in refused] == [True]
    final = await reached(one_tier, intake["id"], "POSTED", "REJECTED")
    assert (final["state"], (await counts(one_tier))["orders"]) == (
        ("REJECTED", 0) if refused[0] is approve else ("POSTED", 1)
    )


async def test_list_has_only_what_the_caller_may_decide(one_tier: Graph):
    await submit(one_tier, order("a"))
    await submit(one_tier, order("b", customer={"number": "CUST-0002"}), principal=OTHER_BUYER)
    await submit(one_tier, order("c"), principal=BUYER_ADMIN)
    await submit(one_tier, order("d"), principal=CSR)
    assert await awaiting(one_tier, BUYER_ADMIN) == ["d", "a"]
    assert await awaiting(one_tier, OTHER_ADMIN) == ["d", "c", "a"]
    assert await awaiting(one_tier, FOREIGN_ADMIN) == ["b"]
    assert await awaiting(one_tier, CSR_LEAD) == []
    for principal in (BUYER, CSR, signed(Role.PARTNER, "CUST-0001"), signed(Role.OPERATIONS)):
        answer = await one_tier.ask(AWAITING, {"n": 5}, principal=principal)
        assert (answer["data"], answer["errors"][0]["extensions"]["code"]) == (
            {"approvalsAwaitingMe": None},
            "FORBIDDEN",
        )


async def test_list_is_paged(one_tier: Graph):
    for number in range(5):
        await submit(one_tier, order(f"k-{number}"))
    after, pages = None, []
    while True:
        page = (await one_tier.data(AWAITING, {"n": 2, "after": after}, principal=BUYER_ADMIN))["approvalsAwaitingMe"]
        pages.append([one["key"] for one in page["nodes"]])
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert pages == [["k-4", "k-3"], ["k-2", "k-1"], ["k-0"]]
    query = "query ($after: String) { orderIntakes(first: 1, after: $after) { nodes { id } } }"
    foreign = await one_tier.ask(query, {"after": after}, principal=BUYER)
    assert foreign["errors"][0]["extensions"]["code"] == "INVALID_CURSOR"


# Tiers


async def test_tiers_approve_one_after_the_other(two_tiers: Graph):
    intake = await submit(two_tiers, order())
    assert net(intake) > 10
    assert (intake["requiredApproval"]["tiers"], intake["awaitedTier"]) == (["manager", "service"], "manager")
    assert codes(await decide(two_tiers, intake, principal=CSR_LEAD)) == ["APPROVAL_NOT_ALLOWED"]
    first = (await decide(two_tiers, intake))["intake"]
    assert (first["state"], first["awaitedTier"], first["version"], codes(first)) == (
        "NEEDS_APPROVAL", "service", 2, ["APPROVAL_REQUIRED"],
    )  # fmt: skip
    assert codes(await decide(two_tiers, first)) == ["APPROVAL_NOT_ALLOWED"]
    assert (await awaiting(two_tiers, BUYER_ADMIN), await awaiting(two_tiers, CSR_LEAD)) == ([], ["key-1"])
    second = (await decide(two_tiers, first, principal=CSR_LEAD, note="ok"))["intake"]
    assert [(one["tier"], one["by"], one["current"]) for one in second["approvals"]] == [
        ("manager", "a-buyer_admin", True), ("service", "a-csr_lead", True),
    ]  # fmt: skip
    assert (await reached(two_tiers, intake["id"], "POSTED"))["version"] == 4


async def test_tier_that_covers_the_amount_is_the_last(dated_sandbox: Sandbox):
    tiers = (
        ApprovalTier(name="manager", role="buyer_admin", up_to=Decimal(1_000_000)),
        ApprovalTier(name="service", role="csr_lead"),
    )
    rules = (
        ApprovalRule(name="all-orders", above=Decimal(0)),
        ApprovalRule(name="explicit", customers=("CUST-0002",), tiers=("service",)),
    )
    async with approving(dated_sandbox, ApprovalSettings(tiers=tiers, rules=rules)) as graph:
        own = await submit(graph, order())
        other = await submit(graph, order("b", customer={"number": "CUST-0002"}), principal=OTHER_BUYER)
    assert own["requiredApproval"]["tiers"] == ["manager"]
    assert (other["requiredApproval"]["rules"], other["requiredApproval"]["tiers"]) == (
        ["all-orders", "explicit"], ["manager", "service"],
    )  # fmt: skip


async def test_role_of_the_deployment_approves(dated_sandbox: Sandbox):
    role = RoleSettings(description="Purchasing director of a customer.", reach="own", like=Role.BUYER_ADMIN)
    approvals = ApprovalSettings(
        tiers=(ApprovalTier(name="director", role="director"),), rules=(ApprovalRule(name="all-orders"),)
    )
    policy = PolicySettings(roles={"director": role})
    director = signed(policy.known_roles["director"], "CUST-0001", subject="a-director")  # type: ignore[arg-type]
    async with approving(dated_sandbox, approvals, policy=policy) as graph:
        intake = await submit(graph, order())
        assert codes(await decide(graph, intake)) == ["APPROVAL_NOT_ALLOWED"]
        assert (await decide(graph, intake, principal=director))["intake"]["state"] == "POSTING"


# Checks at approval


async def test_higher_price_needs_all_approvals_again(two_tiers: Graph):
    intake = await submit(two_tiers, order())
    first = (await decide(two_tiers, intake))["intake"]
    await change_price(two_tiers, "5")
    outdated = await decide(two_tiers, first, principal=CSR_LEAD)
    again = outdated["intake"]
    assert (again["state"], again["awaitedTier"]) == ("NEEDS_APPROVAL", "manager")
    assert codes(outdated) == ["APPROVAL_OUTDATED", "APPROVAL_REQUIRED"]
    assert [(one["tier"], one["current"]) for one in again["approvals"]] == [("manager", False)]
    assert Decimal(again["requiredApproval"]["amount"]["amount"]) == net(again) > net(first)
    once_more = (await decide(two_tiers, again))["intake"]
    await decide(two_tiers, once_more, principal=CSR_LEAD)
    posted = await reached(two_tiers, intake["id"], "POSTED")
    assert [(one["tier"], one["current"]) for one in posted["approvals"]] == [
        ("manager", False), ("manager", True), ("service", True),
    ]  # fmt: skip


async def test_lower_price_keeps_the_approvals(two_tiers: Graph):
    intake = await submit(two_tiers, order())
    first = (await decide(two_tiers, intake))["intake"]
    await change_price(two_tiers, "-5")
    second = (await decide(two_tiers, first, principal=CSR_LEAD))["intake"]
    assert second["state"] == "POSTING"
    assert net(second) < net(first)


async def test_credit_that_is_exceeded_meanwhile_holds_the_order(one_tier: Graph):
    intake = await submit(one_tier, order())
    body = {"status": "HOLD"}
    (await one_tier.backends["erp"].post("/sandbox/credit/CUST-0001", json=body)).raise_for_status()
    held = await decide(one_tier, intake)
    body = {"status": "OK"}
    (await one_tier.backends["erp"].post("/sandbox/credit/CUST-0001", json=body)).raise_for_status()
    assert (held["intake"]["state"], codes(held), held["intake"]["approvals"]) == ("HELD", ["CREDIT_EXCEEDED"], [])
    released = await decide(one_tier, held["intake"], "RELEASE", principal=CSR)
    assert (released["intake"]["state"], codes(released)) == ("NEEDS_APPROVAL", ["APPROVAL_REQUIRED"])
    assert (await decide(one_tier, released["intake"]))["intake"]["state"] == "POSTING"


async def test_approval_while_the_source_is_away_counts_once_the_checks_pass(one_tier: Graph):
    intake = await submit(one_tier, order())
    await one_tier.turn("erp", resource="prices", errorRate=1.0, errorKind="500")
    pending = (await decide(one_tier, intake))["intake"]
    assert (pending["state"], len(pending["approvals"])) == ("RECEIVED", 1)
    await one_tier.repair()
    posted = await reached(one_tier, intake["id"], "POSTED")
    assert [one["current"] for one in posted["approvals"]] == [True]


async def test_order_with_an_unknown_price_waits_for_it_before_it_waits_for_an_approval(one_tier: Graph):
    await one_tier.turn("erp", resource="prices", errorRate=1.0, errorKind="500")
    answer = await one_tier.ask(SUBMIT, {"input": order()}, principal=BUYER)
    intake = answer["data"]["submitOrder"]["intake"]
    assert (intake["state"], intake["requiredApproval"]) == ("RECEIVED", None)
    await one_tier.repair()
    found = await reached(one_tier, intake["id"], "NEEDS_APPROVAL")
    assert (found["awaitedTier"], codes(found)) == ("manager", ["APPROVAL_REQUIRED"])
    assert (await decide(one_tier, found))["intake"]["state"] == "POSTING"


async def test_released_duplicate_still_needs_its_approval(one_tier: Graph):
    await submit(one_tier, order("a", customerPo="4711"))
    held = await submit(one_tier, order("b", customerPo="4711"))
    assert (held["state"], held["requiredApproval"]["tiers"]) == ("HELD", ["manager"])
    released = (await decide(one_tier, held, "RELEASE", principal=CSR))["intake"]
    assert (released["state"], released["awaitedTier"]) == ("NEEDS_APPROVAL", "manager")


# Events and records


async def test_subscriber_sees_the_approval(one_tier: Graph):
    async with following(one_tier, BUYER) as socket:
        intake = await submit(one_tier, order())
        first = await update(socket)
        await decide(one_tier, intake)
        second = await update(socket)
    assert (first["intake"]["state"], first["intake"]["id"]) == ("NEEDS_APPROVAL", intake["id"])
    assert second["intake"]["state"] in ("POSTING", "POSTED")


async def test_waiting_order_does_not_hold_up_later_ones_and_is_shown_as_open(dated_sandbox: Sandbox):
    approvals = ApprovalSettings(tiers=ONE_TIER.tiers, rules=(ApprovalRule(name="rule", buyers=("a-buyer",)),))
    async with approving(dated_sandbox, approvals) as graph:
        waiting = await submit(graph, order("a"))
        later = await submit(graph, order("b"), principal=BUYER_ADMIN)
        await reached(graph, later["id"], "POSTED")
        text = '{ customer(by: {number: "CUST-0001"}) { openIntakes(first: 5) { id state } } }'
        found = (await graph.data(text, principal=BUYER))["customer"]["openIntakes"]
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
    assert found == [{"id": waiting["id"], "state": "NEEDS_APPROVAL"}]
