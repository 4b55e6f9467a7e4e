"""What the conformance tests of `./run contract test` read of each operation, with an example request.

An operation of the contract has an entry here: the example stands in docs/openapi.yaml with the sandbox's answer, and
is what a health check reads.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from app.auth.principal import SYSTEM
from app.sources.billing import InvoiceQuery, ReturnQuery, ReturnReason
from app.sources.changes import ChangeKind
from app.sources.commissions import StatementQuery
from app.sources.conformance import KeyedCall
from app.sources.customers import CustomerPart, CustomerQuery
from app.sources.items import CustomerItemKey, CustomerPartKey, ItemQuery
from app.sources.order_writer import LineQuantity, NewOrder, NewOrderLine
from app.sources.orders import CustomerPoKey, OrderQuery
from app.sources.purchases import OrderGuideQuery
from app.sources.quote_writer import NewQuote, NewQuoteLine, QuoteAnswer, QuoteAnswerKind
from app.sources.quotes import QuoteQuery
from app.sources.receivables import OpenItemQuery, StatementPeriod
from app.sources.rest import (
    account_operations,
    contract,
    contract_orders,
    list_operations,
    quote_operations,
    return_operations,
)
from app.sources.rest import sample_keys as keys
from app.sources.rest.sample_keys import KeyKind
from app.sources.return_writer import NewReturn, NewReturnLine, ReturnDecision, ReturnDecisionKind
from app.sources.search import CustomerSearchQuery, ItemSearchQuery
from app.sources.shipments import ShipmentQuery
from app.sources.source import Source
from app.sources.values import Page, PageRequest

CallOf = Callable[[Source], KeyedCall]
"""The read of a source as a function of keys."""


@dataclass(frozen=True, slots=True)
class KeyedCheck:
    """A read by keys of a kind. `complete` says that every known key has a row; without, that some may have none."""

    kind: KeyKind
    call: CallOf
    complete: bool = True
    identity: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class PagedCheck:
    """A list in pages, or one for each key of a kind."""

    call: Callable[..., Awaitable[Page[Any]]]
    key_of: Callable[[Any], str]
    kind: KeyKind | None = None


@dataclass(frozen=True, slots=True)
class WholeCheck:
    """A read of all rows."""

    call: Callable[[Source], Awaitable[Sequence[Any]]]
    key_of: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class FeedCheck:
    """The change feed."""


@dataclass(frozen=True, slots=True)
class AbsentCheck:
    """A read by keys of which none is known: an unknown one has no row."""

    call: CallOf


Check = AbsentCheck | KeyedCheck | PagedCheck | WholeCheck | FeedCheck


@dataclass(frozen=True, slots=True)
class OperationChecks:
    """An example request of an operation, answered by the sandbox, and the checks that read it.

    An operation that writes has no checks, and its example is never sent to the system that is tested."""

    example: Any
    checks: tuple[Check, ...]


def by_keys(port: str, read: str, *arguments: Any) -> CallOf:
    """The read of a port by keys, with its further arguments."""

    def call(source: Source) -> KeyedCall:
        method = getattr(getattr(source, port), read)
        return lambda requested: method(SYSTEM, requested, *arguments)

    return call


def by_query(
    port: str, make: Callable[[PageRequest], Any], read: str = "search"
) -> Callable[..., Awaitable[Page[Any]]]:
    """The search of a port, by page."""
    return lambda source, page: getattr(getattr(source, port), read)(SYSTEM, make(page))


async def _part_numbers(source: Source, requested: Sequence[Any]) -> Mapping[Any, Any]:
    """Part numbers as keys of a customer's part numbers."""
    found = await source.items.part_numbers(SYSTEM, requested)  # pyright: ignore[reportOptionalMemberAccess]
    return {
        key: number if isinstance(number, Exception) else CustomerPartKey(customer=key.customer, number=number)
        for key, number in found.items()
    }


