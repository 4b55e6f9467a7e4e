"""The commissions port."""

from __future__ import annotations

from app.auth.principal import SYSTEM
from app.sources.commissions import CommissionState, StatementQuery
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "commissions"
ALL = StatementQuery(first=100)


def agents(source: Source) -> checks.Read:
    return lambda keys: source.commissions.agents(SYSTEM, keys)


def sub_agents(source: Source) -> checks.Read:
    return lambda keys: source.commissions.sub_agents(SYSTEM, keys)


def statements(source: Source) -> checks.Read:
    return lambda keys: source.commissions.statements(SYSTEM, keys)


def statements_of(source: Source) -> checks.Read:
    return lambda keys: source.commissions.statements_of(SYSTEM, keys, ALL)


READS = {"agents": agents, "below": sub_agents, "statements": statements, "newest": statements_of}


async def test_rows_are_read_by_key(case: Case, source: Source):
    for facts, read in READS.items():
        known = list(getattr(case.commissions, facts))
        await checks.check_reads_by_keys(read(source), known, case.commissions.unknown)


async def test_calls_do_not_grow_with_keys(case: Case, source: Source):
    for facts, read in READS.items():
        await checks.check_calls_do_not_grow(read(source), list(getattr(case.commissions, facts)))


async def test_hostile_keys_are_unknown(case: Case, source: Source):
    for facts, read in READS.items():
        await checks.check_hostile_keys(read(source), next(iter(getattr(case.commissions, facts))))


async def test_wrong_answers_are_our_errors(case: Case):
    for facts, read in READS.items():
        await checks.check_wrong_answers(case, read, next(iter(getattr(case.commissions, facts))))


async def test_agents_have_their_values(case: Case, source: Source):
    found = await checks.read_all(agents(source), case.commissions.agents)
    for number, expected in case.commissions.agents.items():
        assert_exact(found[number], expected)
        assert (found[number].number, found[number].freshness.source) == (number, source.name)


async def test_agents_below_know_their_ancestors(case: Case, source: Source):
    found = await checks.read_all(sub_agents(source), case.commissions.below)
    for number, expected in case.commissions.below.items():
        assert tuple(row.number for row in found[number]) == expected
        assert {row.ancestors[0] for row in found[number]} == {number}


async def test_statements_have_their_values(case: Case, source: Source):
    found = await checks.read_all(statements(source), case.commissions.statements)
    for number, expected in case.commissions.statements.items():
        assert_exact(found[number], expected)
        assert (found[number].number, found[number].freshness.source) == (number, source.name)


async def test_statements_of_an_agent_come_newest_first_as_queried(case: Case, source: Source):
    known = case.commissions.newest
    found = await checks.read_all(statements_of(source), known)
    assert {agent: tuple(row.number for row in rows) for agent, rows in found.items()} == known
    assert {row.agent for rows in found.values() for row in rows} == set(known)
    agent, numbers = next(iter(known.items()))
    newest, third = found[agent][0], found[agent][2]
    assert third.period_start < third.period_end < newest.period_start
    queries = {
        numbers[:2]: StatementQuery(first=2),
        numbers[2:]: StatementQuery(first=9, until=third.period_end),
        numbers[:1]: StatementQuery(first=9, since=newest.period_start),
        numbers[1:2]: StatementQuery(first=9, status=(CommissionState.APPROVED,)),
    }
    for expected, query in queries.items():
        rows = (await source.commissions.statements_of(SYSTEM, [agent], query))[agent]
        assert tuple(row.number for row in rows) == expected
