"""The Tryton adapter against Tryton's own answers: its forecast, its prices. Needs the seeded server."""

from __future__ import annotations

import base64
import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.auth.principal import SYSTEM
from app.sources.stock import StockPosition
from app.sources.tryton import utc_now
from tests.contract.case import Environment
from tests.contract.tryton_case import CONTRACT, URL, asked, open_tryton
from tests.upstreams.tryton import on

pytestmark = pytest.mark.live

KEY = "demo-rest-key-0123456789abcdef"
SKUS = [f"SKU-{number:04}" for number in range(1, 121)]


@pytest.fixture
async def tryton():
    async with open_tryton(Environment(live=True, sandbox=NotImplemented)) as source:
        yield source


def read(model: str, domain: list[Any], fields: str, **context: Any) -> list[dict[str, Any]]:
    """What Tryton says when asked directly."""
    params = httpx.QueryParams([("d", _packed(domain)), *(("f", field) for field in fields.split())])
    headers = {"authorization": f"Bearer {KEY}", "x-tryton-context": _packed({"company": 1, **context})}
    answer = httpx.get(f"{URL}/tryton/rest/model/{model}", params=params, headers=headers, timeout=60)
    return json.loads(answer.raise_for_status().text, parse_float=Decimal)


def _packed(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def balance(position: StockPosition, at: date) -> Decimal:
    """What is left at the end of a day."""
    return position.on_hand - position.reserved + sum(one.delta for one in position.supply if one.date <= at)


async def test_on_hand_reservations_and_changes_add_up_to_trytons_forecast(tryton):
    """For every SKU, in every warehouse, on every day on which Tryton's forecast changes."""
    levels = await tryton.stock.levels(SYSTEM, SKUS)
    today = utc_now().date()
    products = {row["id"]: row["code"] for row in read("product.product", [["code", "in", SKUS]], "code")}
    warehouses = {warehouse.code: int(warehouse.refs[0].id) for warehouse in await tryton.warehouses.all(SYSTEM)}
    positions = {(one.sku, one.warehouse): one for level in levels.values() for one in level.positions}
    compared = 0
    for code, id in warehouses.items():
        rows = read(
            "stock.product_quantities_warehouse",
            [["date", ">=", on(today.year, today.month, today.day)]],
            "product date quantity",
            product=list(products),
            warehouse=id,
        )
        for row in rows:
            sku = products[int(row["product"].partition(",")[2])]
            at = date(row["date"]["year"], row["date"]["month"], row["date"]["day"])
            assert (sku, code, at, balance(positions[sku, code], at)) == (sku, code, at, row["quantity"])
            compared += 1
    assert compared > 3 * len(SKUS)


@pytest.mark.parametrize("days", [0, 3, 14, 60])
async def test_forecast_of_a_day_is_trytons(tryton, days):
    levels = await tryton.stock.levels(SYSTEM, SKUS)
    at = utc_now().date() + timedelta(days=days)
    for warehouse in await tryton.warehouses.all(SYSTEM):
        rows = read(
            "product.product",
            [["code", "in", SKUS]],
            "code quantity forecast_quantity",
            locations=[int(warehouse.refs[0].id)],
            stock_date_end=on(at.year, at.month, at.day),
        )
        expected = {row["code"]: (row["quantity"], row["forecast_quantity"]) for row in rows}
        found = {
            sku: (one.on_hand, balance(one, at))
            for sku, level in levels.items()
            for one in level.positions
            if one.warehouse == warehouse.code
        }
        assert found == expected


@pytest.mark.parametrize(("unit", "uom", "per"), [(1, "EA", 1), (36, "XBX", 12)])
@pytest.mark.parametrize("amount", [1, 2, 11, 12, 13, 24, 150])
async def test_price_is_the_one_tryton_gives_for_the_very_quantity(tryton, unit, uom, per, amount):
    """We ask at the tiers and convert boxes; here Tryton is asked at the quantity, in the unit."""
    rows = read(
        "product.product",
        [["code", "in", SKUS], ["default_uom", "=", 1]],
        "code sale_price_uom",
        price_list=int(CONTRACT.id),
        quantity=amount,
        uom=unit,
    )
    expected = {row["code"]: Decimal(row["sale_price_uom"]["decimal"]) for row in rows}
    questions = [asked(sku, str(amount), uom) for sku in expected]
    prices = await tryton.prices.quote(SYSTEM, questions)
    assert {question.sku: prices[question].unit_price.amount for question in questions} == expected
    assert len(expected) > 100


async def test_price_by_the_centimetre_is_trytons(tryton):
    wires = ["SKU-0019", "SKU-0043", "SKU-0067", "SKU-0091", "SKU-0115"]
    for amount in (1, 2399, 2400, 14399, 14400):
        rows = read(
            "product.product", [["code", "in", wires]], "code sale_price_uom", price_list=4, quantity=amount, uom=13
        )
        expected = {row["code"]: Decimal(row["sale_price_uom"]["decimal"]) for row in rows}
        questions = [asked(sku, str(amount), "CMT") for sku in wires]
        prices = await tryton.prices.quote(SYSTEM, questions)
        assert {question.sku: prices[question].unit_price.amount for question in questions} == expected


async def test_every_order_of_the_seed_can_be_read(tryton):
    codes = [f"SO-{number}" for number in (*range(100011, 100096), *range(200001, 200056))]
    orders = await tryton.orders.by_number(SYSTEM, codes)
    assert list(orders) == codes
    assert all(line.sku and line.uom in {"EA", "MTR"} for order in orders.values() for line in order.lines)
