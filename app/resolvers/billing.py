"""Invoices and returns of orders."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.auth.policy import Key
from app.errors import InvalidInput
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, ItemKey, RefKey, one_or_capitals, require_revealed, validate_key
from app.resolvers.loading.lists import RowList
from app.resolvers.loading.paging import Connection
from app.sources.billing import (
    Invoice,
    InvoiceKind,
    InvoiceQuery,
    InvoiceSort,
    InvoiceStatus,
    Return,
    ReturnCreditState,
    ReturnQuery,
    ReturnShipmentState,
    ReturnSort,
)
from app.sources.customers import Customer
from app.sources.lists import DateRange
from app.sources.node_ids import source_key_of
from app.sources.orders import Order

R = TypeVar("R", Invoice, Return)


async def invoice(ctx: Context, id: str) -> Invoice | None:
    """Root: the invoice with this id."""
    system, own = source_key_of(id, "Invoice")
    return await ctx.loaders.invoices_of(system).one(own)


async def return_by_id(ctx: Context, id: str) -> Return | None:
    """The return with this id."""
    system, own = source_key_of(id, "Return")
    return await ctx.loaders.returns_of(system).one(own)


@dataclass(frozen=True, slots=True)
class ReturnKey:
    """Exactly one is set."""

    id: str | None = None
    number: str | None = None
    ref: RefKey | None = None


async def return_by_key(ctx: Context, by: ReturnKey) -> Return | None:
    """Root: a return by key."""
    if by.id is not None:
        return await return_by_id(ctx, by.id)
    if by.ref is not None:
        return await ctx.loaders.returns_of(by.ref.system).one(validate_key(by.ref.id, "A ref's id"))
    if by.number is None:
        raise InvalidInput("Name the return by exactly one of id, number and ref.")
    require_revealed(ctx, "number", [("Return", "number")])
    number = validate_key(by.number, "A return number")
    return await one_or_capitals(ctx.loaders.by_key("billing", "returns_by_number").one, number)


@dataclass(frozen=True, slots=True)
class InvoiceFilter:
    """Which invoices a list shows; see `InvoiceQuery`."""

    status: Sequence[InvoiceStatus] | None = None
    kind: InvoiceKind | None = None
    invoiced: DateRange | None = None
    due: DateRange | None = None
    item: ItemKey | None = None
    past_due: bool | None = None
    open: bool | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class ReturnFilter:
    """Which returns a list shows; see `ReturnQuery`."""

    shipment_state: Sequence[ReturnShipmentState] | None = None
    credit_state: Sequence[ReturnCreditState] | None = None
    requested: DateRange | None = None
    item: ItemKey | None = None
    open: bool | None = None
    text: str | None = None


INVOICE_FIELDS: Mapping[str, Sequence[Key]] = {
    "status": (("Invoice", "status"),),
    "kind": (("Invoice", "kind"),),
    "invoiced": (("Invoice", "invoicedOn"),),
    "due": (("Invoice", "due"),),
    "item": (("InvoiceLine", "sku"),),
    "past_due": (("Invoice", "open"), ("Invoice", "due")),
    "open": (("Invoice", "open"),),
    "text": (("Invoice", "number"), ("Invoice", "orderNumbers")),
    "INVOICED_ON": (("Invoice", "invoicedOn"),),
    "DUE_ON": (("Invoice", "due"),),
}
RETURN_FIELDS: Mapping[str, Sequence[Key]] = {
    "shipment_state": (("Return", "shipmentState"),),
    "credit_state": (("Return", "creditState"),),
    "requested": (("Return", "requestedOn"),),
    "item": (("ReturnLine", "sku"),),
    "open": (("Return", "creditState"),),
    "text": (("Return", "number"), ("Return", "orderNumber"), ("Return", "reason")),
    "REQUESTED_ON": (("Return", "requestedOn"),),
}
INVOICE_LIST = RowList(
    "billing", InvoiceQuery, "InvoiceConnection", INVOICE_FIELDS, "invoices_by_customer", "search_invoices"
)
RETURN_LIST = RowList(
    "billing", ReturnQuery, "ReturnConnection", RETURN_FIELDS, "returns_by_customer", "search_returns"
)


async def invoice_list(
    ctx: Context,
    first: int,
    after: str | None = None,
    order_by: InvoiceSort = InvoiceSort.INVOICED_ON_DESC,
    customers: Sequence[CustomerKey] | None = None,
    filter: InvoiceFilter | None = None,
) -> Connection[Invoice]:
    """Root: invoices and credit memos of the caller's customers, or of some of them."""
    return await INVOICE_LIST.over_customers(ctx, first, after, order_by, filter or InvoiceFilter(), customers)


