"""Rules and spend limits: which orders need an approval."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from app.cli.demo import SANDBOX_DOMAINS, sandbox_sources
from app.errors import ConfigurationError
from app.sandbox import Sandbox
from app.server import create_app
from app.settings import (
    ApprovalRule,
    ApprovalSettings,
    ApprovalTier,
    ClaimNames,
    IntakeSettings,
    Settings,
)
from tests.intake.test_approvals import ONE_TIER, SUBMIT, approving, net, reached, submit
from tests.intake.test_submit import line, order
from tests.support.gateway import AUTH, BUYER, CSR, gateway

SECRET = OctKey.import_key(AUTH.secret.get_secret_value() if AUTH.secret else "")


@pytest.mark.parametrize(
    ("rule", "needs"),
    [
        ({}, True),
        ({"buyers": ("a-buyer",)}, True),
        ({"buyers": ("somebody",)}, False),
        ({"roles": ("buyer",)}, True),
        ({"roles": ("sales_rep", "csr")}, False),
        ({"customers": ("CUST-0001",)}, True),
        ({"customers": ("CUST-0002",)}, False),
        ({"above": Decimal(0)}, True),
        ({"above": Decimal(10**9)}, False),
        ({"above": Decimal(0), "currency": "USD"}, True),
        ({"above": Decimal(0), "currency": "EUR"}, False),
        ({"categories": ("Fasteners",)}, None),
        ({"categories": ("No such",)}, False),
        ({"customers": ("CUST-0001",), "buyers": ("somebody",)}, False),
    ],
)
async def test_rule_applies_if_all_its_conditions_are_met(dated_sandbox: Sandbox, rule: dict[str, Any], needs: Any):
    async with gateway(dated_sandbox) as plain:
        text = '{ item(by: {sku: "SKU-0001"}) { category } }'
        category = (await plain.data(text, principal=BUYER))["item"]["category"]
    if needs is None:
        rule, needs = {"categories": (category.split("/")[0],)}, True
    approvals = ApprovalSettings(tiers=ONE_TIER.tiers, rules=(ApprovalRule(name="rule", **rule),))
    async with approving(dated_sandbox, approvals) as graph:
        intake = await submit(graph, order())
    assert (intake["state"] == "NEEDS_APPROVAL", intake["requiredApproval"] is not None) == (needs, needs)


@pytest.mark.parametrize(("limit", "needs"), [("1000000", False), ("0.01", True)])
async def test_spend_limit_of_the_buyer(dated_sandbox: Sandbox, limit: str, needs: bool):
    approvals = ApprovalSettings(tiers=ONE_TIER.tiers, limits={"a-buyer": Decimal(limit)})
    async with approving(dated_sandbox, approvals) as graph:
        intake = await submit(graph, order())
        other = await submit(graph, order("b"), principal=CSR)
    assert (intake["requiredApproval"] or {}).get("rules") == (["spend_limit"] if needs else None)
    assert other["requiredApproval"] is None


async def test_spend_limit_of_the_token(dated_sandbox: Sandbox):
    auth = AUTH.model_copy(update={"claims": ClaimNames(spend_limit="limit")})
    claims = jwt.decode(BUYER["authorization"].split()[1], SECRET).claims
    async with approving(dated_sandbox, ApprovalSettings(tiers=ONE_TIER.tiers), auth=auth) as graph:
        for limit, needs in (("0.01", True), ("1000000", False)):
            token = jwt.encode({"alg": "HS256", "kid": "demo"}, {**claims, "limit": limit}, SECRET)
            intake = await submit(graph, order(f"key-{limit}"), principal={"authorization": f"Bearer {token}"})
            assert (intake["requiredApproval"] or {}).get("rules") == (["spend_limit"] if needs else None)
        with_limit = jwt.encode({"alg": "HS256", "kid": "demo"}, {**claims, "limit": "0.01"}, SECRET)
        await graph.turn("erp", resource="prices", errorRate=1.0, errorKind="500")
        principal = {"authorization": f"Bearer {with_limit}"}
        pending = (await graph.ask(SUBMIT, {"input": order("away")}, principal=principal))["data"]["submitOrder"][
            "intake"
        ]
        await graph.repair()
        found = await reached(graph, pending["id"], "NEEDS_APPROVAL", "POSTED")
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
    assert (pending["state"], found["requiredApproval"]["rules"]) == ("RECEIVED", ["spend_limit"])


def test_tier_whose_role_may_not_approve_stops_the_start(dated_sandbox: Sandbox):
    approvals = ApprovalSettings(tiers=(ApprovalTier(name="peer", role="buyer"),))
    settings = Settings(
        demo=True,
        auth=AUTH,
        intake=IntakeSettings(approvals=approvals),
        domains=SANDBOX_DOMAINS,
        sources=sandbox_sources(dated_sandbox.urls, dated_sandbox.token),
    )
    with pytest.raises(ConfigurationError) as stopped:
        create_app(settings)
    cure = "does not have the scope APPROVE; add it to the role under [policy]"
    assert str(stopped.value) == f"intake.approvals.tiers[0].role = 'buyer': {cure}"


async def test_order_of_exactly_the_limit_needs_no_approval(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox) as graph:
        exact = net(await submit(graph, order("probe", lines=[line(1)])))
    for limit, needs in ((exact, False), (exact - Decimal("0.01"), True)):
        approvals = ApprovalSettings(tiers=ONE_TIER.tiers, limits={"a-buyer": limit})
        async with approving(dated_sandbox, approvals) as graph:
            intake = await submit(graph, order(lines=[line(1)]))
        assert (intake["state"] == "NEEDS_APPROVAL") == needs
