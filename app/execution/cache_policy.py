"""How long, and by whom, the response of an operation may be cached outside the gateway, derived from its plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.auth.policy import PolicyTable, Rows, Scope
from app.execution.plan.engine import Plan
from app.execution.plan.tree import PlanField, Selection
from app.schema.declare.freshness import Contracts
from app.sources.freshness_contracts import Contract, Share


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """`max_age` in seconds is that of the tightest contract; `public` if all callers get the same response."""

    max_age: int
    public: bool


NOT_CACHEABLE = CachePolicy(0, public=False)


def cache_policy(
    plan: Plan, contracts: Contracts, policy: PolicyTable, max_age: Callable[[Contract], int]
) -> CachePolicy:
    """The policy that follows from the contracts and rules of all selected fields. `max_age` gives the maximum age of a
    contract's data under the settings, in seconds."""
    found = _StrictestContract(contracts, policy, max_age)
    found.add(plan.tree.root, None)
    return CachePolicy(found.max_age or 0, found.public) if found.max_age else NOT_CACHEABLE


class _StrictestContract:
    def __init__(self, contracts: Contracts, policy: PolicyTable, max_age: Callable[[Contract], int]) -> None:
        self.max_age: int | None = None
        self.public = True
        self._contracts = contracts
        self._policy, self._everyone = policy, policy.audiences[Scope.EVERYONE]
        self._lived = max_age

    def add(self, selection: Selection, within: Contract | None) -> None:
        for one in selection.fields:
            if not one.is_typename:
                self._add_field(one, self._contracts.of(selection.type.name, one.name, within))

    def _add_field(self, one: PlanField, contract: Contract | None) -> None:
        if contract is not None:
            age = self._lived(contract)
            self.max_age = age if self.max_age is None else min(self.max_age, age)
        if contract is None and one.level is None:
            self.max_age = 0  # Nobody says how old it may be.
        self.public = self.public and self._is_for_all(one) and (contract is None or contract.share is Share.PUBLIC)
        for below in one.level.selections.values() if one.level is not None else ():
            self.add(below, contract)

    def _is_for_all(self, one: PlanField) -> bool:
        rule = self._policy.fields.get((one.parent.name, one.name))
        return rule is not None and rule.roles == self._everyone and rule.rows is Rows.ALL and rule.mask is None
