"""Agents and their commission statements."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import commissions as edges
from app.schema.base import FIRST, Freshness, Money, Node, Ref, bound_to, field, open_to, reads_as
from app.schema.declare.edges import Argument, edge
from app.schema.declare.enums import enum
from app.schema.orders import Order
from app.sources import commissions as records
from app.sources.commissions import AGENT, COMMISSION, AgentStatus, CommissionState

enum(
    AgentStatus,
    "Status of an agent.",
    ACTIVE="Active.",
    INACTIVE="Inactive.",
    UNKNOWN="The source has a status that the gateway does not know; see `rawStatus`.",
)
enum(
    CommissionState,
    "State of a commission statement.",
    OPEN="The period is open or the statement is not approved.",
    APPROVED="Approved, not paid.",
    PAID="Paid.",
    UNKNOWN="The source has a state that the gateway does not know; see `rawStatus`.",
)


@bound_to(records.CommissionLine, requires=Scope.COMMISSIONS, rows=Rows.AGENTS)
@strawberry.type(description="The commission on one order.")
class CommissionLine:
    order_number: str = field("Number of the order.")
    base: Money = field("Base amount.")
    rate: Decimal = field("Rate in percent of the base amount.")
    amount: Money = field("Commission, as the source reports it.")
    order = edge(
        edges.order_of,
        returns=Order | None,
        description="The order, from its system of record.",
        requires=Scope.ORDERS,
    )


@bound_to(records.CommissionStatement, requires=Scope.COMMISSIONS, rows=Rows.AGENTS, volatility=COMMISSION)
@strawberry.type(description="The commission of an agent in a period: figures of the settlement system.")
class CommissionStatement(Node):
    number: str = field("Number of the statement.")
    period_start: date = field("First day of the period.")
    period_end: date = field("Last day of the period.")
    status: CommissionState = field("State of the statement.", name="state")
    raw_status: str | None = field("The source's own state value.")
    base: Money = field("Sum of the base amounts.")
    total: Money = field("Total commission.")
    lines: list[CommissionLine] = field("The lines.")
    refs: list[Ref] = field("Its ids in the connected systems.")
    freshness: Freshness = field("The source of the data and its age.")
    agent = edge(
        edges.agent_of,
        returns=Annotated["Agent", strawberry.lazy("app.schema.commissions")] | None,  # type: ignore[operator]
        description="The agent.",
    )


@bound_to(records.Agent, requires=Scope.COMMISSIONS, rows=Rows.AGENTS, volatility=AGENT)
@strawberry.type(description="A sales agent of the distributor.")
class Agent(Node):
    number: str = field("Number of the agent.")
    name: str = field("Name of the agent.")
    tier: int = field("Tier of the agent, 1 for agents without a parent.")
    status: AgentStatus = field("Status of the agent.")
    raw_status: str | None = field("The source's own status value.")
    refs: list[Ref] = field("Its ids in the connected systems.")
    freshness: Freshness = field("The source of the data and its age.")
    parent = edge(
        edges.parent,
        returns=Annotated["Agent", strawberry.lazy("app.schema.commissions")] | None,  # type: ignore[operator]
        description="The agent one tier above; null if it does not exist for the caller.",
    )
    sub_agents = edge(
        edges.sub_agents,
        returns=list[Annotated["Agent", strawberry.lazy("app.schema.commissions")]] | None,
        description="The agents one tier below, by number.",
    )
    statements = edge(
        edges.statements,
        returns=list[CommissionStatement] | None,
        description="Commission statements of the agent, newest period first.",
        args={
            "first": FIRST,
            "since": Argument(date | None, "Only periods that end on or after this day."),
            "until": Argument(date | None, "Only periods that end on or before this day."),
            "state": Argument(list[CommissionState] | None, "Only statements in one of these states."),
        },
    )


@open_to(Scope.COMMISSIONS)
@reads_as(edges.NumberKey)
@strawberry.input(description="An agent, by exactly one of these.", one_of=True)
class AgentKey:
    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    number: str | None = strawberry.field(description="Its number.", default=strawberry.UNSET)


@open_to(Scope.COMMISSIONS)
@reads_as(edges.NumberKey)
@strawberry.input(description="A commission statement, by exactly one of these.", one_of=True)
class CommissionStatementKey:
    id: strawberry.ID | None = strawberry.field(description="Its id in the graph.", default=strawberry.UNSET)
    number: str | None = strawberry.field(description="Its number.", default=strawberry.UNSET)
