"""Approvals: which orders need one, at which tiers, and who gives it.

The rules are evaluated on the prices that the checks found, whenever these are all known. An order whose amount has not
increased since keeps the approvals that it has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal

import msgspec

from app.auth.policy import Rows, Scope, effective_roles
from app.auth.policy_configuration import configured_audiences
from app.auth.principal import Principal
from app.errors import ApprovalNotAllowed, ApprovalOutdated, ApprovalRequired, ConfigurationError, SelfApproval
from app.intake.records import (
    ApprovalRequirement,
    IntakeContent,
    IntakeState,
    OrderIntake,
    problem_of,
    with_problems,
)
from app.intake.spending import SpendingCheck, period_limits
from app.settings import SPEND_LIMIT, ApprovalRule, ApprovalSettings, Settings
from app.sources.values import Money

APPROVER_SCOPES = (Scope.APPROVE, Scope.ORDERS_WRITE, Scope.ORDERS)


class Approvals:
    """The tiers and rules of a deployment."""

    def __init__(self, settings: ApprovalSettings) -> None:
        self._settings = settings
        self._tiers = {tier.name: tier for tier in settings.tiers}

    @property
    def enabled(self) -> bool:
        """Whether orders may need an approval."""
        return bool(self._tiers)

    def evaluate(self, before: OrderIntake, checked: OrderIntake, categories: Mapping[int, str | None]) -> OrderIntake:
        """The checked intake with the approvals that it needs. `categories` are those of the lines' items, by number.
        Checks that are passed lead to NEEDS_APPROVAL while one is missing."""
        previous, problems = before.content.approval, checked.content.problems
        required = _with_compared_spending(previous, self._requirement(checked, categories))
        if previous is not None and _covers(previous, required):
            required = msgspec.structs.replace(required, version=previous.version)
        elif before.state is IntakeState.NEEDS_APPROVAL or any(one.tier for one in before.content.decisions):
            required = msgspec.structs.replace(required, version=before.version + 1)
            problems += (problem_of(ApprovalOutdated),) if required.tiers else ()
        content = msgspec.structs.replace(checked.content, approval=required, problems=problems)
        return self.awaiting(msgspec.structs.replace(checked, content=content))

    @staticmethod
    def awaiting(intake: OrderIntake) -> OrderIntake:
        """The intake, in NEEDS_APPROVAL instead of POSTING while an approval is missing."""
        if intake.state is not IntakeState.POSTING or intake.content.missing_tier is None:
            return intake
        problems = (*intake.content.problems, problem_of(ApprovalRequired))
        return msgspec.structs.replace(
            intake, state=IntakeState.NEEDS_APPROVAL, content=with_problems(intake, problems)
        )

    def tiers_of(self, principal: Principal) -> frozenset[str]:
        """The tiers that a caller approves at."""
        roles = effective_roles(principal.roles, Rows.ACCOUNTS)
        return frozenset(tier.name for tier in self._tiers.values() if tier.role in roles)

    def require_approver(self, principal: Principal, intake: OrderIntake) -> None:
        """Raises SelfApproval and ApprovalNotAllowed for callers who may not decide at the tier that an intake waits
        for."""
        if principal.subject == intake.submitted_by:
            raise SelfApproval
        if intake.awaited_tier not in self.tiers_of(principal):
            raise ApprovalNotAllowed

    def _requirement(self, intake: OrderIntake, categories: Mapping[int, str | None]) -> ApprovalRequirement:
        amount = order_amount(intake.content)
        limit = self._limit(intake)
        found = {rule.name: rule.tiers for rule in self._settings.rules if _applies(rule, intake, amount, categories)}
        if limit is not None and _exceeds(amount, limit):
            found[SPEND_LIMIT] = ()
        limits = tuple(period_limits(self._settings, intake.submitted_by, intake.received_at))
        spending = SpendingCheck(limits=limits, tiers=tuple(self._chain(amount))) if limits and amount else None
        found |= {one.rule: () for one in limits if amount is None}
        needed = {tier for tiers in found.values() for tier in tiers or self._chain(amount)}
        tiers = tuple(tier for tier in self._tiers if tier in needed)
        return ApprovalRequirement(
            rules=tuple(found), tiers=tiers, amount=amount, version=intake.version, spending=spending
        )

    def _limit(self, intake: OrderIntake) -> Decimal | None:
        """The spend limit of the submitter: the smaller one of those that configuration and token state."""
        limits = (self._settings.limits.get(intake.submitted_by), intake.content.spend_limit)
        return min((limit for limit in limits if limit is not None), default=None)

    def _chain(self, amount: Money | None) -> Iterator[str]:
        """The tiers that approve an amount: up to the first that covers it."""
        for tier in self._tiers.values():
            yield tier.name
            if amount is not None and tier.up_to is not None and amount.amount <= tier.up_to:
                return


def pending_spending(intake: OrderIntake) -> SpendingCheck | None:
    """The limits of periods that an intake is still to be compared with; None if there are none."""
    required = intake.content.approval
    if intake.state is IntakeState.REJECTED or required is None or required.spending is None:
        return None
    return required.spending if required.spending.exceeded is None else None


def with_spending(intake: OrderIntake, spent: Mapping[str, Decimal]) -> OrderIntake:
    """The intake with its `pending_spending` compared, `spent` being the sums of the submitter's other orders by rule.
    It is in NEEDS_APPROVAL instead of POSTING if it exceeds a limit and the approval is missing."""
    required = intake.content.approval
    if required is None or required.spending is None or required.amount is None:
        return intake
    compared = _required_by(required, required.spending.compared(required.amount, spent))
    content = msgspec.structs.replace(intake.content, approval=compared)
    return Approvals.awaiting(msgspec.structs.replace(intake, content=content))


def _required_by(required: ApprovalRequirement, spending: SpendingCheck) -> ApprovalRequirement:
    """The requirement with what a compared check adds. Its tiers are the first ones of all, in their order."""
    if not spending.exceeded:
        return msgspec.structs.replace(required, spending=spending)
    tiers = (*spending.tiers, *(tier for tier in required.tiers if tier not in spending.tiers))
    rules = (*required.rules, *spending.exceeded)
    return msgspec.structs.replace(required, rules=rules, tiers=tiers, spending=spending)


def _with_compared_spending(previous: ApprovalRequirement | None, required: ApprovalRequirement) -> ApprovalRequirement:
    """The requirement with the limits of periods as they were compared before, for an amount that was not lower."""
    compared = None if previous is None or previous.spending is None else previous.spending.exceeded
    if previous is None or compared is None or required.spending is None or not _is_within_amount(previous, required):
        return required
    exceeded = tuple(one.rule for one in required.spending.limits if one.rule in compared)
    return _required_by(required, msgspec.structs.replace(required.spending, exceeded=exceeded))


def order_amount(content: IntakeContent) -> Money | None:
    """The net amount of an order at the source's unit prices, not rounded; None unless all lines have a price, in one
    currency. It is compared with limits, and is neither posted nor a price."""
    prices = [line.unit_price for line in content.lines]
    currencies = {price.currency if price is not None else None for price in prices}
    if len(currencies) != 1 or None in currencies:
        return None
    parts = [
        price.amount * line.quantity / line.price_unit
        for price, line in zip(prices, content.lines, strict=True)
        if price is not None
    ]
    return Money(amount=sum(parts, Decimal(0)), currency=next(iter(currencies)) or "")


def check_approvers(settings: Settings) -> None:
    """Refuse tiers whose role may not approve. Raises ConfigurationError."""
    audiences = configured_audiences(settings.policy)
    for index, tier in enumerate(settings.intake.approvals.tiers):
        for scope in APPROVER_SCOPES:
            if tier.role not in audiences[scope]:
                cure = f"does not have the scope {scope}; add it to the role under [policy]"
                raise ConfigurationError(f"intake.approvals.tiers[{index}].role", tier.role, cure)


def _covers(previous: ApprovalRequirement, required: ApprovalRequirement) -> bool:
    """Whether approvals that were given for one requirement count for another."""
    if not set(required.tiers) <= set(previous.tiers):
        return False
    if previous.amount is None or required.amount is None:
        return previous.amount is required.amount
    return _is_within_amount(previous, required)


def _is_within_amount(previous: ApprovalRequirement, required: ApprovalRequirement) -> bool:
    """Whether both amounts are known, in one currency, and the amount has not increased."""
    before, after = previous.amount, required.amount
    if before is None or after is None:
        return False
    return before.currency == after.currency and after.amount <= before.amount


def _applies(
    rule: ApprovalRule, intake: OrderIntake, amount: Money | None, categories: Mapping[int, str | None]
) -> bool:
    content = intake.content
    return (
        _names(rule.buyers, (intake.submitted_by,))
        and _names(rule.roles, content.submitter_roles)
        and _names(rule.customers, (intake.customer,))
        and (not rule.categories or any(_is_within(one, rule.categories) for one in categories.values()))
        and (rule.currency is None or amount is None or amount.currency == rule.currency)
        and (rule.above is None or _exceeds(amount, rule.above))
    )


def _names(named: Collection[str], values: Collection[str]) -> bool:
    return not named or any(value in named for value in values)


def _is_within(category: str | None, named: Collection[str]) -> bool:
    """Whether a category is one of those named, or below one: `Tools/Drills` is within `Tools`."""
    return category is not None and any(category == one or category.startswith(f"{one}/") for one in named)


def _exceeds(amount: Money | None, limit: Decimal) -> bool:
    """An amount that is not known exceeds every limit."""
    return amount is None or amount.amount > limit
