"""Plans and explanations of operations, for the command line and for callers who may ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

from graphql import ExecutionResult, GraphQLError, GraphQLSchema, OperationType, is_interface_type

from app.auth.policy import Permissions, PolicyTable
from app.auth.principal import STAFF, Principal
from app.errors import Forbidden, InvalidID
from app.execution.cache_policy import CachePolicy, cache_policy
from app.execution.engine import Operation, Request
from app.execution.plan.engine import Plan, PlanEngine
from app.gateway.admission.admission import exceeded_limit
from app.gateway.admission.caller_limits import CallerLimits
from app.gateway.admission.cost import MAX_COSTS, Cost, mutation_cost, predicted_cost, variables_shape
from app.gateway.explain.explain import Explanation, explain
from app.gateway.explain.read_log import ReadLog
from app.gateway.explain.simulated_records import Assumptions
from app.gateway.explain.simulation import SimulatedEventLog, SimulatedLedger, UnmodelledRead, simulate_sources
from app.resolvers.loading.context import Context
from app.schema import build_schema, policy_of
from app.schema.declare.freshness import contracts_of
from app.settings import Settings
from app.sources.node_ids import node_id, parse_node_id
from app.sources.pipeline.cache.cache import ages_here, reads_here
from app.sources.source import Sources
from app.sources.values import utc_now
from app.sources.wiring import connect_all


def plan_of(document: str, operation: str | None, variables: Mapping[str, Any]) -> Plan | None:
    """The plan of an operation; None where graphql-core runs it. Raises RequestRefused for what is not valid.

    Of the variables only those of `@skip` and `@include` matter; what is not given counts as true.
    """
    engine = PlanEngine(build_schema()._schema)  # noqa: SLF001 - no other way to graphql-core's
    return engine.plan_for(engine.prepare(Request(document, operation, dict(variables))))


def refused_of(operation: Operation, policy: PolicyTable, permissions: Permissions) -> list[str]:
    """The fields that an operation selects and that these rights refuse."""
    selected = [(type_, name) for type_, names in operation.selection.items() for name in names]
    return sorted(".".join(key) for key in selected if key in policy.fields and permissions.refuses(*key))


class Explainer:
    """Explains operations over configured sources without asking them."""

    def __init__(self, settings: Settings, sources: Sources, engine: PlanEngine, policy: PolicyTable) -> None:
        self._settings = settings
        self._sources = sources
        self._engine = engine
        self._policy = policy
        connected = sources.connected.items()
        self._coalescing = frozenset(name for name, source in connected if source.coalesces)

    async def explain(self, operation: Operation, who: Principal, assume: Assumptions) -> Explanation:
        """What the operation will ask, for a caller."""
        found, _ = await self.run(operation, who, assume)
        ages = reads_here(self._settings.cache)
        cacheable = {read: ages[name] for read in found.reads if (name := read.partition(".")[2]) in ages}
        return replace(found, cacheable=cacheable)

    async def explain_to_staff(self, who: Principal, operation: Operation) -> dict[str, Any]:
        """The explanation for a caller who asked for it beside the answer."""
        if not who.roles & STAFF:
            raise Forbidden("Only operations and platform staff may ask for `extensions.explain`.")
        return (await self.explain(operation, who, Assumptions())).as_json()

    async def run(
        self, operation: Operation, who: Principal, assume: Assumptions
    ) -> tuple[Explanation, ExecutionResult]:
        """What the operation will ask, and what became of it over the model."""
        log = ReadLog()
        if who.restricted and who.customers:
            assume = replace(assume, customer=min(who.customers))
        model = simulate_sources(self._settings, self._sources, log, assume)
        permissions = self._policy.permissions(who.roles)
        context = Context(
            who, permissions, model, utc_now(), operation.selection,
            events=SimulatedEventLog(self._sources.connected, assume), ledger=SimulatedLedger(),
        )  # fmt: skip
        run = self._engine.execute(operation, context)
        return await explain(run, log, self._coalescing, refused_of(operation, self._policy, permissions))


class _AllCustomers(frozenset[str]):
    """A caller's customers, to whom whoever is asked for belongs: a prediction is not cheaper for a foreign one."""

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

    async def of(self, operation: Operation, who: Principal) -> Cost:
        """The operation's cost for a caller. Raises RequestRefused for variables that cannot run."""
        return (await self.estimate(operation, who)).cost

    async def estimate(self, operation: Operation, who: Principal) -> CostEstimate:
        """The same with what went wrong: with these values, some fields were not priced. No resolver of a mutation is
        called: its root fields declare their costs. Raises RequestRefused for variables that cannot run."""
        if operation.kind is OperationType.SUBSCRIPTION:
            return CostEstimate(Cost(1, {}, 0))  # Each event is charged by itself.
        if operation.kind is OperationType.MUTATION:
            return CostEstimate(Cost(mutation_cost(self._schema, operation), {}, 0))
        costs: dict[Any, Cost] = operation.annotations.setdefault(("costs", operation.name), {})
        accounts = len(who.customers) if who.restricted else None
        key = (who.roles, accounts, variables_shape(operation.variables, self._classify))
        known = costs.get(key)
        if known is not None:
            return CostEstimate(known)
        any_customer = replace(who, customers=_AllCustomers(who.customers)) if accounts else who
        found, result = await self._explainer.run(operation, any_customer, Assumptions())
        cost = predicted_cost(found, introspects=operation.introspects)
        errors = [error for error in result.errors or () if not isinstance(error.original_error, Forbidden)]
        for error in errors:
            if isinstance(error.original_error, UnmodelledRead):
                raise error.original_error
        if not errors:
            # With an error, such as of an id that is none, other values of the same shape may be read.
            if len(costs) >= MAX_COSTS:
                costs.clear()
            costs[key] = cost
        return CostEstimate(cost, errors)

    def _classify(self, text: str) -> object:
        """What of a text decides how much is asked: the source it names, and as an id, of what type and source."""
        if text in self._sources:
            return text
        if text[:4] in self._id_prefixes:
            with suppress(InvalidID):
                kind, key = parse_node_id(text)
                return kind, key.partition(":")[0] if ":" in key else None
        return None


