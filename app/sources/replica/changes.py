"""The changes that came of files and messages, as a source's feed."""

from __future__ import annotations

import json
from dataclasses import dataclass

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.sources.changes import ChangeKind, ChangeSet, FeedChange
from app.sources.replica.store import ReplicaStore, time_of


@dataclass(frozen=True, slots=True)
class ReplicaChanges:
    """Changes in the order in which they were taken. A cursor is the store's epoch and the number of a change."""

    store: ReplicaStore

    async def since(
        self, principal: Principal, kinds: frozenset[ChangeKind], cursor: str | None, limit: int = 500
    ) -> ChangeSet:
        [(epoch, newest, oldest)] = await self.store.read(
            "SELECT (SELECT value FROM meta WHERE name = 'epoch'), coalesce((SELECT seq FROM sqlite_sequence "
            "WHERE name = 'changes'), 0), (SELECT min(number) FROM changes)"
        )
        if cursor is None:
            return ChangeSet(cursor=f"{epoch}:{newest}")
        start, _, digits = cursor.partition(":")
        if start != epoch or not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
            raise InvalidCursor
        after = int(digits)
        if after > newest or (oldest is not None and after < oldest - 1):
            raise InvalidCursor
        query = (
            "SELECT number, kind, key, at FROM changes WHERE number > ? AND kind IN (SELECT value FROM json_each(?)) "
            "ORDER BY number LIMIT ?"
        )
        rows = await self.store.query("changes.since", query, after, json.dumps(sorted(kinds)), limit + 1)
        changes = tuple(
            FeedChange(kind=ChangeKind(kind), key=key, at=time_of(at), id=f"{epoch}:{number}")
            for number, kind, key, at in rows[:limit]
        )
        more = len(rows) > limit
        last = rows[:limit][-1][0] if rows else after
        return ChangeSet(changes=changes, cursor=f"{epoch}:{last if more else max(last, newest)}", more=more)
