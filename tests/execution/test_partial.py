"""Partial records: what an operation does not need is not decoded, and no answer changes by that."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from graphql import GraphQLField, GraphQLObjectType, get_named_type, is_leaf_type, is_object_type, is_required_argument

from app import telemetry
from app.auth.link_signing import LinkSigner
from app.auth.policy import ALL_PERMISSIONS
from app.auth.principal import Principal, Role
from app.cli.demo import SANDBOX_DOMAINS, sandbox_sources
from app.execution.engine import Request
from app.execution.plan.engine import PlanEngine
from app.gateway.explain.simulated_records import Assumptions
from app.gateway.explain.simulation import SimulatedEventLog
from app.intake.commands import IntakeCommands
from app.intake.records import IntakeLine, IntakeState
from app.intake.stores import connect_intakes
from app.resolvers.loading.context import Context
from app.resolvers.loading.field_dependencies import FIELD_DEPENDENCIES, GRAPHQL_TYPE_NAMES
from app.sandbox import Sandbox
from app.schema import build_schema
from app.settings import Domain, Settings, SourceLimits
from app.sources.field_mask import OPTIONAL_FIELDS, field_mask
from app.sources.source import Sources
from app.sources.wiring import connect_all
from tests.schema.test_records_behind_types import bound, record_of
from tests.support.gateway import DOCUMENTS, NOON, PATIENT
from tests.support.intakes import content, intake

SCHEMA = build_schema()._schema
ENGINE = PlanEngine(SCHEMA)
EVERYBODY = Principal("a-test", frozenset(Role), client="portal")
KEY = '{number: "CUST-0001"}'
GIVEN = {
    "customer": KEY,
    "first": "3",
    "skus": '["SKU-0001", "SKU-0002"]',
    "quantity": "5",
    "lines": '[{item: {sku: "SKU-0001"}, quantity: 2, uom: "each"}]',
    "item": '{sku: "SKU-0001"}',
    "agent": '{number: "AG-01-01"}',
    "orderIntake": '{key: "posted"}',
    "commissionStatement": '{number: "CS-01-01-103"}',
    "quote": '{number: "QU-2001"}',
    "return": '{number: "RMA-16356"}',
    "since": '"2026-11-01"',
    "until": '"2026-11-15"',
}
"""What is given for a required argument, by its name."""

BY = {"customer": KEY, "item": '{sku: "SKU-0001"}'}
READ_AT = {"asOf", "quotedAt", "checkedAt"}
WITH_A_UNIT = (
    '{ item(by: {sku: "SKU-0001"}) { contractPrice(customer: {number: "CUST-0001"}, uom: "each") { sku: uom } } }',
    '{ promise(item: {sku: "SKU-0001"}, quantity: 2, uom: "each") { reason } }',
)


SIGNER = LinkSigner([b"a secret of the tests, 32 bytes!"], 60)
"""Signs links to documents."""


class WholeContext(Context):
    """Reads whole records, whatever the operation needs."""

    @contextmanager
    def execution_scope(self) -> Iterator[None]:
        with super().execution_scope():
            field_mask.set(None)
            yield


OWN = {"auditEvents", "changes"}
"""Roots that read what the gateway itself keeps; no source is asked."""


@pytest.fixture(params=[False, True], ids=["one source", "joined shipments"])
async def sources(request: pytest.FixtureRequest, dated_sandbox: Sandbox) -> AsyncIterator[Sources]:
    """The sandbox's systems, once with a second one that tells of the same shipments."""
    connected = {
        name: source.model_copy(update={"timeout": 30.0, "limits": SourceLimits(**PATIENT)})
        for name, source in sandbox_sources(dated_sandbox.urls, dated_sandbox.token).items()
    }
    domains = SANDBOX_DOMAINS.model_copy(update={"search": Domain(master="erp")})
    if request.param:
        connected["carrier"] = connected["logistics"]
        domains = domains.model_copy(update={"shipments": Domain(master="logistics", enrich=("carrier",))})
    made = connect_all(Settings(sources=connected, domains=domains), lambda: NOON)
    yield made
    for source in made.connected.values():
        await source.aclose()


@pytest.fixture
async def intakes(sources: Sources, tmp_path: Path) -> AsyncIterator[IntakeCommands]:
    """Two intakes of a customer: one that became an order with shipments, and one that is held."""
    number, _ = await numbers(sources)
    posted = (await sources.orders.by_number(EVERYBODY, [number]))[number]
    lines = (IntakeLine(line_number=1, sku=posted.lines[0].sku, quantity=Decimal(2)),)
    given: dict[str, Any] = {"customer": "CUST-0001", "content": content(lines=lines)}
    settings = Settings(data_dir=tmp_path)
    store = connect_intakes(settings)
    ids: dict[str, Any] = {"target": posted.source, "order_id": posted.id, "order_number": number}
    for one in (intake("posted", state=IntakeState.POSTED, **given, **ids), intake(state=IntakeState.HELD, **given)):
        await store.submit(one, guard_po=0)
    yield IntakeCommands(store, sources, settings.intake, lambda: NOON)
    await store.close()