def by_customer(port: str, read: str, query: Callable[..., Any], key_of: Callable[[Any], str]) -> tuple[Check, ...]:
    """The checks of a list that has a page for each customer."""

    def rows(source: Source) -> KeyedCall:
        async def call(requested: Sequence[str]) -> Mapping[str, tuple[Any, ...]]:
            found = await getattr(getattr(source, port), read)(SYSTEM, requested, query(page=PageRequest(first=3)))
            return {customer: page.rows for customer, page in found.items() if page.rows}

        return call

    async def page_of(source: Source, page: PageRequest, customer: str) -> Page[Any]:
        found = await getattr(getattr(source, port), read)(SYSTEM, [customer], query(page=page))
        return found.get(customer, Page())

    return KeyedCheck(keys.CUSTOMER, rows, complete=False), PagedCheck(page_of, key_of, keys.CUSTOMER)


async def _order_guides(source: Source, requested: Sequence[str]) -> Mapping[str, tuple[Any, ...]]:
    query = OrderGuideQuery(page=PageRequest(first=3))
    found = await source.purchases.order_guide(SYSTEM, requested, query)  # pyright: ignore[reportOptionalMemberAccess]
    return {customer: page.rows for customer, page in found.items() if page.rows}


async def _order_guide_page(source: Source, page: PageRequest, customer: str) -> Page[Any]:
    query = OrderGuideQuery(page=page)
    found = await source.purchases.order_guide(SYSTEM, [customer], query)  # pyright: ignore[reportOptionalMemberAccess]
    return found.get(customer, Page())


async def _balances(source: Source, requested: Sequence[tuple[str, str]]) -> Mapping[Any, Any]:
    warehouses, skus = (list(dict.fromkeys(part)) for part in zip(*requested, strict=True)) if requested else ([], [])
    found = await source.balances.balances(SYSTEM, warehouses, skus)  # pyright: ignore[reportOptionalMemberAccess]
    return {key: row for key, row in found.items() if key in set(requested)}


async def _warehouses(source: Source) -> Sequence[Any]:
    return await source.warehouses.all(SYSTEM)  # pyright: ignore[reportOptionalMemberAccess]


def _code(row: Any) -> str:
    return row.code


def _id(row: Any) -> str:
    return row.id


def _number(row: Any) -> str:
    return row.number


def _sku(row: Any) -> str:
    return row.sku


def _customer(row: Any) -> str:
    return row.customer


_ONE_PAGE = PageRequest(first=1, count=True)
_PERIOD = StatementPeriod(since=date(2026, 11, 1), until=date(2026, 11, 15))

_ORDER = NewOrder(
    key="po-2026-0001",
    customer="CUST-0001",
    customer_po="PO-2026-0001",
    channel="EDI",
    lines=(NewOrderLine(number=1, sku="SKU-0001", quantity=Decimal(12), uom="XBX"),),
)

