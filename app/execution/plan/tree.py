"""The tree of a plan: which fields of which types an answer has, where each comes from, and what it is made of.

A `Level` is a selection position: everything selected of the objects found there, by their concrete types. All objects
of a level are read together and shaped together. What follows from the tree is found out once, after it is complete.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from graphql import FieldNode, GraphQLObjectType, GraphQLOutputType


class EdgeField(Protocol):
    """What the compiler needs to know of an edge; the schema's edges are such."""

    function: Callable[..., Awaitable[Any]]
    is_root: bool

    prefetch_by_key: Callable[..., None] | None
    """Starts the edge's read for a parent of which only the key is known: `prefetch_by_key(ctx, key, **args)`."""
    prefetch: Callable[..., None] | None
    """Starts what the edge will read whatever its parents are: `prefetch(ctx, **args)`."""
    key_from_args: Callable[..., Any] | None
    """For a root field: the key of what it will answer, if its arguments tell it: `key_from_args(**args)`."""

    def resolver_arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Coerced GraphQL arguments as the function takes them."""
        ...


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
    """What is made of the value for this caller."""
    forbidden_inputs: frozenset[str] = frozenset()
    """Input types that stand in the field's arguments and that this caller may not ask by."""
    depth: int = 0
    nullable: tuple[bool, ...] = (True,)
    """How many lists are around the value; for each of them, from the outside, and for the value: may it be null?"""

    @property
    def is_typename(self) -> bool:
        """Whether the field is `__typename`."""
        return self.edge is None and self.attribute is None

    @cached_property
    def is_inline(self) -> bool:
        """Whether the value is written where it stands: nothing at or below it is read, or of an abstract type."""
        return self.edge is None and not self.forbidden and (self.level is None or self.level.is_inline)


@dataclass
class Selection:
    """What is selected of objects of one concrete type."""

    index: int
    type: GraphQLObjectType
    fields: tuple[PlanField, ...] = ()

    @cached_property
    def columns(self) -> tuple[PlanField, ...]:
        """The fields whose values are there before the objects are shaped."""
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
        """Whether its objects are shaped within their parents."""
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
