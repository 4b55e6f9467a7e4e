"""Plans and explanations of operations, for the command line and for staff."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from graphql import ExecutionResult

from app.auth.policy import Permissions, PolicyTable
from app.auth.principal import STAFF, Principal
from app.errors import Forbidden
from app.execution.engine import Operation, Request
from app.execution.plan.engine import Plan, PlanEngine
from app.gateway.admission.admission import exceeded_limit
from app.gateway.admission.caller_limits import CallerLimits
from app.gateway.admission.cost import predicted_cost
from app.gateway.explain.explain import Explanation, explain
from app.gateway.explain.read_log import ReadLog, SimulatedAccounts
from app.gateway.explain.simulated_intakes import SimulatedIntakes
from app.gateway.explain.simulated_records import Assumptions
from app.gateway.explain.simulation import (
    SimulatedEventLog,
    SimulatedLedger,
    SimulatedLinkSigner,
    simulate_sources,
)
from app.resolvers.loading.context import Context
from app.schema import build_schema, policy_of
from app.settings import Settings
from app.sources.pipeline.cache.cache import cached_reads
from app.sources.source import Sources
from app.sources.values import utc_now
from app.sources.wiring import connect_all


def plan_of(settings: Settings, document: str, operation: str | None, variables: Mapping[str, Any]) -> Plan | None:
    """The plan of an operation; None where graphql-core runs it. Raises RequestRefused for what is not valid.

    Only the variables of `@skip` and `@include` matter; a missing one counts as true.
    """
    engine = PlanEngine(build_schema(settings)._schema)  # noqa: SLF001 - no other way to graphql-core's
    return engine.plan_for(engine.prepare(Request(document, operation, dict(variables), suggests=True)))


def refused_of(operation: Operation, policy: PolicyTable, permissions: Permissions) -> list[str]:
    """The selected fields that these permissions refuse."""
    selected = [(type_, name) for type_, names in operation.selection.items() for name in names]
    return sorted(".".join(key) for key in selected if key in policy.fields and permissions.refuses(*key))


class Explainer:
    """Explains operations over configured sources without calling them."""

    def __init__(self, settings: Settings, sources: Sources, engine: PlanEngine, policy: PolicyTable) -> None:
        self._settings = settings
        self._sources = sources
        self._engine = engine
        self._policy = policy
        connected = sources.connected.items()
        self._coalescing = frozenset(name for name, source in connected if source.coalesces)

    async def explain(self, operation: Operation, principal: Principal, assume: Assumptions) -> Explanation:
        """The reads that an operation will make for a caller."""
        if principal.restricted and principal.customers:
            principal = replace(principal, customers=SimulatedAccounts(principal.customers))
        found, _ = await self.run(operation, principal, assume)
        ages = cached_reads(self._settings.cache)
        cacheable = {read: ages[name] for read in found.reads if (name := read.partition(".")[2]) in ages}
        return replace(found, cacheable=cacheable)

    async def explain_to_staff(self, principal: Principal, operation: Operation) -> dict[str, Any]:
        """The explanation for `extensions.explain`. Raises Forbidden for callers who are not staff."""
        if not principal.roles & STAFF:
            raise Forbidden("`extensions.explain` requires the role operations or admin.")
        return (await self.explain(operation, principal, Assumptions())).as_json()

    async def run(
        self, operation: Operation, principal: Principal, assume: Assumptions
    ) -> tuple[Explanation, ExecutionResult]:
        """The explanation of an operation, and its result over the simulated sources."""
        log = ReadLog()
        if principal.restricted and principal.customers:
            assume = replace(assume, customer=min(principal.customers))
        model = simulate_sources(self._settings, self._sources, log, assume)
        permissions = self._policy.permissions(principal.roles)
        context = Context(
            principal, permissions, model, utc_now(), operation.selection,
            events=SimulatedEventLog(self._sources.connected, assume), ledger=SimulatedLedger(),
            intake=SimulatedIntakes(self._sources, assume),
            link_signer=SimulatedLinkSigner(log) if self._settings.downloads.secrets else None,
        )  # fmt: skip
        run = self._engine.execute(operation, context)
        return await explain(run, log, self._coalescing, refused_of(operation, self._policy, permissions))


def admission_outcome(settings: Settings, found: Explanation, principal: Principal) -> str:
    """Whether limits and budget admit an operation of this cost, as text."""
    limits = CallerLimits(settings.limits, settings.budgets).of(principal)
    cost = predicted_cost(found)
    exceeded = exceeded_limit(cost, limits)
    outcome = "limits: passed" if exceeded is None else f"limits: {exceeded.code}, {exceeded.name}"
    busiest = max(cost.calls.values(), default=0)
    full, restored = limits.bucket.capacity // cost.units, limits.bucket.restore_rate / cost.units
    return (
        f"{outcome} (cost {cost.units} of {limits.max_cost}, rows {cost.rows} of {limits.max_rows}, "
        f"requests to one source {busiest} of {limits.max_calls})\n"
        f"budget: {full} of these at once, then {restored:.1f} a second"
    )


def explain_document(
    settings: Settings,
    document: str,
    variables: Mapping[str, Any],
    principal: Principal,
    *,
    operation: str | None = None,
    assume: Assumptions = Assumptions(),  # noqa: B008 - frozen
) -> Explanation:
    """Explain a document for the command line, without a connection."""
    schema = build_schema(settings)
    engine = PlanEngine(schema._schema)  # noqa: SLF001 - no other way to graphql-core's
    prepared = engine.prepare(Request(document, operation, dict(variables), suggests=True))

    async def run() -> Explanation:
        sources = connect_all(settings)
        try:
            return await Explainer(settings, sources, engine, policy_of(schema)).explain(prepared, principal, assume)
        finally:
            await sources.close()

    return asyncio.run(run())
