"""Orders in: a sale is created, quoted and confirmed, by JSON-RPC. Tryton then plans its shipment and invoice.

The customer's purchase order is the sale's reference. The gateway's key is kept in a field of its own, because nothing
makes references unique. Tryton takes any price: lines cost what the order says. An order of a quote confirms the
quotation; what a rule refuses of it stays a quotation, and is tried again once a person releases the order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Final, TypeVar

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.settings.resilience import ORDER_SUBMISSIONS
from app.sources.order_writer import (
    AcceptedQuote,
    NewOrder,
    NewOrderLine,
    OrderNotAccepted,
    SimulatedLine,
    WrittenOrder,
    after_creation,
    before_creation,
    remarks,
)
from app.sources.tryton.client import Domain, TrytonClient, TrytonRefusal, record_ids, usable
from app.sources.tryton.codes import OrderCodes
from app.sources.tryton.options import Options
from app.sources.tryton.quotes import ACCEPTED_BY, QuoteStateRow, accepting_order, without_acceptance
from app.sources.tryton.reference import Reference
from app.sources.tryton.sale_values import BuyerRow, LineDefaults, SoldProductRow, keyed_row, line_values
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
    """A sale with the gateway's key of it, which deployments keep in a field of their choice. A return is copied of its
    sale, key included; `origin` names the sale."""

    key: str | None = None
    origin: str | None = None
    comment: str | None = None


class AcceptedQuoteRow(QuoteStateRow, kw_only=True):
    """A quotation that an order accepts."""

    shipment_address: int | None = None


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
        self._keyed = keyed_row(KeyedSaleRow, options.order_key_field)

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        rows = await self._client.search_keys(
            SALE,
            usable(keys),
            lambda chunk: [
                self._keyed_by(chunk),
                ["state", "!=", "cancelled"],
                ["company", "=", self._options.company],
            ],
            self._keyed,
            call=f"{CALL}.by_key",
        )
        found: dict[str, tuple[WrittenOrder, ...]] = {}
        for row in rows:
            named = {row.key, accepting_order(row.comment)}
            for key in [key for key in keys if key in named and not (row.origin or "").startswith(f"{SALE},")]:
                found[key] = (*found.get(key, ()), self._written(key, row))
        return found

    def _keyed_by(self, keys: Sequence[str]) -> Domain:
        """The sales of keys; those that were quotes name them in their comments."""
        named = ["OR", *(["comment", "like", f"%{ACCEPTED_BY}{key}%"] for key in keys)]
        return ["OR", [self._options.order_key_field, "in", keys], [["quotation_validity", "!=", None], named]]

    async def post(self, principal: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        if found is not None:
            id, state = int(found.id), found.step
        elif order.quote is not None:
            id, state = await self._accept(order, order.quote), QUOTATION
        else:
            id, state = await self._create(order), DRAFT
        with after_creation(self._client.source):
            return await self._complete(order, id, state)

    async def simulate(self, principal: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        return None

    async def cancel(self, principal: Principal, order: WrittenOrder, reason: str) -> None:
        row = await self._read(int(order.id))
        if row is None or row.state not in CANCELLATION:
            raise OrderNotAccepted(detail=f"sale {order.id} is {row.state if row else 'unknown'}")
        for button in CANCELLATION[row.state]:
            refused = await self.press(button, row.id)
            if refused is not None:
                raise OrderNotAccepted(detail=refused.message)

    # The steps

    async def _create(self, order: NewOrder) -> int:
        with before_creation():
            values, lines = await self.sale_values(order)
        created = await self.call("create", [[values | {"lines": [["create", lines]]}]], list[int])
        if isinstance(created, TrytonRefusal):
            raise OrderNotAccepted(detail=created.message)
        return created[0]

    async def _accept(self, order: NewOrder, quote: AcceptedQuote) -> int:
        """Name the order in the comment of the quotation that it accepts: Tryton lets nothing else of a quotation be
        changed that could hold the key. Lines and prices stay as they are."""
        with before_creation():
            row = await self._accepted(order, quote)
            self._check_reference(order)
            ship_to = _ship_to(order, await self._party(order.customer))
        if accepting_order(row.comment) == order.key:  # It was refused, and is tried again.
            return row.id
        comment = without_acceptance(row.comment)
        values: dict[str, object] = {
            "reference": order.customer_po,
            "comment": "\n".join(part for part in (comment, remarks(order), f"{ACCEPTED_BY}{order.key}") if part),
            # Tryton confirms no quotation after its validity: the day of the acceptance counts.
            "sale_date": tagged_day(quote.accepted_at.astimezone(UTC).date()),
        }
        if ship_to not in (None, row.shipment_address):
            values["shipment_address"] = ship_to
        if order.requested_date is not None:
            values["shipping_date"] = tagged_day(order.requested_date)
        written = await self.call("write", [[row.id], values], object)
        if isinstance(written, TrytonRefusal):
            raise OrderNotAccepted(detail=written.message)
        return row.id

    async def _accepted(self, order: NewOrder, quote: AcceptedQuote) -> AcceptedQuoteRow:
        domain = [["id", "in", record_ids([quote.id])], ["party.code", "=", order.customer]]
        rows = await self._client.search(SALE, domain, AcceptedQuoteRow, limit=1, call=f"{CALL}.quoted")
        if not rows or rows[0].state != QUOTATION:
            raise OrderNotAccepted(detail=f"quote {quote.id} is {rows[0].state if rows else 'unknown'}")
        row = rows[0]
        if row.version != quote.version and accepting_order(row.comment) != order.key:
            raise OrderNotAccepted(detail=f"quote {quote.id} is of version {row.version}, not {quote.version}")
        if row.valid_to is not None and row.valid_to < quote.accepted_at.astimezone(UTC).date():
            raise OrderNotAccepted(detail=f"quote {quote.id} was valid to {row.valid_to}")
        return row

    async def _complete(self, order: NewOrder, id: int, state: str) -> WrittenOrder:
        while state in NEXT:
            button, following = NEXT[state]
            refused = await self.press(button, id)
            state = following if refused is None else await self._refused(order, id, state, refused)
        row = await self._read(id)
        if row is None:
            raise SourceMalformed(self._client.source, detail=f"sale {id} was confirmed and cannot be read")
        return self._written(order.key, row)

    async def _refused(self, order: NewOrder, id: int, state: str, refused: TrytonRefusal) -> str:
        """The state of the sale, if somebody moved it on meanwhile; else it is cancelled, unless it is the customer's
        quotation, and a person may release the order."""
        row = await self._read(id)
        if row is not None and row.state not in (state, DRAFT, "cancelled"):
            return row.state
        for button in CANCELLATION[row.state] if row is not None and order.quote is None else ():
            await self.press(button, id)
        raise OrderNotAccepted(held=True, detail=refused.message)

    async def press(self, button: str, id: int) -> TrytonRefusal | None:
        answer = await self.call(button, [[id]], object)
        return answer if isinstance(answer, TrytonRefusal) else None

    async def call(self, method: str, params: Sequence[object], into: type[T]) -> T | TrytonRefusal:
        return await self._client.write_confirming(
            f"model.{SALE}.{method}",
            params,
            into,
            call=f"{CALL}.{method}",
            confirm=self._options.confirm_warnings,
        )

    # The order's values

    async def sale_values(self, order: NewOrder) -> tuple[dict[str, object], list[dict[str, object]]]:
        """The values of a sale without its lines, and those of its lines, in order."""
        self._check_reference(order)
        party, products = await asyncio.gather(self._party(order.customer), self._products(order.lines))
        header, lines, currency = await asyncio.gather(
            self._header(party), self._lines(order, party, products), self._currency(order)
        )
        values = header | {
            "party": party.id,
            "company": self._options.company,
            "currency": currency or header.get("currency"),
            "warehouse": await self._warehouse() or header.get("warehouse"),
            "shipment_address": _ship_to(order, party) or header.get("shipment_address"),
            "reference": order.customer_po,
            self._options.order_key_field: order.key,
            "comment": remarks(order),
            "shipping_date": tagged_day(order.requested_date) if order.requested_date else None,
            "quotation_validity": None,  # Sales that have one are quotes.
        }
        return values, lines

    def _check_reference(self, order: NewOrder) -> None:
        if self._codes.is_code(order.customer_po):
            raise OrderNotAccepted(detail="the purchase order number looks like an order code of other systems")

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
            lambda chunk: [["code", "in", chunk], ["salable", "=", True]],
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
        await asyncio.gather(*(self._add_price_and_taxes(one, party) for one in priced))
        return made

    async def _add_price_and_taxes(self, line: dict[str, object], party: BuyerRow) -> None:
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
