"""The receivables port."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.auth.principal import SYSTEM
from app.errors import NotSupported
from app.sources.pipeline.compose import compile_source
from app.sources.receivables import OpenItemQuery, StatementPeriod
from app.sources.source import Source
from app.sources.values import Page, PageRequest, utc_now
from tests.contract import checks
from tests.contract.case import Case, assert_exact, counted_calls

PORT = "receivables"
ALL = OpenItemQuery(page=PageRequest(first=100, count=True))


def summary(source: Source) -> checks.Read:
    return lambda keys: source.receivables.summary(SYSTEM, keys)


def open_items(source: Source) -> checks.Read:
    return lambda keys: source.receivables.open_items(SYSTEM, keys, ALL)


async def period_of(case: Case, source: Source) -> StatementPeriod:
    """The days of the facts, before the day on which the source ages items."""
    facts = case.receivables
    known = next(iter(facts.summaries))
    aged_on = (await summary(source)([known]))[known].aged_on
    return StatementPeriod(since=aged_on - timedelta(days=facts.since), until=aged_on - timedelta(days=facts.until))


async def statements(case: Case, source: Source) -> checks.Read:
    period = await period_of(case, source)
    return lambda keys: source.receivables.statements(SYSTEM, keys, period)


async def test_figures_are_read_by_customer(case: Case, source: Source):
    facts = case.receivables
    await checks.check_reads_by_keys(summary(source), list(facts.summaries), facts.unknown)
    if not facts.open_items:
        compiled = compile_source(source, utc_now)
        for read in (open_items(compiled), await statements(case, compiled)):
            with pytest.raises(NotSupported, match=f"'{source.name}' does not support receivables"):
                await read(list(facts.summaries))
        return
    await checks.check_reads_by_keys(open_items(source), list(facts.open_items), facts.unknown)
    await checks.check_reads_by_keys(await statements(case, source), list(facts.statements), facts.unknown)


async def test_calls_do_not_grow_with_customers_or_rows(case: Case, source: Source):
    facts = case.receivables
    await checks.check_calls_do_not_grow(summary(source), list(facts.summaries))
    if not facts.open_items:
        return
    await checks.check_calls_do_not_grow(await statements(case, source), list(facts.statements))
    counts = set()
    for first in (1, 50):
        with counted_calls() as calls:
            query = OpenItemQuery(page=PageRequest(first=first))
            await source.receivables.open_items(SYSTEM, list(facts.open_items), query)
        counts.add(len(calls))
    assert len(counts) == 1


async def test_hostile_keys_are_unknown(case: Case, source: Source):
    facts = case.receivables
    reads = [summary(source)]
    if facts.open_items:
        reads += [open_items(source), await statements(case, source)]
    for read in reads:
        await checks.check_hostile_keys(read, next(iter(facts.summaries)))


async def test_wrong_answers_are_our_errors(case: Case, source: Source):
    period = await period_of(case, source)
    known = next(iter(case.receivables.summaries))
    readers = [summary]
    if case.receivables.open_items:
        readers += [open_items, lambda one: lambda keys: one.receivables.statements(SYSTEM, keys, period)]
    for reader in readers:
        await checks.check_wrong_answers(case, reader, known)


async def test_summaries_have_their_values(case: Case, source: Source):
    found = await checks.read_all(summary(source), case.receivables.summaries)
    for number, expected in case.receivables.summaries.items():
        assert_exact(found[number], expected)
        assert (found[number].customer, found[number].freshness.source) == (number, source.name)


async def test_open_items_come_oldest_due_first(case: Case, source: Source):
    if not case.receivables.open_items:
        return
    facts = case.receivables
    found = await checks.read_all(open_items(source), facts.open_items)
    assert {number: tuple(row.number for row in page.rows) for number, page in found.items()} == facts.open_items
    for number, page in found.items():
        assert {row.customer for row in page.rows} == {number}
        assert page.total in {None, len(page.rows)}
        days = [row.due for row in page.rows if row.due is not None]
        assert days == sorted(days)
    first = next(iter(facts.open_items))
    assert_exact(found[first].rows[0], facts.item)


async def test_past_due_items_are_filtered_by_the_source(case: Case, source: Source):
    if not case.receivables.open_items:
        return
    facts = case.receivables
    query = OpenItemQuery(page=PageRequest(first=100), overdue=True)
    customer, numbers = next(iter(facts.open_items.items()))
    page = (await source.receivables.open_items(SYSTEM, [customer], query))[customer]
    assert tuple(row.number for row in page.rows) == numbers[: facts.overdue]


async def test_pages_are_the_whole_list(case: Case, source: Source):
    if not case.receivables.open_items:
        return
    customer, numbers = next(iter(case.receivables.open_items.items()))

    async def turn(page: PageRequest) -> Page:
        return (await source.receivables.open_items(SYSTEM, [customer], OpenItemQuery(page=page)))[customer]

    assert tuple(await checks.check_pages(turn, lambda row: row.number, size=min(3, len(numbers) - 1))) == numbers
    await checks.check_cursors(turn)


async def test_statements_have_their_values(case: Case, source: Source):
    if not case.receivables.open_items:
        return
    facts = case.receivables
    period = await period_of(case, source)
    found = await checks.read_all(await statements(case, source), facts.statements)
    for number, expected in facts.statements.items():
        statement = found[number]
        assert_exact(statement, expected)
        assert (statement.customer, statement.since, statement.until) == (number, period.since, period.until)
        assert [entry.on for entry in statement.entries] == sorted(entry.on for entry in statement.entries)
        moved = sum(entry.amount.amount for entry in statement.entries)
        assert statement.opening.amount + moved == statement.closing.amount