def admission_verdict(settings: Settings, found: Explanation, who: Principal) -> str:
    """What limits and budget say to an operation of this cost, for people."""
    limits = CallerLimits(settings.limits, settings.budgets).of(who)
    cost = predicted_cost(found)
    exceeded = exceeded_limit(cost, limits)
    verdict = "limits: passed" if exceeded is None else f"limits: {exceeded.code}, {exceeded.name}"
    busiest = max(cost.calls.values(), default=0)
    full, restored = limits.bucket.capacity // cost.units, limits.bucket.restore_rate / cost.units
    return (
        f"{verdict} (cost {cost.units} of {limits.max_cost}, rows {cost.rows} of {limits.max_rows}, "
        f"requests to one source {busiest} of {limits.max_calls})\n"
        f"budget: {full} of these at once, then {restored:.1f} a second"
    )


def explain_document(
    settings: Settings,
    document: str,
    variables: Mapping[str, Any],
    who: Principal,
    *,
    operation: str | None = None,
    assume: Assumptions = Assumptions(),  # noqa: B008 - frozen
) -> Explanation:
    """For the command line: connects nothing, asks nothing."""
    schema = build_schema()
    engine = PlanEngine(schema._schema)  # noqa: SLF001 - no other way to graphql-core's
    prepared = engine.prepare(Request(document, operation, dict(variables)))

    async def run() -> Explanation:
        sources = connect_all(settings)
        try:
            return await Explainer(settings, sources, engine, policy_of(schema)).explain(prepared, who, assume)
        finally:
            await sources.close()

    return asyncio.run(run())


def cache_policies(
    settings: Settings, schema: GraphQLSchema, plans: PlanEngine, policy: PolicyTable
) -> Callable[[Operation, Principal], CachePolicy | None]:
    """Tells how an operation's answer may be kept outside of the gateway: what is not kept here, is not there."""
    contracts, ages = contracts_of(schema), ages_here(settings.cache)

    def of(operation: Operation, who: Principal) -> CachePolicy | None:
        plan = plans.plan_for(operation, policy.permissions(who.roles))
        return None if plan is None else cache_policy(plan, contracts, policy, lambda contract: ages.get(contract, 0))

    return of
