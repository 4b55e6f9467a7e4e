"""Price checks: what an order line cost when it was quoted, ordered and invoiced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from app.auth.principal import SYSTEM
from app.intake.reconcile import CHUNK, pages_since
from app.intake.records import ONE, IntakeLine, OrderIntake, PriceCheck
from app.intake.store import IntakeStore
from app.sources.billing import Invoice, InvoiceKind, InvoiceLine, InvoiceStatus
from app.sources.orders import Order, OrderLine
from app.sources.prices import PriceComparison
from app.sources.source import Sources
from app.sources.values import Record


def check_prices(order: Order, intake: OrderIntake | None, invoices: Iterable[Invoice]) -> tuple[PriceCheck, ...]:
    """The checks of an order's lines, one for each invoice of a line, by line number. Credit memos, cancelled invoices
    and invoices of several orders do not tell a line's price."""
    counted = [
        invoice
        for invoice in invoices
        if invoice.kind is InvoiceKind.INVOICE
        and invoice.status is not InvoiceStatus.CANCELLED
        and invoice.orders == (order.number,)
    ]
    quoted = {line.line_number: line for line in intake.lines} if intake is not None else {}
    return tuple(check for line in order.lines for check in _of_line(order, line, quoted.get(line.number), counted))


def _of_line(
    order: Order, line: OrderLine, quoted: IntakeLine | None, invoices: Sequence[Invoice]
) -> Iterator[PriceCheck]:
    proven = quoted is not None and quoted.sku == line.sku and _same(quoted.uom or line.uom, line.uom)
    invoiced_prices = [
        (invoice.number, found.unit_price) for invoice in invoices for found in invoice.lines if _is_of(found, line)
    ]
    for number, invoiced in invoiced_prices or [(None, None)]:
        yield PriceCheck(
            order_number=order.number,
            invoice_number=number,
            line_number=line.number,
            sku=line.sku,
            uom=line.uom,
            quoted=quoted.quoted_price if quoted is not None and proven else None,
            quoted_unit=quoted.quoted_price_unit if quoted is not None and proven else ONE,
            ordered=line.unit_price,
            invoiced=invoiced,
        )


def _is_of(invoiced: InvoiceLine, line: OrderLine) -> bool:
    same_unit = invoiced.uom is not None and _same(invoiced.uom, line.uom)
    return invoiced.line_number == line.number and invoiced.sku == line.sku and same_unit


def _same(unit: str, other: str) -> bool:
    return unit.casefold() == other.casefold()


class PriceReconciliation(Record):
    """How many lines of submitted orders have each result, `UNKNOWN` for none, and those that are not equal."""

    orders: int
    lines: dict[str, int]
    differences: tuple[PriceCheck, ...] = ()


async def reconcile_prices(store: IntakeStore, sources: Sources, since: float) -> PriceReconciliation:
    """Check the prices of orders that were submitted since a time, in seconds since 1970, and posted. Raises
    SourceError, StoreUnavailable."""
    counts: Counter[str] = Counter()
    differences: list[PriceCheck] = []
    orders = 0
    async for intakes in pages_since(store, since):
        posted = [one for one in intakes if one.order_id is not None]
        for start in range(0, len(posted), CHUNK):
            for checks in await _checks_of(sources, posted[start : start + CHUNK]):
                orders += 1
                for check in checks:
                    counts[check.result.value if check.result is not None else "UNKNOWN"] += 1
                differences += [one for one in checks if one.result not in (None, PriceComparison.EQUAL)]
    return PriceReconciliation(orders=orders, lines=dict(counts), differences=tuple(differences))


async def _checks_of(sources: Sources, intakes: Sequence[OrderIntake]) -> Sequence[tuple[PriceCheck, ...]]:
    pairs: list[tuple[OrderIntake, Order]] = []
    for target in dict.fromkeys(one.target for one in intakes):
        own = [one for one in intakes if one.target == target]
        found = await sources.by_ref("orders", target)(SYSTEM, [one.order_id for one in own])
        pairs += [(one, order) for one in own if isinstance(order := _row(found, one.order_id), Order)]
    invoices = await sources.billing.invoices(SYSTEM, [order.number for _, order in pairs]) if pairs else {}
    return [
        check_prices(
            order, intake, sources.rows_of_customer("billing", order.customer, _row(invoices, order.number) or ())
        )
        for intake, order in pairs
    ]


def _row(found: Mapping[Any, Any], key: object) -> Any:
    row = found.get(key)
    if isinstance(row, Exception):
        raise row
    return row
