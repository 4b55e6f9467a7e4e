"""Admission control: introspection, cost limits, concurrency and budgets."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

from graphql import OperationType

from app.auth.principal import Principal, Role
from app.errors import LimitExceeded, NoIntrospection, RateLimited, TooExpensive
from app.execution.engine import Operation
from app.gateway.admission.caller_limits import CallerLimits, EffectiveLimits, caller_key
from app.gateway.admission.concurrency import ConcurrencyLimiter, Lease
from app.gateway.admission.cost import Cost, actual_cost
from app.gateway.admission.token_buckets import BucketLevel, TokenBuckets
from app.gateway.response import CostReport
from app.telemetry import RequestScope, budget_remaining, limit_exceeded, log, operation_cost

PredictCost = Callable[[Operation, Principal], Awaitable[Cost]]


class AdmissionController:
    """Admits operations within their caller's limits and budget. With `enforce_limits` or `enforce_budgets` off, an
    operation that would be refused is counted, logged and admitted. A subscription is charged when it is opened, then
    for each event. `connect` serves transports with long connections.
    """

    def __init__(
        self,
        limits: CallerLimits,
        predict: PredictCost,
        buckets: TokenBuckets,
        *,
        enforce_limits: bool = True,
        enforce_budgets: bool = True,
    ) -> None:
        self.limits = limits
        self.concurrent = ConcurrencyLimiter("concurrent")
        self.connections = ConcurrencyLimiter("connections")
        self.subscriptions = ConcurrencyLimiter("subscriptions")
        self._predict = predict
        self._buckets = buckets
        self._enforce_limits = enforce_limits
        self._enforce_budgets = enforce_budgets

    def allows_suggestions(self, principal: Principal) -> bool:
        """Whether errors may suggest names of the schema: for callers who may introspect it."""
        return self.limits.of(principal).may_introspect

    async def admit(self, operation: Operation, principal: Principal) -> BudgetedPermit:
        limits = self.limits.of(principal)
        if operation.introspects and not limits.may_introspect:
            raise NoIntrospection
        cost = await self._predict(operation, principal)
        exceeded = exceeded_limit(cost, limits)
        if exceeded is not None:
            self._enforce(exceeded, enforce=self._enforce_limits)
        operation_cost(cost.units)
        key = caller_key(principal)
        if operation.kind is OperationType.SUBSCRIPTION:
            lease = self._acquire(self.subscriptions, key, limits.max_subscriptions)
        else:
            lease = self._acquire(self.concurrent, key, limits.max_concurrent)
        try:
            level = await self._buckets.charge(key, cost.units, limits.bucket)
            if not level.allowed:
                self._enforce(budget_exceeded(cost, limits, level), enforce=self._enforce_budgets)
        except BaseException:
            lease.release()
            raise
        return BudgetedPermit(
            self._buckets, operation, limits, cost, key, lease, charged=level.allowed, principal=principal
        )

    async def admit_download(self, principal: Principal, units: int) -> Lease:
        """Charge a download to the caller's budget and count it as an operation; raises RateLimited."""
        limits, key = self.limits.of(principal), caller_key(principal)
        lease = self._acquire(self.concurrent, key, limits.max_concurrent)
        try:
            level = await self._buckets.charge(key, units, limits.bucket)
            if not level.allowed:
                exceeded = budget_exceeded(Cost(units, {}, 0), limits, level)
                self._enforce(exceeded, enforce=self._enforce_budgets)
        except BaseException:
            lease.release()
            raise
        return lease

    def connect(self, principal: Principal) -> Lease:
        """Count a long connection against the caller's limit; raises RateLimited."""
        return self._acquire(self.connections, caller_key(principal), self.limits.of(principal).max_connections)

    def _acquire(self, limiter: ConcurrencyLimiter, key: str, most: int) -> Lease:
        try:
            return limiter.acquire(key, most)
        except RateLimited as error:
            self._enforce(error, enforce=self._enforce_budgets)
            return limiter.acquire(key, most + limiter.in_use(key))

    @staticmethod
    def _enforce(error: LimitExceeded, *, enforce: bool) -> None:
        if enforce:
            raise error
        limit_exceeded(error.name, "measured")
        log.warning("limit_measured", name=error.name, max=error.most, actual=error.actual, code=error.code)


def exceeded_limit(cost: Cost, limits: EffectiveLimits) -> TooExpensive | None:
    """The limit that a cost exceeds."""
    if cost.units > limits.max_cost:
        return TooExpensive("cost", limits.max_cost, cost.units)
    if cost.rows > limits.max_rows:
        return TooExpensive("rows", limits.max_rows, cost.rows)
    for source, calls in cost.calls.items():
        if calls > limits.max_calls:
            return TooExpensive(f"calls.{source}", limits.max_calls, calls)
    if cost.units > limits.bucket.capacity:
        return TooExpensive("budget", limits.bucket.capacity, cost.units)
    return None


def budget_exceeded(cost: Cost, limits: EffectiveLimits, level: BucketLevel) -> RateLimited:
    """The error of a charge that the bucket does not hold."""
    return RateLimited(
        "budget",
        limits.bucket.capacity,
        cost.units,
        remaining=level.remaining,
        retry_after=max(math.ceil(level.retry_after), 1),
        headers=budget_headers(limits, level),
    )


def budget_headers(limits: EffectiveLimits, level: BucketLevel) -> dict[str, str]:
    """The fields of draft-ietf-httpapi-ratelimit-headers: policy, remaining units, seconds until full."""
    until_full = math.ceil((limits.bucket.capacity - level.remaining) / limits.bucket.restore_rate)
    return {"ratelimit-policy": limits.policy, "ratelimit": f'"budget";r={level.remaining};t={until_full}'}


class BudgetedPermit:
    """The permit of a running operation, with its charge."""

    __slots__ = ("_buckets", "_charged", "_cost", "_key", "_lease", "_limits", "_operation", "_principal")

    def __init__(
        self,
        buckets: TokenBuckets,
        operation: Operation,
        limits: EffectiveLimits,
        cost: Cost,
        key: str,
        lease: Lease,
        *,
        charged: bool,
        principal: Principal,
    ) -> None:
        self._buckets = buckets
        self._operation = operation
        self._limits = limits
        self._cost = cost
        self._key = key
        self._lease = lease
        self._charged = charged
        self._principal = principal

    async def settle(self, scope: RequestScope) -> CostReport:
        """See `OperationPermit.settle`: unused units of the prediction are returned."""
        self._lease.release()
        used = actual_cost(len(scope.calls), scope.keys, introspects=self._operation.introspects)
        unused = self._cost.units - used if self._charged else 0
        level = await self._buckets.adjust(self._key, unused, self._limits.bucket)
        if Role.PARTNER in self._principal.roles:  # People's names do not become labels.
            budget_remaining(self._principal.client, level.remaining / self._limits.bucket.capacity)
        shown = self._limits.shows_cost or self._operation.extensions.get("cost") is True
        return CostReport(self._extensions(used, level) if shown else {}, budget_headers(self._limits, level))

    async def charge_event(self, scope: RequestScope) -> None:
        await self._buckets.adjust(self._key, -actual_cost(len(scope.calls), scope.keys), self._limits.bucket)

    def _extensions(self, used: int, level: BucketLevel) -> dict[str, Any]:
        return {
            "cost": {
                "requested": self._cost.units,
                "actual": used,
                "remaining": level.remaining,
                "maximum": self._limits.bucket.capacity,
                "restoreRate": self._limits.bucket.restore_rate,
            }
        }
