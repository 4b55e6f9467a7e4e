"""Cache-Control (RFC 9111) and conditional requests (RFC 9110) for responses to GET."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from graphql import GraphQLSchema

from app.auth.policy import PolicyTable
from app.auth.principal import Principal
from app.execution.cache_policy import CachePolicy, cache_policy
from app.execution.engine import Operation
from app.execution.plan.engine import PlanEngine
from app.schema.declare.freshness import contracts_of
from app.settings import Settings
from app.sources.pipeline.cache.cache import contract_ages


def cache_control(policy: CachePolicy | None, age: int, *, degraded: bool, within: float | None) -> str:
    """The Cache-Control of a response: the time that its contracts leave, and no longer than its client's `@fresh`."""
    if policy is None or degraded:
        return "private, no-cache"
    max_age = policy.max_age if within is None else min(policy.max_age, int(within))
    left = max_age - age
    if left <= 0:
        return "private, no-cache"
    return f"{'public' if policy.public else 'private'}, max-age={left}"


def entity_tag(media_type: str, body: bytes) -> str:
    """The strong entity tag of a body."""
    return f'"{hashlib.sha256(media_type.encode() + body).hexdigest()[:32]}"'


def if_none_match(header: bytes | None, tag: str) -> bool:
    """Whether `If-None-Match` names the tag, weakly compared."""
    if header is None:
        return False
    return any(one.strip().removeprefix("W/") in {tag, "*"} for one in header.decode("latin-1").split(","))


def cache_policies(
    settings: Settings, schema: GraphQLSchema, plans: PlanEngine, policy: PolicyTable
) -> Callable[[Operation, Principal], CachePolicy | None]:
    """Returns the policy by which caches may store a response: what the gateway does not cache, nobody may."""
    contracts, ages = contracts_of(schema), contract_ages(settings.cache)

    def of(operation: Operation, principal: Principal) -> CachePolicy | None:
        plan = plans.plan_for(operation, policy.permissions(principal.roles))
        return None if plan is None else cache_policy(plan, contracts, policy, lambda contract: ages.get(contract, 0))

    return of
