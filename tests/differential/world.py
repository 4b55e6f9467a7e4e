"""A small world behind all ports, made of a seed: its records never change, its failures depend on the method and the
key alone. Whoever asks for what in which batches, the answers are the same.
"""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from app.auth.policy import ALL_PERMISSIONS
from app.auth.principal import Principal, Role
from app.errors import (
    DeadlineExceeded,
    Forbidden,
    InvalidCursor,
    InvalidInput,
    NotSupported,
    SourceMalformed,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
)
from app.resolvers.loading.context import Context
from app.schema import build_schema, policy_of
from app.sources.billing import Invoice, InvoiceQuery, Return, ReturnQuery
from app.sources.commissions import Agent, CommissionStatement, StatementQuery
from app.sources.contacts import Contact
from app.sources.customers import CreditStatus, Customer, CustomerQuery
from app.sources.items import CustomerItemKey, CustomerPartKey, Item, ItemContent, ItemCost, ItemQuery, ItemRelation
from app.sources.orders import CustomerPoKey, Order, OrderLine, OrderQuery
from app.sources.pipeline.compose import Unserved, compose_port, scope_source
from app.sources.pipeline.routing import Routes
from app.sources.port_registry import PORTS
from app.sources.prices import ContractPrice, PriceRequest
from app.sources.purchases import OrderGuideItem, OrderGuideQuery, PurchaseHistory
from app.sources.receivables import (
    AccountStatement,
    OpenItem,
    OpenItemQuery,
    ReceivablesSummary,
    StatementPeriod,
)
from app.sources.search import CategoryCount, ItemFacet, ItemFacetValue, ItemSearchQuery, SearchPage
from app.sources.shipments import Shipment, ShipmentQuery
from app.sources.source import Sources
from app.sources.stock import Balance, Reservation, StockLevel, StockPosition
from app.sources.values import Page, PageRequest
from app.sources.warehouses import Warehouse
from tests.differential.keys import AGENTS, CUSTOMERS, KEYS, NOW, ORDERS, SKUS, WAREHOUSES
from tests.differential.logs import Ledger, Updates
from tests.differential.records import Maker
from tests.support.ports import source_of

ROUTES = Routes("erp", (("CUST-2*", "erp2"),))
FAILURES: tuple[Callable[[], Exception], ...] = (
    lambda: SourceUnavailable("erp", detail="the backend said: secret"),
    lambda: SourceTimeout("shop"),
    lambda: SourceThrottled("erp", retry_after=3),
    lambda: SourceRejected("erp", status=403),
    lambda: SourceMalformed("carrier"),
    DeadlineExceeded,
    NotSupported,
    Forbidden,
    lambda: InvalidInput("That is no such thing."),
    lambda: ValueError("the backend said: secret"),
)
POLICY = policy_of(build_schema())
SEES_ALL = Principal(subject="c", roles=frozenset({Role.CSR, Role.ADMIN}))
OPERATIONS = Principal(subject="o", roles=frozenset({Role.OPERATIONS}))
AGENT = Principal(subject="a", roles=frozenset({Role.AGENT}), agents=frozenset({"AG-1", "AG-2"}))
BUYER = Principal(subject="b", roles=frozenset({Role.BUYER}), customers=frozenset({"CUST-1", "CUST-21", "NOBODY"}))


