"""Orders in: a sale is created, quoted and confirmed, by JSON-RPC. Tryton then plans its shipment and invoice.

The customer's purchase order is the sale's reference. The gateway's key is kept in a field of its own, because nothing
makes references unique. Tryton takes any price: lines cost what the order says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar, cast

import msgspec

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.settings.resilience import ORDER_SUBMISSIONS
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
from app.sources.tryton.client import TrytonClient, TrytonRefusal, record_ids, usable
from app.sources.tryton.codes import OrderCodes
from app.sources.tryton.options import Options
from app.sources.tryton.reference import Reference
from app.sources.tryton.sale_values import BuyerRow, LineDefaults, SoldProductRow, line_values
from app.sources.tryton.wire import Row, tagged_day, tagged_decimal

T = TypeVar("T")

SALE: Final = "sale.sale"
CALL: Final = ORDER_SUBMISSIONS
DRAFT, QUOTATION, CONFIRMED = "draft", "quotation", "confirmed"
STEPS = (DRAFT, QUOTATION, CONFIRMED)
"""The states of a sale that is being written. Tryton processes a confirmed sale by itself."""

NEXT: Mapping[str, tuple[str, str]] = {DRAFT: ("quote", QUOTATION), QUOTATION: ("confirm", CONFIRMED)}
"""The button to press in a state, and the state that follows."""

CANCELLATION: Mapping[str, Sequence[str]] = {
    DRAFT: ("cancel",),
    QUOTATION: ("cancel",),
    CONFIRMED: ("draft", "cancel"),
    "cancelled": (),
}

HEADER = (
    "currency", "invoice_address", "invoice_method", "invoice_party", "payment_term", "price_list", "shipment_address",
    "shipment_method", "shipment_party", "warehouse",
)  # fmt: skip
"""The fields of a sale that follow from its party."""


class SaleStateRow(Row, kw_only=True):
    """How far a sale is."""

    number: str | None = None
    reference: str | None = None
    state: str


class KeyedSaleRow(SaleStateRow, kw_only=True):
    """A sale with the gateway's key of it, which deployments keep in a field of their choice."""

    key: str | None = None