async def return_list(
    ctx: Context,
    first: int,
    after: str | None = None,
    order_by: ReturnSort = ReturnSort.REQUESTED_ON_DESC,
    customers: Sequence[CustomerKey] | None = None,
    filter: ReturnFilter | None = None,
) -> Connection[Return]:
    """Root: returns of the caller's customers, or of some of them."""
    return await RETURN_LIST.over_customers(ctx, first, after, order_by, filter or ReturnFilter(), customers)


async def invoices_of_customers(
    rows: Sequence[Customer],
    ctx: Context,
    first: int,
    after: str | None = None,
    order_by: InvoiceSort = InvoiceSort.INVOICED_ON_DESC,
    filter: InvoiceFilter | None = None,
) -> list[Connection[Invoice] | Exception]:
    """Edge: a page of each customer's invoices and credit memos."""
    return await INVOICE_LIST.of_customers(rows, ctx, first, after, order_by, filter or InvoiceFilter())


async def returns_of_customers(
    rows: Sequence[Customer],
    ctx: Context,
    first: int,
    after: str | None = None,
    order_by: ReturnSort = ReturnSort.REQUESTED_ON_DESC,
    filter: ReturnFilter | None = None,
) -> list[Connection[Return] | Exception]:
    """Edge: a page of each customer's returns."""
    return await RETURN_LIST.of_customers(rows, ctx, first, after, order_by, filter or ReturnFilter())


async def customer(rows: Sequence[Invoice | Return], ctx: Context) -> list[Customer | None | Exception]:
    """Edge: whose invoice or return it is."""
    return await ctx.loaders.customers.many([row.customer for row in rows])


async def credit_memos(rows: Sequence[Return], ctx: Context) -> list[Invoice | None | Exception]:
    """Edge: the credit memos of returns, by id, or among the invoices of their orders."""
    named = [row.credit_memo is not None and row.credit_memo_id is None for row in rows]
    orders = [row.order if is_named else None for row, is_named in zip(rows, named, strict=True)]
    sources = list(dict.fromkeys(row.source for row in rows if row.credit_memo_id is not None))

    async def of_source(source: str) -> list[Invoice | None | Exception]:
        ids = [row.credit_memo_id if row.source == source else None for row in rows]
        return await ctx.loaders.invoices_of(source).many(ids)

    by_order, *by_id = await asyncio.gather(ctx.loaders.invoices.many(orders), *map(of_source, sources))
    by_source = dict(zip(sources, by_id, strict=True))
    found: list[Invoice | None | Exception] = []
    for at, (row, one) in enumerate(zip(rows, by_order, strict=True)):
        if row.credit_memo_id is not None:
            found.append(by_source[row.source][at])  # pyright: ignore[reportArgumentType]
        else:
            found.append(one if isinstance(one, Exception) else _memo(row, one or ()))  # pyright: ignore[reportArgumentType]
    return found


def _memo(row: Return, invoices: tuple[Invoice, ...]) -> Invoice | None:
    return next((one for one in invoices if one.number == row.credit_memo and one.source == row.source), None)


async def invoices(rows: Sequence[Order], ctx: Context) -> list[tuple[Invoice, ...] | Exception]:
    """Edge: invoices and credit memos of orders."""
    found = await ctx.loaders.invoices.many(row.number for row in rows)
    return [_of_order(row, one, ctx) for row, one in zip(rows, found, strict=True)]


async def returns(rows: Sequence[Order], ctx: Context) -> list[tuple[Return, ...] | Exception]:
    """Edge: returns of orders."""
    found = await ctx.loaders.returns.many(row.number for row in rows)
    return [_of_order(row, one, ctx) for row, one in zip(rows, found, strict=True)]


def _of_order(order: Order, found: tuple[R, ...] | None | Exception, ctx: Context) -> tuple[R, ...] | Exception:
    if isinstance(found, Exception):
        return found
    return ctx.sources.rows_of_customer("billing", order.customer, found or ())
