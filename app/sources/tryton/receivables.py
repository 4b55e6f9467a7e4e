"""Receivables of parties, aged by Tryton itself. It has no last payment, open items by page or statements here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from app.auth.principal import Principal
from app.sources.receivables import AgeingBucket, AgeingPeriod, Receivables, ReceivablesSummary
from app.sources.tryton.client import TrytonClient, usable
from app.sources.tryton.reference import CodeRow
from app.sources.tryton.wire import Number, Row, tagged_day
from app.sources.values import Freshness, Money

BALANCE = "account.aged_balance"

NOT_DUE = -36_500
"""A term in the future: what falls due within a century is not due."""

RECENT, OLD = (NOT_DUE, 1, 31), (31, 61, 91)
"""The three terms of each call, in days past due. Tryton puts what is due today into a column of its own."""


class AgedBalanceRow(Row, kw_only=True):
    """`account.aged_balance`: a party's open amounts by term, and their sum."""

    party: CodeRow
    currency: CodeRow
    term0: Number
    term1: Number
    term2: Number
    term3: Number
    balance: Number


class TrytonReceivables(Receivables):
    """Balance and ageing alone: two calls for any number of customers, because Tryton ages by three terms at a time."""

    def __init__(self, name: str, client: TrytonClient, like: str, clock: Callable[[], datetime]) -> None:
        self._name = name
        self._client = client
        self._like = like
        self._clock = clock

    async def summary(self, who: Principal, customers: Sequence[str]) -> Mapping[str, ReceivablesSummary]:
        """Balance and ageing; absent for customers without open amounts."""
        now, keys = self._clock(), usable(customers)
        recent, old = await asyncio.gather(*(self._aged(keys, terms, now) for terms in (RECENT, OLD)))
        later = {row.id: row for row in old}
        return {
            row.party.code: self._summary(row.party.code, row, later[row.id], now)
            for row in recent
            if row.party.code and row.id in later
        }

    async def _aged(self, keys: Sequence[str], terms: tuple[int, int, int], now: datetime) -> list[AgedBalanceRow]:
        names = ("term1", "term2", "term3")
        context = {"type": "customer", "date": tagged_day(now.date()), "unit": "day", "posted": True}
        return await self._client.search_keys(
            BALANCE,
            keys,
            lambda some: [["party.code", "in", some], ["party.code", "like", self._like]],
            AgedBalanceRow,
            context=context | dict(zip(names, terms, strict=True)),
            call="receivables",
        )

    def _summary(self, code: str, recent: AgedBalanceRow, old: AgedBalanceRow, now: datetime) -> ReceivablesSummary:
        currency = recent.currency.code or ""
        amounts = {
            # The only sum: Tryton splits what is not past due into what is due today and what is due later.
            AgeingPeriod.CURRENT: recent.term1.decimal + recent.term0.decimal,
            AgeingPeriod.DAYS_1_30: recent.term2.decimal,
            AgeingPeriod.DAYS_31_60: old.term1.decimal,
            AgeingPeriod.DAYS_61_90: old.term2.decimal,
            AgeingPeriod.OVER_90: old.term3.decimal,
        }
        return ReceivablesSummary(
            customer=code,
            balance=Money(amount=recent.balance.decimal, currency=currency),
            aged_on=now.date(),
            ageing=tuple(
                AgeingBucket(period=period, amount=Money(amount=amount, currency=currency))
                for period, amount in amounts.items()
            ),
            freshness=Freshness(source=self._name, as_of=now),
        )
