"""Estimated costs of operations: by simulation for queries, by declaration for mutations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from graphql import GraphQLError, GraphQLSchema, OperationType, is_interface_type

from app.auth.principal import Principal
from app.errors import Forbidden, InvalidID
from app.execution.engine import Operation
from app.gateway.admission.cost import MAX_COSTS, Cost, mutation_cost, predicted_cost, variables_shape
from app.gateway.explain.explainer import Explainer
from app.gateway.explain.simulated_records import Assumptions
from app.gateway.explain.simulation import UnmodelledRead
from app.sources.node_ids import node_id, parse_node_id


class _AllNumbers(frozenset[str]):
    """Customers or agents that contain every number: an operation on a foreign one is not estimated cheaper."""

    def __contains__(self, _: object) -> bool:
        return True


class CostEstimate(NamedTuple):
    """A cost, and the errors of fields that could not be priced."""

    cost: Cost
    errors: Sequence[GraphQLError] = ()


class CostEstimator:
    """Estimates costs for limits and budgets. A cost is cached with its operation's document, by what it depends on:
    roles, the number of accounts, and the shape of the variables."""

    def __init__(self, explainer: Explainer, schema: GraphQLSchema, sources: Iterable[str]) -> None:
        self._explainer = explainer
        self._schema = schema
        self._sources = frozenset(sources)
        node = schema.get_type("Node")
        kinds = [kind.name for kind in schema.get_possible_types(node)] if is_interface_type(node) else []
        self._id_prefixes = frozenset(node_id(kind, "")[:4] for kind in kinds)

    async def of(self, operation: Operation, principal: Principal) -> Cost:
        """The operation's cost for a caller. Raises RequestRefused for variables that cannot run."""
        return (await self.estimate(operation, principal)).cost

    async def estimate(self, operation: Operation, principal: Principal) -> CostEstimate:
        """The cost with the errors of fields that these values could not price. No resolver of a mutation is called:
        its root fields declare their costs. Raises RequestRefused for variables that cannot run, UnmodelledRead."""
        if operation.kind is OperationType.SUBSCRIPTION:
            return CostEstimate(Cost(1, {}, 0))  # Each event is charged by itself.
        if operation.kind is OperationType.MUTATION:
            return CostEstimate(Cost(mutation_cost(self._schema, operation), {}, 0))
        costs: dict[Any, Cost] = operation.annotations.setdefault(("costs", operation.name), {})
        accounts = (len(principal.customers), bool(principal.agents)) if principal.restricted else None
        key = (principal.roles, accounts, variables_shape(operation.variables, self._classify))
        known = costs.get(key)
        if known is not None:
            return CostEstimate(known)
        numbers = {"customers": _AllNumbers(principal.customers), "agents": _AllNumbers(principal.agents)}
        any_customer = replace(principal, **{name: own for name, own in numbers.items() if own})
        found, result = await self._explainer.run(operation, any_customer, Assumptions())
        cost = predicted_cost(found, introspects=operation.introspects)
        errors = [error for error in result.errors or () if not isinstance(error.original_error, Forbidden)]
        for error in errors:
            if isinstance(error.original_error, UnmodelledRead):
                raise error.original_error
        if not errors:
            # With an error, such as of an invalid id, other values of the same shape may cost more.
            if len(costs) >= MAX_COSTS:
                costs.clear()
            costs[key] = cost
        return CostEstimate(cost, errors)

    def _classify(self, text: str) -> object:
        """The part of a text that affects the cost: the source it names, or the type and source of an id."""
        if text in self._sources:
            return text
        if text[:4] in self._id_prefixes:
            with suppress(InvalidID):
                kind, key = parse_node_id(text)
                return kind, key.partition(":")[0] if ":" in key else None
        return None
