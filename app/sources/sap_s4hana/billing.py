"""Billing documents: invoices, credit memos, and what cancels them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from app.auth.principal import Principal
from app.sources.billing import Billing, Invoice, InvoiceKind, InvoiceLine, InvoiceStatus
from app.sources.sap_s4hana.client import BILLING, S4HANAClient, external, known, sendable
from app.sources.sap_s4hana.rows import SAPBillingItemRow, SAPBillingReferenceRow, SAPBillingRow
from app.sources.values import Freshness, Money, Ref

CREDITS = frozenset({"O", "N"})
"""Categories of documents that give money back: a credit memo, and the cancellation of an invoice."""
CLEARED = "C"


class S4HANABilling(Billing):
    """Billing documents: one request by id; by order one for their items and one for the documents."""

    def __init__(self, client: S4HANAClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Invoice]:
        """See `Billing.by_id`."""
        keys = sendable(ids)
        found = {invoice.id: invoice for invoice in await self._found(keys)}
        return {key: found[key] for key in keys if key in found}

    async def invoices(self, principal: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Invoice, ...]]:
        """See `Billing.invoices`."""
        keys = sendable(orders)
        items = await self._client.rows(
            BILLING, "A_BillingDocumentItem", SAPBillingReferenceRow, "SalesDocument", keys, call="billing.of_orders"
        )
        documents = sorted({external(row.billing_document) for row in items})
        invoices = sorted(await self._found(documents), key=lambda one: (len(one.id), one.id)) if documents else []
        found = {key: tuple(one for one in invoices if key in one.orders) for key in keys}
        return {key: rows for key, rows in found.items() if rows}

    async def _found(self, keys: Sequence[str]) -> list[Invoice]:
        rows = await self._client.rows(
            BILLING, "A_BillingDocument", SAPBillingRow, "BillingDocument", keys, call="billing"
        )
        now = self._clock()
        return [self._invoice(row, now) for row in rows]

    def _invoice(self, row: SAPBillingRow, now: datetime) -> Invoice:
        number, currency, client = external(row.billing_document), row.transaction_currency, self._client
        items = sorted(row.to_item.results, key=lambda item: client.line_number(item.billing_document_item) or 0)
        orders = dict.fromkeys(order for item in items if (order := known(item.sales_document)))
        category = row.sd_document_category or ""
        return Invoice(
            id=number,
            source=client.source,
            kind=InvoiceKind.CREDIT_MEMO if category in CREDITS else InvoiceKind.INVOICE,
            number=number,
            customer=known(row.sold_to_party),
            orders=tuple(orders),
            status=_status(row),
            raw_status=f"category {category or '-'}, clearing {row.invoice_clearing_status or '-'}",
            invoiced_on=client.day(row.billing_document_date),
            net=Money(amount=row.total_net_amount, currency=currency),
            tax=Money(amount=row.tax_amount, currency=currency),
            total=Money(amount=row.total_gross_amount, currency=currency),
            lines=tuple(self._line(item, currency) for item in items),
            refs=(Ref(system=client.source, id=number),),
            freshness=Freshness(source=client.source, as_of=now),
        )

    def _line(self, item: SAPBillingItemRow, currency: str) -> InvoiceLine:
        return InvoiceLine(
            line_number=self._client.line_number(known(item.sales_document_item)),
            sku=known(item.material),
            description=item.billing_document_item_text or None,
            quantity=item.billing_quantity,
            uom=item.billing_quantity_unit or None,
            total=None if item.net_amount is None else Money(amount=item.net_amount, currency=currency),
        )


def _status(row: SAPBillingRow) -> InvoiceStatus:
    if row.billing_document_is_cancelled or row.cancelled_billing_document:
        return InvoiceStatus.CANCELLED
    return InvoiceStatus.PAID if row.invoice_clearing_status == CLEARED else InvoiceStatus.POSTED
