"""The change feed."""

from __future__ import annotations

import pytest

from app.auth.principal import SYSTEM
from app.errors import InvalidCursor
from app.sources.changes import FeedChange
from app.sources.source import Source
from tests.contract import checks
from tests.contract.case import Case

PORT = "changes"


async def test_feed_starts_now_without_changes(case: Case, source: Source):
    start = await source.changes.since(SYSTEM, case.changes.kinds, None)
    assert (start.changes, start.more) == ((), False)
    after = await source.changes.since(SYSTEM, case.changes.kinds, start.cursor)
    assert after.changes == ()


async def test_feed_read_in_pages_is_whole(case: Case, source: Source):
    if (cursor := case.changes.earliest) is None:
        return
    seen: list[FeedChange] = []
    more = True
    while more:
        part = await source.changes.since(SYSTEM, case.changes.kinds, cursor, limit=100)
        assert len(part.changes) <= 100
        seen += part.changes
        cursor, more = part.cursor, part.more
    whole = await source.changes.since(SYSTEM, case.changes.kinds, case.changes.earliest, limit=1000)
    assert seen[: len(whole.changes)] == list(whole.changes)
    assert len(seen) >= case.changes.minimum
    assert {change.kind for change in seen} <= case.changes.kinds
    assert [change.at for change in seen] == sorted(change.at for change in seen)


async def test_garbage_cursor_is_refused(case: Case, source: Source):
    for garbage in ("garbage", "\U0001f529", "x" * 5000):
        with pytest.raises(InvalidCursor):
            await source.changes.since(SYSTEM, case.changes.kinds, garbage)


async def test_wrong_answers_are_our_errors(case: Case, source: Source):
    start = (await source.changes.since(SYSTEM, case.changes.kinds, None)).cursor

    async def read(broken: Source):
        return {"": await broken.changes.since(SYSTEM, case.changes.kinds, start)}

    await checks.check_wrong_answers(case, lambda broken: lambda _: read(broken), None)
