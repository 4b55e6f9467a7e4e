"""The item contents port."""

from __future__ import annotations

from app.auth.principal import SYSTEM
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "contents"


def contents(source: Source) -> checks.Read:
    return lambda keys: source.contents.contents(SYSTEM, keys)


async def test_contents_are_read_by_sku(case: Case, source: Source):
    await checks.check_reads_by_keys(contents(source), case.contents.known, case.contents.unknown)


async def test_calls_do_not_grow_with_items(case: Case, source: Source):
    await checks.check_calls_do_not_grow(contents(source), case.contents.known)


async def test_hostile_skus_are_unknown(case: Case, source: Source):
    await checks.check_hostile_keys(contents(source), case.contents.known[0])


async def test_wrong_answers_are_our_errors(case: Case):
    await checks.check_wrong_answers(case, contents, case.contents.known[0])


async def test_content_has_its_values(case: Case, source: Source):
    found = await source.contents.contents(SYSTEM, list(case.contents.exact))
    for sku, expected in case.contents.exact.items():
        assert found[sku].sku == sku
        assert_exact(found[sku], expected)
