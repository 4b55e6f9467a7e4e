"""One walk over a parsed document, before it is validated.

Each node is visited once, fragments included; what depends on fragments is then folded over the definitions, each
fragment once. The result serves limits, the bound on size, the fields that an operation selects, whether it is compiled
into a plan, and which variables an event's selection reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
)

from app.execution.document.limits import NORMAL, DocumentLimits, check_limit, check_measure
from app.execution.document.measure import FieldSet, Measure, measure, measure_fragments
from app.execution.document.size import check_size
from app.schema.declare.freshness import FRESH

SelectedFields = Mapping[str, frozenset[str]]
"""Field names by the name of their type."""

SWITCHES = frozenset({"skip", "include"})


@dataclass(slots=True)
class Definition:
    """What one operation or fragment contains itself, without the fragments that it spreads.

    `sets` are its selection sets, parents before children. `switches` are the variables of `@skip` and `@include`,
    `variables` those used below the root fields. `other_directives`: a selection has a directive besides the two.
    """

    sets: list[FieldSet] = field(default_factory=list)
    selected: dict[str, set[str]] = field(default_factory=dict)
    switches: set[str] = field(default_factory=set)
    variables: set[str] = field(default_factory=set)
    other_directives: bool = False

    @property
    def spreads(self) -> Iterator[str]:
        """The fragments that it spreads, by name."""
        for one in self.sets:
            yield from one.spreads


@dataclass(frozen=True, eq=False)
class OperationAnalysis:
    """An operation, its fragments included. `annotations` holds what others compute for it, as long as its document
    is cached."""

    node: OperationDefinitionNode
    measure: Measure
    fragments: Mapping[str, FragmentDefinitionNode]
    definition: Definition
    definitions_of_fragments: Mapping[str, Definition]
    annotations: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def parts(self) -> tuple[Definition, ...]:
        """Its own definition and those of the fragments that it spreads, directly or within others, each once."""
        found = [self.definition]
        seen: set[str] = set()
        for one in found:  # It grows on the way.
            for name in one.spreads:
                if name in self.definitions_of_fragments and name not in seen:
                    seen.add(name)
                    found.append(self.definitions_of_fragments[name])
        return tuple(found)

    @cached_property
    def selected_fields(self) -> SelectedFields:
        """Every field that it can select, by type. `@skip` and `@include` are ignored; a field of an interface counts
        for each of its types."""
        found: dict[str, set[str]] = {}
        for part in self.parts:
            for name, fields in part.selected.items():
                found.setdefault(name, set()).update(fields)
        return {name: frozenset(fields) for name, fields in found.items()}

    @cached_property
    def switches(self) -> frozenset[str]:
        """The variables that `@skip` and `@include` use."""
        return frozenset().union(*(part.switches for part in self.parts))

    @cached_property
    def is_compiled(self) -> bool:
        """Whether a plan runs it; graphql-core runs introspection and operations with other directives."""
        return not self.introspects and not any(part.other_directives for part in self.parts)

    @property
    def introspects(self) -> bool:
        """Whether it reads the schema."""
        return self.measure.introspections > 0

    @cached_property
    def event_variables(self) -> tuple[str, ...]:
        """The variables used below its root fields: of a subscription, those that its events' selection reads."""
        return tuple(sorted(frozenset().union(*(part.variables for part in self.parts))))


def analyze(
    schema: GraphQLSchema, document: DocumentNode, limits: DocumentLimits = NORMAL
) -> dict[str | None, OperationAnalysis]:
    """The operations of a document by name. Raises LimitExceeded for the first limit that is exceeded, DocumentTooLarge
    for what would take too long to validate."""
    walk = _Walk(schema, limits)
    operations: list[tuple[OperationDefinitionNode, Definition]] = []
    nodes: dict[str, FragmentDefinitionNode] = {}
    fragments: dict[str, Definition] = {}
    for node in document.definitions:
        found = walk.definition(node)
        if isinstance(node, OperationDefinitionNode):
            operations.append((node, found))
        elif isinstance(node, FragmentDefinitionNode):
            nodes[node.name.value], fragments[node.name.value] = node, found
    check_limit("operations", len(operations), limits.operations)
    measures = measure_fragments({name: one.sets for name, one in fragments.items()})
    analyzed: dict[str | None, OperationAnalysis] = {}
    for node, found in operations:
        measured = measure(found.sets, measures)
        check_measure(measured, limits)
        name = node.name.value if node.name else None
        analyzed[name] = OperationAnalysis(node, measured, nodes, found, fragments)
    check_size((found.sets[0] for _, found in operations), {name: one.sets[0] for name, one in fragments.items()})
    return analyzed


