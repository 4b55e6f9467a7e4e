"""Invoices and credit notes, by id and by the orders of their lines."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from app import telemetry
from app.auth.principal import Principal
from app.sources.billing import Billing, Invoice, InvoiceKind, InvoiceLine, InvoiceStatus
from app.sources.odoo.client import OdooClient, record_ids, usable
from app.sources.odoo.documents import Parties, parties_of, products_of
from app.sources.odoo.reference import OdooReference
from app.sources.odoo.rows import OdooInvoiceLineRow, OdooInvoiceRow, OrderedRow, number
from app.sources.odoo.units import OdooUnits
from app.sources.values import Freshness, Money, Ref

INVOICE = "account.invoice"
STATES: Mapping[str, InvoiceStatus] = {
    "draft": InvoiceStatus.DRAFT,
    "open": InvoiceStatus.POSTED,
    "in_payment": InvoiceStatus.PAID,
    "paid": InvoiceStatus.PAID,
    "posted": InvoiceStatus.POSTED,
    "cancel": InvoiceStatus.CANCELLED,
}
PAID = ("in_payment", "paid", "reversed")
"""`payment_state` of an invoice that is paid, from version 13 on."""
KINDS = {"out_invoice": InvoiceKind.INVOICE, "out_refund": InvoiceKind.CREDIT_MEMO}


class OdooBilling(Billing):
    """Invoices: two calls at once, then three, for any number of keys."""

    def __init__(self, client: OdooClient, reference: OdooReference, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._reference = reference
        self._clock = clock

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Invoice]:
        """See `Billing.by_id`."""
        found = {one.id: one for one in await self._invoices("id", record_ids(ids), "billing.by_id")}
        return {key: found[key] for key in ids if key in found}

    async def invoices(self, principal: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Invoice, ...]]:
        """See `Billing.invoices`."""
        keys = usable(orders)
        rows = await self._invoices("invoice_line_ids.sale_line_ids.order_id.name", keys, "billing")
        found: defaultdict[str, list[Invoice]] = defaultdict(list)
        for one in sorted(rows, key=lambda one: int(one.id)):
            for order in one.orders:
                found[order].append(one)
        return {key: tuple(found[key]) for key in keys if key in found}

    async def _invoices(self, path: str, keys: Sequence[object], call: str) -> list[Invoice]:
        if not keys:
            return []
        now = self._clock()
        below = "" if path == "id" else f".{path}"
        rows, lines = await asyncio.gather(
            self._client.search(
                INVOICE, OdooInvoiceRow, [[path, "in", list(keys)], ["type", "in", list(KINDS)]], call=call
            ),
            self._client.search(
                "account.invoice.line",
                OdooInvoiceLineRow,
                [[f"invoice_id{below}", "in", list(keys)]],
                call="billing.lines",
            ),
        )
        sold = sorted({one for line in lines for one in line.sale_line_ids})
        orders, parties, products, units = await asyncio.gather(
            self._orders(sold),
            parties_of(self._client, [row.partner_id for row in rows], "billing.parties"),
            products_of(self._client, [line.product_id for line in lines], "billing.items"),
            self._reference.units(),
        )
        by_id = {line.id: line for line in lines}
        return [
            self._invoice(
                row,
                [by_id[one] for one in row.invoice_line_ids if one in by_id],
                orders,
                parties,
                products,
                units,
                now,
            )
            for row in rows
        ]

    async def _orders(self, sold: Sequence[int]) -> Mapping[int, str]:
        """The order number of each order line."""
        if not sold:
            return {}
        rows = await self._client.search(
            "sale.order.line", OrderedRow, [["id", "in", list(sold)]], call="billing.orders"
        )
        return {row.id: row.order_id[1] for row in rows}

    def _invoice(
        self,
        row: OdooInvoiceRow,
        lines: Sequence[OdooInvoiceLineRow],
        orders: Mapping[int, str],
        parties: Parties,
        products: Mapping[int, str | None],
        units: OdooUnits,
        now: datetime,
    ) -> Invoice:
        def money(amount: Decimal) -> Money:
            return Money(amount=number(amount), currency=row.currency_id[1])

        status = STATES.get(row.state, InvoiceStatus.UNKNOWN)
        if status is InvoiceStatus.UNKNOWN:
            telemetry.unknown_status(self._client.source, "invoice", row.state)
        if status is InvoiceStatus.POSTED and row.payment_state in PAID:
            status = InvoiceStatus.PAID
        named = (orders.get(one) for line in lines for one in line.sale_line_ids)
        return Invoice(
            id=str(row.id),
            source=self._client.source,
            kind=KINDS[row.type],
            number=row.number,
            customer=parties.number(row.partner_id),
            orders=tuple(sorted({order for order in named if order is not None})),
            status=status,
            raw_status=row.state,
            invoiced_on=row.date_invoice,
            due=row.date_due,
            net=money(row.amount_untaxed),
            tax=money(row.amount_tax),
            total=money(row.amount_total),
            open=money(row.residual),
            lines=tuple(
                InvoiceLine(
                    line_number=place,
                    sku=None if line.product_id is None else products.get(line.product_id[0]),
                    description=line.name,
                    quantity=number(line.quantity),
                    uom=None if line.uom_id is None else units.code(line.uom_id[0]),
                    unit_price=money(line.price_unit),
                    total=money(line.price_subtotal),
                )
                for place, line in enumerate(lines, start=1)
            ),
            refs=(Ref(system=self._client.source, id=str(row.id)),),
            freshness=Freshness(source=self._client.source, as_of=now),
        )
