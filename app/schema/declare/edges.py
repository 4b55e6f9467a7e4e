"""`edge` and `root`: fields resolved for all parents of a level at once.

An edge declares one function of many parents. A plan calls it with all rows of a selection; graphql-core gets a
resolver that collects the parents of a level in a `LevelLoader`. There is no other kind of resolver: every other field
is an attribute of its record.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, cached_property, partial
from operator import itemgetter
from typing import Any, NamedTuple

from strawberry import UNSET
from strawberry.annotation import StrawberryAnnotation
from strawberry.types import Info
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryList, StrawberryOptional
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType
from strawberry.utils.str_converters import to_camel_case

from app.auth.policy import Rows, Scope
from app.resolvers.loading.context import Context
from app.resolvers.loading.level_loader import LevelLoader
from app.schema.declare.freshness import volatility as volatility_of
from app.schema.declare.policy import declaration
from app.sources.freshness_contracts import Contract

Convert = Callable[[Any], Any]


class Argument(NamedTuple):
    """An argument of an edge: GraphQL type, description, and default if it has one."""

    type: Any
    description: str
    default: Any = UNSET


class EdgeField(StrawberryField):
    """A field that is a function of all parents of a level; of none for a root field."""

    def __init__(
        self,
        function: Callable[..., Awaitable[Any]],
        *,
        returns: Any,
        description: str,
        args: Mapping[str, Argument],
        is_root: bool,
        name: str | None = None,
        prefetch_by_keys: Callable[..., None] | None = None,
        keys_from_args: Callable[..., Sequence[str]] | None = None,
        prefetch: Callable[..., None] | None = None,
        deprecation_reason: str | None = None,
        directives: Sequence[object] = (),
        cost: int | None = None,
    ) -> None:
        super().__init__(
            metadata={} if cost is None else {"cost": cost},
            graphql_name=name,
            type_annotation=StrawberryAnnotation.from_annotation(returns),
            description=description,
            deprecation_reason=deprecation_reason,
            directives=directives,
        )
        self.function = function
        self.is_root = is_root
        self.prefetch_by_keys = prefetch_by_keys
        self.keys_from_args = keys_from_args
        self.prefetch = prefetch
        self._declared = (returns, args, name)
        self.arguments = [
            StrawberryArgument(
                python_name=key,
                graphql_name=None,
                type_annotation=StrawberryAnnotation(argument.type),
                description=argument.description,
                default=argument.default,
            )
            for key, argument in args.items()
        ]

    def __copy__(self) -> EdgeField:
        returns, args, name = self._declared
        copied = EdgeField(
            self.function,
            returns=returns,
            description=self.description or "",
            args=args,
            is_root=self.is_root,
            name=name,
            prefetch_by_keys=self.prefetch_by_keys,
            keys_from_args=self.keys_from_args,
            prefetch=self.prefetch,
            deprecation_reason=self.deprecation_reason,
            directives=self.directives,
            cost=self.metadata.get("cost"),
        )
        copied.python_name = self.python_name
        copied.type_annotation = self.type_annotation
        copied.origin = self.origin
        return copied

    @property
    def is_basic_field(self) -> bool:
        """False: Strawberry's shortcut for plain attributes does not apply."""
        return False

    def resolver_arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Coerced GraphQL arguments as the function takes them, by their Python names."""
        found: dict[str, Any] = {}
        for key, value in values.items():
            name, convert = self._parameters[key]
            found[name] = value if convert is None or value is None else convert(value)
        return found

    @cached_property
    def _parameters(self) -> dict[str, tuple[str, Convert | None]]:
        return {_graphql_name(one): (one.python_name, _conversion(one.type)) for one in self.arguments}

    def get_result(self, source: Any, info: Info | None, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The resolver for graphql-core: the answer for one parent, from its level's batch."""
        assert info is not None  # noqa: S101 (Strawberry passes it to every field that is not basic)
        ctx: Context = info.context
        plain = {key: to_resolver_value(value) for key, value in kwargs.items()}
        if self.is_root:
            return self.function(ctx, **plain)
        return self.level(ctx, plain).load(source)

    def level(self, ctx: Context, arguments: dict[str, Any]) -> LevelLoader:
        """The loader that collects the parents of this edge with these arguments in one operation."""
        key = (id(self), tuple(sorted(arguments.items(), key=itemgetter(0))))
        loader = ctx.edges.get(key)
        if loader is None:
            loader = ctx.edges[key] = LevelLoader(self.function, ctx, arguments)
        return loader


