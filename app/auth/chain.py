"""Authentication by API key or token, by the credential's form."""

from __future__ import annotations

import asyncio

from app.auth.api_keys import PREFIX, APIKeyAuthenticator, KeyStore
from app.auth.credentials import bearer
from app.auth.principal import Principal
from app.auth.tokens import TokenAuthenticator
from app.settings import Settings


class CompositeAuthenticator:
    """Authenticates API keys and tokens. Call `warm` at start-up and `aclose` at shutdown, which closes the store
    too."""

    def __init__(self, settings: Settings, store: KeyStore) -> None:
        roles = settings.policy.known_roles
        self._tokens = TokenAuthenticator(settings.auth, demo=settings.demo, roles=roles)
        self._store = store
        self._keys = APIKeyAuthenticator(store, roles=roles)

    async def authenticate(self, authorization: str | None) -> Principal:
        """The principal of this credential. Raises Unauthenticated, AuthenticationUnavailable."""
        if bearer(authorization).startswith(PREFIX):
            return await self._keys.authenticate(authorization)
        return await self._tokens.authenticate(authorization)

    async def warm(self) -> None:
        """Load keys before the first request; failures are logged and retried."""
        await asyncio.gather(self._tokens.warm(), self._keys.warm())

    async def aclose(self) -> None:
        """Stop refreshing, and flush."""
        await self._tokens.aclose()
        await self._keys.aclose()
        await self._store.close()
