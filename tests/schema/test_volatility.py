"""Contracts of age: declared for every kind of data, printed, and tightened by clients with `@fresh`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.execution.engine import Request, RequestRefused
from app.execution.fresh_directive import within
from app.execution.plan.engine import PlanEngine
from app.execution.reference import ReferenceEngine
from app.schema import build_schema, print_schema
from app.schema.declare.freshness import contracts_of
from app.schema.declare.scalars import read_duration, write_duration
from app.sources.freshness_contracts import Share, Volatility

SCHEMA = build_schema()._schema

KINDS = {
    "REF": "Customer CustomerLocation PaymentTerms TaxProfile Item UomConversion ItemRelation Warehouse",
    "SLOW": "ItemCost Invoice",
    "VOL": "CreditStatus Availability Promise ContractPrice PricedLine Order OrderLine Shipment Return Viewer",
    "FACT": "Package TrackingEvent",
}
"""What the domain says of each type."""


def test_every_kind_of_data_declares_its_contract():
    declared = contracts_of(SCHEMA).types
    for kind, names in KINDS.items():
        for name in names.split():
            assert declared[name].kind is Volatility[kind], name


def test_volatile_data_is_never_cached():
    for name, contract in contracts_of(SCHEMA).types.items():
        if contract.kind in {Volatility.VOL, Volatility.SLOW}:
            assert (contract.max_age, contract.stale_for) == (0, 0), name


def test_what_belongs_to_a_customer_is_not_shared_beyond():
    declared = contracts_of(SCHEMA)
    for name in ("Customer", "Order", "ContractPrice", "CreditStatus", "Shipment", "Invoice"):
        assert declared.types[name].share is Share.CUSTOMER
    assert declared.fields["Item", "customerPartNumber"].share is Share.CUSTOMER
    assert declared.of("Item", "customerPartNumber", None) == declared.fields["Item", "customerPartNumber"]
    assert declared.of("Item", "name", None) == declared.types["Item"]
    assert declared.of("Money", "amount", declared.types["Order"]) == declared.types["Order"]


def test_contracts_are_printed():
    printed = print_schema()
    assert "@volatility(kind: REF, maxAge: 600, staleFor: 21600, share: PUBLIC)" in printed
    assert "directive @fresh(within: Duration!) on QUERY" in printed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("PT5S", 5), ("PT0S", 0), ("PT0.25S", 0.25), ("PT1M30S", 90), ("PT2H", 7200), ("P1D", 86_400), ("P1DT1S", 86_401)],
)
def test_durations_are_read(text: str, seconds: float):
    assert read_duration(text) == timedelta(seconds=seconds)
    assert read_duration(write_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "P", "PT", "P1DT", "5", "PT5", "PT-5S", "P1Y", "P1M", "pt5s", "PT5S ", 5, None, "PT1e9S"]
)
def test_what_is_no_duration_is_refused(value: Any):
    with pytest.raises(ValueError, match="A Duration is a string such as"):
        read_duration(value)


def prepared(text: str, **variables: Any) -> Any:
    return PlanEngine(SCHEMA).prepare(Request(text, None, variables))


@pytest.mark.parametrize(
    ("text", "variables", "seconds"),
    [
        ('query @fresh(within: "PT5S") { warehouses { code } }', {}, 5),
        ("query Q($d: Duration!) @fresh(within: $d) { warehouses { code } }", {"d": "PT1M"}, 60),
        ('query Q($d: Duration! = "PT7S") @fresh(within: $d) { warehouses { code } }', {}, 7),
        ("query Q($d: Duration!) @fresh(within: $d) { warehouses { code } }", {"d": "soon"}, None),
        ("{ warehouses { code } }", {}, None),
    ],
)
def test_what_a_client_asks_for(text: str, variables: dict[str, Any], seconds: float | None):
    operation = prepared(text, **variables)
    assert within(operation) == seconds
    assert operation.analysis.is_compiled
    assert operation.analysis.switches == frozenset()


@pytest.mark.parametrize(
    ("text", "variables", "code"),
    [
        ('query @fresh(within: "soon") { warehouses { code } }', {}, "GRAPHQL_VALIDATION_FAILED"),
        ("query @fresh { warehouses { code } }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ('{ warehouses @fresh(within: "PT5S") { code } }', {}, "GRAPHQL_VALIDATION_FAILED"),
        ("query Q($d: Duration!) @fresh(within: $d) { warehouses { code } }", {"d": "soon"}, "BAD_USER_INPUT"),
        ("query Q($d: Duration!) @fresh(within: $d) { warehouses { code } }", {"d": None}, "BAD_USER_INPUT"),
        ("query Q($d: Duration!) @fresh(within: $d) { warehouses { code } }", {}, "BAD_USER_INPUT"),
    ],
)
@pytest.mark.parametrize("engine", [PlanEngine, ReferenceEngine])
async def test_what_cannot_be_asked_for_is_refused_with_a_code(
    engine: Any, text: str, variables: dict[str, Any], code: str
):
    class Nobody:
        permissions = None

    running = engine(SCHEMA)
    with pytest.raises(RequestRefused) as refused:
        await running.execute(running.prepare(Request(text, None, variables)), Nobody())
    assert [error.extensions["code"] for error in refused.value.errors] == [code]
