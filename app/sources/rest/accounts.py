"""Account assignments over the `rest` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.auth.principal import Principal
from app.sources.accounts import AccountAssignment
from app.sources.rest import account_operations
from app.sources.rest.client import RESTClient


@dataclass(frozen=True, slots=True)
class RestAccounts:
    """The accounts port."""

    client: RESTClient

    async def assigned(self, principal: Principal, salespeople: Sequence[str]) -> Mapping[str, AccountAssignment]:
        """Assignments by salesperson."""
        rows = await self.client.read_keys(
            account_operations.ACCOUNTS, salespeople, lambda keys: account_operations.AccountsRead(salespeople=keys)
        )
        return dict(rows)
