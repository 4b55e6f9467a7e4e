"""The sandbox's agents in three tiers, and their statements of four months in every state."""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Any

from app.sandbox.pricing import money, to_cent
from app.sandbox.trade import Calendar, Sale
from app.sources.commissions import StatementQuery

REGIONS, REPS = 4, 6
RATES = {1: ("0.5", 5), 2: ("1", 10), 3: ("5", 50)}
"""By tier: the rate in percent, and in thousandths."""

STATES = ("OPEN", "APPROVED", "PAID", "PAID")
"""By the age of the period in months."""

NEWEST = 104
"""The last part of the number of each agent's newest statement."""

EVERY = 12
"""One order in so many is sold through an agent."""

DISPUTED = "AG-02-04-06"
"""An agent whose approved statement has a state that the gateway does not know."""


def agent_rows() -> list[dict[str, Any]]:
    """Two agents of tier 1, four of tier 2 below each, six of tier 3 below each of those."""
    rows: list[dict[str, Any]] = []
    for first in ("AG-01", "AG-02"):
        rows.append(_agent(first, ()))
        for region in range(1, REGIONS + 1):
            second = f"{first}-{region:02d}"
            rows.append(_agent(second, (first,)))
            rows += [_agent(f"{second}-{rep:02d}", (second, first)) for rep in range(1, REPS + 1)]
    return [{"id": f"a{ordinal}", **row} for ordinal, row in enumerate(rows, 1)]


def _agent(number: str, ancestors: tuple[str, ...]) -> dict[str, Any]:
    tier = len(ancestors) + 1
    inactive = number.endswith("-05")
    return {"number": number, "name": f"{('Agency', 'Region', 'Rep')[tier - 1]} {number[3:]}", "tier": tier,
            "status": "INACTIVE" if inactive else "ACTIVE", "rawStatus": "I" if inactive else "A",
            "ancestors": ancestors}  # fmt: skip


def statement_rows(agents: list[dict[str, Any]], sold: Iterable[Sale], calendar: Calendar) -> list[dict[str, Any]]:
    """Statements of all agents, by agent, newest period first. Agents above earn a share of the same orders.
    Which order is in which statement depends on its age, so that the figures are the same for every build day."""
    reps = [agent for agent in agents if agent["tier"] == 3]
    earned: dict[tuple[str, int], list[Sale]] = defaultdict(list)
    for sale in sold:
        if sale.index % EVERY == 0 and sale.total and sale.age // 31 < len(STATES):
            rep = reps[sale.account.index % len(reps)]
            for number in (rep["number"], *rep["ancestors"]):
                earned[number, sale.age // 31].append(sale)
    keys = [(agent, age) for agent in agents for age in range(len(STATES))]
    return [_statement(f"c{ordinal}", agent, age, calendar.day, earned[agent["number"], age])
            for ordinal, (agent, age) in enumerate(keys, 1)]  # fmt: skip


def _month(day: date, age: int) -> date:
    months = day.year * 12 + day.month - 1 - age
    return date(months // 12, months % 12 + 1, 1)


def _statement(id_: str, agent: dict[str, Any], age: int, day: date, sold: list[Sale]) -> dict[str, Any]:
    start = _month(day, age)
    rate, share = RATES[agent["tier"]]
    amounts = [to_cent(sale.total * share // 1000) for sale in sold]
    disputed = agent["number"] == DISPUTED and age == 1
    return {
        "id": id_, "number": f"CS-{agent['number'][3:]}-{NEWEST - age}", "agent": agent["number"],
        "ancestors": agent["ancestors"], "periodStart": start.isoformat(),
        "periodEnd": start.replace(day=monthrange(start.year, start.month)[1]).isoformat(),
        "status": "DISPUTED" if disputed else STATES[age],
        "base": money(sum(sale.total for sale in sold)), "total": money(sum(amounts)),
        "lines": [{"orderNumber": sale.number, "base": money(sale.total), "rate": rate, "amount": money(amount)}
                  for sale, amount in zip(sold, amounts, strict=True)],
    }  # fmt: skip


def selects(query: StatementQuery, row: dict[str, Any]) -> bool:
    """Whether a stored statement is one that the query asks for."""
    end = date.fromisoformat(row["periodEnd"])
    return (
        (query.since is None or end >= query.since)
        and (query.until is None or end <= query.until)
        and (not query.status or row["status"] in query.status)
    )
