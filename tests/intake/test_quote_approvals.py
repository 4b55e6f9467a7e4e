"""Approval rules on the orders of accepted quotes: they compare the amount at the quote's prices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from app.sandbox import Sandbox
from app.settings import ApprovalRule, ApprovalSettings, ApprovalTier
from tests.intake import test_approvals as approvals
from tests.intake import test_quotes as quotes
from tests.support.gateway import BUYER, BUYER_ADMIN, Graph

RULE = "at-quoted-prices"


def above(limit: str) -> ApprovalSettings:
    """One tier that approves orders above an amount."""
    return ApprovalSettings(
        tiers=(ApprovalTier(name="manager", role="buyer_admin"),),
        rules=(ApprovalRule(name=RULE, above=Decimal(limit)),),
    )


@asynccontextmanager
async def approving(sandbox: Sandbox, settings: ApprovalSettings) -> AsyncIterator[Graph]:
    """A gateway with these approvals; what was ordered is removed at the end."""
    async with approvals.approving(sandbox, settings) as graph:
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
        try:
            yield graph
        finally:
            await graph.backends["erp"].delete("/sandbox/submitted-orders")


@pytest.mark.parametrize(("percent", "needed"), [("-90", False), ("0", True)])
async def test_rule_compares_the_amount_at_the_prices_of_the_quote(dated_sandbox: Sandbox, percent: str, needed: bool):
    async with approving(dated_sandbox, above("10")) as graph:
        quote = await quotes.offered(graph, f"q-rule{percent}", percent=percent)
        intake = (await quotes.decide(graph, quotes.decision("ACCEPT", quote["id"])))["intake"]
        found = await approvals.reached(graph, intake["id"], "NEEDS_APPROVAL" if needed else "POSTED")
        required = found["requiredApproval"]
        price = Decimal(quote["lines"][0]["unitPrice"]["amount"]) * 500
        assert (price > 10, required is not None, approvals.net(found) == price) == (needed, needed, True)
        if required is not None:
            assert (required["rules"], Decimal(required["amount"]["amount"])) == ([RULE], price)


async def test_accepted_quote_is_posted_at_its_prices_once_approved(dated_sandbox: Sandbox):
    async with approving(dated_sandbox, above("0")) as graph:
        quote = await quotes.offered(graph, "q-approved", percent="-10")
        accepted = (await quotes.decide(graph, quotes.decision("ACCEPT", quote["id"])))["intake"]
        again = (await quotes.decide(graph, quotes.decision("ACCEPT", quote["id"])))["intake"]
        assert (accepted["state"], again["id"]) == ("NEEDS_APPROVAL", accepted["id"])
        assert await quotes.counts(graph) == {"keys": 0, "orders": 0, "doubled": []}
        intake = await approvals.reached(graph, accepted["id"], "NEEDS_APPROVAL")
        foreign = await approvals.decide(graph, intake, principal=approvals.FOREIGN_ADMIN)
        assert foreign["intake"] is None
        await approvals.decide(graph, intake, principal=BUYER_ADMIN)
        done = await quotes.settled(graph, intake["id"])
        (line,) = done["order"]["lines"]
        assert (done["state"], line["unitPrice"]) == ("POSTED", quote["lines"][0]["unitPrice"])
        assert done["quote"]["status"] == "ACCEPTED"
        assert (await quotes.counts(graph))["orders"] == 1


async def test_order_of_a_quote_that_an_approver_rejects_leaves_the_quote_open(dated_sandbox: Sandbox):
    async with approving(dated_sandbox, above("0")) as graph:
        quote = await quotes.offered(graph, "q-rejected")
        first = (await quotes.decide(graph, quotes.decision("ACCEPT", quote["id"])))["intake"]
        intake = await approvals.reached(graph, first["id"], "NEEDS_APPROVAL")
        rejected = await approvals.decide(graph, intake, "REJECT", note="over budget")
        assert rejected["intake"]["state"] == "REJECTED"
        assert (await quotes.read(graph, quote["number"], principal=BUYER))["status"] == "OFFERED"
        second = (await quotes.decide(graph, quotes.decision("ACCEPT", quote["id"])))["intake"]
        assert (second["state"], second["id"] == first["id"]) == ("NEEDS_APPROVAL", False)
