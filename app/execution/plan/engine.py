"""The engine that compiles operations into plans, caches the plans with their documents, and runs them.

Queries, mutations and the selections of subscriptions' events are compiled. Introspection, and what carries directives
besides `@skip` and `@include`, is run by graphql-core.
"""

from __future__ import annotations

import linecache
import weakref
from collections.abc import Iterator
from itertools import count
from typing import Any

from cachetools import LRUCache
from graphql import ExecutionResult, GraphQLNonNull, GraphQLSchema, OperationType
from graphql.execution.values import VariableValues

from app.auth.policy import ALL_PERMISSIONS, Permissions
from app.execution.document.cache import Document
from app.execution.document.limits import NORMAL, DocumentLimits
from app.execution.engine import Operation, Request, execution_scope
from app.execution.plan.arguments import argument_reader
from app.execution.plan.codegen import generate
from app.execution.plan.collect import Collector, Switches
from app.execution.plan.compile import Compiler
from app.execution.plan.complete import ValueCompletion
from app.execution.plan.encoded_result import EncodedResult
from app.execution.plan.execute import PlanExecution, serialize
from app.execution.plan.tree import Plan, Serializer, Tree
from app.execution.reference import ReferenceEngine, coerce_variables
from app.telemetry import current, log, metrics

MAX_CACHED_FIELDS = 100_000
"""Fields of all cached plans together; the least recently used plan is evicted. A plan with more than a twentieth of
them is not cached, so that a few such evict nothing."""

NO_SWITCHES: Switches = {}

_numbers = count(1)


class PlanEngine:
    """Runs plans; graphql-core runs what is not compiled."""

    def __init__(
        self, schema: GraphQLSchema, *, limits: DocumentLimits = NORMAL, max_fields: int = MAX_CACHED_FIELDS
    ) -> None:
        self._schema = schema
        self._reference = ReferenceEngine(schema, limits=limits)
        self._plans: LRUCache[Any, Plan] = LRUCache(maxsize=max_fields, getsizeof=lambda plan: plan.tree.size)
        self._max_plan_fields = max_fields // 20

    def document(self, text: str, *, suggest: bool = False) -> Document:
        return self._reference.document(text, suggest=suggest)

    def prepare(self, request: Request) -> Operation:
        return self._reference.prepare(request)

    async def execute(self, operation: Operation, context: Any) -> ExecutionResult:
        if not operation.analysis.is_compiled:
            return await self._reference.execute(operation, context)
        variables = coerce_variables(self._schema, operation)
        switches = self._switches(operation, variables)
        if switches is None:
            return await self._reference.execute(operation, context)
        plan = self._plan(operation, switches, context.permissions)
        with execution_scope(context):
            return await run(plan, variables, context)

    def plan_for(self, operation: Operation, permissions: Permissions = ALL_PERMISSIONS) -> Plan | None:
        """The plan that would run; None where graphql-core does. Of the variables only the switches are read."""
        if not operation.analysis.is_compiled:
            return None
        switches = {name: operation.variables.get(name, True) is True for name in operation.analysis.switches}
        return self._plan(operation, switches, permissions)

    @staticmethod
    def _switches(operation: Operation, variables: VariableValues) -> Switches | None:
        """The coerced values of the switches; None if one is null, which only a run by graphql-core refuses."""
        if not operation.analysis.switches:
            return NO_SWITCHES
        switches = {name: variables.coerced.get(name) for name in operation.analysis.switches}
        if all(isinstance(value, bool) for value in switches.values()):
            return {name: value is True for name, value in switches.items()}
        return None

    def _plan(self, operation: Operation, switches: Switches, permissions: Permissions) -> Plan:
        """The plan for these values of the switches. The key holds the analysis, which belongs to the document, so that
        no text is compared."""
        key = (operation.analysis, permissions, frozenset(switches.items()) if switches else None)
        plan = self._plans.get(key)
        if plan is None:
            plan = make_plan(self._schema, operation, switches, permissions)
            if plan.tree.size <= self._max_plan_fields:
                self._plans[key] = plan
        return plan


def make_plan(schema: GraphQLSchema, operation: Operation, switches: Switches, permissions: Permissions) -> Plan:
    """Compile a query, a mutation, or the selection of a subscription's event."""
    compiler = Compiler(schema, Collector(schema, operation.analysis.fragments, switches), permissions)
    root: Any = schema.get_root_type(operation.kind)
    tree = compiler.compile(root, operation.definition.selection_set)
    filename = f"plan-{next(_numbers)}-{operation.name or 'anonymous'}.py"
    text, serializers = _generated(tree, filename)
    serial = operation.kind is OperationType.MUTATION
    plan = Plan(
        tree=tree,
        text=text,
        filename=filename,
        serializers=serializers,
        arguments={one.index: argument_reader(one) for one in tree.walk() if one.edge},
        prefetch=tuple(one for one in tree.walk() if one.edge and one.edge.prefetch and not one.forbidden),
        counts=tuple(_counts(tree)),
        serial=serial,
    )
    # Tracebacks show the generated source as long as the plan exists.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    weakref.finalize(plan, linecache.cache.pop, filename, None).atexit = False
    return plan


def _generated(tree: Tree, filename: str) -> tuple[str, dict[int, Serializer] | None]:
    try:
        return generate(tree, filename)
    except Exception as error:  # noqa: BLE001 - a plan without serializers is correct, and slow
        metrics().plan_fallbacks.labels("generation").inc()
        log.error("plan_generation_failed", plan=filename, error=repr(error), exc_info=error)
        return "", None


def _counts(tree: Tree) -> Iterator[tuple[int, str]]:
    for one in tree.walk():
        for selection in one.level.selections.values() if one.level is not None else ():
            if not selection.type.name.endswith(("Connection", "Edge", "PageInfo")):
                yield selection.index, selection.type.name


async def run(plan: Plan, variables: VariableValues, ctx: Any) -> ExecutionResult:
    """Read, then serialize; with a failure anywhere, complete value by value."""
    execution = PlanExecution(plan, variables, ctx)
    if plan.serial:
        await _run_serially(execution)
    else:
        await execution.root()
    current().rows = plan.counted(execution.rows)
    cause: Exception | None = None
    if not execution.failed and plan.serializers is not None:
        try:
            return EncodedResult(serialize(execution))
        except Exception as error:  # noqa: BLE001 - a value that its type does not allow, or a bug; see _report
            cause = error
    completion = ValueCompletion(execution)
    data = completion.data()
    if cause is not None:
        _report(plan, cause, reason="value" if completion.errors else "code")
    return ExecutionResult(data, completion.errors or None)


async def _run_serially(execution: PlanExecution) -> None:
    """Root fields one after the other, each with everything below it; none after a failure that makes the response null
    (section 6.2.2 of the specification)."""
    execution.start()
    renew = getattr(execution.ctx, "renew_loaders", None)
    for position, one in enumerate(execution.plan.tree.root.columns):
        if position and renew is not None:
            renew()  # What an earlier field has changed is read again.
        await execution.root_field(one)
        if execution.failed and isinstance(one.type, GraphQLNonNull) and ValueCompletion(execution).propagates(one):
            return


def _report(plan: Plan, error: Exception, *, reason: str) -> None:
    """Count a failure of generated code; log the first of each plan. "value": a value does not conform to its type, and
    the response has an error for it. "code": completion found no error, so the generated code is wrong."""
    metrics().plan_fallbacks.labels(reason).inc()
    if reason == "code" and not plan.failure_logged:
        plan.failure_logged = True
        log.error("plan_serializer_failed", plan=plan.filename, error=repr(error), exc_info=error)