class World:
    """Every record there is, and what goes wrong. `trouble` is how likely a method or a key fails."""

    def __init__(self, seed: int, *, trouble: float = 0.0) -> None:
        self.seed = seed
        self.trouble = trouble
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._made: dict[Any, Any] = {}
        make = Maker(random.Random(seed), KEYS)
        self.make = make
        self.warehouses = tuple(make.record(Warehouse, code=code) for code in WAREHOUSES)
        self.customers = [make.record(Customer, number=number) for number in CUSTOMERS]
        self.items = [make.record(Item, sku=sku) for sku in SKUS]
        self.shipments = {
            source: [make.record(Shipment, id=str(at), source=source) for at in range(6)]
            for source in ("erp", "carrier")
        }
        self.orders = {
            source: [self._order(source, str(at), number) for at, number in enumerate(ORDERS)]
            for source in ("erp", "erp2", "shop")
        }

    def _order(self, source: str, id_: str, number: str) -> Order:
        lines = tuple(self.make.record(OrderLine, number=at, order=number) for at in range(1, 4))
        return self.make.record(Order, id=id_, source=source, number=number, lines=lines)

    def chance(self, *what: object) -> float:
        """A number of 0 to 1 that belongs to what is named, the same whenever it is asked for."""
        return zlib.crc32(repr((self.seed, *what)).encode()) / 2**32

    def failure(self, *what: object) -> Exception | None:
        """What goes wrong there, if something does."""
        if self.chance("fails", *what) >= self.trouble:
            return None
        return FAILURES[int(self.chance("how", *what) * len(FAILURES))]()

    async def asked(self, method: str, keys: Iterable[Any]) -> None:
        """Note a call; take some turns of the loop; fail if the method does."""
        self.calls.append((method, tuple(keys)))
        for _ in range(int(self.chance("turns", method) * 6)):
            await asyncio.sleep(0)
        if (wrong := self.failure(method)) is not None:
            raise wrong

    def known(self, method: str, key: Any) -> bool:
        """Whether a method answers for a key at all."""
        return self.chance("leaves out", method, key) >= self.trouble

    def made(self, method: str, key: Any, cls: Any, **given: Any) -> Any:
        """A record that belongs to a method and a key."""
        if (method, key) not in self._made:
            maker = Maker(random.Random(zlib.crc32(repr((self.seed, method, key)).encode())), KEYS)
            self._made[method, key] = maker.record(cls, **given)
        return self._made[method, key]


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
    async def by_number(self, who: Principal, numbers: Sequence[str], parts: Collection[Any] = ()) -> Any:
        return await self.read("by_number", numbers, by("number", self.world.customers), broken=True)

    async def by_id(self, who: Principal, ids: Sequence[str]) -> Any:
        return await self.read("by_id", ids, lambda key: self.world.customers[int(key)] if key in "0123" else None)

    async def search(self, who: Principal, query: CustomerQuery) -> Page[Customer]:
        await self.world.asked(f"{self.source}.Customers.search", [query])
        rows = [row for row in self.world.customers if query.numbers is None or row.number in query.numbers]
        return self.page([row for row in rows if (query.search or "") in row.number], query.page)


class Credit(Port):
    async def status(self, who: Principal, numbers: Sequence[str]) -> Any:
        return await self.read("status", numbers, lambda key: self.world.made("credit", key, CreditStatus), broken=True)


class Items(Port):
    async def by_sku(self, who: Principal, skus: Sequence[str]) -> Any:
        return await self.read("by_sku", skus, by("sku", self.world.items), broken=True)

    async def by_gtin(self, who: Principal, gtins: Sequence[str]) -> Any:
        return await self.read("by_gtin", gtins, by("gtin", self.world.items), broken=True)

    async def by_id(self, who: Principal, ids: Sequence[str]) -> Any:
        return await self.read("by_id", ids, lambda key: None)

    async def by_customer_part(self, who: Principal, keys: Sequence[CustomerPartKey]) -> Any:
        return await self.read("by_customer_part", keys, lambda key: key.number if key.number in SKUS else None)

    async def part_numbers(self, who: Principal, keys: Sequence[CustomerItemKey]) -> Any:
        return await self.read("part_numbers", keys, lambda key: f"{key.customer}/{key.sku}", broken=True)

    async def relations(self, who: Principal, skus: Sequence[str]) -> Any:
        def of(sku: str) -> tuple[ItemRelation, ...]:
            return tuple(self.world.made("relations", (sku, at), ItemRelation) for at in range(len(sku) % 4))

        return await self.read("relations", skus, of, broken=True)

    async def costs(self, who: Principal, skus: Sequence[str]) -> Any:
        return await self.read("costs", skus, lambda key: self.world.made("cost", key, ItemCost, sku=key), broken=True)

    async def search(self, who: Principal, query: ItemQuery) -> Page[Item]:
        await self.world.asked("erp.Items.search", [query])
        return self.page([row for row in self.world.items if (query.search or "") in row.sku], query.page)


