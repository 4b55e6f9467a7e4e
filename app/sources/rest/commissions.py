"""Agents and commission statements over the `rest` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.sources.commissions import Agent, AgentStatus, CommissionState, CommissionStatement, StatementQuery
from app.sources.rest import contract
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper


@dataclass(frozen=True, slots=True)
class RestCommissions:
    """The commissions port."""

    client: RESTClient
    mapper: Mapper

    async def agents(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Agent]:
        rows = await self.client.read_keys(contract.AGENTS, numbers, lambda keys: contract.ByNumber(numbers=keys))
        return {key: self._agent(row) for key, row in rows}

    async def sub_agents(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Agent, ...]]:
        """The agents directly below agents, by number."""
        rows = await self.client.read_keys(contract.SUB_AGENTS, numbers, lambda keys: contract.ByNumber(numbers=keys))
        return {key: tuple(self._agent(row) for row in value) for key, value in rows if value}

    async def statements(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, CommissionStatement]:
        rows = await self.client.read_keys(contract.STATEMENTS, numbers, lambda keys: contract.ByNumber(numbers=keys))
        return {key: self._statement(row) for key, row in rows}

    async def statements_of(
        self, principal: Principal, agents: Sequence[str], query: StatementQuery
    ) -> Mapping[str, tuple[CommissionStatement, ...]]:
        """Statements by agent number, newest period first."""
        rows = await self.client.read_keys(
            contract.STATEMENTS_BY_AGENT, agents, lambda keys: contract.StatementsSearch(agents=keys, query=query)
        )
        return {key: tuple(self._statement(row) for row in value[: query.first]) for key, value in rows if value}

    def _agent(self, row: Any) -> Agent:
        return self.mapper.fill(
            Agent,
            row,
            refs=self.mapper.refs(row),
            freshness=self.mapper.freshness(row.as_of),
            **self.mapper.statuses(AgentStatus, row, "agent.status"),
        )

    def _statement(self, row: Any) -> CommissionStatement:
        return self.mapper.fill(
            CommissionStatement,
            row,
            refs=self.mapper.refs(row),
            freshness=self.mapper.freshness(row.as_of),
            **self.mapper.statuses(CommissionState, row, "commission_statement.status"),
        )
