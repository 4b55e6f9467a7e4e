"""All ways to say who one is: the form of a credential tells which of them checks it."""

from __future__ import annotations

import asyncio

from app.auth.api_keys import PREFIX, APIKeyAuthenticator, KeyStore
from app.auth.credentials import bearer
from app.auth.principal import Principal
from app.auth.tokens import TokenAuthenticator
from app.settings import Settings


class CompositeAuthenticator:
    """API keys and tokens behind one seam; what every transport of the gateway asks. `warm` before, `aclose` after,
    which closes the store too."""

    def __init__(self, settings: Settings, store: KeyStore) -> None:
        self._tokens = TokenAuthenticator(settings.auth, demo=settings.demo)
        self._store = store
        self._keys = APIKeyAuthenticator(store)

    async def authenticate(self, authorization: str | None) -> Principal:
        """The bearer of this credential. Raises Unauthenticated, AuthenticationUnavailable."""
        if bearer(authorization).startswith(PREFIX):
            return await self._keys.authenticate(authorization)
        return await self._tokens.authenticate(authorization)

    async def warm(self) -> None:
        """Read what the first callers will need; what fails is logged and tried again."""
        await asyncio.gather(self._tokens.warm(), self._keys.warm())

    async def aclose(self) -> None:
        """Stop reading, and write what is still to be written."""
        await self._tokens.aclose()
        await self._keys.aclose()
        await self._store.close()