class Search(Port):
    async def items(self, who: Principal, query: ItemSearchQuery) -> SearchPage:
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

    async def customers(self, who: Principal, query: CustomerQuery) -> SearchPage:
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
    async def contents(self, who: Principal, skus: Sequence[str]) -> Any:
        return await self.read(
            "contents", skus, lambda key: self.world.made("content", key, ItemContent, sku=key), broken=True
        )


class AllWarehouses(Port):
    async def all(self, who: Principal) -> tuple[Warehouse, ...]:
        await self.world.asked("erp.Warehouses.all", [])
        return self.world.warehouses


class Stock(Port):
    async def levels(self, who: Principal, skus: Sequence[str]) -> Any:
        def of(sku: str) -> StockLevel:
            positions = tuple(
                self.world.made("position", (sku, code), StockPosition, sku=sku, warehouse=code)
                for code in WAREHOUSES[: len(sku)]
            )
            return self.world.made("level", sku, StockLevel, sku=sku, uom="EA", positions=positions)

        return await self.read("levels", skus, of, broken=True)


class Reservations(Port):
    async def reservations(self, who: Principal, skus: Sequence[str]) -> Any:
        return await self.read(
            "reservations", skus, lambda key: (self.world.made("reservation", key, Reservation, sku=key),)
        )


class Balances(Port):
    async def balances(self, who: Principal, warehouses: Sequence[str], skus: Sequence[str]) -> Any:
        keys = [(code, sku) for code in warehouses for sku in skus]
        return await self.read("balances", keys, lambda key: self.world.made("balance", key, Balance), broken=True)


class Prices(Port):
    async def quote(self, who: Principal, requests: Sequence[PriceRequest]) -> Any:
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

    async def by_number(self, who: Principal, numbers: Sequence[str]) -> Any:
        return await self.read("by_number", numbers, by("number", self.rows))

    async def by_id(self, who: Principal, ids: Sequence[str]) -> Any:
        return await self.read("by_id", ids, by("id", self.rows))

    async def by_customer_po(self, who: Principal, keys: Sequence[CustomerPoKey]) -> Any:
        return await self.read("by_customer_po", keys, lambda key: by("customer_po", self.rows)(key.number))

    async def by_customer(self, who: Principal, customers: Sequence[str], query: OrderQuery) -> Any:
        def of(customer: str) -> Page[Order]:
            rows = [row for row in self.rows if row.customer == customer]
            return self.page([row for row in rows if not query.status or row.status in query.status], query.page)

        return await self.read("by_customer", customers, of, broken=True)

    async def search(self, who: Principal, query: OrderQuery) -> Page[Order]:
        await self.world.asked(f"{self.source}.Orders.search", [query])
        rows = [row for row in self.rows if query.customers is None or row.customer in query.customers]
        return self.page([row for row in rows if not query.status or row.status in query.status], query.page)


class Shipments(Port):
    @property
    def rows(self) -> list[Shipment]:
        return self.world.shipments[self.source]

    async def by_id(self, who: Principal, ids: Sequence[str]) -> Any:
        return await self.read("by_id", ids, by("id", self.rows))

    async def by_tracking_number(self, who: Principal, numbers: Sequence[str]) -> Any:
        return await self.read("by_tracking_number", numbers, by("tracking_number", self.rows))

    async def by_order(self, who: Principal, numbers: Sequence[str]) -> Any:
        return await self.read(
            "by_order", numbers, lambda key: tuple(row for row in self.rows if key in row.orders) or None
        )

    async def by_customer(self, who: Principal, customers: Sequence[str], query: ShipmentQuery) -> Any:
        def of(customer: str) -> Page[Shipment]:
            return self.page([row for row in self.rows if row.customer == customer], query.page)

        return await self.read("by_customer", customers, of, broken=True)

    async def search(self, who: Principal, query: ShipmentQuery) -> Page[Shipment]:
        await self.world.asked(f"{self.source}.Shipments.search", [query])
        rows = [row for row in self.rows if query.customers is None or row.customer in query.customers]
        return self.page(rows, query.page)


