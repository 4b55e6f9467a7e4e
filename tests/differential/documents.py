"""Documents: hypothesis-graphql draws selections; a `DocumentGenerator` writes them with every feature of the language.

It draws arguments from the world's keys, and adds variables with and without defaults, aliases, `@skip` and `@include`,
`__typename`, fields that are selected twice, inline and named fragments, on types and on interfaces.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import hypothesis
from graphql import (
    ArgumentNode,
    BooleanValueNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    NamedTypeNode,
    NameNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
    parse,
    print_ast,
)
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis_graphql import queries

from tests.differential.arguments import draw, literal

DEEPEST = 3
"""How deep fields are added."""


@dataclass(frozen=True, slots=True)
class Example:
    """A document with its variables."""

    text: str
    variables: dict[str, Any]


def shapes(sdl: str, seed: int, count: int) -> list[list[FieldNode]]:
    """Root fields of different selections over a schema, always the same for a seed."""
    found: dict[str, list[FieldNode]] = {}
    texts = {name: st.just(StringValueNode(value="1")) for name in ("Decimal", "Date", "DateTime", "Cursor")}

    @hypothesis.seed(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        phases=[Phase.generate],
    )
    @hypothesis.given(queries(sdl, custom_scalars=texts, allow_null=False))
    def collect(text: str) -> None:
        if text not in found:
            operation = parse(text).definitions[0]
            assert isinstance(operation, OperationDefinitionNode)
            found[text] = [node for node in operation.selection_set.selections if isinstance(node, FieldNode)]

    collect()
    return list(found.values())


def _renamed(node: FieldNode, key: str) -> FieldNode:
    return FieldNode(alias=NameNode(value=key), name=node.name, selection_set=node.selection_set)


def _keys(given: SelectionSetNode) -> set[str]:
    """The response keys that a selection set uses, its inline fragments included."""
    found: set[str] = set()
    for node in given.selections:
        if isinstance(node, InlineFragmentNode):
            found |= _keys(node.selection_set)
        elif isinstance(node, FieldNode):
            found.add((node.alias or node.name).value)
    return found


@dataclass
class DocumentGenerator:
    """Writes one document from drawn selections."""

    schema: GraphQLSchema
    rng: random.Random
    fragments: list[FragmentDefinitionNode] = field(default_factory=list)
    declared: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    count: int = 0

    def generate(self, drawn: Sequence[Sequence[FieldNode]]) -> Example:
        """A document of some of the root fields, rewritten at random, with arguments of the records."""
        root = self.schema.query_type
        assert root is not None
        chosen: dict[str, FieldNode] = {}
        for node in (node for nodes in drawn for node in nodes):
            chosen.setdefault((node.alias or node.name).value, node)
        fields = self.rng.sample(list(chosen.values()), min(len(chosen), self.rng.randint(1, 5)))
        body = print_ast(self.selection(root, SelectionSetNode(selections=tuple(fields))))
        head = f"query Q({', '.join(self.declared)})" if self.declared else "query Q"
        fragments = "\n".join(print_ast(fragment) for fragment in self.fragments)
        return Example(f"{head} {body}\n{fragments}", self.variables)

    def _maybe(self, chance: float) -> bool:
        return self.rng.random() < chance

    def _name(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def selection(
        self, type_: Any, given: SelectionSetNode, depth: int = 1, *, abstract: bool = False
    ) -> SelectionSetNode:
        """A selection set of a composite type."""
        made: list[SelectionNode] = []
        for node in self._enriched(type_, given, depth, abstract):
            if isinstance(node, InlineFragmentNode):
                made.append(self._inline(type_, node, depth))
            elif isinstance(node, FieldNode):
                made += self._field(type_, node, depth + 1)
        if self._maybe(0.2):
            made.insert(self.rng.randint(0, len(made)), FieldNode(name=NameNode(value="__typename")))
        if isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)) and self._maybe(0.25):
            at = self.rng.randint(0, len(made) - 1)
            made[at:] = [self._wrapped(type_, made[at:])]
        return SelectionSetNode(selections=tuple(made))

    def _more(self, type_: Any, depth: int) -> list[FieldNode]:
        """Fields beyond those drawn, so that answers have something in them: leaves, and now and then a branch."""
        if not isinstance(type_, (GraphQLObjectType, GraphQLInterfaceType)) or type_ is self.schema.query_type:
            return []
        found: list[FieldNode] = []
        for name, definition in type_.fields.items():
            named = get_named_type(definition.type)
            if is_leaf_type(named):
                if self._maybe(0.2):
                    found.append(FieldNode(name=NameNode(value=name)))
            elif depth < DEEPEST and self._maybe(0.3 / depth):
                below = self._more(named, depth + 1) or [FieldNode(name=NameNode(value="__typename"))]
                selection_set = SelectionSetNode(selections=tuple(below))
                found.append(FieldNode(name=NameNode(value=name), selection_set=selection_set))
        return found

    def _enriched(self, type_: Any, given: SelectionSetNode, depth: int, abstract: bool) -> list[SelectionNode]:
        """The selections drawn, then further fields under keys that are still free."""
        taken = _keys(given)
        more = [one for one in self._more(type_, depth) if one.name.value not in taken]
        if abstract:
            # Types that have a field of one name but another type must not share its key.
            more = [_renamed(one, f"{type_.name}_{one.name.value}") for one in more]
        return [*given.selections, *more]

    def _inline(self, type_: Any, node: InlineFragmentNode, depth: int) -> SelectionNode:
        inner = self.schema.get_type(node.type_condition.name.value) if node.type_condition else type_
        return InlineFragmentNode(
            type_condition=node.type_condition,
            directives=self._directives(),
            selection_set=self.selection(inner, node.selection_set, depth, abstract=True),
        )

    def _wrapped(self, type_: Any, made: Sequence[SelectionNode]) -> SelectionNode:
        """Selections within a fragment of some kind; a named one may be spread twice."""
        selection_set = SelectionSetNode(selections=tuple(made))
        named = NamedTypeNode(name=NameNode(value=type_.name))
        if self._maybe(0.4):
            condition = named if self._maybe(0.6) else None
            return InlineFragmentNode(
                type_condition=condition, directives=self._directives(), selection_set=selection_set
            )
        name = NameNode(value=self._name("F"))
        self.fragments.append(FragmentDefinitionNode(name=name, type_condition=named, selection_set=selection_set))
        spread = FragmentSpreadNode(name=name, directives=self._directives())
        if self._maybe(0.5):
            return spread
        again = FragmentSpreadNode(name=name)
        return InlineFragmentNode(selection_set=SelectionSetNode(selections=(spread, again)))

    def _field(self, type_: Any, node: FieldNode, depth: int) -> list[SelectionNode]:
        if node.name.value == "__typename":
            return [node]
        definition = type_.fields[node.name.value]
        named = get_named_type(definition.type)
        alias = NameNode(value=self._name("a")) if self._maybe(0.12) else node.alias
        arguments = self._arguments(definition.args, node)
        made = FieldNode(
            alias=alias,
            name=node.name,
            arguments=arguments,
            directives=self._directives(),
            selection_set=self.selection(named, node.selection_set, depth) if node.selection_set else None,
        )
        copies: list[SelectionNode] = [made]
        if self._maybe(0.08):
            copies.append(self._again(made, named, node, depth))
        if type_.name in self._nodes() and self._maybe(0.05):
            copies.append(self._as_node())
        return copies

    def _again(self, made: FieldNode, named: Any, node: FieldNode, depth: int) -> FieldNode:
        """The same field once more, asked for something else below."""
        below = self.selection(named, node.selection_set, depth) if node.selection_set else None
        return FieldNode(alias=made.alias, name=made.name, arguments=made.arguments, selection_set=below)

    def _nodes(self) -> set[str]:
        interface: Any = self.schema.get_type("Node")
        return {one.name for one in self.schema.get_possible_types(interface)}

    def _as_node(self) -> SelectionNode:
        inner = SelectionSetNode(selections=(FieldNode(name=NameNode(value="id")),))
        return InlineFragmentNode(type_condition=NamedTypeNode(name=NameNode(value="Node")), selection_set=inner)

    def _directives(self) -> tuple[DirectiveNode, ...]:
        if not self._maybe(0.08):
            return ()
        value = self._maybe(0.5)
        condition: ValueNode = BooleanValueNode(value=value)
        if self._maybe(0.6):
            condition = self._variable("Boolean!" if self._maybe(0.7) else "Boolean = true", value)
        argument = ArgumentNode(name=NameNode(value="if"), value=condition)
        return (DirectiveNode(name=NameNode(value=self.rng.choice(("skip", "include"))), arguments=(argument,)),)

    def _arguments(self, definitions: dict[str, Any], node: FieldNode) -> tuple[ArgumentNode, ...]:
        made = []
        for name, definition in definitions.items():
            required = isinstance(definition.type, GraphQLNonNull) and not definition.default
            if not required and self._maybe(0.5):
                continue
            value = draw(self.rng, name, definition.type)
            if value is None and isinstance(definition.type, GraphQLNonNull):
                continue
            written = self._whole(value, definition.type) or literal(value, definition.type, self._swap)
            made.append(ArgumentNode(name=NameNode(value=name), value=written))
        self.rng.shuffle(made)
        return tuple(made)

    def _whole(self, value: Any, type_: GraphQLInputType) -> ValueNode | None:
        """A variable for the whole argument: with a value, left out, or with a default."""
        if not self._maybe(0.3):
            return None
        if self._maybe(0.2) and not isinstance(type_, GraphQLNonNull):
            return self._variable(str(type_))
        if self._maybe(0.2) and value is not None:
            default = print_ast(literal(value, type_, lambda *_: None))
            return self._variable(f"{str(type_).rstrip('!')} = {default}")
        return self._variable(str(type_), value)

    def _swap(self, value: Any, bare: GraphQLInputType) -> ValueNode | None:
        return self._variable(f"{bare}!", value) if self._maybe(0.1) else None

    def _variable(self, declaration: str, *value: Any) -> VariableNode:
        name = self._name("v")
        self.declared.append(f"${name}: {declaration}")
        if value:
            self.variables[name] = value[0]
        return VariableNode(name=NameNode(value=name))
