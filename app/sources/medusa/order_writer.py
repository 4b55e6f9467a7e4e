"""Orders in: a draft order with the gateway's key in its metadata, then converted into an order.

Medusa creates a draft whole, with its lines, and has no unique keys: the look-up route finds a draft by its key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from app.auth.principal import Principal
from app.errors import SourceRejected
from app.http.client import HTTPResponse, path
from app.settings.resilience import ORDER_SUBMISSIONS
from app.sources.medusa.client import LookupRow, MedusaClient, sendable
from app.sources.medusa.customers import MedusaCustomer, MedusaCustomerAddress, customers_by_number
from app.sources.medusa.options import MedusaOptions
from app.sources.medusa.prices import CalculatedPrices, MedusaPriceQuestion, MedusaPriceQuestions
from app.sources.order_writer import (
    NewOrder,
    NewOrderLine,
    OrderNotAccepted,
    SimulatedLine,
    WrittenOrder,
    after_creation,
    before_creation,
    remarks,
)
from app.sources.values import Money

CALL: Final = ORDER_SUBMISSIONS
DRAFTED, CONVERTED = "drafted", "converted"
KEY = "tradegraph_key"
"""The key of an order's metadata that holds the gateway's key."""

DRAFTS = "/admin/draft-orders"
DRAFT_FIELDS = "?fields=id,display_id,custom_display_id"


class MedusaVariantToOrder(msgspec.Struct, frozen=True):
    """A variant to order."""

    id: str
    sku: str | None


class OrderableRows(msgspec.Struct, frozen=True, rename={"rows": "variants"}):
    """A page of them."""

    rows: tuple[MedusaVariantToOrder, ...]
    count: int


class DraftAddress(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address of a draft."""

    company: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    address_1: str | None = None
    address_2: str | None = None
    city: str | None = None
    province: str | None = None
    postal_code: str | None = None
    country_code: str | None = None


class MedusaDraftLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of a draft. Without a price, Medusa's own is taken; a price is text, since a number would be a float."""

    variant_id: str
    quantity: int
    metadata: Mapping[str, str | int]
    unit_price: str | None = None


class NewDraft(msgspec.Struct, frozen=True, omit_defaults=True):
    """A draft to create."""

    region_id: str
    customer_id: str
    currency_code: str
    items: tuple[MedusaDraftLine, ...]
    metadata: Mapping[str, str]
    no_notification_order: bool = False
    sales_channel_id: str | None = None
    email: str | None = None
    shipping_address: DraftAddress | None = None
    billing_address: DraftAddress | None = None


class MedusaCreatedDraft(msgspec.Struct, frozen=True):
    """A draft that was created."""

    id: str
    display_id: int
    custom_display_id: str | None


class DraftCreated(msgspec.Struct, frozen=True):
    """The answer to a creation."""

    draft_order: MedusaCreatedDraft


class MedusaRefusal(msgspec.Struct, frozen=True):
    """Why Medusa refuses a request; `message` is for the log."""

    type: str
    message: str = ""


