"""The checks before a document is published: validity, permissions of its client, cost."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from graphql import (
    SKIP,
    DocumentNode,
    FieldNode,
    GraphQLSchema,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    VisitorAction,
    get_named_type,
    print_ast,
    visit,
)

from app.auth.principal import Principal
from app.errors import RequestError, TooExpensive
from app.execution.engine import Operation, Request, RequestRefused
from app.execution.plan.engine import PlanEngine
from app.gateway.admission.admission import exceeded_limit
from app.gateway.admission.caller_limits import CallerLimits
from app.gateway.admission.cost import Cost
from app.gateway.admission.cost_estimator import CostEstimator
from app.gateway.documents.publishing.sample_variables import (
    MAX_PAGE,
    SAMPLE_TEXT,
    sample_ids,
    sample_variables,
    without_cursors,
)
from app.gateway.documents.stores.document_store import StoredDocument
from app.gateway.explain.explainer import Explainer, refused_of
from app.schema import build_schema, policy_of
from app.settings import Settings
from app.sources.wiring import connect_all


@dataclass(frozen=True, slots=True)
class DocumentProblem:
    """A reason not to publish a document, with its correction; line and column are within the document."""

    message: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class DocumentCheck:
    """The names of a document's operations, the highest cost of one, and its problems."""

    operations: tuple[str, ...] = ()
    cost: int | None = None
    problems: tuple[DocumentProblem, ...] = ()


class DocumentChecker:
    """Checks documents as a server with these settings would run them; calls no source."""

    def __init__(self, settings: Settings) -> None:
        schema = build_schema(settings)
        self._schema = schema._schema  # noqa: SLF001 - no other way to graphql-core's
        self._policy = policy_of(schema)
        self._roles = settings.policy.known_roles
        self._engine = PlanEngine(self._schema)
        self._sources = connect_all(settings)
        self._ids = sample_ids(self._schema, settings.sources)
        explainer = Explainer(settings, self._sources, self._engine, self._policy)
        self._costs = CostEstimator(explainer, self._schema, settings.sources)
        self._limits = CallerLimits(settings.limits, settings.budgets)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sources.close()

    def valid(self, text: str) -> DocumentCheck:
        """Whether a text is a valid document."""
        try:
            node = self._engine.document(text, suggest=True).node
        except RequestRefused as refused:
            return DocumentCheck(problems=tuple(_located(refused)))
        return DocumentCheck(tuple(one.name.value for one in _operations(node) if one.name))

    async def check(self, document: StoredDocument) -> DocumentCheck:
        """Check a document of a client: validity, permissions, cost."""
        result = self.valid(document.text)
        if result.problems:
            return result
        unknown = [name for name in document.roles if name not in self._roles]
        if unknown:
            problem = DocumentProblem(f"{unknown[0]} is not a role of this deployment; add the document with another")
            return DocumentCheck(result.operations, None, (problem,))
        roles = frozenset(self._roles[name] for name in document.roles)
        principal = Principal(document.client, roles, frozenset({SAMPLE_TEXT}), client=document.client)
        costs: list[int] = []
        problems: list[DocumentProblem] = []
        tree = self._engine.document(document.text).node
        first_pages = without_cursors(tree)
        for node in _operations(tree):
            name = node.name.value if node.name else None
            try:
                cost = await self._most_expensive(first_pages, name, principal)
            except RequestRefused as refused:
                problems += _located(refused)
                continue
            operation = self._engine.prepare(Request(document.text, name))
            costs.append(cost.units)
            problems += self._forbidden(operation, principal)
            problems += _over_limit(operation, exceeded_limit(cost, self._limits.of(principal)))
        return DocumentCheck(result.operations, max(costs, default=None), tuple(dict.fromkeys(problems)))

    async def _most_expensive(self, document: DocumentNode, name: str | None, principal: Principal) -> Cost:
        """The highest cost of an operation over all samples of its variables. Raises RequestRefused where none of them
        can run."""
        text = print_ast(document)
        node = next(one for one in _operations(document) if (one.name.value if one.name else None) == name)
        estimates = [
            await self._costs.estimate(self._engine.prepare(Request(text, name, values)), principal)
            for values in sample_variables(self._schema, node, document, self._ids)
        ]
        rejected = [
            [error for error in one.errors if isinstance(error.original_error, RequestError)] for one in estimates
        ]
        if all(rejected):
            raise RequestRefused(rejected[0])
        return max((one.cost for one in estimates), key=lambda one: one.units)

    def _forbidden(self, operation: Operation, principal: Principal) -> Iterator[DocumentProblem]:
        refused = set(refused_of(operation, self._policy, self._policy.permissions(principal.roles)))
        roles = ", ".join(sorted(principal.roles))
        for field, line, column in fields_of(operation.document, self._schema, without=refused):
            if field in refused:
                yield DocumentProblem(f"{field} is not for {roles}; leave it out", line, column)


def _over_limit(operation: Operation, exceeded: TooExpensive | None) -> Iterator[DocumentProblem]:
    if exceeded is not None:
        start = operation.definition.loc.start_token if operation.definition.loc else None
        limit = (
            f"{exceeded.name} {exceeded.actual} of {operation.name or 'the operation'} exceeds the client's limit of"
        )
        cure = "select fewer fields or smaller pages, or raise the limit in [limits.clients]"
        message = f"{limit} {exceeded.most} at page size {MAX_PAGE}; {cure}"
        yield DocumentProblem(message, start and start.line, start and start.column)


def fields_of(
    document: DocumentNode, schema: GraphQLSchema, without: Collection[str] = ()
) -> Sequence[tuple[str, int, int]]:
    """Every selected field as `Type.field`, with its locations; nothing below the fields in `without`."""
    found: list[tuple[str, int, int]] = []
    info = TypeInfo(schema)

    class Fields(Visitor):
        def enter_field(self, node: FieldNode, *_: object) -> VisitorAction:
            parent = info.get_parent_type()
            if parent is None or node.loc is None:
                return None
            name, start = f"{get_named_type(parent).name}.{node.name.value}", node.loc.start_token
            found.append((name, start.line, start.column))
            return SKIP if name in without else None

    visit(document, TypeInfoVisitor(info, Fields()))
    return found


def _operations(node: DocumentNode) -> list[OperationDefinitionNode]:
    return [one for one in node.definitions if isinstance(one, OperationDefinitionNode)]


def _located(refused: RequestRefused) -> Iterator[DocumentProblem]:
    for error in refused.errors:
        start = error.locations[0] if error.locations else None
        yield DocumentProblem(error.message, start and start.line, start and start.column)