async def answer(
    kind: type[Context],
    sources: Sources,
    text: str,
    variables: dict[str, Any] | None = None,
    intakes: IntakeCommands | None = None,
) -> Any:
    """What a fresh operation answers, errors and all."""
    operation = ENGINE.prepare(Request(text, None, variables or {}))
    with telemetry.open_scope(timeout=30):
        result = await ENGINE.execute(
            operation,
            kind(
                principal=EVERYBODY,
                permissions=ALL_PERMISSIONS,
                sources=sources,
                now=NOON,
                selection=operation.selection,
                events=SimulatedEventLog({}, Assumptions()),
                intake=intakes,
                link_signer=SIGNER,
            ),
        )
    return timeless(result.data), [str(error) for error in result.errors or ()]


def timeless(value: Any) -> Any:
    """A value without the moments at which the sandbox was read."""
    if isinstance(value, dict):
        return {key: bool(part) if key in READ_AT else timeless(part) for key, part in value.items()}
    return [timeless(part) for part in value] if isinstance(value, list) else value


async def in_part(
    sources: Sources, text: str, variables: dict[str, Any] | None = None, intakes: IntakeCommands | None = None
) -> Any:
    """What is answered over partial records: what is asked for the first time is read whole."""
    await answer(Context, sources, text, variables, intakes)
    return await answer(Context, sources, text, variables, intakes)


async def is_same(
    sources: Sources, text: str, variables: dict[str, Any] | None = None, intakes: IntakeCommands | None = None
) -> bool:
    """Whether partial records give the answer that whole ones give, without an error."""
    whole, errors = await answer(WholeContext, sources, text, variables, intakes)
    assert not errors, (text, errors)
    return await in_part(sources, text, variables, intakes) == (whole, [])


def each_field(number: str, tracking: str) -> Iterator[str]:
    """For every field that can be reached a document that selects it and, but for the way to it, nothing else."""
    given = GIVEN | {"order": f'{{number: "{number}"}}', "shipment": f'{{trackingNumber: "{tracking}"}}'}
    reached: dict[str, str] = {"Query": "%s"}
    waiting = deque([SCHEMA.type_map["Query"]])
    while waiting:
        type_ = cast("GraphQLObjectType", waiting.popleft())
        for name, field in type_.fields.items():
            below: Any = get_named_type(field.type)
            if name in OWN or not (is_leaf_type(below) or is_object_type(below)):
                continue
            text = reached[type_.name].replace("%s", f"{{ {name}{arguments(name, field, given)}%s }}")
            yield text % ("" if is_leaf_type(below) else " { __typename }")
            if is_object_type(below) and below.name not in reached:
                reached[below.name] = text.replace("%s", " %s")
                waiting.append(below)


def arguments(name: str, field: GraphQLField, given: dict[str, str]) -> str:
    """A field's required arguments, as text."""
    texts = [
        f"{key}: {given[name if key == 'by' else key]}"
        for key, argument in field.args.items()
        if is_required_argument(argument)
    ]
    return f"({', '.join(texts)})" if texts else ""


async def numbers(sources: Sources) -> tuple[str, str]:
    """An order that has shipments, and the tracking number of one of them."""
    text = "{ customer(by: %s) { orders(first: 20) { edges { node { number shipments { trackingNumber } } } } } }"
    data, _ = await answer(WholeContext, sources, text % KEY)
    return next(
        (edge["node"]["number"], one["trackingNumber"])
        for edge in data["customer"]["orders"]["edges"]
        for one in edge["node"]["shipments"]
    )


async def test_every_field_by_itself_has_what_it_reads(sources: Sources, intakes: IntakeCommands):
    texts = list(each_field(*await numbers(sources)))
    assert len(texts) > 250
    same: list[bool] = []
    for start in range(0, len(texts), 20):  # Side by side, and not so many that one waits too long for its turn.
        same += await asyncio.gather(*(is_same(sources, text, intakes=intakes) for text in texts[start : start + 20]))
    assert [text for text, fine in zip(texts, same, strict=True) if not fine] == []


@pytest.mark.parametrize("text", WITH_A_UNIT)
async def test_what_an_argument_makes_a_field_read_is_there(sources: Sources, text: str):
    assert await is_same(sources, text)


@pytest.mark.parametrize("name", ["sales_view", "item_list", "customer_card", "price_and_availability"])
async def test_the_consumers_documents_are_answered_alike(sources: Sources, name: str):
    variables = {
        "customer": {"number": "CUST-0001"},
        "skus": ["SKU-0001", "SKU-0002"],
        "lines": [{"item": {"sku": "SKU-0001"}, "quantity": "2"}],
    }
    text = (DOCUMENTS / f"{name}.graphql").read_text(encoding="utf-8")
    assert await is_same(sources, text, variables)


def test_what_may_be_left_out_is_shown_by_one_type_of_that_name():
    shown = [(record_of(type_), type_.name) for type_ in bound()]
    for record in OPTIONAL_FIELDS:
        names = [name for shown_record, name in shown if shown_record is record]
        assert names in ([GRAPHQL_TYPE_NAMES.get(record, record.__name__)], []), record
        assert OPTIONAL_FIELDS[record] <= set(record.__struct_fields__)


def test_what_fields_read_is_named_after_fields_of_the_schema():
    for (type_name, field), reads in FIELD_DEPENDENCIES.items():
        assert field in cast("GraphQLObjectType", SCHEMA.type_map[type_name]).fields
        assert all(name in OPTIONAL_FIELDS[record] for record, name in reads)
