"""Receivables over the `rest` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.sources.receivables import (
    AccountStatement,
    AgeingBucket,
    AgeingPeriod,
    OpenItem,
    OpenItemQuery,
    ReceivableKind,
    ReceivablesSummary,
    StatementEntry,
    StatementPeriod,
)
from app.sources.rest import account_operations
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper
from app.sources.values import Page, together


@dataclass(frozen=True, slots=True)
class RestReceivables:
    """The receivables port."""

    client: RESTClient
    mapper: Mapper

    async def summary(self, principal: Principal, customers: Sequence[str]) -> Mapping[str, ReceivablesSummary]:
        rows = await self.client.read_keys(
            account_operations.RECEIVABLES, customers, lambda keys: account_operations.ByCustomer(customers=keys)
        )
        return {key: self._summary(row) for key, row in rows}

    async def open_items(
        self, principal: Principal, customers: Sequence[str], query: OpenItemQuery
    ) -> Mapping[str, Page[OpenItem]]:
        distinct = self.client.valid_keys(customers)
        answers = await together(
            [
                self.client.read(
                    account_operations.OPEN_ITEMS,
                    account_operations.OpenItemsSearch(customers=chunk, query=query),
                    cursor=True,
                    keys=len(chunk),
                )
                for chunk in self.client.chunks(distinct)
            ]
        )
        return {row.key: self._page(row.value) for answer in answers for row in answer if row.key in distinct}

    async def statements(
        self, principal: Principal, customers: Sequence[str], period: StatementPeriod
    ) -> Mapping[str, AccountStatement]:
        """The account statement of each customer."""
        rows = await self.client.read_keys(
            account_operations.ACCOUNT_STATEMENTS,
            customers,
            lambda keys: account_operations.AccountStatementsRead(customers=keys, period=period),
        )
        return {key: self._statement(row) for key, row in rows}

    def _summary(self, row: Any) -> ReceivablesSummary:
        ageing = tuple(
            self.mapper.fill(
                AgeingBucket, part, period=self.mapper.status(AgeingPeriod, part.period, "receivables.ageing.period")
            )
            for part in row.ageing
        )
        return self.mapper.fill(ReceivablesSummary, row, ageing=ageing, freshness=self.mapper.freshness(row.as_of))

    def _page(self, page: Any) -> Page[OpenItem]:
        return self.mapper.fill(Page, page, rows=tuple(self._item(row) for row in page.rows))

    def _item(self, row: Any) -> OpenItem:
        period = row.period and self.mapper.status(AgeingPeriod, row.period, "open_item.period")
        return self.mapper.fill(
            OpenItem,
            row,
            kind=self.mapper.status(ReceivableKind, row.kind, "open_item.kind"),
            period=period,
            refs=self.mapper.refs(row),
            freshness=self.mapper.freshness(row.as_of),
        )

    def _statement(self, row: Any) -> AccountStatement:
        entries = tuple(
            self.mapper.fill(
                StatementEntry,
                entry,
                kind=self.mapper.status(ReceivableKind, entry.kind, "account_statement.entry.kind"),
            )
            for entry in row.entries
        )
        return self.mapper.fill(AccountStatement, row, entries=entries, freshness=self.mapper.freshness(row.as_of))
