"""The warehouses port."""

from __future__ import annotations

from app.auth.principal import SYSTEM
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case, assert_exact

PORT = "warehouses"


async def test_all_warehouses_come_by_code(case: Case, source: Source):
    found = {row.code: row for row in await source.warehouses.all(SYSTEM)}
    assert list(found) == sorted(case.warehouses.exact)
    for code, expected in case.warehouses.exact.items():
        assert_exact(found[code], expected)


async def test_wrong_answers_are_our_errors(case: Case):
    async def read(source: Source):
        return {row.code: row for row in await source.warehouses.all(SYSTEM)}

    await checks.check_wrong_answers(case, lambda source: lambda _: read(source), None)
