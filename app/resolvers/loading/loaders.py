"""The loaders of an operation: one per access path, named after the value and its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from app.auth.principal import Principal
from app.resolvers.loading.key_loader import Fetch, KeyLoader
from app.sources.billing import Invoice, Return
from app.sources.customers import CreditStatus, Customer, CustomerPart
from app.sources.items import CustomerItemKey, CustomerPartKey, Item, ItemContent, ItemCost, ItemRelation
from app.sources.orders import CustomerPoKey, Order
from app.sources.prices import ContractPrice, PriceRequest
from app.sources.quotes import Quote
from app.sources.shipments import Shipment
from app.sources.stock import Balance, Reservation, StockLevel
from app.sources.values import PartialRows
from app.sources.warehouses import Warehouse

if TYPE_CHECKING:
    from app.sources.source import Sources


class Loaders:
    """Every loader is made on first use and lives as long as the operation. None is part of a reference cycle: what was
    read is freed with the operation, not by the garbage collector."""

    def __init__(self, principal: Principal, sources: Sources, *, with_credit: bool) -> None:
        """`with_credit`: customers are read with their credit where that saves a call."""
        self._principal = principal
        self._sources = sources
        self._with_credit = with_credit
        self._made: dict[Any, KeyLoader[Any, Any]] = {}

    def close(self) -> None:
        """Cancel pending reads."""
        for made in self._made.values():
            made.close()

    def _loader(self, name: Any, fetch: Fetch[Any, Any]) -> KeyLoader[Any, Any]:
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = KeyLoader(fetch)
        return made

    def _read(self, name: Any, port: Callable[..., Any], **options: Any) -> KeyLoader[Any, Any]:
        return self._loader(name, partial(port, self._principal, **options))

    def by_key(self, port: str, read: str, **options: Any) -> KeyLoader[Any, Any]:
        """The loader of a port's read by keys, one for each set of options."""
        name = port, read, *sorted(options.items())
        return self._read(name, getattr(getattr(self._sources, port), read), **options)

    # Customers

    @property
    def customers(self) -> KeyLoader[str, Customer]:
        """Customers by number, with their credit where that saves a call and the operation selects it."""
        parts = (CustomerPart.CREDIT,) if self._with_credit else ()
        return self._read("customers", self._sources.customers.by_number, parts=parts)

    def customers_of(self, system: str) -> KeyLoader[str, Customer]:
        """Customers by the ids of one system."""
        return self._read(("customers", system), self._sources.by_ref("customers", system))

    @property
    def credit(self) -> KeyLoader[str, CreditStatus]:
        """Credit by customer number."""
        return self._read("credit", self._sources.credit.status)

    # Items

    @property
    def items(self) -> KeyLoader[str, Item]:
        """Items by SKU."""
        return self._read("items", self._sources.items.by_sku)

    @property
    def items_by_gtin(self) -> KeyLoader[str, Item]:
        """Items by GTIN."""
        return self._read("items_by_gtin", self._sources.items.by_gtin)

    @property
    def skus_by_customer_part(self) -> KeyLoader[CustomerPartKey, str]:
        """SKUs by a customer's part number."""
        return self._read("skus_by_customer_part", self._sources.items.by_customer_part)

    @property
    def part_numbers(self) -> KeyLoader[CustomerItemKey, str]:
        """Customer part numbers by customer and SKU."""
        return self._read("part_numbers", self._sources.items.part_numbers)

    @property
    def relations(self) -> KeyLoader[str, tuple[ItemRelation, ...]]:
        """Relations by SKU."""
        return self._read("relations", self._sources.items.relations)

    @property
    def costs(self) -> KeyLoader[str, ItemCost]:
        """Costs by SKU."""
        return self._read("costs", self._sources.items.costs)

    @property
    def contents(self) -> KeyLoader[str, ItemContent]:
        """Commerce content by SKU."""
        return self._read("contents", self._sources.contents.contents)

    @property
    def warehouses(self) -> KeyLoader[str, Warehouse]:
        """Warehouses by code."""
        principal, port = self._principal, self._sources.warehouses

        async def fetch(_: Sequence[str]) -> Mapping[str, Warehouse]:
            found = await port.all(principal)
            return {warehouse.code: warehouse for warehouse in found}

        return self._loader("warehouses", fetch)

    # Stock and prices

    @property
    def levels(self) -> KeyLoader[str, StockLevel]:
        """Stock levels by SKU."""
        return self._read("levels", self._sources.stock.levels)

    @property
    def reservations(self) -> KeyLoader[str, tuple[Reservation, ...] | PartialRows[Reservation]]:
        """Commerce reservations by SKU, over all commerce sources."""
        return self._read("reservations", self._sources.reservations.reservations)

    @property
    def balances(self) -> KeyLoader[tuple[str, str], Balance]:
        """Third-party balances by (warehouse, SKU)."""
        principal, port = self._principal, self._sources.balances

        async def fetch(keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Balance]:
            codes = list(dict.fromkeys(code for code, _ in keys))
            skus = list(dict.fromkeys(sku for _, sku in keys))
            return await port.balances(principal, codes, skus)

        return self._loader("balances", fetch)

    @property
    def prices(self) -> KeyLoader[PriceRequest, ContractPrice]:
        """Contract prices by request."""
        return self._read("prices", self._sources.prices.quote)

    # Orders and what follows

    @property
    def orders(self) -> KeyLoader[str, Order]:
        """Orders by number, from the master."""
        return self._read("orders", self._sources.orders.by_number)

    def orders_of(self, system: str) -> KeyLoader[str, Order]:
        """Orders by the ids of one system."""
        return self._read(("orders", system), self._sources.by_ref("orders", system))

    def order_views(self, system: str) -> KeyLoader[str, Order]:
        """Orders by number as one enriching source knows them."""
        return self._read(("order_views", system), self._sources.order_views[system].by_number)

    @property
    def orders_by_po(self) -> KeyLoader[CustomerPoKey, Order]:
        """Orders by the customer's purchase order number."""
        return self._read("orders_by_po", self._sources.orders.by_customer_po)

    @property
    def shipments_by_order(self) -> KeyLoader[str, tuple[Shipment, ...]]:
        """Shipments by order number, from the master."""
        return self._read("shipments_by_order", self._sources.shipments.by_order)

    @property
    def shipments_by_tracking_number(self) -> KeyLoader[str, Shipment]:
        """Shipments by tracking number, from the master."""
        return self._read("shipments_by_tracking_number", self._sources.shipments.by_tracking_number)

    def shipments_of(self, system: str) -> KeyLoader[str, Shipment]:
        """Shipments by the ids of one system."""
        return self._read(("shipments", system), self._sources.by_ref("shipments", system))

    def shipment_views_by_order(self, system: str) -> KeyLoader[str, tuple[Shipment, ...]]:
        """Shipments by order number as one enriching source knows them."""
        return self._read(("shipment_views_by_order", system), self._sources.shipment_views[system].by_order)

    def shipment_views_by_tracking_number(self, system: str) -> KeyLoader[str, Shipment]:
        """Shipments by tracking number as one enriching source knows them."""
        port = self._sources.shipment_views[system].by_tracking_number
        return self._read(("shipment_views_by_tracking_number", system), port)

    @property
    def invoices(self) -> KeyLoader[str, tuple[Invoice, ...]]:
        """Invoices by order number."""
        return self._read("invoices", self._sources.billing.invoices)

    def invoices_of(self, system: str) -> KeyLoader[str, Invoice]:
        """Invoices by the ids of one system."""
        return self._read(("invoices", system), self._sources.by_ref("billing", system))

    def quotes_of(self, system: str) -> KeyLoader[str, Quote]:
        """Quotes by the ids of one system."""
        return self._read(("quotes", system), self._sources.by_ref("quotes", system))

    def returns_of(self, system: str) -> KeyLoader[str, Return]:
        """Returns by the ids of one system."""
        return self._read(("returns", system), self._sources.by_ref("billing", system, "returns_by_id"))

    @property
    def returns(self) -> KeyLoader[str, tuple[Return, ...]]:
        """Returns by order number."""
        return self._read("returns", self._sources.billing.returns)