CHECKS: Mapping[str, OperationChecks] = {
    contract.CUSTOMER_SEARCH.path: OperationChecks(
        CustomerQuery(page=_ONE_PAGE, search="granite"),
        (PagedCheck(by_query("customers", lambda page: CustomerQuery(page=page)), _number),),
    ),
    contract.CUSTOMERS.path: OperationChecks(
        contract.CustomersRead(numbers=("CUST-0001",), include=(CustomerPart.CREDIT,)),
        (
            KeyedCheck(keys.CUSTOMER, by_keys("customers", "by_number"), identity=_number),
            KeyedCheck(keys.CUSTOMER_ID, by_keys("customers", "by_id")),
        ),
    ),
    contract.CREDIT.path: OperationChecks(
        contract.ByCustomer(customers=("CUST-0001",)),
        (KeyedCheck(keys.CUSTOMER, by_keys("credit", "status"), complete=False),),
    ),
    contract.ITEM_SEARCH.path: OperationChecks(
        ItemQuery(page=_ONE_PAGE, search="wedge anchor"),
        (PagedCheck(by_query("items", lambda page: ItemQuery(page=page)), _sku),),
    ),
    contract.ITEMS.path: OperationChecks(
        contract.ItemsRead(skus=("SKU-0001",)),
        (
            KeyedCheck(keys.ITEM, by_keys("items", "by_sku"), identity=_sku),
            KeyedCheck(keys.GTIN, by_keys("items", "by_gtin"), identity=lambda item: item.gtin),
            KeyedCheck(keys.ITEM_ID, by_keys("items", "by_id")),
        ),
    ),
    contract.PART_NUMBERS.path: OperationChecks(
        contract.PartsRead(items=(CustomerItemKey(customer="CUST-0001", sku="SKU-0007"),)),
        (KeyedCheck(keys.PART_ITEM, lambda source: partial(_part_numbers, source), complete=False),),
    ),
    contract.PART_SKUS.path: OperationChecks(
        contract.PartsRead(numbers=(CustomerPartKey(customer="CUST-0001", number="C01-0007"),)),
        (KeyedCheck(keys.PART, by_keys("items", "by_customer_part")),),
    ),
    contract.RELATIONS.path: OperationChecks(
        contract.BySku(skus=("SKU-0001",)),
        (KeyedCheck(keys.ITEM, by_keys("items", "relations"), complete=False),),
    ),
    contract.COSTS.path: OperationChecks(
        contract.BySku(skus=("SKU-0001",)),
        (KeyedCheck(keys.ITEM, by_keys("items", "costs"), complete=False, identity=_sku),),
    ),
    contract.CONTENTS.path: OperationChecks(
        contract.BySku(skus=("SKU-0001",)),
        (KeyedCheck(keys.ITEM, by_keys("contents", "contents"), complete=False, identity=_sku),),
    ),
    contract.WAREHOUSES.path: OperationChecks(None, (WholeCheck(_warehouses, _code),)),
    contract.STOCK.path: OperationChecks(
        contract.BySku(skus=("SKU-0001",)),
        (KeyedCheck(keys.ITEM, by_keys("stock", "levels"), complete=False, identity=_sku),),
    ),
    contract.RESERVATIONS.path: OperationChecks(
        contract.BySku(skus=("SKU-0001",)),
        (KeyedCheck(keys.ITEM, by_keys("reservations", "reservations"), complete=False),),
    ),
    contract.BALANCES.path: OperationChecks(
        contract.BalancesRead(warehouses=("WH-WEST",), skus=("SKU-0001",)),
        (KeyedCheck(keys.BALANCE, lambda source: partial(_balances, source), complete=False),),
    ),
    contract.PRICES.path: OperationChecks(
        contract.PricesRead(
            requests=(contract.PriceQuestion(customer="CUST-0001", sku="SKU-0001", quantity=Decimal(12), uom="XBX"),)
        ),
        (KeyedCheck(keys.PRICE, by_keys("prices", "quote"), complete=False),),
    ),
    contract.ORDERS_BY_CUSTOMER.path: OperationChecks(
        contract.OrdersSearch(customers=("CUST-0001",), query=OrderQuery(page=_ONE_PAGE)),
        by_customer("orders", "by_customer", OrderQuery, _id),
    ),
    contract.ORDER_SEARCH.path: OperationChecks(
        OrderQuery(page=_ONE_PAGE, customers=("CUST-0001",), text="hex bolt", today=date(2026, 11, 21), late=False),
        (PagedCheck(by_query("orders", lambda page: OrderQuery(page=page)), _id),),
    ),
    contract.ORDERS.path: OperationChecks(
        contract.OrdersRead(numbers=("SO-100040",)),
        (
            KeyedCheck(keys.ORDER, by_keys("orders", "by_number"), complete=False, identity=_number),
            KeyedCheck(keys.ORDER_ID, by_keys("orders", "by_id")),
        ),
    ),
    contract.ORDERS_BY_PO.path: OperationChecks(
        contract.OrdersRead(purchase_orders=(CustomerPoKey(customer="CUST-0001", number="PO-0001-00040"),)),
        (KeyedCheck(keys.PURCHASE_ORDER, by_keys("orders", "by_customer_po")),),
    ),
    contract.SHIPMENTS_BY_ORDER.path: OperationChecks(
        contract.ByOrder(orders=("SO-100040",)),
        (KeyedCheck(keys.ORDER, by_keys("shipments", "by_order"), complete=False),),
    ),
    contract.SHIPMENTS.path: OperationChecks(
        contract.ShipmentsRead(tracking_numbers=("1ZSB001000401",)),
        (
            KeyedCheck(keys.SHIPMENT, by_keys("shipments", "by_id"), identity=lambda shipment: shipment.id),
            KeyedCheck(
                keys.TRACKING,
                by_keys("shipments", "by_tracking_number"),
                identity=lambda shipment: shipment.tracking_number,
            ),
        ),
    ),
    contract.INVOICES.path: OperationChecks(
        contract.ByOrder(orders=("SO-100040",)),
        (KeyedCheck(keys.ORDER, by_keys("billing", "invoices"), complete=False),),
    ),
    contract.INVOICES_BY_ID.path: OperationChecks(
        contract.ByInvoice(ids=("700040",)),
        (KeyedCheck(keys.INVOICE_ID, by_keys("billing", "by_id"), identity=lambda invoice: invoice.id),),
    ),
    contract.RETURNS.path: OperationChecks(
        contract.ByOrder(orders=("SO-100047",)),
        (KeyedCheck(keys.ORDER, by_keys("billing", "returns"), complete=False),),
    ),
    list_operations.SHIPMENTS_BY_CUSTOMER.path: OperationChecks(
        list_operations.ShipmentsSearch(customers=("CUST-0001",), query=ShipmentQuery(page=_ONE_PAGE)),
        by_customer("shipments", "by_customer", ShipmentQuery, _id),
    ),
    list_operations.SHIPMENT_SEARCH.path: OperationChecks(
        ShipmentQuery(page=_ONE_PAGE, customers=("CUST-0001",), text="so-100040"),
        (PagedCheck(by_query("shipments", lambda page: ShipmentQuery(page=page)), _id),),
    ),
    list_operations.INVOICES_BY_CUSTOMER.path: OperationChecks(
        list_operations.InvoicesSearch(customers=("CUST-0001",), query=InvoiceQuery(page=_ONE_PAGE)),
        by_customer("billing", "invoices_by_customer", InvoiceQuery, _id),
    ),
    list_operations.INVOICE_SEARCH.path: OperationChecks(
        InvoiceQuery(page=_ONE_PAGE, customers=("CUST-0001",), open=True),
        (PagedCheck(by_query("billing", lambda page: InvoiceQuery(page=page), "search_invoices"), _id),),
    ),
    list_operations.RETURNS_BY_CUSTOMER.path: OperationChecks(
        list_operations.ReturnsSearch(customers=("CUST-0001",), query=ReturnQuery(page=_ONE_PAGE)),
        by_customer("billing", "returns_by_customer", ReturnQuery, _id),
    ),
    list_operations.RETURN_SEARCH.path: OperationChecks(
        ReturnQuery(page=_ONE_PAGE, customers=("CUST-0001",), text="damaged"),
        (PagedCheck(by_query("billing", lambda page: ReturnQuery(page=page), "search_returns"), _id),),
    ),
    contract.AGENTS.path: OperationChecks(
        contract.ByNumber(numbers=("AG-01",)),
        (KeyedCheck(keys.AGENT, by_keys("commissions", "agents"), identity=_number),),
    ),
    contract.SUB_AGENTS.path: OperationChecks(
        contract.ByNumber(numbers=("AG-01",)),
        (KeyedCheck(keys.AGENT, by_keys("commissions", "sub_agents"), complete=False),),
    ),
    contract.STATEMENTS_BY_AGENT.path: OperationChecks(
        contract.StatementsSearch(agents=("AG-01-01-01",), query=StatementQuery(first=1, since=date(2026, 1, 1))),
        (KeyedCheck(keys.AGENT, by_keys("commissions", "statements_of", StatementQuery(first=3)), complete=False),),
    ),
    contract.STATEMENTS.path: OperationChecks(
        contract.ByNumber(numbers=("CS-02-04-06-103",)),
        (KeyedCheck(keys.STATEMENT, by_keys("commissions", "statements"), identity=_number),),
    ),
    account_operations.RECEIVABLES.path: OperationChecks(
        contract.ByCustomer(customers=("CUST-0012",)),
        (KeyedCheck(keys.CUSTOMER, by_keys("receivables", "summary"), complete=False, identity=_customer),),
    ),
    account_operations.OPEN_ITEMS.path: OperationChecks(
        account_operations.OpenItemsSearch(customers=("CUST-0012",), query=OpenItemQuery(page=_ONE_PAGE, overdue=True)),
        by_customer("receivables", "open_items", OpenItemQuery, _id),
    ),
    account_operations.ACCOUNT_STATEMENTS.path: OperationChecks(
        account_operations.AccountStatementsRead(customers=("CUST-0012",), period=_PERIOD),
        (KeyedCheck(keys.CUSTOMER, by_keys("receivables", "statements", _PERIOD), complete=False, identity=_customer),),
    ),
    account_operations.CONTACTS.path: OperationChecks(
        contract.ByCustomer(customers=("CUST-0012",)),
        (KeyedCheck(keys.CUSTOMER, by_keys("contacts", "by_customer"), complete=False),),
    ),
    account_operations.PURCHASE_HISTORY.path: OperationChecks(
        account_operations.PurchaseHistoryRead(items=(CustomerItemKey(customer="CUST-0001", sku="SKU-0007"),)),
        (KeyedCheck(keys.PART_ITEM, by_keys("purchases", "history"), complete=False),),
    ),
    account_operations.ORDER_GUIDES.path: OperationChecks(
        account_operations.OrderGuidesSearch(customers=("CUST-0001",), query=OrderGuideQuery(page=_ONE_PAGE)),
        (
            KeyedCheck(keys.CUSTOMER, lambda source: partial(_order_guides, source), complete=False),
            PagedCheck(_order_guide_page, _sku, keys.CUSTOMER),
        ),
    ),
    account_operations.ACCOUNTS.path: OperationChecks(
        account_operations.AccountsRead(salespeople=("rep-01",)),
        (KeyedCheck(keys.SALESPERSON, by_keys("accounts", "assigned"), identity=lambda row: row.salesperson),),
    ),
    quote_operations.QUOTES_BY_CUSTOMER.path: OperationChecks(
        quote_operations.QuotesSearch(customers=("CUST-0001",), query=QuoteQuery(page=_ONE_PAGE)),
        by_customer("quotes", "by_customer", QuoteQuery, _id),
    ),
    quote_operations.QUOTE_SEARCH.path: OperationChecks(
        QuoteQuery(page=_ONE_PAGE, customers=("CUST-0001",), open=True),
        (PagedCheck(by_query("quotes", lambda page: QuoteQuery(page=page)), _id),),
    ),
    quote_operations.QUOTES.path: OperationChecks(
        quote_operations.QuotesRead(numbers=("QU-2002",)),
        (
            KeyedCheck(keys.QUOTE, by_keys("quotes", "by_number"), identity=_number),
            KeyedCheck(keys.QUOTE_ID, by_keys("quotes", "by_id"), identity=_id),
        ),
    ),
    quote_operations.REQUEST_QUOTE.path: OperationChecks(
        NewQuote(
            key="0b7e2d5c",
            digest="5f2a9c11",
            customer="CUST-0001",
            channel="API",
            requested_by="buyer-1",
            lines=(NewQuoteLine(number=1, sku="SKU-0001", quantity=Decimal(500), uom="XBX"),),
        ),
        (),
    ),
    quote_operations.FIND_QUOTES.path: OperationChecks(
        quote_operations.QuoteKeysRead(keys=("0b7e2d5c",)), (AbsentCheck(by_keys("quote_writer", "find")),)
    ),
    quote_operations.ANSWER_QUOTE.path: OperationChecks(
        QuoteAnswer(
            id="q2009", version=2, kind=QuoteAnswerKind.DECLINE, answered_by="buyer-1", note="Bought elsewhere"
        ),
        (),
    ),
    return_operations.RETURNS_BY_ID.path: OperationChecks(
        return_operations.ReturnsRead(ids=("900047",)),
        (KeyedCheck(keys.RETURN_ID, by_keys("billing", "returns_by_id"), identity=_id),),
    ),
    return_operations.RETURNS_BY_NUMBER.path: OperationChecks(
        return_operations.ReturnNumbersRead(numbers=("RMA-00047",)),
        (KeyedCheck(keys.RETURN, by_keys("billing", "returns_by_number"), identity=_number),),
    ),
    return_operations.REQUEST_RETURN.path: OperationChecks(
        NewReturn(
            key="7c1d90aa",
            customer="CUST-0001",
            order_id="500040",
            order_number="SO-100040",
            channel="API",
            requested_by="buyer-1",
            lines=(NewReturnLine(number=1, quantity=Decimal(2), reason=ReturnReason.DAMAGED),),
        ),
        (),
    ),
    return_operations.FIND_RETURNS.path: OperationChecks(
        return_operations.ReturnKeysRead(keys=("7c1d90aa",)), (AbsentCheck(by_keys("return_writer", "find")),)
    ),
    return_operations.DECIDE_RETURN.path: OperationChecks(
        ReturnDecision(id="r9001", version=1, kind=ReturnDecisionKind.APPROVE, decided_by="clerk-1"), ()
    ),
    contract.SEARCH_ITEMS.path: OperationChecks(
        ItemSearchQuery(page=_ONE_PAGE, text="wedge anchor", facets=("material", "thread"), categories=True),
        (PagedCheck(lambda source, page: source.search.items(SYSTEM, ItemSearchQuery(page=page)), str),),
    ),
    contract.SEARCH_CUSTOMERS.path: OperationChecks(
        CustomerSearchQuery(page=_ONE_PAGE, search="granite"),
        (PagedCheck(lambda source, page: source.search.customers(SYSTEM, CustomerSearchQuery(page=page)), str),),
    ),
    contract_orders.CREATE_ORDER.path: OperationChecks(_ORDER, ()),
    contract_orders.FIND_ORDERS.path: OperationChecks(
        contract_orders.OrderKeysRead(keys=(_ORDER.key,)), (AbsentCheck(by_keys("order_writer", "find")),)
    ),
    contract_orders.SIMULATE_ORDER.path: OperationChecks(_ORDER, ()),
    contract_orders.AMEND_ORDER.path: OperationChecks(
        contract_orders.OrderAmendment(
            id="n900001", lines=(LineQuantity(number=1, quantity=Decimal(6)),), reason="Half of it"
        ),
        (),
    ),
    contract_orders.CANCEL_ORDER.path: OperationChecks(
        contract_orders.OrderCancellation(id="n900001", reason="Ordered twice"), ()
    ),
    contract.CHANGES.path: OperationChecks(
        contract.ChangesRead(kinds=(ChangeKind.CUSTOMER, ChangeKind.ORDER), limit=10), (FeedCheck(),)
    ),
}
"""By the operation's path, in an order in which each finds keys for those after it."""
