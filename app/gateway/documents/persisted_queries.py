"""Apollo's automatic persisted queries: documents that our own front ends register by hash.

In memory, with a cache for each client: a client can only evict its own. A client whose document was evicted sends it
again, as its protocol says.
"""

from __future__ import annotations

from cachetools import LRUCache

MAX_CHARACTERS = 200_000
"""Characters cached for one client; a document of more than a twentieth of it runs and is not cached."""

MAX_CLIENTS = 100


class PersistedQueries:
    """Texts by client and id. The caller of `store` has validated the text and its id."""

    def __init__(self, *, characters: int = MAX_CHARACTERS, clients: int = MAX_CLIENTS) -> None:
        self._characters = characters
        self._clients: LRUCache[str, LRUCache[str, str]] = LRUCache(maxsize=clients)

    def get(self, client: str, id_: str) -> str | None:
        """The cached text, if any."""
        texts = self._clients.get(client)
        return None if texts is None else texts.get(id_)

    def store(self, client: str, id_: str, text: str) -> None:
        """Cache a text unless it is too long."""
        if len(text) > self._characters // 20:
            return
        if client not in self._clients:
            self._clients[client] = LRUCache(maxsize=self._characters, getsizeof=len)
        self._clients[client][id_] = text
