"""What a document asks for at most, looked at before it is validated.

One walk over the text measures each fragment once, from the leaves up, so that fragments that use fragments cost no
more than they are long. What is left, fields that have to be compared with each other, is bounded by `size`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
)

from app.errors import LimitExceeded

INTROSPECTION = frozenset({"__schema", "__type"})
INTROSPECTION_LISTS = frozenset({"fields", "interfaces", "possibleTypes", "inputFields"})
"""Fields of `__Type` that lead to more types; within each other they multiply."""

MAX_INTROSPECTION_FIELDS = 5
"""`__schema` and `__type` in one operation: an answer to the whole of it is made for each."""


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """The most that a document may ask for; docs/limits.md says what each counts."""

    tokens: int = 3_000
    depth: int = 20
    aliases: int = 100
    root_fields: int = 20
    fields: int = 2_000
    directives: int = 100
    directives_per_place: int = 5
    list_items: int = 1_000
    introspection_depth: int = 1
    operations: int = 50
    variable_values: int = 10_000


NORMAL = DocumentLimits()


@dataclass(slots=True)
class Measure:
    """Of a selection set, its fragments in place: `fields` within it, `width` of them at its top, how `deep` they
    stand, how often it enters introspection (`entries`), and how often lists of types stand within each other
    (`lists`)."""

    fields: int = 0
    width: int = 0
    deep: int = 0
    entries: int = 0
    lists: int = 0

    def add(self, other: Measure) -> None:
        """Selections of another set, which stand beside those here."""
        self.fields += other.fields
        self.width += other.width
        self.deep = max(self.deep, other.deep)
        self.entries += other.entries
        self.lists = max(self.lists, other.lists)

    def add_field(self, name: str, within: Measure | None) -> None:
        """A field, and what is selected of it."""
        below = within or _EMPTY
        self.fields += 1 + below.fields
        self.width += 1
        self.deep = max(self.deep, 1 + below.deep)
        self.entries += below.entries + (name in INTROSPECTION)
        self.lists = max(self.lists, below.lists + (name in INTROSPECTION_LISTS))


_EMPTY = Measure()


def check_limits(document: DocumentNode, limits: DocumentLimits) -> Mapping[str | None, Measure]:
    """The measure of each operation by its name; raises LimitExceeded for the first limit that one is beyond."""
    _check_text(document, limits)
    measured = _Measuring(document)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    _check("operations", len(operations), limits.operations)
    found: dict[str | None, Measure] = {}
    for node in operations:
        measure = measured.of(node.selection_set)
        _check("fields", measure.fields, limits.fields)
        _check("depth", measure.deep, limits.depth)
        _check("rootFields", measure.width, limits.root_fields)
        if measure.entries:
            _check("introspectionFields", measure.entries, MAX_INTROSPECTION_FIELDS)
            _check("introspectionDepth", measure.lists, limits.introspection_depth)
        found[node.name.value if node.name else None] = measure
    return found


def check_variables(variables: Mapping[str, Any], limits: DocumentLimits) -> None:
    """Raises LimitExceeded for a list that is too long, or for more values in all than any operation takes: for each
    that is wrong graphql-core would make an error."""
    values = 0
    waiting: list[Any] = [variables]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            inner: Iterable[Any] = value.values()
        elif isinstance(value, list):
            _check("listItems", len(value), limits.list_items)
            inner = value
        else:
            continue
        values += len(value)
        _check("variableValues", values, limits.variable_values)
        waiting.extend(inner)


def _check(name: str, actual: int, most: int) -> None:
    if actual > most:
        raise LimitExceeded(name, most, actual)


def _check_text(document: DocumentNode, limits: DocumentLimits) -> None:
    """What counts as often as it is written."""
    aliases = directives = 0
    for node in _nodes(document):
        if isinstance(node, FieldNode) and node.alias is not None:
            aliases += 1
            _check("aliases", aliases, limits.aliases)
        used: Iterable[DirectiveNode] = getattr(node, "directives", None) or ()
        here = len(list(used))
        directives += here
        _check("directivesPerPlace", here, limits.directives_per_place)
        _check("directives", directives, limits.directives)
        for value in _values(node):
            if isinstance(value, ListValueNode):
                _check("listItems", len(value.values), limits.list_items)


def _nodes(document: DocumentNode) -> Iterator[Node]:
    """Every definition, variable and selection, once."""
    waiting: list[Node] = list(document.definitions)
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(getattr(node, "variable_definitions", None) or ())
        inner: SelectionSetNode | None = getattr(node, "selection_set", None)
        if inner is not None:
            waiting.extend(inner.selections)


def _values(node: Node) -> Iterator[ValueNode]:
    """Every value within the arguments of a field and its directives, and the default of a variable."""
    arguments = [*(getattr(node, "arguments", None) or ())]
    for directive in getattr(node, "directives", None) or ():
        arguments += directive.arguments or ()
    waiting: list[ValueNode] = [argument.value for argument in arguments]
    default = getattr(node, "default_value", None)
    if default is not None:
        waiting.append(default)
    while waiting:
        value = waiting.pop()
        yield value
        if isinstance(value, ListValueNode):
            waiting.extend(value.values)
        elif isinstance(value, ObjectValueNode):
            waiting.extend(part.value for part in value.fields)


class _Measuring:
    """Measures selection sets; a fragment's is kept. Those that go round in circles count as nothing, for validation
    refuses them. Depth of calls is bounded by the parser's for what is written, and here for fragments."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._known: dict[str, Measure] = {}
        for name in self._from_the_leaves():
            self._known[name] = self.of(self._fragments[name].selection_set)

    def of(self, selection_set: SelectionSetNode) -> Measure:
        """The measure of a set whose fragments are known. One that is spread twice beside itself counts once."""
        found = Measure()
        spread: set[str] = set()
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                found.add_field(node.name.value, self.of(node.selection_set) if node.selection_set else None)
            elif isinstance(node, FragmentSpreadNode):
                name = node.name.value
                if name not in spread:
                    spread.add(name)
                    found.add(self._known.get(name, _EMPTY))
            else:
                found.add(self.of(node.selection_set))  # type: ignore[union-attr]
        return found

    def _from_the_leaves(self) -> Iterator[str]:
        """Fragments in an order in which each comes after those that it uses; chains may be long, so no recursion."""
        uses = {name: _spreads(node.selection_set) for name, node in self._fragments.items()}
        begun: set[str] = set()
        for top in uses:
            waiting = [(top, False)]
            while waiting:
                name, ready = waiting.pop()
                if ready:
                    yield name
                elif name in uses and name not in begun:
                    begun.add(name)
                    waiting.append((name, True))
                    waiting.extend((used, False) for used in uses[name])


def _spreads(selection_set: SelectionSetNode) -> list[str]:
    found: list[str] = []
    waiting = [selection_set]
    while waiting:
        for node in waiting.pop().selections:
            if isinstance(node, FragmentSpreadNode):
                found.append(node.name.value)
            elif node.selection_set is not None:  # type: ignore[union-attr]
                waiting.append(node.selection_set)  # type: ignore[union-attr]
    return found