class TrytonOrderWriter:
    """The writer of one database. Cancelled sales are not found: an order that a rule refuses is cancelled."""

    steps = STEPS
    unique_key = False

    def __init__(
        self, client: TrytonClient, reference: Reference, codes: OrderCodes, options: Options, max_seconds: float
    ) -> None:
        self._client = client
        self._reference = reference
        self._codes = codes
        self._options = options
        self.max_seconds = max_seconds
        key = ("key", str | None, msgspec.field(default=None, name=options.order_key_field))
        keyed = msgspec.defstruct("WrittenSaleRow", [key], bases=(KeyedSaleRow,), kw_only=True)
        self._keyed = cast("type[KeyedSaleRow]", keyed)

    async def find(self, who: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        field = self._options.order_key_field
        rows = await self._client.search_keys(
            SALE,
            usable(keys),
            lambda some: [[field, "in", some], ["state", "!=", "cancelled"], ["company", "=", self._options.company]],
            self._keyed,
            call=f"{CALL}.by_key",
        )
        found: dict[str, tuple[WrittenOrder, ...]] = {}
        for row in rows:
            if row.key is not None and row.key in keys:
                found[row.key] = (*found.get(row.key, ()), self._written(row.key, row))
        return found

    async def post(self, who: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        if found is None:
            with before_creation():
                values = await self._values(order)
            created = await self._call("create", [[values]], list[int])
            if isinstance(created, TrytonRefusal):
                raise OrderNotAccepted(detail=created.message)
            id, state = created[0], DRAFT
        else:
            id, state = int(found.id), found.step
        with after_creation(self._client.source):
            return await self._complete(order.key, id, state)

    async def simulate(self, who: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        return None

    async def cancel(self, who: Principal, order: WrittenOrder, reason: str) -> None:
        row = await self._read(int(order.id))
        if row is None or row.state not in CANCELLATION:
            raise OrderNotAccepted(detail=f"sale {order.id} is {row.state if row else 'unknown'}")
        for button in CANCELLATION[row.state]:
            refused = await self._press(button, row.id)
            if refused is not None:
                raise OrderNotAccepted(detail=refused.message)

    # The steps

    async def _complete(self, key: str, id: int, state: str) -> WrittenOrder:
        while state in NEXT:
            button, following = NEXT[state]
            refused = await self._press(button, id)
            state = following if refused is None else await self._refused(id, state, refused)
        row = await self._read(id)
        if row is None:
            raise SourceMalformed(self._client.source, detail=f"sale {id} was confirmed and cannot be read")
        return self._written(key, row)

    async def _refused(self, id: int, state: str, refused: TrytonRefusal) -> str:
        """The state of the sale, if somebody moved it on meanwhile; else it is cancelled, and a person may release the
        order."""
        row = await self._read(id)
        if row is not None and row.state not in (state, DRAFT, "cancelled"):
            return row.state
        for button in CANCELLATION[row.state] if row is not None else ():
            await self._press(button, id)
        raise OrderNotAccepted(held=True, detail=refused.message)

    async def _press(self, button: str, id: int) -> TrytonRefusal | None:
        answer = await self._call(button, [[id]], object)
        return answer if isinstance(answer, TrytonRefusal) else None

    async def _call(self, method: str, params: Sequence[object], into: type[T]) -> T | TrytonRefusal:
        """Warnings that may be are confirmed, each once: Tryton asks by refusing, and is called again."""
        confirmed: set[str] = set()
        while True:
            answer = await self._client.write(f"model.{SALE}.{method}", params, into, call=f"{CALL}.{method}")
            if not isinstance(answer, TrytonRefusal) or answer.key is None or answer.key in confirmed:
                return answer
            if answer.warning not in self._options.confirm_warnings:
                return answer
            skipped = await self._client.write(
                "model.res.user.warning.skip", [answer.key, False], object, call=f"{CALL}.confirm_warning"
            )
            if isinstance(skipped, TrytonRefusal):
                return answer
            confirmed.add(answer.key)

    # The order's values

    async def _values(self, order: NewOrder) -> dict[str, object]:
        if self._codes.is_code(order.customer_po):
            raise OrderNotAccepted(detail="the purchase order number looks like an order code of other systems")
        party, products = await asyncio.gather(self._party(order.customer), self._products(order.lines))
        header, lines, currency = await asyncio.gather(
            self._header(party), self._lines(order, party, products), self._currency(order)
        )
        return header | {
            "party": party.id,
            "company": self._options.company,
            "currency": currency or header.get("currency"),
            "warehouse": await self._warehouse() or header.get("warehouse"),
            "shipment_address": _ship_to(order, party) or header.get("shipment_address"),
            "reference": order.customer_po,
            self._options.order_key_field: order.key,
            "comment": remarks(order),
            "shipping_date": tagged_day(order.requested_date) if order.requested_date else None,
            "lines": [["create", lines]],
        }

    async def _party(self, number: str) -> BuyerRow:
        rows = await self._client.search(
            "party.party", [["code", "=", number]], BuyerRow, limit=1, call=f"{CALL}.customer"
        )
        if not usable([number]) or not rows:
            raise OrderNotAccepted(detail="unknown customer")
        return rows[0]

    async def _products(self, lines: Sequence[NewOrderLine]) -> Mapping[str, SoldProductRow]:
        rows = await self._client.search_keys(
            "product.product",
            usable(line.sku for line in lines),
            lambda some: [["code", "in", some], ["salable", "=", True]],
            SoldProductRow,
            call=f"{CALL}.products",
        )
        products: dict[str, SoldProductRow] = {}
        for row in rows:
            products.setdefault(row.code or "", row)
        unknown = [line.number for line in lines if line.sku not in products]
        if unknown:
            raise OrderNotAccepted(lines=unknown, detail="no such product that is sold")
        return products

    async def _header(self, party: BuyerRow) -> dict[str, object]:
        values = {"party": party.id, "company": self._options.company}
        changed = await self._client.on_change(SALE, values, ["party"], dict[str, object], call=f"{CALL}.header")
        return {name: changed[name] for name in HEADER if changed.get(name) is not None}

    async def _lines(
        self, order: NewOrder, party: BuyerRow, products: Mapping[str, SoldProductRow]
    ) -> list[dict[str, object]]:
        units = await self._reference.units()
        made = [line_values(line, products[line.sku], units) for line in order.lines]
        priced = [one for one in made if "unit_price" not in one]
        if party.customer_tax_rule is not None:  # Tryton applies it to a line.
            priced = made
        await asyncio.gather(*(self._fill_in(one, party) for one in priced))
        return made

    async def _fill_in(self, line: dict[str, object], party: BuyerRow) -> None:
        """Price and taxes of a line as Tryton sets them; a price that the order has stays."""
        sale = {
            "party": party.id, "company": self._options.company, "currency": await self._company_currency(),
            "price_list": party.sale_price_list,
        }  # fmt: skip
        values = {name: line[name] for name in ("type", "product", "quantity", "unit")} | {"sale": sale}
        changed = await self._client.on_change(
            "sale.line", values, ["product", "quantity", "unit"], LineDefaults, call=f"{CALL}.line"
        )
        if changed.unit_price is not None:
            line.setdefault("unit_price", tagged_decimal(changed.unit_price.decimal))
        taxes = [tax.id for _, tax in changed.taxes.add] if changed.taxes is not None else []
        line["taxes"] = [["add", taxes]] if taxes else []

    async def _currency(self, order: NewOrder) -> int | None:
        """The currency of the order's prices."""
        codes = {line.unit_price.currency for line in order.lines if line.unit_price is not None}
        if not codes:
            return None
        known = {code: id for id, code in (await self._reference.currencies()).items()}
        if len(codes) > 1 or not codes <= known.keys():
            raise OrderNotAccepted(detail=f"prices in {', '.join(sorted(codes))}")
        return known[codes.pop()]

    async def _company_currency(self) -> int | None:
        code = await self._reference.currency()
        return next((id for id, one in (await self._reference.currencies()).items() if one == code), None)

    async def _warehouse(self) -> int | None:
        code = self._options.order_warehouse
        if code is None:
            return None
        warehouses = (await self._reference.locations()).warehouses
        found = next((row.id for row in warehouses if row.code == code), None)
        if found is None:
            raise OrderNotAccepted(held=True, detail=f"no warehouse {code}")
        return found

    async def _read(self, id: int) -> SaleStateRow | None:
        rows = await self._client.search(SALE, [["id", "=", id]], SaleStateRow, limit=1, call=f"{CALL}.written")
        return rows[0] if rows else None

    def _written(self, key: str, row: SaleStateRow) -> WrittenOrder:
        number = self._codes.number(row.id, row.reference, row.number)
        return WrittenOrder(key=key, id=str(row.id), number=number, step=row.state if row.state in STEPS else CONFIRMED)


def _ship_to(order: NewOrder, party: BuyerRow) -> int | None:
    if order.ship_to is None:
        return None
    ids = set(record_ids([order.ship_to])) & {address.id for address in party.addresses}
    if not ids:
        raise OrderNotAccepted(detail="the location is none of the customer's")
    return ids.pop()
