"""The `rest` contract: what in-house systems answer, as types. docs/openapi.yaml is its published form.

A row on the wire is a record's JSON form without what only the gateway knows (`source`, `refs`, `freshness`),
with the system's own `id` and, where data is volatile, `asOf`. Statuses are text: a system may use one that this
gateway does not know yet.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from app.sources.changes import ChangeKind, ChangeSet, FeedChange
from app.sources.commissions import StatementQuery
from app.sources.customers import CustomerPart, CustomerQuery
from app.sources.items import (
    CustomerItemKey,
    CustomerPartKey,
    ItemQuery,
    ItemRelation,
)
from app.sources.orders import CustomerPoKey, OrderQuery
from app.sources.rest import account_operations, list_operations, quote_operations, return_operations
from app.sources.rest.account_operations import ByCustomer
from app.sources.rest.contract_orders import ORDER_OPERATIONS
from app.sources.rest.contract_rows import (
    AgentRow,
    ContentRow,
    ContractOperation,
    CostRow,
    CreditRow,
    CustomerRow,
    InvoiceRow,
    ItemRow,
    OrderRow,
    PriceRow,
    ReturnRow,
    ShipmentRow,
    StatementRow,
    StockRow,
    WarehouseRow,
    Window,
    found,
)
from app.sources.search import CustomerSearchQuery, ItemSearchQuery, SearchPage
from app.sources.stock import Balance, Reservation
from app.sources.values import Record

MAX_KEYS = 500
"""Keys in one read; a longer list is asked for in several."""

MAX_PARTS = 100
"""Reads in one batch."""

MAX_KEY = 256
"""Characters of a key; a longer one is nobody's."""

MAX_EVENTS = 1000
"""Changes in one webhook."""

INVALID_CURSOR = "INVALID_CURSOR"
"""The problem's `code` for a cursor that the system did not make."""

FILTER_NOT_SUPPORTED = "FILTER_NOT_SUPPORTED"
"""The problem's `code` for a filter that the system cannot answer; it must not be ignored."""

SORT_NOT_SUPPORTED = "SORT_NOT_SUPPORTED"
"""The problem's `code` for a sort that the system cannot answer."""


class Problem(Record):
    """RFC 9457, with a stable `code`."""

    title: str = ""
    status: int | None = None
    detail: str | None = None
    code: str | None = None


# Requests


class CustomersRead(Record):
    """Customers by `numbers` or by `ids`, not both."""

    numbers: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    include: tuple[CustomerPart, ...] = ()


class ItemsRead(Record):
    """Items by `skus`, `gtins` or `ids`: one of them."""

    skus: tuple[str, ...] = ()
    gtins: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


class BySku(Record):
    """A read by SKU."""

    skus: tuple[str, ...]


class PartsRead(Record):
    """Customers' own part numbers: SKUs for `numbers`, part numbers for `items`; one of them."""

    numbers: tuple[CustomerPartKey, ...] = ()
    items: tuple[CustomerItemKey, ...] = ()


class BalancesRead(Record):
    """What a third party holds: every pair of the two lists."""

    warehouses: tuple[str, ...]
    skus: tuple[str, ...]


class PriceQuestion(Record):
    """What `customer` pays for `quantity` of an item in `uom` (its base unit) on a day (today)."""

    customer: str
    sku: str
    quantity: Decimal
    uom: str | None = None
    on: date | None = None


class PricesRead(Record):
    """Price questions; a price's key in the answer is the question's position, from 0."""

    requests: tuple[PriceQuestion, ...]


class OrdersRead(Record):
    """Orders by `numbers`, `ids` or `purchase_orders`: one of them."""

    numbers: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    purchase_orders: tuple[CustomerPoKey, ...] = ()


class OrdersSearch(Record):
    """A page of the orders of each customer."""

    customers: tuple[str, ...]
    query: OrderQuery


class ShipmentsRead(Record):
    """Shipments by `ids`, `tracking_numbers` or `orders`: one of them. By order, a key's value is a list."""

    ids: tuple[str, ...] = ()
    tracking_numbers: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()


class ByOrder(Record):
    """A read by order number."""

    orders: tuple[str, ...]


class ByNumber(Record):
    """A read by number."""

    numbers: tuple[str, ...]


