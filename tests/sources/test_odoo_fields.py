"""Fields of a deployment's own in Odoo: read in the calls of their rows, with Odoo's forms of empty, link and time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from app.auth.principal import SYSTEM
from app.sources.custom_fields import SCALARS, SourceField, SourceFields
from app.sources.customers import CustomerPart
from app.sources.source import Source
from app.sources.values import CustomValues
from tests.contract.case import counted_calls
from tests.contract.odoo_case import running
from tests.upstreams.odoo import Odoo

IDS: Any = Annotated[list[int], msgspec.Meta(max_length=10)]
FIELDS = SourceFields(
    "erp",
    {
        "Customer": (
            SourceField("routeCode", "x_route", SCALARS["String"]),
            SourceField("visits", "x_visits", SCALARS["Int"]),
            SourceField("team", "x_team", SCALARS["String"]),
        ),
        "Item": (
            SourceField("shelfLife", "x_shelf_life", SCALARS["Decimal"]),
            SourceField("isFragile", "x_fragile", SCALARS["Boolean"]),
            SourceField("since", "x_since", SCALARS["Date"]),
        ),
        "Order": (
            SourceField("slot", "x_slot", SCALARS["DateTime"]),
            SourceField("docks", "x_docks", IDS),
            SourceField("buyer", "partner_id", SCALARS["Int"]),
        ),
    },
)


@pytest.fixture
async def database() -> AsyncIterator[tuple[Odoo, Source]]:
    async with running(fields=FIELDS, limits={"retries": 0}) as both:
        await both[1].ping()
        yield both


def row(server: Odoo, model: str, name: str, value: str) -> dict[str, Any]:
    return next(one for one in server.tables[model] if one.get(name) == value)


def values(custom: CustomValues | None) -> dict[str, Any]:
    assert custom is not None
    assert custom.malformed == ()
    return dict(custom.values)


async def test_values_of_customers_items_and_orders_cost_no_call(database: tuple[Odoo, Source]):
    server, source = database
    row(server, "res.partner", "ref", "CUST-0001").update(x_route="R-7", x_visits=3)
    row(server, "res.partner", "ref", "CUST-0001")["x_team"] = server.tables["product.category"][0]["id"]
    row(server, "product.product", "default_code", "SKU-0001").update(
        x_shelf_life=1.1, x_fragile=True, x_since=date(2026, 3, 1).isoformat()
    )
    row(server, "sale.order", "name", "SO-300001").update(x_slot=datetime(2026, 12, 2, 8), x_docks=[4, 9])  # noqa: DTZ001
    team = server.tables["product.category"][0]["name"]
    async with running() as (_, plain):
        await plain.ping()
        with counted_calls() as without:
            await plain.customers.by_number(SYSTEM, ["CUST-0001"])
            await plain.items.by_sku(SYSTEM, ["SKU-0001"])
            await plain.orders.by_number(SYSTEM, ["SO-300001"])
    with counted_calls() as made:
        customer = (await source.customers.by_number(SYSTEM, ["CUST-0001"]))["CUST-0001"]
        item = (await source.items.by_sku(SYSTEM, ["SKU-0001"]))["SKU-0001"]
        order = (await source.orders.by_number(SYSTEM, ["SO-300001"]))["SO-300001"]
    assert sorted(made) == sorted(without)
    assert values(customer.custom) == {"routeCode": "R-7", "visits": 3, "team": team}
    assert values(item.custom) == {"shelfLife": Decimal("1.1"), "isFragile": True, "since": date(2026, 3, 1)}
    assert values(order.custom) == {
        "slot": datetime(2026, 12, 2, 8, tzinfo=UTC),
        "docks": [4, 9],
        "buyer": row(server, "sale.order", "name", "SO-300001")["partner_id"],
    }
    credited = (await source.customers.by_number(SYSTEM, ["CUST-0001"], [CustomerPart.CREDIT]))["CUST-0001"]
    assert credited.credit is not None
    assert credited.custom == customer.custom


async def test_empty_values_are_none_and_those_of_another_type_are_named(database: tuple[Odoo, Source]):
    server, source = database
    item = (await source.items.by_sku(SYSTEM, ["SKU-0001"]))["SKU-0001"]
    assert values(item.custom) == {"shelfLife": Decimal(0), "isFragile": False}
    row(server, "res.partner", "ref", "CUST-0001").update(x_route=7)
    customer = (await source.customers.by_number(SYSTEM, ["CUST-0001"]))["CUST-0001"]
    assert customer.custom == CustomValues(source="erp", values={"visits": 0}, malformed=("routeCode",))
    assert customer.name


async def test_rows_without_fields_are_read_as_before(database: tuple[Odoo, Source]):
    async with running() as (server, source):
        customer = (await source.customers.by_number(SYSTEM, ["CUST-0001"]))["CUST-0001"]
        assert customer.custom is None
        assert not any(name.startswith("x_") for _, _, named in server.seen for name in named.get("fields", ()))
