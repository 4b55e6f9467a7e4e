"""Authentication by API key or token, by the credential's form."""

from __future__ import annotations

import asyncio

from app.auth.accounts import AccountDirectory
from app.auth.api_keys import PREFIX, APIKeyAuthenticator, KeyStore
from app.auth.credentials import bearer
from app.auth.principal import Principal
from app.auth.tokens import TokenAuthenticator
from app.settings import Settings


class CompositeAuthenticator:
    """Authenticates API keys and tokens, and resolves the caller's accounts. Call `warm` at start-up and `aclose` at
    shutdown, which closes the store too."""

    def __init__(self, settings: Settings, store: KeyStore, accounts: AccountDirectory | None = None) -> None:
        roles = settings.policy.known_roles
        self._accounts = accounts
        self._tokens = TokenAuthenticator(settings.auth, demo=settings.demo, roles=roles)
        self._store = store
        self._keys = APIKeyAuthenticator(store, roles=roles)

    async def authenticate(self, authorization: str | None) -> Principal:
        """The principal of this credential. Raises Unauthenticated, AuthenticationUnavailable, AccountsUnavailable."""
        by_key = bearer(authorization).startswith(PREFIX)
        principal = await (self._keys if by_key else self._tokens).authenticate(authorization)
        return principal if self._accounts is None else await self._accounts.resolve(principal)

    async def warm(self) -> None:
        """Load keys before the first request; failures are logged and retried."""
        await asyncio.gather(self._tokens.warm(), self._keys.warm())

    async def aclose(self) -> None:
        """Stop refreshing, and flush."""
        await self._tokens.aclose()
        await self._keys.aclose()
        if self._accounts is not None:
            await self._accounts.aclose()
        await self._store.close()