class ByInvoice(Record):
    """A read by invoice id."""

    ids: tuple[str, ...]


class StatementsSearch(Record):
    """The commission statements of each agent."""

    agents: tuple[str, ...]
    query: StatementQuery


class ChangesRead(Record):
    """Changes of these kinds after a cursor; without one, none, and a cursor to start from."""

    kinds: tuple[ChangeKind, ...]
    since: str | None = None
    limit: int = 500


class Events(Record):
    """What a system tells by a webhook: changes as the feed has them, in their order. Their `id` is the feed's, so that
    one that comes both ways is known; their `sequence` goes on by one, over all that is told by webhook."""

    events: tuple[FeedChange, ...]


class Part(Record):
    """One read of a batch. `id` names it in the answer."""

    id: str
    method: str = "POST"
    path: str
    body: Any = None


class PartAnswer(Record):
    """A line of a batch's answer: what the read would have answered by itself."""

    id: str
    status: int
    body: msgspec.Raw


CUSTOMERS = ContractOperation(
    port="customers",
    path="/v1/customers/read",
    summary="Customers by number or id",
    request=CustomersRead,
    answer=found(str, CustomerRow),
)
CUSTOMER_SEARCH = ContractOperation(
    port="customers",
    path="/v1/customers/search",
    summary="A page of customers, by number",
    request=CustomerQuery,
    answer=Window[CustomerRow],
)
CREDIT = ContractOperation(
    port="credit",
    path="/v1/credit/read",
    summary="Credit by customer number",
    request=ByCustomer,
    answer=found(str, CreditRow),
)
ITEMS = ContractOperation(
    port="items",
    path="/v1/items/read",
    summary="Items by SKU, GTIN or id",
    request=ItemsRead,
    answer=found(str, ItemRow),
)
ITEM_SEARCH = ContractOperation(
    port="items", path="/v1/items/search", summary="A page of items, by SKU", request=ItemQuery, answer=Window[ItemRow]
)
PART_SKUS = ContractOperation(
    port="items",
    path="/v1/customer-parts/skus",
    summary="SKUs by customer part number",
    request=PartsRead,
    answer=found(CustomerPartKey, str),
)
PART_NUMBERS = ContractOperation(
    port="items",
    path="/v1/customer-parts/numbers",
    summary="Customer part numbers by item",
    request=PartsRead,
    answer=found(CustomerItemKey, str),
)
RELATIONS = ContractOperation(
    port="items",
    path="/v1/relations/read",
    summary="Related items by SKU, by priority",
    request=BySku,
    answer=found(str, tuple[ItemRelation, ...]),
)
COSTS = ContractOperation(
    port="items", path="/v1/costs/read", summary="Costs by SKU", request=BySku, answer=found(str, CostRow)
)
CONTENTS = ContractOperation(
    port="contents",
    path="/v1/contents/read",
    summary="Text and media by SKU",
    request=BySku,
    answer=found(str, ContentRow),
)
WAREHOUSES = ContractOperation(
    port="warehouses",
    path="/v1/warehouses",
    summary="All warehouses, by code",
    request=None,
    answer=list[WarehouseRow],
    method="GET",
)
STOCK = ContractOperation(
    port="stock",
    path="/v1/stock/read",
    summary="Stock and supply by SKU, all warehouses",
    request=BySku,
    answer=found(str, StockRow),
)
RESERVATIONS = ContractOperation(
    port="reservations",
    path="/v1/reservations/read",
    summary="Open reservations by SKU",
    request=BySku,
    answer=found(str, tuple[Reservation, ...]),
)
BALANCES = ContractOperation(
    port="balances",
    path="/v1/balances/read",
    summary="What a third party holds",
    request=BalancesRead,
    answer=list[Balance],
)
PRICES = ContractOperation(
    port="prices",
    path="/v1/prices/quote",
    summary="Prices for questions",
    request=PricesRead,
    answer=found(int, PriceRow),
)
ORDERS = ContractOperation(
    port="orders",
    path="/v1/orders/read",
    summary="Orders by number or id",
    request=OrdersRead,
    answer=found(str, OrderRow),
)
ORDERS_BY_PO = ContractOperation(
    port="orders",
    path="/v1/orders/by-purchase-order",
    request=OrdersRead,
    summary="Orders by the customer's purchase order number, the newest",
    answer=found(CustomerPoKey, OrderRow),
)
ORDERS_BY_CUSTOMER = ContractOperation(
    port="orders",
    path="/v1/orders/by-customer",
    summary="A page of each customer's orders",
    request=OrdersSearch,
    answer=found(str, Window[OrderRow]),
)
ORDER_SEARCH = ContractOperation(
    port="orders",
    path="/v1/orders/search",
    summary="A page of the orders of the named customers, or of all",
    request=OrderQuery,
    answer=Window[OrderRow],
)
SHIPMENTS = ContractOperation(
    port="shipments",
    path="/v1/shipments/read",
    summary="Shipments by id or tracking number",
    request=ShipmentsRead,
    answer=found(str, ShipmentRow),
)
SHIPMENTS_BY_ORDER = ContractOperation(
    port="shipments",
    path="/v1/shipments/by-order",
    request=ByOrder,
    summary="Shipments by order, oldest first",
    answer=found(str, tuple[ShipmentRow, ...]),
)
INVOICES = ContractOperation(
    port="billing",
    path="/v1/invoices/read",
    summary="Invoices by order, oldest first",
    request=ByOrder,
    answer=found(str, tuple[InvoiceRow, ...]),
)
INVOICES_BY_ID = ContractOperation(
    port="billing",
    path="/v1/invoices/by-id",
    summary="Invoices by id",
    request=ByInvoice,
    answer=found(str, InvoiceRow),
)
RETURNS = ContractOperation(
    port="billing",
    path="/v1/returns/read",
    summary="Returns by order, oldest first",
    request=ByOrder,
    answer=found(str, tuple[ReturnRow, ...]),
)
AGENTS = ContractOperation(
    port="commissions",
    path="/v1/agents/read",
    summary="Agents by number",
    request=ByNumber,
    answer=found(str, AgentRow),
)
SUB_AGENTS = ContractOperation(
    port="commissions",
    path="/v1/agents/below",
    summary="The agents directly below agents, by number",
    request=ByNumber,
    answer=found(str, tuple[AgentRow, ...]),
)
STATEMENTS = ContractOperation(
    port="commissions",
    path="/v1/commission-statements/read",
    summary="Commission statements by number",
    request=ByNumber,
    answer=found(str, StatementRow),
)
STATEMENTS_BY_AGENT = ContractOperation(
    port="commissions",
    path="/v1/commission-statements/by-agent",
    summary="Commission statements by agent, newest period first",
    request=StatementsSearch,
    answer=found(str, tuple[StatementRow, ...]),
)
SEARCH_ITEMS = ContractOperation(
    port="search", path="/v1/search/items", summary="A page of SKUs, best match first",
    request=ItemSearchQuery, answer=SearchPage,
)  # fmt: skip
SEARCH_CUSTOMERS = ContractOperation(
    port="search", path="/v1/search/customers", summary="A page of customer numbers, best match first",
    request=CustomerSearchQuery, answer=SearchPage,
)  # fmt: skip
CHANGES = ContractOperation(port="changes", path="/v1/changes/read", summary="What changed since a cursor",
                    request=ChangesRead, answer=ChangeSet)  # fmt: skip

OPERATIONS = (
    CUSTOMERS, CUSTOMER_SEARCH, CREDIT, ITEMS, ITEM_SEARCH, PART_SKUS, PART_NUMBERS, RELATIONS, COSTS, CONTENTS,
    WAREHOUSES, STOCK, RESERVATIONS, BALANCES, PRICES, ORDERS, ORDERS_BY_PO, ORDERS_BY_CUSTOMER, ORDER_SEARCH,
    SHIPMENTS, SHIPMENTS_BY_ORDER, INVOICES, INVOICES_BY_ID, RETURNS, AGENTS, SUB_AGENTS, STATEMENTS,
    STATEMENTS_BY_AGENT, *list_operations.OPERATIONS, *account_operations.OPERATIONS, *quote_operations.OPERATIONS,
    *return_operations.OPERATIONS,
    *ORDER_OPERATIONS, SEARCH_ITEMS, SEARCH_CUSTOMERS, CHANGES,
)  # fmt: skip
BATCH = "/v1/batch"
PORTS = (*dict.fromkeys(operation.port for operation in OPERATIONS), account_operations.DOWNLOADS)
