"""Agents, through whom a distributor sells, and their commission statements: the settlement system's own figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from app.auth.principal import Principal
from app.sources.freshness_contracts import Contract, Volatility
from app.sources.node_ids import node_id
from app.sources.ports import Port, Read, RowPredicate, Shape
from app.sources.values import Freshness, Money, Record, Ref

AGENT = Contract(Volatility.SLOW, 0)
COMMISSION = Contract(Volatility.SLOW, 0)


class AgentStatus(StrEnum):
    """Whether an agent sells. UNKNOWN: the source has a status that its adapter does not map."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    UNKNOWN = "UNKNOWN"


class CommissionState(StrEnum):
    """The state of a statement. UNKNOWN: the source has a state that its adapter does not map."""

    OPEN = "OPEN"
    APPROVED = "APPROVED"
    PAID = "PAID"
    UNKNOWN = "UNKNOWN"


class Agent(Record):
    """An agent. `ancestors` are the numbers of the agents above it, its parent first; row scope depends on them.
    `tier` is 1 for agents without a parent."""

    number: str
    name: str
    tier: int
    status: AgentStatus
    raw_status: str | None = None
    ancestors: tuple[str, ...] = ()
    refs: tuple[Ref, ...] = ()
    freshness: Freshness

    @property
    def node_id(self) -> str:
        """The id in the graph."""
        return node_id("Agent", self.number)


class CommissionLine(Record):
    """The commission on one order. `rate` is in percent of `base`."""

    order_number: str
    base: Money
    rate: Decimal
    amount: Money


class CommissionStatement(Record):
    """What an agent earned in a period, both days included. `ancestors` are those of the agent."""

    number: str
    agent: str
    ancestors: tuple[str, ...] = ()
    period_start: date
    period_end: date
    status: CommissionState
    raw_status: str | None = None
    base: Money
    total: Money
    lines: tuple[CommissionLine, ...] = ()
    refs: tuple[Ref, ...] = ()
    freshness: Freshness

    @property
    def node_id(self) -> str:
        """The id in the graph."""
        return node_id("CommissionStatement", self.number)


class StatementQuery(Record):
    """The newest `first` statements of each agent, of periods that end within `since` and `until`; `status` keeps those
    in one of these states."""

    first: int
    since: date | None = None
    until: date | None = None
    status: tuple[CommissionState, ...] = ()


class Commissions(Protocol):
    """Agents and statements of a source. Unknown keys are absent from the mappings."""

    async def agents(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Agent]:
        """Agents by number."""
        ...

    async def sub_agents(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Agent, ...]]:
        """The agents directly below agents, by number; absent where there are none."""
        ...

    async def statements(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, CommissionStatement]:
        """Statements by number."""
        ...

    async def statements_of(
        self, principal: Principal, agents: Sequence[str], query: StatementQuery
    ) -> Mapping[str, tuple[CommissionStatement, ...]]:
        """Statements by agent number, newest period first; absent where there are none."""
        ...


def agents_of_caller(principal: Principal) -> RowPredicate | None:
    """Agents exist for a restricted caller if they are its own or below them."""
    return (lambda row: principal.sees_agent(row.number, row.ancestors)) if principal.restricted else None


def statements_of_caller(principal: Principal) -> RowPredicate | None:
    """Statements exist for a restricted caller if their agents do."""
    return (lambda row: principal.sees_agent(row.agent, row.ancestors)) if principal.restricted else None


def _simulated_agent(row: Any) -> Agent:
    return Agent(number=row.id, name=row.id, tier=2, status=AgentStatus.ACTIVE, ancestors=(f"{row.id}-P",),
                 freshness=row.freshness)  # fmt: skip


def _simulated_statement(row: Any) -> CommissionStatement:
    one, day = Money(amount=Decimal(1), currency="USD"), date(2000, 1, 1)
    line = CommissionLine(order_number=row.key_of_lines("O"), base=one, rate=Decimal(1), amount=one)
    return CommissionStatement(
        number=row.id,
        agent=row.id,
        period_start=day,
        period_end=day,
        status=CommissionState.OPEN,
        base=one,
        total=one,
        lines=(line,) if row.assume.lines else (),
        freshness=row.freshness,
    )


def _agents(shape: Shape) -> Read:
    return Read(record=Agent, shape=shape, row_filter=agents_of_caller, simulated=_simulated_agent, simulated_rows=5)


def _statements(shape: Shape) -> Read:
    return Read(
        record=CommissionStatement, shape=shape, row_filter=statements_of_caller, simulated=_simulated_statement
    )


COMMISSIONS = Port(
    "commissions",
    Commissions,
    {
        "agents": _agents(Shape.ROW),
        "sub_agents": _agents(Shape.ROWS),
        "statements": _statements(Shape.ROW),
        "statements_of": _statements(Shape.ROWS),
    },
)