def edge(
    function: Callable[..., Awaitable[Any]],
    *,
    returns: Any,
    description: str,
    args: Mapping[str, Argument] | None = None,
    name: str | None = None,
    prefetch_by_keys: Callable[..., None] | None = None,
    prefetch: Callable[..., None] | None = None,
    requires: Scope | None = None,
    rows: Rows | None = None,
    volatility: Contract | None = None,
) -> Any:
    """A field resolved by `function(parents, ctx, **args)` with a sequence as long as `parents`.

    An element that is an exception is an error of that parent's field alone. Two functions may start reads before the
    parents are there: `prefetch_by_keys(ctx, keys, **args)` once their keys are known, `prefetch(ctx, **args)` at the
    start of the operation. `requires` narrows the type's audience; `rows` scopes a field whose arguments name an
    account; `volatility` overrides the type's freshness contract.
    """
    declared = args or {}
    return EdgeField(
        function,
        returns=returns,
        description=description,
        args=declared,
        is_root=False,
        name=name,
        prefetch_by_keys=prefetch_by_keys,
        prefetch=prefetch,
        directives=[*declaration(requires, rows), *volatility_of(volatility)],
    )


def root(
    function: Callable[..., Awaitable[Any]],
    *,
    returns: Any,
    description: str,
    args: Mapping[str, Argument] | None = None,
    name: str | None = None,
    keys_from_args: Callable[..., Sequence[str]] | None = None,
    requires: Scope | None = None,
    cost: int | None = None,
) -> Any:
    """A root field resolved by `function(ctx, **args)`. Each declares its audience: root types have none.

    `keys_from_args(**args)` returns the keys of the result that the arguments contain, so that edges below can be
    prefetched. `cost` is the price of a mutation in cost units.
    """
    declared = args or {}
    return EdgeField(
        function,
        returns=returns,
        description=description,
        args=declared,
        is_root=True,
        name=name,
        keys_from_args=keys_from_args,
        directives=declaration(requires),
        cost=cost,
    )


def to_resolver_value(value: Any) -> Any:
    """An argument as resolvers take it: inputs as the frozen class they are read as, lists as tuples."""
    if isinstance(value, list):
        return tuple(to_resolver_value(item) for item in value)
    reads_as = getattr(type(value), "__reads_as__", None)
    if reads_as is None:
        return None if value is UNSET else value
    given = {name: getattr(value, name) for name in value.__dataclass_fields__}
    return reads_as(**{name: to_resolver_value(part) for name, part in given.items() if part is not UNSET})


def _graphql_name(part: Any) -> str:
    return part.graphql_name or to_camel_case(part.python_name)


def _conversion(type_: Any) -> Convert | None:
    """What makes a coerced value that is not null into one that resolvers take, equal to what `to_resolver_value` makes
    of Strawberry's conversion; None if it is one already."""
    if isinstance(type_, LazyType):
        type_ = type_.resolve_type()
    if isinstance(type_, StrawberryOptional):
        return _conversion(type_.of_type)
    if isinstance(type_, StrawberryList):
        item = _conversion(type_.of_type)
        if item is None:
            return tuple
        return lambda values: tuple([None if value is None else item(value) for value in values])
    return None if getattr(type_, "__reads_as__", None) is None else partial(_read_input, type_)


def _read_input(type_: Any, value: Mapping[str, Any]) -> Any:
    parts = _input_parts(type_)
    given: dict[str, Any] = {}
    for key, part in value.items():
        name, convert = parts[key]
        given[name] = part if convert is None or part is None else convert(part)
    return type_.__reads_as__(**given)


@cache
def _input_parts(type_: Any) -> dict[str, tuple[str, Convert | None]]:
    fields = type_.__strawberry_definition__.fields
    return {_graphql_name(one): (one.python_name, _conversion(one.type)) for one in fields}
