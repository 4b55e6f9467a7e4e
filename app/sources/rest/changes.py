"""The change feed over the `rest` contract."""

from __future__ import annotations

from dataclasses import dataclass

from app.auth.principal import Principal
from app.sources.changes import ChangeKind, ChangeSet
from app.sources.rest import contract
from app.sources.rest.client import RESTClient


@dataclass(frozen=True, slots=True)
class RestChanges:
    """The changes port."""

    client: RESTClient

    async def since(
        self, principal: Principal, kinds: frozenset[ChangeKind], cursor: str | None, limit: int = 500
    ) -> ChangeSet:
        request = contract.ChangesRead(kinds=tuple(sorted(kinds)), since=cursor, limit=limit)
        return await self.client.read(contract.CHANGES, request, cursor=True)
