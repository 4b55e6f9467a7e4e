"""Fakes of all ports over the records of a world."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.sources.billing import Invoice, InvoiceQuery, Return, ReturnQuery
from app.sources.commissions import Agent, CommissionStatement, StatementQuery
from app.sources.contacts import Contact
from app.sources.customers import CreditStatus, Customer, CustomerQuery
from app.sources.items import CustomerItemKey, CustomerPartKey, Item, ItemContent, ItemCost, ItemQuery, ItemRelation
from app.sources.orders import CustomerPoKey, Order, OrderQuery
from app.sources.prices import ContractPrice, PriceRequest
from app.sources.purchases import OrderGuideItem, OrderGuideQuery, PurchaseHistory
from app.sources.quotes import Quote, QuoteLine, QuoteQuery
from app.sources.receivables import (
    AccountStatement,
    OpenItem,
    OpenItemQuery,
    ReceivablesSummary,
    StatementPeriod,
)
from app.sources.search import CategoryCount, ItemFacet, ItemFacetValue, ItemSearchQuery, SearchPage
from app.sources.shipments import Shipment, ShipmentQuery
from app.sources.stock import Balance, Reservation, StockLevel, StockPosition
from app.sources.values import Page, PageRequest
from app.sources.warehouses import Warehouse
from tests.differential.keys import AGENTS, NOW, ORDERS, SKUS, WAREHOUSES

if TYPE_CHECKING:
    from tests.differential.world import World


class Port:
    """Reads by key: what a method answers for one key decides everything."""

    def __init__(self, world: World, source: str) -> None:
        self.world = world
        self.source = source

    async def read(self, method: str, keys: Sequence[Any], of: Callable[[Any], Any], *, broken: bool = False) -> Any:
        """A mapping of what is found; with `broken`, keys can fail by themselves."""
        name = f"{self.source}.{type(self).__name__}.{method}"
        await self.world.asked(name, keys)
        found = {key: of(key) for key in keys if self.world.known(name, _name(key))}
        if broken:
            found |= {key: wrong for key in found if (wrong := self.world.failure(name, _name(key))) is not None}
        return {key: row for key, row in found.items() if row is not None}

    def page(self, rows: Sequence[Any], page: PageRequest) -> Page[Any]:
        """A page by offset."""
        if page.after is not None and not page.after.isdecimal():
            raise InvalidCursor
        start = int(page.after) if page.after else 0
        shown = rows[start : start + page.first]
        return Page(
            rows=tuple(shown),
            cursors=tuple(str(start + at + 1) for at in range(len(shown))),
            has_next=start + len(shown) < len(rows),
            has_previous=start > 0,
            total=len(rows) if page.count else None,
        )


def _name(key: Any) -> Any:
    """What a key is called: the same for equal keys, of which a loader asks one and nobody knows which."""
    if isinstance(key, PriceRequest):
        return (key.customer, key.sku, str(key.quantity.normalize()), key.uom, key.on)
    return key


def by(name: str, rows: Iterable[Any]) -> Callable[[Any], Any]:
    """Finds the first row whose attribute is the key."""
    found: dict[Any, Any] = {}
    for row in rows:
        found.setdefault(getattr(row, name), row)
    return found.get


class Customers(Port):
    async def by_number(self, principal: Principal, numbers: Sequence[str], parts: Collection[Any] = ()) -> Any:
        return await self.read("by_number", numbers, by("number", self.world.customers), broken=True)

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Any:
        return await self.read("by_id", ids, lambda key: self.world.customers[int(key)] if key in "0123" else None)

    async def search(self, principal: Principal, query: CustomerQuery) -> Page[Customer]:
        await self.world.asked(f"{self.source}.Customers.search", [query])
        rows = [row for row in self.world.customers if query.numbers is None or row.number in query.numbers]
        return self.page([row for row in rows if (query.search or "") in row.number], query.page)


class Credit(Port):
    async def status(self, principal: Principal, numbers: Sequence[str]) -> Any:
        return await self.read("status", numbers, lambda key: self.world.made("credit", key, CreditStatus), broken=True)


class Items(Port):
    async def by_sku(self, principal: Principal, skus: Sequence[str]) -> Any:
        return await self.read("by_sku", skus, by("sku", self.world.items), broken=True)

    async def by_gtin(self, principal: Principal, gtins: Sequence[str]) -> Any:
        return await self.read("by_gtin", gtins, by("gtin", self.world.items), broken=True)

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Any:
        return await self.read("by_id", ids, lambda key: None)

    async def by_customer_part(self, principal: Principal, keys: Sequence[CustomerPartKey]) -> Any:
        return await self.read("by_customer_part", keys, lambda key: key.number if key.number in SKUS else None)

    async def part_numbers(self, principal: Principal, keys: Sequence[CustomerItemKey]) -> Any:
        return await self.read("part_numbers", keys, lambda key: f"{key.customer}/{key.sku}", broken=True)

    async def relations(self, principal: Principal, skus: Sequence[str]) -> Any:
        def of(sku: str) -> tuple[ItemRelation, ...]:
            return tuple(self.world.made("relations", (sku, at), ItemRelation) for at in range(len(sku) % 4))

        return await self.read("relations", skus, of, broken=True)

    async def costs(self, principal: Principal, skus: Sequence[str]) -> Any:
        return await self.read("costs", skus, lambda key: self.world.made("cost", key, ItemCost, sku=key), broken=True)

    async def search(self, principal: Principal, query: ItemQuery) -> Page[Item]:
        await self.world.asked("erp.Items.search", [query])
        return self.page([row for row in self.world.items if (query.search or "") in row.sku], query.page)


class Search(Port):
    async def items(self, principal: Principal, query: ItemSearchQuery) -> SearchPage:
        await self.world.asked("erp.Search.items", [query])
        found = self.page([row for row in self.world.items if (query.text or "") in row.sku], query.page)
        facet = ItemFacet(code="size", values=(ItemFacetValue(value="1/2", unit="INH", count=2),))
        return SearchPage(
            rows=tuple(row.sku for row in found.rows),
            cursors=found.cursors,
            has_next=found.has_next,
            has_previous=found.has_previous,
            total=found.total,
            facets=(facet, ItemFacet(code="colour")),
            categories=(CategoryCount(path="A", count=3), CategoryCount(path="A/B", count=1)),
            as_of=NOW,
        )

    async def customers(self, principal: Principal, query: CustomerQuery) -> SearchPage:
        await self.world.asked("erp.Search.customers", [query])
        rows = [row for row in self.world.customers if query.numbers is None or row.number in query.numbers]
        found = self.page([row for row in rows if (query.search or "") in row.number], query.page)
        return SearchPage(
            rows=tuple(row.number for row in found.rows),
            cursors=found.cursors,
            has_next=found.has_next,
            has_previous=found.has_previous,
            total=found.total,
        )


class Contents(Port):
    async def contents(self, principal: Principal, skus: Sequence[str]) -> Any:
        return await self.read(
            "contents", skus, lambda key: self.world.made("content", key, ItemContent, sku=key), broken=True
        )


class AllWarehouses(Port):
    async def all(self, principal: Principal) -> tuple[Warehouse, ...]:
        await self.world.asked("erp.Warehouses.all", [])
        return self.world.warehouses


class Stock(Port):
    async def levels(self, principal: Principal, skus: Sequence[str]) -> Any:
        def of(sku: str) -> StockLevel:
            positions = tuple(
                self.world.made("position", (sku, code), StockPosition, sku=sku, warehouse=code)
                for code in WAREHOUSES[: len(sku)]
            )
            return self.world.made("level", sku, StockLevel, sku=sku, uom="EA", positions=positions)

        return await self.read("levels", skus, of, broken=True)


class Reservations(Port):
    async def reservations(self, principal: Principal, skus: Sequence[str]) -> Any:
        return await self.read(
            "reservations", skus, lambda key: (self.world.made("reservation", key, Reservation, sku=key),)
        )


class Balances(Port):
    async def balances(self, principal: Principal, warehouses: Sequence[str], skus: Sequence[str]) -> Any:
        keys = [(code, sku) for code in warehouses for sku in skus]
        return await self.read("balances", keys, lambda key: self.world.made("balance", key, Balance), broken=True)


class Prices(Port):
    async def quote(self, principal: Principal, requests: Sequence[PriceRequest]) -> Any:
        def of(key: PriceRequest) -> ContractPrice:
            named = _name(key)
            unit = Decimal(1) if self.world.chance("unit", named) > 0.02 else Decimal(0)
            price = self.world.made("price", named, ContractPrice, sku=key.sku, customer=key.customer)
            return msgspec.structs.replace(price, price_unit=unit)

        return await self.read("quote", requests, of, broken=True)


class Orders(Port):
    @property
    def rows(self) -> list[Order]:
        return self.world.orders[self.source]

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Any:
        return await self.read("by_number", numbers, by("number", self.rows))

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Any:
        return await self.read("by_id", ids, by("id", self.rows))

    async def by_customer_po(self, principal: Principal, keys: Sequence[CustomerPoKey]) -> Any:
        return await self.read("by_customer_po", keys, lambda key: by("customer_po", self.rows)(key.number))

    async def by_customer(self, principal: Principal, customers: Sequence[str], query: OrderQuery) -> Any:
        def of(customer: str) -> Page[Order]:
            rows = [row for row in self.rows if row.customer == customer]
            return self.page([row for row in rows if not query.status or row.status in query.status], query.page)

        return await self.read("by_customer", customers, of, broken=True)

    async def search(self, principal: Principal, query: OrderQuery) -> Page[Order]:
        await self.world.asked(f"{self.source}.Orders.search", [query])
        rows = [row for row in self.rows if query.customers is None or row.customer in query.customers]
        return self.page([row for row in rows if not query.status or row.status in query.status], query.page)


class Shipments(Port):
    @property
    def rows(self) -> list[Shipment]:
        return self.world.shipments[self.source]

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Any:
        return await self.read("by_id", ids, by("id", self.rows))

    async def by_tracking_number(self, principal: Principal, numbers: Sequence[str]) -> Any:
        return await self.read("by_tracking_number", numbers, by("tracking_number", self.rows))

    async def by_order(self, principal: Principal, numbers: Sequence[str]) -> Any:
        return await self.read(
            "by_order", numbers, lambda key: tuple(row for row in self.rows if key in row.orders) or None
        )

    async def by_customer(self, principal: Principal, customers: Sequence[str], query: ShipmentQuery) -> Any:
        def of(customer: str) -> Page[Shipment]:
            return self.page([row for row in self.rows if row.customer == customer], query.page)

        return await self.read("by_customer", customers, of, broken=True)

    async def search(self, principal: Principal, query: ShipmentQuery) -> Page[Shipment]:
        await self.world.asked(f"{self.source}.Shipments.search", [query])
        rows = [row for row in self.rows if query.customers is None or row.customer in query.customers]
        return self.page(rows, query.page)


class Billing(Port):
    async def invoices(self, principal: Principal, orders: Sequence[str]) -> Any:
        return await self.read("invoices", orders, lambda key: self._rows("invoice", key, Invoice))

    async def returns(self, principal: Principal, orders: Sequence[str]) -> Any:
        return await self.read("returns", orders, lambda key: self._rows("return", key, Return))

    async def returns_by_id(self, principal: Principal, ids: Sequence[str]) -> Any:
        return await self.read("returns_by_id", ids, by("id", self._numbered()))

    async def returns_by_number(self, principal: Principal, numbers: Sequence[str]) -> Any:
        return await self.read("returns_by_number", numbers, by("number", self._numbered()), broken=True)

    def _numbered(self) -> list[Return]:
        """Three returns, whose ids and numbers are known."""
        return [
            self.world.made("one return", (self.source, at), Return, id=str(at), source=self.source, number=f"R-{at}")
            for at in range(3)
        ]

    def _rows(self, kind: str, order: str, cls: Any) -> Any:
        return tuple(self.world.made(kind, (order, at), cls) for at in range(int(order[-1]) % 3))

    async def invoices_by_customer(self, principal: Principal, customers: Sequence[str], query: InvoiceQuery) -> Any:
        return await self._pages("invoice", customers, Invoice, query.page)

    async def returns_by_customer(self, principal: Principal, customers: Sequence[str], query: ReturnQuery) -> Any:
        return await self._pages("return", customers, Return, query.page)

    async def search_invoices(self, principal: Principal, query: InvoiceQuery) -> Page[Invoice]:
        return await self._listed("invoice", Invoice, query)

    async def search_returns(self, principal: Principal, query: ReturnQuery) -> Page[Return]:
        return await self._listed("return", Return, query)

    async def _pages(self, kind: str, customers: Sequence[str], cls: Any, page: PageRequest) -> Any:
        def of(customer: str) -> Page[Any]:
            return self.page([row for row in self._all(kind, cls) if row.customer == customer], page)

        return await self.read(f"{kind}s_by_customer", customers, of, broken=True)

    async def _listed(self, kind: str, cls: Any, query: Any) -> Page[Any]:
        await self.world.asked(f"{self.source}.Billing.{kind}s", [query])
        rows = [row for row in self._all(kind, cls) if query.customers is None or row.customer in query.customers]
        return self.page(rows, query.page)

    def _all(self, kind: str, cls: Any) -> list[Any]:
        return [row for order in ORDERS for row in self._rows(kind, order, cls)]


class Quotes(Port):
    @property
    def rows(self) -> list[Quote]:
        return [self._quote(number) for number in ORDERS]

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Any:
        return await self.read("by_id", ids, by("id", self.rows))

    async def by_number(self, principal: Principal, numbers: Sequence[str]) -> Any:
        return await self.read("by_number", numbers, by("number", self.rows), broken=True)

    async def by_customer(self, principal: Principal, customers: Sequence[str], query: QuoteQuery) -> Any:
        def of(customer: str) -> Page[Quote]:
            return self.page([row for row in self.rows if row.customer == customer], query.page)

        return await self.read("by_customer", customers, of, broken=True)

    async def search(self, principal: Principal, query: QuoteQuery) -> Page[Quote]:
        await self.world.asked(f"{self.source}.Quotes.search", [query])
        rows = [row for row in self.rows if query.customers is None or row.customer in query.customers]
        return self.page(rows, query.page)

    def _quote(self, number: str) -> Quote:
        made, key = self.world.made, (self.source, number)
        lines = tuple(made("quote line", (*key, at), QuoteLine, number=at) for at in (1, 2))
        at = str(ORDERS.index(number))
        return made("quote", key, Quote, id=at, source=self.source, number=number, lines=lines)


class Commissions(Port):
    async def agents(self, principal: Principal, numbers: Sequence[str]) -> Any:
        return await self.read("agents", numbers, self._agent, broken=True)

    async def sub_agents(self, principal: Principal, numbers: Sequence[str]) -> Any:
        def of(number: str) -> tuple[Agent, ...]:
            return tuple(self._agent(key) for key in AGENTS if self.world.chance("below", number, key) < 0.4)

        return await self.read("sub_agents", numbers, of, broken=True)

    async def statements(self, principal: Principal, numbers: Sequence[str]) -> Any:
        return await self.read("statements", numbers, lambda key: self._statement(key, "AG-1"))

    async def statements_of(self, principal: Principal, agents: Sequence[str], query: StatementQuery) -> Any:
        def of(agent: str) -> tuple[CommissionStatement, ...]:
            rows = [self._statement(f"{agent}/{at}", agent) for at in range(3)]
            return tuple(row for row in rows if not query.status or row.status in query.status)[: query.first]

        return await self.read("statements_of", agents, of, broken=True)

    def _agent(self, number: str) -> Any:
        return self.world.made("agent", number, Agent, number=number) if number in AGENTS else None

    def _statement(self, number: str, agent: str) -> CommissionStatement:
        return self.world.made("statement", number, CommissionStatement, number=number, agent=agent)


class Receivables(Port):
    async def summary(self, principal: Principal, customers: Sequence[str]) -> Any:
        def of(customer: str) -> ReceivablesSummary:
            return self.world.made("receivables", customer, ReceivablesSummary, customer=customer)

        return await self.read("summary", customers, of, broken=True)

    async def open_items(self, principal: Principal, customers: Sequence[str], query: OpenItemQuery) -> Any:
        def of(customer: str) -> Page[OpenItem]:
            keys = [(customer, at) for at in range(4)]
            rows = [self.world.made("open item", key, OpenItem, customer=customer) for key in keys]
            return self.page([row for row in rows if row.days_overdue or not query.overdue], query.page)

        return await self.read("open_items", customers, of, broken=True)

    async def statements(self, principal: Principal, customers: Sequence[str], period: StatementPeriod) -> Any:
        def of(customer: str) -> AccountStatement:
            return self.world.made("statement", (customer, period), AccountStatement, customer=customer)

        return await self.read("statements", customers, of, broken=True)


class Contacts(Port):
    async def by_customer(self, principal: Principal, customers: Sequence[str]) -> Any:
        def of(customer: str) -> tuple[Contact, ...]:
            keys = [(customer, at) for at in range(len(customer) % 4)]
            return tuple(self.world.made("contact", key, Contact, customer=customer) for key in keys)

        return await self.read("by_customer", customers, of, broken=True)


class Purchases(Port):
    async def history(self, principal: Principal, keys: Sequence[CustomerItemKey]) -> Any:
        def of(key: CustomerItemKey) -> PurchaseHistory | None:
            bought = self.world.chance("bought", key.customer, key.sku) < 0.7
            given = {"customer": key.customer, "sku": key.sku}
            return self.world.made("history", (key.customer, key.sku), PurchaseHistory, **given) if bought else None

        return await self.read("history", keys, of, broken=True)

    async def order_guide(self, principal: Principal, customers: Sequence[str], query: OrderGuideQuery) -> Any:
        def of(customer: str) -> Page[OrderGuideItem]:
            keys = [(customer, at) for at in range(3)]
            rows = [self.world.made("guide", key, OrderGuideItem, customer=customer) for key in keys]
            return self.page(rows, query.page)

        return await self.read("order_guide", customers, of, broken=True)
