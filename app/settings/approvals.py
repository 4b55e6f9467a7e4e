"""Approvals of orders: `[intake.approvals]`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from app.settings.section import Section

SPEND_LIMIT, MONTHLY_LIMIT, QUARTERLY_LIMIT = "spend_limit", "monthly_spend_limit", "quarterly_spend_limit"
SPEND_LIMITS = frozenset({SPEND_LIMIT, MONTHLY_LIMIT, QUARTERLY_LIMIT})
"""The names that a requirement has for the spend limits of the submitter, among the names of rules."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class ApprovalTier(Section):
    """A tier: callers with `role` approve at it. It is the last one for orders up to `up_to`, in the currency of the
    account; without `up_to` for all orders."""

    name: Name
    role: str
    up_to: Amount | None = None


class ApprovalRule(Section):
    """Orders that need an approval: those that meet all conditions that are given. `buyers` are subjects and `roles`
    roles of the submitter, `customers` customer numbers, `categories` categories of an item, or the beginning of their
    path. `above` is an amount in the currency of the account; with `currency` the rule is for accounts in it. `tiers`
    approve instead of those that the amount requires."""

    name: Name
    buyers: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    above: Amount | None = None
    currency: Currency | None = None
    tiers: tuple[Name, ...] = ()


class ApprovalSettings(Section):
    """Approvals of orders; none without `tiers`. An order that a rule applies to, or that exceeds the spend limit of
    its submitter, is approved at each tier, up to the first whose `up_to` covers it. `limits` are spend limits in the
    currency of the account, by subject; a limit that the token claims counts as well. `monthly_limits` and
    `quarterly_limits`, by subject, are for all orders that the submitter submits in a calendar month or quarter, in
    UTC."""

    tiers: tuple[ApprovalTier, ...] = ()
    rules: tuple[ApprovalRule, ...] = ()
    limits: dict[str, Amount] = {}
    monthly_limits: dict[str, Amount] = {}
    quarterly_limits: dict[str, Amount] = {}

    @model_validator(mode="after")
    def _has_consistent_tiers(self) -> Self:
        names = [tier.name for tier in self.tiers]
        if not self.tiers and (self.rules or self.limits or self.monthly_limits or self.quarterly_limits):
            raise ValueError("rules and limits need tiers; configure [[intake.approvals.tiers]]")
        if len(set(names)) < len(names) or len({tier.role for tier in self.tiers}) < len(names):
            raise ValueError("each tier has a name and a role of its own")
        most = [tier.up_to for tier in self.tiers]
        if most and most[-1] is not None:
            raise ValueError("the last tier approves orders of any amount; remove its up_to")
        ascending = [amount for amount in most[:-1] if amount is not None]
        if len(ascending) < len(most) - 1 or sorted(set(ascending)) != ascending:
            raise ValueError("each tier but the last has an up_to, in ascending order")
        return self

    @model_validator(mode="after")
    def _has_consistent_rules(self) -> Self:
        known = {tier.name for tier in self.tiers}
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names) or not SPEND_LIMITS.isdisjoint(names):
            raise ValueError(f"each rule has a name of its own, and none is {', '.join(sorted(SPEND_LIMITS))}")
        for rule in self.rules:
            for tier in rule.tiers:
                if tier not in known:
                    raise ValueError(f"rule {rule.name!r} names tier {tier!r}, which is none of tiers")
        return self