class Billing(Port):
    async def invoices(self, who: Principal, orders: Sequence[str]) -> Any:
        return await self.read("invoices", orders, lambda key: self._rows("invoice", key, Invoice))

    async def returns(self, who: Principal, orders: Sequence[str]) -> Any:
        return await self.read("returns", orders, lambda key: self._rows("return", key, Return))

    def _rows(self, kind: str, order: str, cls: Any) -> Any:
        return tuple(self.world.made(kind, (order, at), cls) for at in range(int(order[-1]) % 3))

    async def invoices_by_customer(self, who: Principal, customers: Sequence[str], query: InvoiceQuery) -> Any:
        return await self._pages("invoice", customers, Invoice, query.page)

    async def returns_by_customer(self, who: Principal, customers: Sequence[str], query: ReturnQuery) -> Any:
        return await self._pages("return", customers, Return, query.page)

    async def search_invoices(self, who: Principal, query: InvoiceQuery) -> Page[Invoice]:
        return await self._listed("invoice", Invoice, query)

    async def search_returns(self, who: Principal, query: ReturnQuery) -> Page[Return]:
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


class Commissions(Port):
    async def agents(self, who: Principal, numbers: Sequence[str]) -> Any:
        return await self.read("agents", numbers, self._agent, broken=True)

    async def sub_agents(self, who: Principal, numbers: Sequence[str]) -> Any:
        def of(number: str) -> tuple[Agent, ...]:
            return tuple(self._agent(key) for key in AGENTS if self.world.chance("below", number, key) < 0.4)

        return await self.read("sub_agents", numbers, of, broken=True)

    async def statements(self, who: Principal, numbers: Sequence[str]) -> Any:
        return await self.read("statements", numbers, lambda key: self._statement(key, "AG-1"))

    async def statements_of(self, who: Principal, agents: Sequence[str], query: StatementQuery) -> Any:
        def of(agent: str) -> tuple[CommissionStatement, ...]:
            rows = [self._statement(f"{agent}/{at}", agent) for at in range(3)]
            return tuple(row for row in rows if not query.status or row.status in query.status)[: query.first]

        return await self.read("statements_of", agents, of, broken=True)

    def _agent(self, number: str) -> Any:
        return self.world.made("agent", number, Agent, number=number) if number in AGENTS else None

    def _statement(self, number: str, agent: str) -> CommissionStatement:
        return self.world.made("statement", number, CommissionStatement, number=number, agent=agent)


class Receivables(Port):
    async def summary(self, who: Principal, customers: Sequence[str]) -> Any:
        def of(customer: str) -> ReceivablesSummary:
            return self.world.made("receivables", customer, ReceivablesSummary, customer=customer)

        return await self.read("summary", customers, of, broken=True)

    async def open_items(self, who: Principal, customers: Sequence[str], query: OpenItemQuery) -> Any:
        def of(customer: str) -> Page[OpenItem]:
            keys = [(customer, at) for at in range(4)]
            rows = [self.world.made("open item", key, OpenItem, customer=customer) for key in keys]
            return self.page([row for row in rows if row.days_overdue or not query.overdue], query.page)

        return await self.read("open_items", customers, of, broken=True)

    async def statements(self, who: Principal, customers: Sequence[str], period: StatementPeriod) -> Any:
        def of(customer: str) -> AccountStatement:
            return self.world.made("statement", (customer, period), AccountStatement, customer=customer)

        return await self.read("statements", customers, of, broken=True)


