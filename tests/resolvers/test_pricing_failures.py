"""What a line of an order pad says when something failed without a code."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from app.auth.policy import ALL_PERMISSIONS
from app.auth.principal import Principal, Role
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, ItemKey
from app.resolvers.pricing import Line, Outcome, price_and_availability
from app.sources.customers import CUSTOMERS, Customer
from app.sources.items import ITEMS, Item
from app.sources.prices import PRICES
from app.sources.stock import BALANCES, LEVELS, RESERVATIONS
from app.sources.warehouses import WAREHOUSES
from tests.support.ports import composed

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CSR = Principal(subject="c", roles=frozenset({Role.CSR}))


class Adapter:
    """One item, one customer, and prices that fail as no source should."""

    async def by_number(self, principal: Principal, numbers: Any, parts: Any = ()) -> Any:
        return {number: Customer(number=number, name=number, currency="USD") for number in numbers}

    async def by_sku(self, principal: Principal, skus: Any) -> Any:
        return {sku: Item(sku=sku, name=sku, base_uom="EA") for sku in skus}

    async def relations(self, principal: Principal, skus: Any) -> Any:
        return {}

    async def levels(self, principal: Principal, skus: Any) -> Any:
        return {}

    async def reservations(self, principal: Principal, skus: Any) -> Any:
        return {}

    async def balances(self, principal: Principal, warehouses: Any, skus: Any) -> Any:
        return {}

    async def all(self, principal: Principal) -> Any:
        return ()

    async def quote(self, principal: Principal, requests: Any) -> Any:
        raise ZeroDivisionError("backend text: hunter2")


async def test_unexpected_failure_of_a_line_names_no_error_id_and_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    erp = {"erp": Adapter()}
    sources: Any = SimpleNamespace(
        prices_by_agreement=False,
        customers=composed(CUSTOMERS, erp),
        items=composed(ITEMS, erp),
        prices=composed(PRICES, erp),
        stock=composed(LEVELS, erp),
        reservations=composed(RESERVATIONS, erp),
        balances=composed(BALANCES, {"3PL": Adapter()}),
        warehouses=composed(WAREHOUSES, erp),
        third_party=frozenset(),
        shipment_views={},
    )
    ctx = Context(CSR, ALL_PERMISSIONS, sources, NOON)
    lines = [Line(item=ItemKey(sku=sku), quantity=Decimal(1)) for sku in ("A", "B")]
    found = await price_and_availability(ctx, CustomerKey(number="CUST-1"), lines)
    assert [(line.outcome, line.message) for line in found] == [
        (Outcome.UNAVAILABLE, "The server could not answer this line."),
        (Outcome.UNAVAILABLE, "The server could not answer this line."),
    ]
    assert capsys.readouterr().out.count("error_id=") == 1
