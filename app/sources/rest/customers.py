"""Customers and credit over the `rest` contract."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.sources.customers import CreditStatus, Customer, CustomerPart, CustomerQuery, CustomerStatus
from app.sources.rest import contract
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper
from app.sources.values import Page


@dataclass(frozen=True, slots=True)
class RestCustomers:
    """The customers port."""

    client: RESTClient
    mapper: Mapper

    async def by_number(
        self, principal: Principal, numbers: Sequence[str], parts: Collection[CustomerPart] = ()
    ) -> Mapping[str, Customer]:
        """Customers by number, with their credit if asked."""
        include = tuple(sorted(parts))
        rows = await self.client.read_keys(
            contract.CUSTOMERS, numbers, lambda keys: contract.CustomersRead(numbers=keys, include=include)
        )
        return {key: customer(row, self.mapper) for key, row in rows}

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Customer]:
        rows = await self.client.read_keys(contract.CUSTOMERS, ids, lambda keys: contract.CustomersRead(ids=keys))
        return {key: customer(row, self.mapper) for key, row in rows}

    async def search(self, principal: Principal, query: CustomerQuery) -> Page[Customer]:
        page = await self.client.read(contract.CUSTOMER_SEARCH, query, cursor=True)
        return self.mapper.fill(Page, page, rows=tuple(customer(row, self.mapper) for row in page.rows))


@dataclass(frozen=True, slots=True)
class RestCredit:
    """The credit port."""

    client: RESTClient
    mapper: Mapper

    async def status(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, CreditStatus]:
        rows = await self.client.read_keys(contract.CREDIT, numbers, lambda keys: contract.ByCustomer(customers=keys))
        return {key: credit(row, self.mapper) for key, row in rows}


def customer(row: Any, mapper: Mapper) -> Customer:
    if isinstance(row, Customer):
        return row
    return mapper.fill(
        Customer,
        row,
        status=mapper.status(CustomerStatus, row.status, "customer.status"),
        refs=mapper.refs(row),
        credit=None if row.credit is None else credit(row.credit, mapper),
        freshness=mapper.freshness(row.as_of),
    )


def credit(row: Any, mapper: Mapper) -> CreditStatus:
    """A credit record, checked when the system read it."""
    freshness = mapper.freshness(row.as_of or row.checked_at)
    return mapper.fill(CreditStatus, row, checked_at=row.checked_at or freshness.as_of, freshness=freshness)
