"""Sales invoices by id and order number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from app import telemetry
from app.auth.principal import Principal
from app.sources.billing import Billing, Invoice, InvoiceLine, InvoiceStatus
from app.sources.business_central.client import BusinessCentralClient, grouped, guids, known_day, sendable, word
from app.sources.business_central.rows import BCInvoiceLineRow, BCInvoiceRow
from app.sources.values import Freshness, Money, Ref

STATUSES = {
    "Draft": InvoiceStatus.DRAFT,
    "In Review": InvoiceStatus.DRAFT,
    "Open": InvoiceStatus.POSTED,
    "Paid": InvoiceStatus.PAID,
    "Canceled": InvoiceStatus.CANCELLED,
    "Corrective": InvoiceStatus.POSTED,
}


class BusinessCentralBilling(Billing):
    """Invoices; one request, or one batch for many keys."""

    def __init__(self, client: BusinessCentralClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Invoice]:
        """See `Billing.by_id`."""
        keys, now = guids(ids), self._clock()
        rows = await self._client.rows("salesInvoices", BCInvoiceRow, "id", list(keys), call="billing.by_id")
        found = {row.id: self._invoice(row, now) for row in rows}
        return {key: found[key] for key in keys.values() if key in found}

    async def invoices(self, principal: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Invoice, ...]]:
        """See `Billing.invoices`."""
        keys, now = sendable(orders), self._clock()
        rows = await self._client.rows("salesInvoices", BCInvoiceRow, "orderNumber", keys, call="billing")
        found = grouped(sorted(rows, key=lambda row: row.number), lambda row: row.order_number)
        return {key: tuple(self._invoice(row, now) for row in found[key]) for key in keys if key in found}

    def _invoice(self, row: BCInvoiceRow, now: datetime) -> Invoice:
        raw, currency = word(row.status), row.currency_code
        status = STATUSES.get(raw, InvoiceStatus.UNKNOWN)
        if status is InvoiceStatus.UNKNOWN:
            telemetry.unknown_status(self._client.source, "invoice", raw)

        def money(amount: Decimal) -> Money:
            return Money(amount=amount, currency=currency)

        return Invoice(
            id=row.id,
            source=self._client.source,
            number=row.number,
            customer=row.customer_number or None,
            orders=(row.order_number,) if row.order_number else (),
            status=status,
            raw_status=raw,
            invoiced_on=known_day(row.invoice_date),
            due=known_day(row.due_date),
            net=money(row.total_amount_excluding_tax),
            tax=money(row.total_tax_amount),
            total=money(row.total_amount_including_tax),
            open=money(row.remaining_amount),
            lines=tuple(_line(line, currency) for line in sorted(row.sales_invoice_lines, key=_sequence)),
            refs=(Ref(system=self._client.source, id=row.id),),
            freshness=Freshness(source=self._client.source, as_of=now),
        )


def _sequence(row: BCInvoiceLineRow) -> int:
    return row.sequence


def _line(row: BCInvoiceLineRow, currency: str) -> InvoiceLine:
    return InvoiceLine(
        line_number=row.sequence,
        sku=row.line_object_number or None if word(row.line_type) == "Item" else None,
        description=row.description or None,
        quantity=row.quantity,
        uom=row.unit_of_measure_code or None,
        unit_price=Money(amount=row.unit_price, currency=currency),
        total=Money(amount=row.net_amount, currency=currency),
    )