class MedusaOrderWriter:
    """The writer of one server. A draft that Medusa does not convert is deleted."""

    unique_key = False

    def __init__(self, client: MedusaClient, options: MedusaOptions, region: str, max_seconds: float) -> None:
        self._client = client
        self._options = options
        self._region = region
        self.steps: Sequence[str] = (DRAFTED, CONVERTED) if options.convert_orders else (DRAFTED,)
        self.max_seconds = max_seconds

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        rows = await self._client.orders(f"metadata.{KEY}", sendable(keys), call=f"{CALL}.find")
        found: dict[str, tuple[WrittenOrder, ...]] = {}
        for row in rows:
            if row.status != "canceled":
                found[row.value] = (*found.get(row.value, ()), _written(row))
        return found

    async def post(self, principal: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        if found is None:
            with before_creation():
                draft = await self._draft(order)
            response = await self._client.write("POST", DRAFTS + DRAFT_FIELDS, draft, call=f"{CALL}.create")
            self._require(response, f"{CALL}.create")
            created = response.decode(DraftCreated).draft_order
            number = created.custom_display_id or str(created.display_id)
            found = WrittenOrder(key=order.key, id=created.id, number=number, step=DRAFTED)
        if found.step == CONVERTED or not self._options.convert_orders:
            return found
        with after_creation(self._client.name):
            target = path("admin", "draft-orders", found.id, "convert-to-order")
            response = await self._client.write("POST", f"{target}?fields=id", None, call=f"{CALL}.convert")
            if response.status >= 400:
                await self._delete(found.id)
            self._require(response, f"{CALL}.convert")
        return msgspec.structs.replace(found, step=CONVERTED)

    async def simulate(self, principal: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        """Medusa's own price of each line. It tells no availability: the draft is checked when it is converted."""
        for line in order.lines:
            self._check(line)
        questions = MedusaPriceQuestions(
            number_key=self._options.customer_number_key,
            currency_code=self._options.currency.lower(),
            region_id=self._region,
            requests=tuple(MedusaPriceQuestion(order.customer, line.sku, int(line.quantity)) for line in order.lines),
        )
        prices = (await self._client.prices(questions, CalculatedPrices, call=f"{CALL}.simulate")).prices
        if len(prices) != len(order.lines) or None in prices:
            return None
        return [
            SimulatedLine(
                number=line.number,
                unit_price=Money(amount=price.raw_amount.value, currency=price.currency_code.upper()),
            )
            for line, price in zip(order.lines, prices, strict=True)
            if price is not None
        ]

    async def cancel(self, principal: Principal, order: WrittenOrder, reason: str) -> None:
        if order.step != CONVERTED:
            await self._delete(order.id)
            return
        target = path("admin", "orders", order.id, "cancel")
        response = await self._client.write("POST", f"{target}?fields=id", None, call=f"{CALL}.cancel")
        if response.status >= 400:
            raise OrderNotAccepted(picked=True, detail=f"cancel: {self._reason(response)}")

    async def _draft(self, order: NewOrder) -> NewDraft:
        people = await customers_by_number(self._client, [order.customer], call=f"{CALL}.customer")
        buyer = people.get(order.customer)
        if buyer is None:
            raise OrderNotAccepted(detail="no customer has this number")
        skus = sendable([line.sku for line in order.lines])
        variants = await self._client.by_keys(
            "/admin/product-variants", OrderableRows, "sku", skus, lambda row: row.sku, call=f"{CALL}.variants"
        )
        by_sku = {row.sku: row.id for row in variants}
        unknown = [line.number for line in order.lines if line.sku not in by_sku]
        if unknown:
            raise OrderNotAccepted(lines=unknown, detail="no variant has this SKU")
        ship_to, bill_to = _addresses(buyer, order.ship_to)
        note = remarks(order, dated=True)
        metadata = {KEY: order.key, self._options.po_number_key: order.customer_po} | ({"note": note} if note else {})
        return NewDraft(
            region_id=self._region,
            sales_channel_id=self._options.sales_channel,
            customer_id=buyer.id,
            email=buyer.email,
            currency_code=self._options.currency.lower(),
            shipping_address=ship_to,
            billing_address=bill_to,
            items=tuple(self._line(line, by_sku[line.sku]) for line in order.lines),
            metadata=metadata,
        )

    def _line(self, line: NewOrderLine, variant: str) -> MedusaDraftLine:
        self._check(line)
        return MedusaDraftLine(
            variant_id=variant,
            quantity=int(line.quantity),
            unit_price=format(line.unit_price.amount, "f") if line.unit_price is not None else None,
            metadata={self._options.line_number_key: line.number},
        )

    def _check(self, line: NewOrderLine) -> None:
        whole = 0 < line.quantity < Decimal(10**9) and line.quantity == line.quantity.to_integral_value()
        if not whole or line.uom not in (None, self._options.uom) or line.price_unit != 1:
            raise OrderNotAccepted(lines=[line.number], detail="Medusa takes whole quantities of one unit only")
        if line.unit_price is not None and line.unit_price.currency != self._options.currency:
            raise OrderNotAccepted(lines=[line.number], detail="the price is in another currency than the shop's")

    async def _delete(self, id: str) -> None:
        response = await self._client.write("DELETE", path("admin", "draft-orders", id), None, call=f"{CALL}.delete")
        if response.status not in (200, 404):
            raise SourceRejected(self._client.name, status=response.status, detail=f"delete: {self._reason(response)}")

    def _require(self, response: HTTPResponse, call: str) -> None:
        if response.status >= 400:
            raise OrderNotAccepted(held=True, detail=f"{call}: {self._reason(response)}")

    @staticmethod
    def _reason(response: HTTPResponse) -> str:
        refusal = response.decode(MedusaRefusal)
        return f"{response.status} {refusal.type}: {refusal.message[:200]}"


def _written(row: LookupRow) -> WrittenOrder:
    return WrittenOrder(key=row.value, id=row.id, number=row.number or row.id, step=DRAFTED if row.draft else CONVERTED)


def _addresses(buyer: MedusaCustomer, ship_to: str | None) -> tuple[DraftAddress | None, DraftAddress | None]:
    """Where the goods and the bill go: the location that the order names, else the customer's defaults."""
    book = sorted(buyer.addresses, key=lambda one: one.id)
    named = [one for one in book if one.id == ship_to]
    if ship_to is not None and not named:
        raise OrderNotAccepted(detail="the customer has no such location")
    shipping = next(iter(named or [one for one in book if one.is_default_shipping] or book), None)
    billing = next((one for one in book if one.is_default_billing), shipping)
    return _address(shipping), _address(billing)


def _address(one: MedusaCustomerAddress | None) -> DraftAddress | None:
    if one is None:
        return None
    return DraftAddress(**{name: getattr(one, name) or None for name in DraftAddress.__struct_fields__})
