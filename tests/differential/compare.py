"""Runs one operation by both engines, and says where the answers differ.

Data must be equal byte for byte, keys in their order. Errors must be equal, with two differences that docs/execution.md
allows: the plan tells errors in the order of the answer, and of several errors below a value that they made null it
tells one. `differences` takes away nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from graphql import (
    ExecutionResult,
    GraphQLSchema,
    OverlappingFieldsCanBeMergedRule,
    parse,
    specified_rules,
    validate,
)

from app.auth.principal import Principal
from app.execution.document.analysis import analyze
from app.execution.document.limits import NORMAL
from app.execution.engine import Operation, Request, RequestRefused
from app.execution.error_formatting import format_error
from app.execution.plan.encoded_result import EncodedResult
from app.execution.plan.engine import PlanEngine
from app.execution.reference import ReferenceEngine
from tests.differential.narrowing import narrowed
from tests.differential.world import World, context

Errors = list[dict[str, Any]]

UNLIMITED = replace(NORMAL, aliases=NORMAL.fields)
"""Generated documents may have an alias for each field."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine said: `refused` is a request that could not run at all."""

    data: bytes
    errors: Errors
    refused: bool = False

    @property
    def value(self) -> Any:
        """The data, decoded."""
        return orjson.loads(self.data)


class _Logged(dict[int, str]):
    """Says of every cause that it is in the log already: nobody reads it here."""

    def __contains__(self, _: object) -> bool:
        return True

    def __getitem__(self, _: int) -> str:
        return "an id"


def answer(result: ExecutionResult) -> Answer:
    """A result as a client gets it."""
    data = orjson.dumps(result.data, option=orjson.OPT_UTC_Z)
    if isinstance(result, EncodedResult):  # What a client gets is these bytes, not what is decoded from them.
        assert result.json == data
    return Answer(data, [format_error(error, _Logged()) for error in result.errors or ()])


class Bench:
    """Both engines over one schema; documents are parsed and validated once for both."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self.plan = PlanEngine(schema)
        self.reference = ReferenceEngine(schema)

    def prepare(self, text: str, name: str | None = None, variables: Mapping[str, Any] | None = None) -> Operation:
        """The operation, for either engine."""
        return self.plan.prepare(Request(text, name, dict(variables or {})))

    def example(self, text: str, variables: Mapping[str, Any], *, thoroughly: bool) -> Operation | None:
        """The operation of a generated document; None if it asks for a field in two ways. Whether it is valid otherwise
        is not looked at each time: validation takes longer than both runs."""
        node = parse(text)
        rules = specified_rules if thoroughly else (OverlappingFieldsCanBeMergedRule,)
        if errors := validate(self.schema, node, rules):
            assert all(error.message.startswith("Fields ") for error in errors), errors
            return None
        (operation,) = analyze(self.schema, node, UNLIMITED).values()
        return Operation(node, operation, dict(variables))

    async def run(self, engine: Any, operation: Operation, world: World, principal: Principal) -> Answer:
        """One engine's answer."""
        try:
            return answer(await engine.execute(operation, context(world, principal, operation.selection)))
        except RequestRefused as refused:
            return Answer(b"null", [format_error(error, _Logged()) for error in refused.errors], refused=True)

    async def compared(self, operation: Operation, world: World, principal: Principal) -> list[str]:
        """What differs between the two engines' answers; nothing, if all is well."""
        plan = await self.run(self.plan, operation, world, principal)
        reference = await self.run(self.reference, operation, world, principal)
        found, doubtful = differences(plan, reference)
        for error in doubtful:
            # The plan told another of several failures below a null: graphql-core must tell the same when it is asked
            # for that path alone; of several rows there it may still tell another one.
            alone = await self.run(self.reference, narrowed(self.schema, operation, error["path"]), world, principal)
            place = _nulled(plan.value, error["path"])
            if not any(_bare(error, place) == _bare(other, place) for other in alone.errors):
                found.append(f"only the plan has {error}, of which graphql-core knows nothing")
        return found


def differences(plan: Answer, reference: Answer) -> tuple[list[str], Errors]:
    """What differs for certain, and errors of the plan that graphql-core may just not have come to."""
    found: list[str] = []
    if plan.refused or reference.refused:
        return ([] if plan == reference else [f"refused: {plan} != {reference}"]), []
    if plan.data != reference.data:
        found.append(f"data: {plan.data[:2000]!r} != {reference.data[:2000]!r}")
        return found, []
    data = plan.value
    if (order := [position(data, error["path"]) for error in plan.errors]) != sorted(order):
        found.append(f"the plan's errors are not in the order of the answer: {[one['path'] for one in plan.errors]}")
    told, known = by_null(data, plan.errors), by_null(data, reference.errors)
    doubtful: Errors = []
    for place in sorted({*told, *known}, key=repr):
        mine, theirs = told.get(place, []), known.get(place, [])
        if len(mine) != 1 or not theirs:
            found.append(f"errors at {place}: {mine} != {theirs}")
        elif mine[0] not in theirs:
            if all(tuple(error["path"]) == place for error in (*mine, *theirs)):
                found.append(f"errors at {place}: {mine} != {theirs}")
            else:
                doubtful.append(mine[0])
    return found, doubtful


def by_null(data: Any, errors: Sequence[dict[str, Any]]) -> dict[tuple[Any, ...], Errors]:
    """The errors by the place in the data that is null because of them."""
    found: dict[tuple[Any, ...], Errors] = {}
    for error in errors:
        found.setdefault(_nulled(data, error["path"]), []).append(error)
    return found


def _nulled(data: Any, path: Sequence[Any]) -> tuple[Any, ...]:
    at: list[Any] = []
    for key in path:
        if data is None:
            break
        data = data[key]
        at.append(key)
    return tuple(at)


def position(data: Any, path: Sequence[Any]) -> list[int]:
    """Where a path stands in the answer."""
    at: list[int] = []
    for key in path:
        if data is None:
            break
        at.append(key if isinstance(key, int) else list(data).index(key))
        data = data[key]
    return at


def _bare(error: Mapping[str, Any], place: Sequence[Any]) -> tuple[Any, ...]:
    """An error without its location, and without saying which of the rows below a null it comes from."""
    path = error["path"]
    rest = [None if isinstance(key, int) else key for key in path[len(place) :]]
    return error["message"], path[: len(place)], rest, error["extensions"]