class Contacts(Port):
    async def by_customer(self, who: Principal, customers: Sequence[str]) -> Any:
        def of(customer: str) -> tuple[Contact, ...]:
            keys = [(customer, at) for at in range(len(customer) % 4)]
            return tuple(self.world.made("contact", key, Contact, customer=customer) for key in keys)

        return await self.read("by_customer", customers, of, broken=True)


class Purchases(Port):
    async def history(self, who: Principal, keys: Sequence[CustomerItemKey]) -> Any:
        def of(key: CustomerItemKey) -> PurchaseHistory | None:
            bought = self.world.chance("bought", key.customer, key.sku) < 0.7
            given = {"customer": key.customer, "sku": key.sku}
            return self.world.made("history", (key.customer, key.sku), PurchaseHistory, **given) if bought else None

        return await self.read("history", keys, of, broken=True)

    async def order_guide(self, who: Principal, customers: Sequence[str], query: OrderGuideQuery) -> Any:
        def of(customer: str) -> Page[OrderGuideItem]:
            keys = [(customer, at) for at in range(3)]
            rows = [self.world.made("guide", key, OrderGuideItem, customer=customer) for key in keys]
            return self.page(rows, query.page)

        return await self.read("order_guide", customers, of, broken=True)


def sources(world: World) -> Sources:
    """The ports of a world, routed and scoped as a gateway's are. Two systems are master, each for some customers."""
    masters = {name: _masters_port(world, name) for name in ("erp", "erp2")}
    connected = {
        "erp": source_of("erp", **masters["erp"], items=Items(world, "erp"), shipments=Shipments(world, "erp")),
        "erp2": source_of("erp2", **masters["erp2"]),
        "shop": source_of("shop", orders=Orders(world, "shop")),
        "carrier": source_of("carrier", shipments=Shipments(world, "carrier")),
    }
    single: dict[str, dict[str, Any]] = {
        "items": {"erp": Items(world, "erp")},
        "contents": {"shop": Contents(world, "shop")},
        "warehouses": {"erp": AllWarehouses(world, "erp")},
        "stock": {"erp": Stock(world, "erp")},
        "reservations": {"shop": Reservations(world, "shop")},
        "balances": {"3PL": Balances(world, "carrier")},
        "shipments": {"erp": Shipments(world, "erp")},
        "billing": {"erp": Billing(world, "erp")},
        "commissions": {"erp": Commissions(world, "erp")},
        "search": {"erp": Search(world, "erp")},
    }
    ports = {port: {name: one[port] for name, one in masters.items()} for port in masters["erp"]} | single
    routes = dict.fromkeys(masters["erp"], ROUTES)
    routes |= {name: Routes(next(iter(own))) for name, own in single.items() if PORTS[name].domain is None}
    composed: dict[str, Any] = {name: compose_port(PORTS[name], routes, own) for name, own in ports.items()}
    scoped: dict[str, Any] = {name: scope_source(source) for name, source in connected.items()}
    return Sources(
        **composed,
        accounts=cast("Any", Unserved("accounts")),
        order_targets=None,
        routes=routes,
        scoped=scoped,
        order_views={"shop": scoped["shop"].orders},
        shipment_views={"carrier": scoped["carrier"].shipments},
        changes={},
        has_contents=True,
        prices_by_agreement=False,
        third_party=frozenset({"3PL"}),
        connected={},
        uncached={},
    )


def _masters_port(world: World, name: str) -> dict[str, Any]:
    """The ports of a system that is master of some customers."""
    kinds = {"customers": Customers, "credit": Credit, "prices": Prices, "orders": Orders,
             "receivables": Receivables, "contacts": Contacts, "purchases": Purchases}  # fmt: skip
    return {port: kind(world, name) for port, kind in kinds.items()}


def context(world: World, who: Principal, selection: Mapping[str, frozenset[str]]) -> Context:
    """What one run carries."""
    permissions = ALL_PERMISSIONS if who is SEES_ALL else POLICY.permissions(who.roles)
    made = Context(who, permissions, sources(world), NOW, selection)
    made.events, made.ledger = Updates(), Ledger()
    return made
