"""Whether an operation may run now: who may read the schema, what it may cost, and what is left of the budget."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

from graphql import OperationType

from app.auth.principal import Principal, Role
from app.errors import LimitExceeded, NoIntrospection, RateLimited, TooExpensive
from app.execution.engine import Operation
from app.gateway.admission.budgets import Budgets, Level
from app.gateway.admission.caller_limits import RuleBook, Rules, caller_key
from app.gateway.admission.concurrency import Caps, Lease
from app.gateway.admission.cost import Cost, actual
from app.gateway.service import Receipt
from app.telemetry import RequestScope, budget_left, limit_met, log, operation_cost

Predict = Callable[[Operation, Principal], Awaitable[Cost]]


class LimitedAdmission:
    """Admits what is within its caller's limits and budget. With `enforce_limits` or `enforce_budgets` off, what would
    be refused is counted and logged, and let in.

    A subscription is charged for being opened, and then for each event. `connect` is for transports that
    hold connections.
    """

    def __init__(
        self,
        rules: RuleBook,
        predict: Predict,
        budgets: Budgets,
        *,
        enforce_limits: bool = True,
        enforce_budgets: bool = True,
    ) -> None:
        self.rules = rules
        self.concurrent = Caps("concurrent")
        self.connections = Caps("connections")
        self.subscriptions = Caps("subscriptions")
        self._predict = predict
        self._budgets = budgets
        self._enforce_limits = enforce_limits
        self._enforce_budgets = enforce_budgets

    def suggests(self, who: Principal) -> bool:
        """Whether errors may name parts of the schema: to those who may read all of it."""
        return self.rules.of(who).introspects

    async def admit(self, operation: Operation, who: Principal) -> AdmittedOperation:
        """See `Admission.admit`."""
        rules = self.rules.of(who)
        if operation.introspects and not rules.introspects:
            raise NoIntrospection
        cost = await self._predict(operation, who)
        beyond = excess(cost, rules)
        if beyond is not None:
            self._met(beyond, enforce=self._enforce_limits)
        operation_cost(cost.units)
        key = caller_key(who)
        if operation.kind is OperationType.SUBSCRIPTION:
            lease = self._place(self.subscriptions, key, rules.max_subscriptions)
        else:
            lease = self._place(self.concurrent, key, rules.max_concurrent)
        try:
            level = await self._budgets.charge(key, cost.units, rules.bucket)
            if not level.allowed:
                self._met(over_budget(cost, rules, level), enforce=self._enforce_budgets)
        except BaseException:
            lease.release()
            raise
        return AdmittedOperation(self._budgets, operation, rules, cost, key, lease, charged=level.allowed, who=who)

    def connect(self, who: Principal) -> Lease:
        """A connection that is held open, counted over all of the caller's; raises RateLimited."""
        return self._place(self.connections, caller_key(who), self.rules.of(who).max_connections)

    def _place(self, caps: Caps, key: str, most: int) -> Lease:
        try:
            return caps.acquire(key, most)
        except RateLimited as error:
            self._met(error, enforce=self._enforce_budgets)
            return caps.acquire(key, most + caps.taken(key))

    @staticmethod
    def _met(error: LimitExceeded, *, enforce: bool) -> None:
        if enforce:
            raise error
        limit_met(error.name, "measured")
        log.warning("limit", name=error.name, most=error.most, actual=error.actual, code=error.code)


def excess(cost: Cost, rules: Rules) -> TooExpensive | None:
    """What of a cost is more than the rules allow."""
    if cost.units > rules.max_cost:
        return TooExpensive("cost", rules.max_cost, cost.units)
    if cost.rows > rules.max_rows:
        return TooExpensive("rows", rules.max_rows, cost.rows)
    for source, calls in cost.calls.items():
        if calls > rules.max_calls:
            return TooExpensive(f"calls.{source}", rules.max_calls, calls)
    if cost.units > rules.bucket.capacity:
        return TooExpensive("budget", rules.bucket.capacity, cost.units)
    return None


def over_budget(cost: Cost, rules: Rules, level: Level) -> RateLimited:
    """The refusal of what the bucket does not hold any more."""
    return RateLimited(
        "budget",
        level.remaining,
        cost.units,
        retry_after=max(math.ceil(level.retry_after), 1),
        headers=budget_headers(rules, level),
    )


def budget_headers(rules: Rules, level: Level) -> dict[str, str]:
    """The fields of draft-ietf-httpapi-ratelimit-headers: the budget, what is left of it, and when it is full again."""
    until_full = math.ceil((rules.bucket.capacity - level.remaining) / rules.bucket.restore_rate)
    return {"ratelimit-policy": rules.policy, "ratelimit": f'"budget";r={level.remaining};t={until_full}'}


class AdmittedOperation:
    """An operation that runs, with what was charged for it."""

    __slots__ = ("_budgets", "_charged", "_cost", "_key", "_lease", "_operation", "_rules", "_who")

    def __init__(
        self,
        budgets: Budgets,
        operation: Operation,
        rules: Rules,
        cost: Cost,
        key: str,
        lease: Lease,
        *,
        charged: bool,
        who: Principal,
    ) -> None:
        self._budgets = budgets
        self._operation = operation
        self._rules = rules
        self._cost = cost
        self._key = key
        self._lease = lease
        self._charged = charged
        self._who = who

    async def settle(self, scope: RequestScope) -> Receipt:
        """See `Admitted.settle`: what was predicted and not used goes back."""
        self._lease.release()
        used = actual(len(scope.calls), scope.keys, introspects=self._operation.introspects)
        unused = self._cost.units - used if self._charged else 0
        level = await self._budgets.adjust(self._key, unused, self._rules.bucket)
        if Role.PARTNER in self._who.roles:  # People have budgets of their own, and names that are nobody's business.
            budget_left(self._who.client, level.remaining / self._rules.bucket.capacity)
        shown = self._rules.shows or self._operation.extensions.get("cost") is True
        return Receipt(self._extensions(used, level) if shown else {}, budget_headers(self._rules, level))

    async def event(self, scope: RequestScope) -> None:
        """See `Admitted.event`: an event is paid when it has been answered."""
        await self._budgets.adjust(self._key, -actual(len(scope.calls), scope.keys), self._rules.bucket)

    def _extensions(self, used: int, level: Level) -> dict[str, Any]:
        return {
            "cost": {
                "requested": self._cost.units,
                "actual": used,
                "remaining": level.remaining,
                "maximum": self._rules.bucket.capacity,
                "restoreRate": self._rules.bucket.restore_rate,
            }
        }
