"""S/4HANA: its declared calls, its traps and orders in, against a server made from the services' metadata."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from app.auth.principal import SYSTEM
from app.errors import (
    ConfigurationError,
    NotSupported,
    SourceMalformed,
    SourceRejected,
    SourceUnavailable,
)
from app.sources.changes import ChangeKind
from app.sources.items import CustomerItemKey, CustomerPartKey
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted, SimulatedLine, WrittenOrder
from app.sources.orders import CustomerPoKey, HoldKind, OrderQuery, OrderSort, OrderStatus
from app.sources.pipeline.compose import compile_source
from app.sources.prices import PriceRequest
from app.sources.sap_s4hana.client import external
from app.sources.shipments import ShipmentStatus
from app.sources.source import Source
from app.sources.values import Money, PageRequest, utc_now
from tests.contract.case import counted_calls
from tests.contract.sap_s4hana_case import connect_to, running
from tests.upstreams.sap_s4hana import S4HANA
from tests.upstreams.sap_s4hana_rows import ORDERS, PRODUCTS, order_item, product, sales_order

KINDS = frozenset({ChangeKind.ITEM, ChangeKind.ORDER, ChangeKind.INVOICE})
EVERYTHING = "|".join(f"{kind}@2020-01-01T00:00:00+00:00@" for kind in sorted(KINDS))
BOTH = ["17100001", "17100002"]
PAGE = OrderQuery(page=PageRequest(first=5))


@pytest.fixture
async def system() -> AsyncIterator[tuple[S4HANA, Source]]:
    async with running(limits={"retries": 0}) as both:
        yield both


def new_order(key: str = "01JDKEY", **values: Any) -> NewOrder:
    price = Money(amount=Decimal("9.99"), currency="USD")
    line = NewOrderLine(number=1, sku="TG11", quantity=Decimal("2.5"), uom="EA", unit_price=price)
    given = {"customer": "17100001", "customer_po": "PO 77", "channel": "web", "lines": (line,)} | values
    return NewOrder(key=key, **given)


async def test_every_declared_call_is_made_and_no_other(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    await source.ping()
    await source.customers.by_number(SYSTEM, ["17100001"])
    await source.credit.status(SYSTEM, ["17100001"])
    await source.items.by_gtin(SYSTEM, ["4000000000001"])
    await source.items.by_customer_part(SYSTEM, [CustomerPartKey(customer="17100001", number="C-1")])
    await source.items.part_numbers(SYSTEM, [CustomerItemKey(customer="17100001", sku="TG11")])
    await source.stock.levels(SYSTEM, ["TG11"])
    await source.prices.quote(SYSTEM, [PriceRequest("17100001", "TG11", Decimal(1))])
    await source.orders.by_customer_po(SYSTEM, [CustomerPoKey(customer="17100002", number="PO-1")])
    await source.orders.by_customer(SYSTEM, BOTH, PAGE)
    query = OrderQuery(page=PageRequest(first=2), hold=(HoldKind.CREDIT, HoldKind.OTHER), open=True, customers=("1",))
    await source.orders.search(SYSTEM, query)  # pyright: ignore[reportAttributeAccessIssue]
    await source.shipments.by_order(SYSTEM, ["1"])
    await source.billing.invoices(SYSTEM, ["1"])
    await source.changes.since(SYSTEM, KINDS, EVERYTHING)
    written = await source.order_writer.post(SYSTEM, new_order())
    assert await source.order_writer.find(SYSTEM, ["01JDKEY", "none"]) == {"01JDKEY": (written,)}
    await source.order_writer.cancel(SYSTEM, written, "wrong")
    assert server.traffic.unused == set()
    assert server.tokens == 1


# Keys and values


@pytest.mark.parametrize(
    ("text", "number"), [("0000000012", "12"), ("12", "12"), (" 12 ", "12"), ("TG-012", "TG-012"), ("0000", "0")]
)
def test_numbers_lose_their_leading_zeros_once(text: str, number: str) -> None:
    assert external(text) == number == external(external(text))


async def test_padded_numbers_of_rows_are_the_keys_without_zeros(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    padded = sales_order(
        "77", "0017100001", "2026-11-20", to_Item=[order_item("77", "000010", "000000000000000042", "1")]
    )
    server.tables[f"{ORDERS}/A_SalesOrder"].append(padded)
    order = (await source.orders.by_number(SYSTEM, ["77"]))["77"]
    assert (order.customer, order.lines[0].sku, order.lines[0].number) == ("17100001", "42", 10)
    requests = len(server.seen)
    assert await source.orders.by_number(SYSTEM, ["0000000077", "", "x" * 11, "7\n7"]) == {}
    assert len(server.seen) == requests


async def test_nulls_and_empty_texts_are_no_values(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    row = server.tables[f"{ORDERS}/A_SalesOrder"][3]
    row |= {"PurchaseOrderByCustomer": "", "RequestedDeliveryDate": None, "CustomerPaymentTerms": None}
    row["to_Item"] = [
        order_item("4", "10", "", "1.000", TaxAmount=None, NetAmount=None, SalesOrderItemText=None, to_ScheduleLine=[])
    ]
    order = (await source.orders.by_number(SYSTEM, ["4"]))["4"]
    assert (order.customer_po, order.requested_on, order.terms, order.promised_on) == (None, None, None, None)
    (line,) = order.lines
    assert (line.sku, line.description, line.total, line.shipped_quantity) == (None, None, None, Decimal(0))


async def test_unknown_status_is_preserved(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    server.tables[f"{ORDERS}/A_SalesOrder"][3]["OverallTotalDeliveryStatus"] = ""
    order = (await source.orders.by_number(SYSTEM, ["4"]))["4"]
    assert (order.status, order.raw_status) == (OrderStatus.UNKNOWN, "delivery -, process A, rejection A")


async def test_newest_order_with_a_customers_number_counts(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    server.tables[f"{ORDERS}/A_SalesOrder"] += [
        sales_order("20", "17100001", "2026-11-20", PurchaseOrderByCustomer="it's"),
        sales_order("21", "17100001", "2026-11-10", PurchaseOrderByCustomer="it's"),
        sales_order("22", "17100003", "2026-11-29", PurchaseOrderByCustomer="it's"),
    ]
    key = CustomerPoKey(customer="17100001", number="it's")
    found = await source.orders.by_customer_po(SYSTEM, [key, CustomerPoKey(customer="17100002", number="it's")])
    assert {one: order.number for one, order in found.items()} == {key: "20"}


async def test_deliveries_of_an_order_come_oldest_first(system: tuple[S4HANA, Source]) -> None:
    _, source = system
    with counted_calls() as calls:
        found = await source.shipments.by_order(SYSTEM, ["1", "2", "none"])
    assert calls == [("sap", "sign_in"), ("sap", "shipments.of_orders"), ("sap", "shipments")]
    first, second = found["1"]
    assert [first.id, first.status, first.customer, first.warehouse] == [
        "80000001",
        ShipmentStatus.PICKED_UP,
        "17100002",
        "1710",
    ]
    assert first.shipped_at == datetime(2026, 11, 21, tzinfo=UTC)
    assert (first.lines[0].order, first.lines[0].line_number, first.lines[0].sku) == ("1", 10, "TG11")
    assert (second.status, second.shipped_at) == (ShipmentStatus.PENDING, None)
    assert found["2"][0].status is ShipmentStatus.DELIVERED
    assert await source.shipments.by_id(SYSTEM, ["80000003", "no id"]) == {"80000003": second}


async def test_stock_takes_three_calls_for_one_item_and_for_many(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    await source.ping()
    server.tables[f"{PRODUCTS}/A_Product"] += [product(f"M{n}") for n in range(47)]
    for skus in (["TG11"], ["TG11", "TG12", "TG13", *(f"M{n}" for n in range(47))]):
        with counted_calls() as calls:
            found = await source.stock.levels(SYSTEM, skus)
        assert sorted(calls) == [("sap", "stock"), ("sap", "stock.availability"), ("sap", "stock.units")]
        assert list(found) == skus


async def test_stock_without_a_checking_rule_has_no_supply() -> None:
    async with running(options={"atp_checking_rule": None}) as (server, source):
        level = (await source.stock.levels(SYSTEM, ["TG11"]))["TG11"]
        assert [(one.warehouse, one.on_hand, one.supply) for one in level.positions] == [
            ("1710", Decimal("13.500"), ()),
            ("1720", Decimal("3.000"), ()),
        ]
        assert not any("Availability" in one for one in server.seen)


async def test_many_keys_are_cut_by_the_length_of_the_url(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    await source.ping()
    with counted_calls() as calls:
        found = await source.orders.by_number(SYSTEM, ["3", *(f"9{n:09}" for n in range(500)), "1"])
    assert (list(found), calls) == (["3", "1"], [("sap", "orders")])
    assert server.seen[-1].startswith(f"POST /sap/opu/odata/sap/{ORDERS}/$batch")
    customers = tuple(f"18{n:06}" for n in range(400))
    with pytest.raises(NotSupported, match=r"'sap' does not support orders\.search: 400 customers are too many"):
        await source.orders.search(SYSTEM, OrderQuery(page=PageRequest(first=5), customers=customers))  # pyright: ignore[reportAttributeAccessIssue]


async def test_pages_that_the_server_cuts_are_read_whole(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    server.page_size = 1
    assert len(await source.orders.by_number(SYSTEM, ["1", "2", "3", "4"])) == 4


async def test_changes_of_one_time_are_read_whole_over_pages(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    orders = [sales_order(str(n), "17100001", "2026-11-15") for n in range(9000, 10_200)]
    server.tables[f"{ORDERS}/A_SalesOrder"] = orders
    seen, cursor, more = [], "ORDER@2020-01-01T00:00:00+00:00@", True
    while more:
        part = await source.changes.since(SYSTEM, frozenset({ChangeKind.ORDER}), cursor, limit=400)
        seen += [change.key for change in part.changes]
        cursor, more = part.cursor, part.more
    assert seen == [str(n) for n in range(9000, 10_200)]
    assert (await source.changes.since(SYSTEM, frozenset({ChangeKind.ORDER}), cursor)).changes == ()


async def test_what_is_missing_says_why() -> None:
    async with running(options={"credit_segment": None}) as (server, plain):
        source = compile_source(plain, utc_now)
        missing = {one.name: one.missing_reason for one in source.capabilities if one.missing_reason}
        assert missing["credit.status"] == "no credit segment is configured"
        assert missing["items.costs"] == "products are valued by plant, for a price unit"
        with pytest.raises(NotSupported, match=r"'sap' does not support items\.costs: products are valued by plant"):
            await source.items.costs(SYSTEM, ["TG11"])
        assert server.seen == []


async def test_unit_without_a_whole_ratio_is_malformed(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    server.tables[f"{PRODUCTS}/A_Product"][0]["to_ProductUnitsOfMeasure"][1]["QuantityNumerator"] = "0.5"
    with pytest.raises(SourceMalformed):
        await source.items.by_sku(SYSTEM, ["TG11"])
    assert list(await source.items.by_sku(SYSTEM, ["TG12"])) == ["TG12"]


async def test_partner_without_the_sales_area_is_no_customer(system: tuple[S4HANA, Source]) -> None:
    _, source = system
    found = await source.customers.by_number(SYSTEM, ["17100004", "17100003"])
    assert list(found) == ["17100003"]


# Orders in


async def test_order_is_one_deep_insert(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    order = new_order(requested_date=date(2026, 12, 1), ship_to="17100009", note="Ring twice", allow_partial=False)
    written = await source.order_writer.post(SYSTEM, order)
    assert (written.key, written.number, written.id, written.step) == ("01JDKEY", "906", "906", "created")
    assert server.sent == [
        {
            "SalesOrderType": "OR",
            "SalesOrganization": "1710",
            "DistributionChannel": "10",
            "OrganizationDivision": "00",
            "SoldToParty": "17100001",
            "PurchaseOrderByCustomer": "01JDKEY",
            "RequestedDeliveryDate": "/Date(1796083200000)/",
            "CompleteDeliveryIsDefined": True,
            "to_Partner": [{"PartnerFunction": "SH", "Customer": "17100009"}],
            "to_Text": [
                {
                    "Language": "EN",
                    "LongTextID": "TX01",
                    "LongText": "PO PO 77\nRing twice\nShip complete: the customer takes no partial shipments.",
                }
            ],
            "to_Item": [{"Material": "TG11", "RequestedQuantity": "2.5", "RequestedQuantityUnit": "EA"}],
        }
    ]
    assert await source.order_writer.post(SYSTEM, new_order(), written) == written
    assert len(server.sent) == 1


async def test_quoted_price_is_sent_where_a_condition_type_is_configured() -> None:
    async with running(options={"price_condition_type": "PPR0"}) as (server, source):
        await source.order_writer.post(SYSTEM, new_order())
        assert server.sent[0]["to_Item"][0]["to_PricingElement"] == [
            {
                "ConditionType": "PPR0",
                "ConditionRateValue": "9.99",
                "ConditionCurrency": "USD",
                "ConditionQuantity": "1",
                "ConditionQuantityUnit": "EA",
            }
        ]
        price = Money(amount=Decimal(10), currency="USD")
        line = NewOrderLine(number=7, sku="TG11", quantity=Decimal(1), unit_price=price, price_unit=Decimal("2.5"))
        with pytest.raises(OrderNotAccepted) as caught:
            await source.order_writer.post(SYSTEM, new_order(lines=(line,)))
        assert (caught.value.lines, len(server.sent)) == ((7,), 1)


async def test_doubled_order_is_found_twice_and_a_rejected_one_not(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    written = [await source.order_writer.post(SYSTEM, new_order()) for _ in range(2)]
    await source.order_writer.post(SYSTEM, new_order("OTHER"))
    server.tables[f"{ORDERS}/A_SalesOrder"][-1]["OverallSDDocumentRejectionSts"] = "C"
    found = await source.order_writer.find(SYSTEM, ["01JDKEY", "OTHER", "it's", "x" * 36])
    assert found == {"01JDKEY": tuple(written)}
    assert source.order_writer.unique_key is False


@pytest.mark.parametrize(
    ("order", "detail"),
    [
        ({"customer": "17109999"}, "VP/199: Sold-to party 17109999 not maintained for sales area"),
        (
            {"lines": (NewOrderLine(number=1, sku="TG99", quantity=Decimal(1)),)},
            "V1/382: Material TG99 is not defined for sales org. 1710",
        ),
        ({"key": "x" * 36}, "a key of 36 characters is longer than 35"),
    ],
)
async def test_refused_order_is_not_accepted_and_says_why(
    system: tuple[S4HANA, Source], order: dict[str, Any], detail: str
) -> None:
    _, source = system
    with pytest.raises(OrderNotAccepted) as caught:
        await source.order_writer.post(SYSTEM, new_order(**order))
    assert caught.value.detail == detail


async def test_failed_write_is_sent_once(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    await source.ping()
    server.fault = lambda request: Response("<html>hunter2</html>", 502) if request.method == "POST" else None
    with pytest.raises(SourceUnavailable) as caught:
        await source.order_writer.post(SYSTEM, new_order())
    assert caught.value.sent is True
    assert sum(one.startswith("POST") for one in server.seen) == 1
    server.fault = lambda _: JSONResponse({"message": "hunter2"}, 400)
    with pytest.raises(SourceRejected) as refused:
        await source.order_writer.post(SYSTEM, new_order())
    assert "hunter2" not in refused.value.message


async def test_write_with_a_stale_token_is_sent_again_with_a_new_one_and_made_once(
    system: tuple[S4HANA, Source],
) -> None:
    server, source = system
    await source.ping()
    server.valid.clear()
    written = await source.order_writer.post(SYSTEM, new_order())
    assert sum(one.startswith("POST") for one in server.seen) == 2
    assert len(server.sent) == 1
    assert await source.order_writer.find(SYSTEM, ["01JDKEY"]) == {"01JDKEY": (written,)}


async def test_order_is_simulated_without_being_created(system: tuple[S4HANA, Source]) -> None:
    server, source = system
    lines = (
        NewOrderLine(number=3, sku="TG11", quantity=Decimal(2), uom="BOX"),
        NewOrderLine(number=7, sku="TG12", quantity=Decimal(4)),
    )
    usd = lambda amount: Money(amount=Decimal(amount), currency="USD")  # noqa: E731
    assert await source.order_writer.simulate(SYSTEM, new_order(lines=lines)) == [
        SimulatedLine(number=3, unit_price=usd("252.000"), price_unit=Decimal(2), available=Decimal(2)),
        SimulatedLine(number=7, unit_price=usd("42.000"), price_unit=Decimal(4), available=Decimal(2)),
    ]
    assert len(server.tables[f"{ORDERS}/A_SalesOrder"]) == 6
    with pytest.raises(OrderNotAccepted) as caught:
        await source.order_writer.simulate(SYSTEM, new_order(customer="17109999"))
    assert caught.value.detail == "VP/199: Sold-to party 17109999 not maintained for sales area"


async def test_order_is_cancelled_by_deletion_unless_documents_follow_it(system: tuple[S4HANA, Source]) -> None:
    _, source = system
    written = await source.order_writer.post(SYSTEM, new_order())
    await source.order_writer.cancel(SYSTEM, written, "wrong")
    assert await source.order_writer.find(SYSTEM, ["01JDKEY"]) == {}
    with pytest.raises(OrderNotAccepted) as caught:
        await source.order_writer.cancel(SYSTEM, WrittenOrder(key="", id="2", number="2", step="created"), "wrong")
    assert caught.value.detail == "V1/033: Sales document cannot be deleted: subsequent documents exist"
    for bad in ("../x", "1')", "0000000002"):
        with pytest.raises(SourceMalformed):
            await source.order_writer.cancel(SYSTEM, WrittenOrder(key="", id=bad, number="", step="created"), "wrong")


async def test_sorts_are_those_of_the_server(system: tuple[S4HANA, Source]) -> None:
    _, source = system
    query = OrderQuery(page=PageRequest(first=2), sort=OrderSort.ORDERED_AT_ASC)
    page = await source.orders.search(SYSTEM, query)  # pyright: ignore[reportAttributeAccessIssue]
    assert ([row.number for row in page.rows], page.cursors, page.has_next, page.total) == (
        ["1", "2"],
        ("1", "2"),
        True,
        6,
    )


# Configuration


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"options": {"sales_organization": "17 10"}}, "sources.sap.options"),
        ({"options": {"plants": {}}}, "sources.sap.options"),
        ({"options": {"plants": {"x'": "A"}}}, "sources.sap.options"),
        ({"options": {"language": "english"}}, "sources.sap.options"),
        ({"options": {"credit_segment": "' or"}}, "sources.sap.options"),
        ({"options": {"unknown": 1}}, "sources.sap.options"),
        ({"credentials": {"username": "me"}}, "sources.sap.credentials"),
    ],
)
async def test_wrong_configuration_stops_the_start(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect_to("http://127.0.0.1:1", **changes)
    assert str(caught.value).startswith(key)