class _Walk:
    """Visits definitions node by node, without recursion, and counts what is limited as often as it is written."""

    def __init__(self, schema: GraphQLSchema, limits: DocumentLimits) -> None:
        self._schema = schema
        self._limits = limits
        self._aliases = 0
        self._directives = 0

    def definition(self, node: Node) -> Definition:
        """The contents of a definition; of other than operations and fragments, which validation refuses, nothing."""
        found = Definition()
        self._check_directives(node)
        root: Any = None
        if isinstance(node, OperationDefinitionNode):
            found.other_directives = not _only_switches(
                (one for one in node.directives or () if one.name.value != FRESH), found.switches
            )
            for variable in node.variable_definitions or ():
                self._check_directives(variable)
                self._values([variable.default_value] if variable.default_value else [], set())
            root = self._schema.get_root_type(node.operation)
        elif isinstance(node, FragmentDefinitionNode):
            root = self._type(node.type_condition.name.value)
        selection_set: SelectionSetNode | None = getattr(node, "selection_set", None)
        if selection_set is not None:
            self._selections(selection_set, root, found, is_operation=isinstance(node, OperationDefinitionNode))
        return found

    def _selections(self, top: SelectionSetNode, root: Any, found: Definition, *, is_operation: bool) -> None:
        """Visit a definition's selections. Types are those of the schema as far as the document is valid, else None."""
        first = FieldSet()
        found.sets.append(first)
        waiting = [(top, first, root)]
        while waiting:
            selection_set, into, type_ = waiting.pop()
            variables = None if is_operation and into is first else found.variables
            into.selections += len(selection_set.selections)
            for node in selection_set.selections:
                self._check_directives(node, variables)
                found.other_directives |= not _only_switches(node.directives or (), found.switches)
                if isinstance(node, FieldNode):
                    below = self._field(node, into, type_, found, variables)
                    if below is not None:
                        waiting.append(below)
                elif isinstance(node, FragmentSpreadNode):
                    into.spreads[node.name.value] = None
                elif isinstance(node, InlineFragmentNode):
                    condition = node.type_condition
                    within = self._type(condition.name.value) if condition is not None else type_
                    waiting.append((node.selection_set, into, within))

    def _field(
        self, node: FieldNode, into: FieldSet, type_: Any, found: Definition, variables: set[str] | None
    ) -> tuple[SelectionSetNode, FieldSet, Any] | None:
        """Add a field to its set; its sub-selections, if it has some, with their set and type."""
        name = node.name.value
        if node.alias is not None:
            self._aliases += 1
            check_limit("aliases", self._aliases, self._limits.aliases)
        self._values([argument.value for argument in node.arguments or ()], variables)
        self._select(type_, name, found.selected)
        key = node.alias.value if node.alias is not None else name
        if node.selection_set is None:
            into.fields.append((key, name, None))
            return None
        below = FieldSet()
        found.sets.append(below)
        into.fields.append((key, name, below))
        definition = type_.fields.get(name) if isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)) else None
        return node.selection_set, below, None if definition is None else get_named_type(definition.type)

    def _select(self, type_: Any, name: str, selected: dict[str, set[str]]) -> None:
        if isinstance(type_, (GraphQLInterfaceType, GraphQLUnionType)):
            for possible in self._schema.get_possible_types(type_):
                selected.setdefault(possible.name, set()).add(name)
        elif not isinstance(type_, GraphQLObjectType):
            return
        selected.setdefault(type_.name, set()).add(name)

    def _type(self, name: str) -> Any:
        return self._schema.type_map.get(name)

    def _check_directives(self, node: Any, variables: set[str] | None = None) -> None:
        used: Iterable[DirectiveNode] = getattr(node, "directives", None) or ()
        if not used:
            return
        here = len(list(used))
        self._directives += here
        check_limit("directivesPerPlace", here, self._limits.directives_per_place)
        check_limit("directives", self._directives, self._limits.directives)
        self._values([argument.value for one in used for argument in one.arguments or ()], variables)

    def _values(self, waiting: list[ValueNode], variables: set[str] | None) -> None:
        while waiting:
            value = waiting.pop()
            if isinstance(value, ListValueNode):
                check_limit("listItems", len(value.values), self._limits.list_items)
                waiting.extend(value.values)
            elif isinstance(value, ObjectValueNode):
                waiting.extend(part.value for part in value.fields)
            elif variables is not None and isinstance(value, VariableNode):
                variables.add(value.name.value)


def _only_switches(directives: Iterable[DirectiveNode], switches: set[str]) -> bool:
    for directive in directives:
        if directive.name.value not in SWITCHES:
            return False
        values = [argument.value for argument in directive.arguments or ()]
        switches.update(value.name.value for value in values if isinstance(value, VariableNode))
    return True
