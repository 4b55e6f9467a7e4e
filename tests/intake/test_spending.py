"""Spend limits of a month and a quarter, by GraphQL: simultaneous orders, approvals, cancellations, settings."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from app.intake.spending import PeriodLimit, period_limits
from app.sandbox import Sandbox
from app.settings import ApprovalRule, ApprovalSettings
from tests.intake.test_approvals import ONE_TIER, approving, decide, net, reached, submit
from tests.intake.test_submit import line, order
from tests.support.gateway import BUYER, CSR, gateway

MONTHLY, QUARTERLY = "monthly_spend_limit", "quarterly_spend_limit"


@pytest.fixture
async def price(dated_sandbox: Sandbox) -> Decimal:
    """The net amount of an order of one line."""
    async with gateway(dated_sandbox) as graph:
        amount = net(await submit(graph, order("probe", lines=[line(1)])))
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
    return amount


def limited(**limits: Any) -> ApprovalSettings:
    by_subject: dict[str, Any] = {name: {"a-buyer": limit} for name, limit in limits.items()}
    return ApprovalSettings(tiers=ONE_TIER.tiers, **by_subject)


def rules(intake: dict[str, Any]) -> list[str] | None:
    required = intake["requiredApproval"]
    return None if required is None else required["rules"]


async def test_simultaneous_orders_together_stay_within_the_monthly_limit(dated_sandbox: Sandbox, price: Decimal):
    async with approving(dated_sandbox, limited(monthly_limits=3 * price)) as graph:
        found = await asyncio.gather(*(submit(graph, order(f"k-{n}", lines=[line(1)])) for n in range(8)))
        others = [await submit(graph, order(f"o-{n}", lines=[line(1)]), principal=CSR) for n in range(4)]
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
    needed = [one for one in found if one["state"] == "NEEDS_APPROVAL"]
    assert len(needed) == 5
    assert [(rules(one), one["awaitedTier"]) for one in needed] == [([MONTHLY], "manager")] * 5
    assert [rules(one) for one in found if one not in needed] == [None] * 3
    assert [rules(one) for one in others] == [None] * 4


async def test_order_beyond_the_limit_is_posted_once_approved_and_counts(dated_sandbox: Sandbox, price: Decimal):
    settings = limited(monthly_limits=3 * price, quarterly_limits=price)
    async with approving(dated_sandbox, settings) as graph:
        first = await submit(graph, order("a", lines=[line(1)]))
        second = await submit(graph, order("b", lines=[line(1)]))
        assert (rules(first), rules(second)) == (None, [QUARTERLY])
        approved = (await decide(graph, second))["intake"]
        assert [(one["tier"], one["current"]) for one in approved["approvals"]] == [("manager", True)]
        await reached(graph, second["id"], "POSTED")
        third = await submit(graph, order("c", lines=[line(1)]))
        assert rules(third) == [QUARTERLY]
        fourth = await submit(graph, order("d", lines=[line(1)]))
        assert rules(fourth) == [MONTHLY, QUARTERLY]
        for one in (third, fourth):
            await decide(graph, one, "CANCEL", principal=BUYER)
        assert rules(await submit(graph, order("e", lines=[line(1)]))) == [QUARTERLY]
        await graph.backends["erp"].delete("/sandbox/submitted-orders")


async def test_order_without_known_prices_is_compared_once_they_are_known(dated_sandbox: Sandbox, price: Decimal):
    async with approving(dated_sandbox, limited(monthly_limits=price)) as graph:
        await graph.turn("erp", resource="prices", errorRate=1.0, errorKind="500")
        pending = [await submit(graph, order(f"p-{n}", lines=[line(1)])) for n in range(2)]
        assert [(one["state"], rules(one)) for one in pending] == [("RECEIVED", None)] * 2
        await graph.repair()
        found = [await reached(graph, one["id"], "NEEDS_APPROVAL", "POSTED") for one in pending]
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
    assert sorted(one["state"] for one in found) == ["NEEDS_APPROVAL", "POSTED"]


@pytest.mark.parametrize(
    ("received", "month", "quarter"),
    [
        (datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC), (2026, 11, 2026, 12), (2026, 10, 2027, 1)),
        (datetime(2026, 12, 1, tzinfo=UTC), (2026, 12, 2027, 1), (2026, 10, 2027, 1)),
        (datetime(2027, 1, 1, tzinfo=UTC), (2027, 1, 2027, 2), (2027, 1, 2027, 4)),
    ],
)
def test_periods_are_calendar_months_and_quarters(received: datetime, month: tuple[int, ...], quarter: tuple[int, ...]):
    settings = limited(monthly_limits=Decimal(5), quarterly_limits=Decimal(9))
    assert list(period_limits(settings, "a-buyer", received)) == [
        PeriodLimit(
            rule=rule,
            since=datetime(first_year, first, 1, tzinfo=UTC).timestamp(),
            until=datetime(last_year, last, 1, tzinfo=UTC).timestamp(),
            limit=Decimal(limit),
        )
        for rule, (first_year, first, last_year, last), limit in ((MONTHLY, month, 5), (QUARTERLY, quarter, 9))
    ]
    assert list(period_limits(settings, "somebody", received)) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"monthly_limits": {"ann": Decimal(1)}},
        {"quarterly_limits": {"ann": Decimal(1)}},
        {"tiers": ONE_TIER.tiers, "monthly_limits": {"ann": Decimal(-1)}},
        {"tiers": ONE_TIER.tiers, "quarterly_limits": {"ann": Decimal("NaN")}},
        {"tiers": ONE_TIER.tiers, "rules": (ApprovalRule(name=MONTHLY),)},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]):
    with pytest.raises(ValidationError):
        ApprovalSettings(**settings)
