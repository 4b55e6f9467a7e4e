"""The tree of a plan: the fields of a response by concrete type, where each comes from, and what it consists of.

A `Level` is a selection position: everything selected of the objects found there, by their concrete types. All objects
of a level are read together and serialized together. Properties that follow from the tree are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from graphql import FieldNode, GraphQLObjectType, GraphQLOutputType
from graphql.execution.values import VariableValues

if TYPE_CHECKING:
    from app.schema.declare.edges import EdgeField

ArgumentReader = Callable[[VariableValues], dict[str, Any]]
"""Reads the arguments of one field; raises GraphQLError or TradegraphError for those that are invalid."""

Serializer = Callable[..., list[str]]
"""JSON of all rows of a selection, from the rows and its columns."""


@dataclass
class PlanField:
    """A field of a selection. Exactly one of these is its source: an edge, an attribute, or the type's own name."""

    index: int
    key: str
    nodes: tuple[FieldNode, ...]
    parent: GraphQLObjectType
    name: str
    type: GraphQLOutputType
    edge: EdgeField | None = None
    attribute: str | None = None
    level: Level | None = None
    forbidden: bool = False
    mask: Callable[[Any], Any] | None = None
    """Applied to the value for this caller."""
    forbidden_inputs: frozenset[str] = frozenset()
    """Input types of the field's arguments that this caller may not use."""
    depth: int = 0
    nullable: tuple[bool, ...] = (True,)
    """How many lists enclose the value; for each, from the outside, and for the value, whether it is nullable."""

    @property
    def is_typename(self) -> bool:
        """Whether the field is `__typename`."""
        return self.edge is None and self.attribute is None

    @cached_property
    def is_inline(self) -> bool:
        """Whether the value is serialized inline: nothing in it is an edge, forbidden, or of an abstract type."""
        return self.edge is None and not self.forbidden and (self.level is None or self.level.is_inline)


@dataclass
class Selection:
    """What is selected of objects of one concrete type."""

    index: int
    type: GraphQLObjectType
    fields: tuple[PlanField, ...] = ()

    @cached_property
    def columns(self) -> tuple[PlanField, ...]:
        """The fields whose values are computed before the objects are serialized."""
        return tuple(one for one in self.fields if not one.is_inline)


@dataclass
class Level:
    """A position in the answer that holds objects: their selections, by the name of the concrete type."""

    index: int
    path: tuple[str, ...]
    type_name: str
    selections: dict[str, Selection] = field(default_factory=dict)

    @cached_property
    def only(self) -> Selection | None:
        """The one selection of a level whose type is not abstract."""
        if len(self.selections) == 1:
            (selection,) = self.selections.values()
            return selection if selection.type.name == self.type_name else None
        return None

    @cached_property
    def is_inline(self) -> bool:
        """Whether its objects are serialized within their parents."""
        return self.only is not None and all(one.is_inline for one in self.only.fields)


@dataclass(frozen=True, slots=True)
class Tree:
    """A compiled selection: the root's level and every level below it."""

    root: Selection
    levels: tuple[Level, ...]
    size: int

    def walk(self) -> Iterator[PlanField]:
        """Every field of every selection."""
        yield from self.root.fields
        for level in self.levels:
            for selection in level.selections.values():
                yield from selection.fields


@dataclass(eq=False)
class Plan:
    """A compiled operation.

    `serializers` are compiled from `text`, which tracebacks call `filename`; None if generation failed, and then every
    response is completed value by value. `arguments` reads the arguments of an edge, by field; `counts` names the types
    whose rows are counted, by selection. `serial`: the root fields are executed one after the other.
    """

    tree: Tree
    text: str
    filename: str
    serializers: Mapping[int, Serializer] | None
    arguments: Mapping[int, ArgumentReader]
    prefetch: tuple[PlanField, ...]
    counts: tuple[tuple[int, str], ...] = ()
    serial: bool = False
    failure_logged: bool = False
    types: dict[tuple[int, type], str | None] = field(default_factory=dict)

    def type_of(self, value: Any, level: Level) -> str | None:
        """The name of an object's concrete type; None if no type of the level is bound to its record."""
        if level.only is not None:
            return level.type_name
        key = (level.index, type(value))
        if key not in self.types:
            self.types[key] = next(
                (name for name, one in level.selections.items() if _is_type_of(one.type, value)),
                None,
            )
        return self.types[key]

    def counted(self, rows: Mapping[int, Sequence[Any]]) -> dict[str, int]:
        """How many objects were read, by type."""
        found: dict[str, int] = {}
        for index, name in self.counts:
            count = len(rows.get(index, ()))
            if count:
                found[name] = found.get(name, 0) + count
        return found


def _is_type_of(type_: GraphQLObjectType, value: Any) -> bool:
    check: Any = type_.is_type_of
    return check is not None and check(value, None)
