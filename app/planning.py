"""Plans and explanations of operations, for the command line and for callers who may ask."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.auth.policy import PolicyTable, Rights
from app.auth.principal import Principal
from app.execution.engine import Operation, Request
from app.execution.explain import Explanation, explain
from app.execution.plans import Plan, PlanEngine
from app.resolvers.context import Context
from app.schema import build_schema, policy_of
from app.settings import Settings
from app.sources import Sources, connect_all
from app.sources.common import utc_now
from app.sources.model import Assumptions, Log, model_of


def plan_of(document: str, operation: str | None, variables: Mapping[str, Any]) -> Plan | None:
    """The plan of an operation; None where graphql-core runs it. Raises RequestRefused for what is not valid.

    Of the variables only those of `@skip` and `@include` matter; what is not given counts as true.
    """
    engine = PlanEngine(build_schema()._schema)  # noqa: SLF001 - no other way to graphql-core's
    return engine.plan_for(engine.prepare(Request(document, operation, dict(variables))))


def refused_of(operation: Operation, policy: PolicyTable, rights: Rights) -> list[str]:
    """The fields that an operation selects and that these rights refuse."""
    selected = [(type_, name) for type_, names in operation.selection.items() for name in names]
    return sorted(".".join(key) for key in selected if key in policy.fields and rights.refuses(*key))


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
        log = Log()
        if who.restricted and who.customers:
            assume = replace(assume, customer=min(who.customers))
        model = model_of(self._settings, self._sources, log, assume)
        rights = self._policy.rights(who.roles)
        context = Context(who, rights, model, utc_now(), operation.selection)
        run = self._engine.execute(operation, context)
        found, _ = await explain(run, log, self._coalescing, refused_of(operation, self._policy, rights))
        return found


def explained(
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
