"""The limits of a caller, resolved from `[limits]` and `[budgets]` by client and role."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache

from app.auth.principal import AnyRole, Principal, Role
from app.gateway.admission.token_buckets import TokenBucket
from app.settings import BudgetSettings, LimitSettings

MAX_CALLERS = 10_000


@dataclass(frozen=True, slots=True)
class EffectiveLimits:
    """The limits of one operation, the caller's token bucket, and the concurrency limits. `may_introspect`: may read
    the schema; `shows_cost`: gets the cost with every response; `policy`: the value of the RateLimit-Policy header."""

    max_cost: int
    max_calls: int
    max_rows: int
    bucket: TokenBucket
    max_concurrent: int
    max_connections: int
    max_subscriptions: int
    may_introspect: bool
    shows_cost: bool
    policy: str


class CallerLimits:
    """Resolves and caches limits. A client's own setting comes first; of several roles the widest applies. In a demo
    every role may read the schema, unless the settings name roles."""

    def __init__(self, limits: LimitSettings, budgets: BudgetSettings, *, demo: bool = False) -> None:
        self._limits = limits
        self._budgets = budgets
        self._open_schema = demo and "introspection" not in limits.model_fields_set
        self._introspecting_roles = frozenset(limits.introspection)
        self._cost_roles = frozenset(budgets.show)
        self._cache: LRUCache[tuple[str, frozenset[AnyRole]], EffectiveLimits] = LRUCache(maxsize=MAX_CALLERS)

    def of(self, principal: Principal) -> EffectiveLimits:
        """The limits of a caller."""
        key = (principal.client, principal.roles)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._resolve(principal)
        return found

    def _resolve(self, principal: Principal) -> EffectiveLimits:
        def setting(settings: LimitSettings | BudgetSettings, name: str) -> Any:
            own = getattr(settings.clients.get(principal.client), name, None)
            return own if own is not None else _widest(settings.roles, principal.roles, name, getattr(settings, name))

        bucket = TokenBucket(setting(self._budgets, "capacity"), setting(self._budgets, "restore_rate"))
        return EffectiveLimits(
            max_cost=setting(self._limits, "max_cost"),
            max_calls=setting(self._limits, "max_calls_per_source"),
            max_rows=setting(self._limits, "max_rows"),
            bucket=bucket,
            max_concurrent=setting(self._budgets, "max_concurrent"),
            max_connections=setting(self._budgets, "max_connections"),
            max_subscriptions=setting(self._budgets, "max_subscriptions"),
            may_introspect=self._open_schema or not principal.roles.isdisjoint(self._introspecting_roles),
            shows_cost=not principal.roles.isdisjoint(self._cost_roles),
            policy=f'"budget";q={bucket.capacity};w={math.ceil(bucket.fill_time)};qu="cost"',
        )


def _widest(roles: Mapping[Any, Any], held: Iterable[AnyRole], name: str, default: Any) -> Any:
    found = [getattr(roles.get(role.value), name, None) for role in held]
    return max((default if one is None else one for one in found), default=default)


def caller_key(principal: Principal) -> str:
    """The key of a caller's budget. A partner is one caller with all of its credentials; people who share one of our
    apps are a caller each."""
    parts = (
        (principal.tenant, principal.client)
        if Role.PARTNER in principal.roles
        else (principal.tenant, principal.client, principal.subject)
    )
    return "\n".join(parts)
