"""Invoices and returns over the `rest` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.sources.billing import (
    Invoice,
    InvoiceQuery,
    InvoiceStatus,
    Return,
    ReturnCreditState,
    ReturnQuery,
    ReturnShipmentState,
)
from app.sources.rest import contract, list_operations, return_operations
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper
from app.sources.values import Page


@dataclass(frozen=True, slots=True)
class RestBilling:
    """The billing port."""

    client: RESTClient
    mapper: Mapper

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Invoice]:
        """Invoices and credit memos by id."""
        rows = await self.client.read_keys(contract.INVOICES_BY_ID, ids, lambda keys: contract.ByInvoice(ids=keys))
        return {key: self._invoice(row) for key, row in rows}

    async def invoices(self, principal: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Invoice, ...]]:
        """Invoices and credit memos by order number, oldest first."""
        rows = await self.client.read_keys(contract.INVOICES, orders, lambda keys: contract.ByOrder(orders=keys))
        return {key: tuple(self._invoice(row) for row in value) for key, value in rows if value}

    async def returns(self, principal: Principal, orders: Sequence[str]) -> Mapping[str, tuple[Return, ...]]:
        rows = await self.client.read_keys(contract.RETURNS, orders, lambda keys: contract.ByOrder(orders=keys))
        return {key: tuple(self._return(row) for row in value) for key, value in rows if value}

    async def returns_by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Return]:
        rows = await self.client.read_keys(
            return_operations.RETURNS_BY_ID, ids, lambda keys: return_operations.ReturnsRead(ids=keys)
        )
        return {key: self._return(row) for key, row in rows}

    async def returns_by_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Return]:
        rows = await self.client.read_keys(
            return_operations.RETURNS_BY_NUMBER,
            numbers,
            lambda keys: return_operations.ReturnNumbersRead(numbers=keys),
        )
        return {key: self._return(row) for key, row in rows}

    async def invoices_by_customer(
        self, principal: Principal, customers: Sequence[str], query: InvoiceQuery
    ) -> Mapping[str, Page[Invoice]]:
        return await self.client.read_pages(list_operations.INVOICES_BY_CUSTOMER, customers, query, self._invoice)

    async def search_invoices(self, principal: Principal, query: InvoiceQuery) -> Page[Invoice]:
        return await self.client.read_page(list_operations.INVOICE_SEARCH, query, self._invoice)

    async def returns_by_customer(
        self, principal: Principal, customers: Sequence[str], query: ReturnQuery
    ) -> Mapping[str, Page[Return]]:
        return await self.client.read_pages(list_operations.RETURNS_BY_CUSTOMER, customers, query, self._return)

    async def search_returns(self, principal: Principal, query: ReturnQuery) -> Page[Return]:
        return await self.client.read_page(list_operations.RETURN_SEARCH, query, self._return)

    def _invoice(self, row: Any) -> Invoice:
        return self.mapper.fill(
            Invoice,
            row,
            source=self.mapper.source,
            refs=self.mapper.refs(row),
            freshness=self.mapper.freshness(row.as_of),
            **self.mapper.statuses(InvoiceStatus, row, "invoice.status"),
        )

    def _return(self, row: Any) -> Return:
        return self.mapper.fill(
            Return,
            row,
            source=self.mapper.source,
            freshness=self.mapper.freshness(row.as_of),
            shipment_state=self.mapper.status(ReturnShipmentState, row.shipment_state, "return.shipment_state"),
            credit_state=self.mapper.status(ReturnCreditState, row.credit_state, "return.credit_state"),
        )
