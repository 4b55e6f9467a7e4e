"""Plans: made once from a document, kept with it, run many times.

`PlanEngine` compiles queries and hands everything else to graphql-core: introspection, mutations, incremental delivery.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from cachetools import LRUCache
from graphql import ExecutionResult, FragmentDefinitionNode, GraphQLObjectType, GraphQLSchema
from graphql.execution.values import VariableValues, get_variable_values

from app.auth.policy import ALL_PERMISSIONS, Permissions
from app.errors import BadUserInput
from app.execution.document.cache import Document, with_code
from app.execution.document.limits import NORMAL, DocumentLimits
from app.execution.engine import Operation, ReferenceEngine, Request, RequestRefused, execution_scope
from app.execution.plan.arguments import ArgumentReader, argument_reader
from app.execution.plan.codegen import Serializer, generate
from app.execution.plan.collect import Collector, Switches
from app.execution.plan.compile import Compiler
from app.execution.plan.complete import ValueCompletion
from app.execution.plan.eligibility import Survey
from app.execution.plan.encoded_result import EncodedResult
from app.execution.plan.execute import PlanExecution, serialize
from app.execution.plan.tree import Level, PlanField, Tree
from app.telemetry import current

MAX_CACHED_FIELDS = 100_000
"""Fields of all plans that are kept together. The plan used longest ago goes first; one that has more than a twentieth
of them is made anew each time, so that a few such do not push out what clients really send."""


@dataclass(slots=True)
class Plan:
    """A compiled operation. `arguments` reads the arguments of an edge, by field; `counts` names the types whose rows
    are counted, by selection."""

    tree: Tree
    text: str
    serializers: Mapping[int, Serializer]
    arguments: Mapping[int, ArgumentReader]
    prefetch: tuple[PlanField, ...]
    counts: tuple[tuple[int, str], ...] = ()
    types: dict[tuple[int, type], str | None] = field(default_factory=dict)

    def type_of(self, value: Any, level: Level) -> str | None:
        """The name of the concrete type of an object; None if no type of the level is bound to its record."""
        if level.only is not None:
            return level.type_name
        key = (level.index, type(value))
        if key not in self.types:
            self.types[key] = next(
                (name for name, one in level.selections.items() if _is_of(one.type, value)),
                None,
            )
        return self.types[key]

    def counted(self, rows: Mapping[int, Sequence[Any]]) -> dict[str, int]:
        """How many objects were read, by type: the lengths of what is there anyway."""
        found: dict[str, int] = {}
        for index, name in self.counts:
            count = len(rows.get(index, ()))
            if count:
                found[name] = found.get(name, 0) + count
        return found


def _counts(tree: Tree) -> Iterator[tuple[int, str]]:
    """Selections of things, not of the connections, edges and pages that lead to them."""
    for one in tree.walk():
        for selection in one.level.selections.values() if one.level is not None else ():
            if not selection.type.name.endswith(("Connection", "Edge", "PageInfo")):
                yield selection.index, selection.type.name


def _is_of(type_: GraphQLObjectType, value: Any) -> bool:
    check: Any = type_.is_type_of
    return check is not None and check(value, None)


def make_plan(schema: GraphQLSchema, operation: Operation, switches: Switches, permissions: Permissions) -> Plan:
    """Compile a query, or what a subscription selects of an event."""
    nodes = operation.document.definitions
    fragments = {node.name.value: node for node in nodes if isinstance(node, FragmentDefinitionNode)}
    compiler = Compiler(schema, Collector(schema, fragments, switches), permissions)
    root: Any = schema.get_root_type(operation.kind)
    tree = compiler.compile(root, operation.definition.selection_set)
    text, serializers = generate(tree)
    early = tuple(one for one in tree.walk() if one.edge and one.edge.prefetch and not one.forbidden)
    arguments = {one.index: argument_reader(one) for one in tree.walk() if one.edge}
    return Plan(tree, text, serializers, arguments, early, tuple(_counts(tree)))


class PlanEngine:
    """Runs plans; `reference` runs what is not compiled."""

    def __init__(
        self, schema: GraphQLSchema, *, limits: DocumentLimits = NORMAL, max_fields: int = MAX_CACHED_FIELDS
    ) -> None:
        self._schema = schema
        self._reference = ReferenceEngine(schema, limits=limits)
        self._plans: LRUCache[Any, Plan] = LRUCache(maxsize=max_fields, getsizeof=lambda plan: plan.tree.size)
        self._largest_kept = max_fields // 20

    def document(self, text: str, *, suggest: bool = False) -> Document:
        """See `Engine.document`."""
        return self._reference.document(text, suggest=suggest)

    def prepare(self, request: Request) -> Operation:
        """See `Engine.prepare`."""
        return self._reference.prepare(request)

    async def execute(self, operation: Operation, context: Any) -> ExecutionResult:
        """See `Engine.execute`."""
        found = self._planned(operation, context.permissions)
        if found is None:
            return await self._reference.execute(operation, context)
        plan, variables = found
        with execution_scope(context):
            return await run(plan, variables, context)

    def plan_for(self, operation: Operation, permissions: Permissions = ALL_PERMISSIONS) -> Plan | None:
        """The plan that would run, variables unseen but for the switches; None where graphql-core does."""
        survey = operation.prepared(Survey)
        switches = {name: operation.variables.get(name, True) is True for name in survey.switches}
        return self._plan(operation, survey, switches, permissions) if survey.compiles else None

    def _planned(self, operation: Operation, permissions: Permissions) -> tuple[Plan, VariableValues] | None:
        survey = operation.prepared(Survey)
        if not survey.compiles:
            return None
        variables = get_variable_values(
            self._schema,
            operation.definition.variable_definitions or (),
            operation.variables,
            hide_suggestions=not operation.suggests,
        )
        if isinstance(variables, list):
            raise RequestRefused([with_code(error, BadUserInput.code) for error in variables])
        coerced = ((name, variables.coerced.get(name)) for name in survey.switches)
        switches = {name: value for name, value in coerced if isinstance(value, bool)}
        if len(switches) < len(survey.switches):
            return None  # A null, which only a run can refuse.
        return self._plan(operation, survey, switches, permissions), variables

    def _plan(self, operation: Operation, survey: Survey, switches: Switches, permissions: Permissions) -> Plan:
        """The plan for these values of the operation's switches. The survey stands for the operation in the key: it is
        the document's own, so that no text is compared."""
        key = (survey, permissions, frozenset(switches.items()))
        plan = self._plans.get(key)
        if plan is None:
            plan = make_plan(self._schema, operation, switches, permissions)
            if plan.tree.size <= self._largest_kept:
                self._plans[key] = plan
        return plan


async def run(plan: Plan, variables: VariableValues, ctx: Any) -> ExecutionResult:
    """Read, then shape; with a failure anywhere, complete value by value."""
    execution = PlanExecution(plan, variables, ctx)
    await execution.root()
    current().rows = plan.counted(execution.rows)
    if not execution.failed:
        # A value that the schema does not promise fails here: completion finds it and says where.
        with suppress(Exception):
            return EncodedResult(serialize(execution))
    completion = ValueCompletion(execution)
    data = completion.data()
    return ExecutionResult(data, completion.errors or None)
