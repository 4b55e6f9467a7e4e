"""Purchase histories and order guides over the `rest` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.sources.items import CustomerItemKey
from app.sources.purchases import LAST_PURCHASES, OrderGuideBasis, OrderGuideItem, OrderGuideQuery, PurchaseHistory
from app.sources.rest import account_operations
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper
from app.sources.values import Page, together


@dataclass(frozen=True, slots=True)
class RestPurchases:
    """The purchases port."""

    client: RESTClient
    mapper: Mapper

    async def history(
        self, principal: Principal, keys: Sequence[CustomerItemKey]
    ) -> Mapping[CustomerItemKey, PurchaseHistory]:
        """Purchase histories by customer and SKU."""
        rows = await self.client.read_keys(
            account_operations.PURCHASE_HISTORY,
            keys,
            lambda chunk: account_operations.PurchaseHistoryRead(items=chunk),
        )
        return {key: self._history(row) for key, row in rows}

    async def order_guide(
        self, principal: Principal, customers: Sequence[str], query: OrderGuideQuery
    ) -> Mapping[str, Page[OrderGuideItem]]:
        """A page of each customer's order guide."""
        distinct = self.client.valid_keys(customers)
        answers = await together(
            [
                self.client.read(
                    account_operations.ORDER_GUIDES,
                    account_operations.OrderGuidesSearch(customers=chunk, query=query),
                    cursor=True,
                    keys=len(chunk),
                )
                for chunk in self.client.chunks(distinct)
            ]
        )
        return {row.key: self._page(row.value) for answer in answers for row in answer if row.key in distinct}

    def _history(self, row: Any) -> PurchaseHistory:
        return self.mapper.fill(
            PurchaseHistory, row, last=row.last[:LAST_PURCHASES], freshness=self.mapper.freshness(row.as_of)
        )

    def _page(self, page: Any) -> Page[OrderGuideItem]:
        rows = tuple(
            self.mapper.fill(
                OrderGuideItem,
                row,
                basis=self.mapper.status(OrderGuideBasis, row.basis, "order_guide.basis"),
                freshness=self.mapper.freshness(row.as_of),
            )
            for row in page.rows
        )
        return self.mapper.fill(Page, page, rows=rows)
