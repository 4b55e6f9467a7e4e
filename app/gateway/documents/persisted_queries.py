"""Documents that our own front ends register by hash as they go: Apollo's automatic persisted queries.

Kept in memory, each client's apart from the others': whatever one registers, it can only push out its own. A client
whose document is gone sends it again, as its protocol has it.
"""

from __future__ import annotations

from cachetools import LRUCache

MAX_CHARACTERS = 200_000
"""Text that is kept for one client; a document of more than a twentieth of it is run and not kept."""

MAX_CLIENTS = 100


class PersistedQueries:
    """Texts by client and id. Who keeps one has made sure that it is valid and has that id."""

    def __init__(self, *, characters: int = MAX_CHARACTERS, clients: int = MAX_CLIENTS) -> None:
        self._characters = characters
        self._clients: LRUCache[str, LRUCache[str, str]] = LRUCache(maxsize=clients)

    def get(self, client: str, id_: str) -> str | None:
        """The text, if it is still there."""
        texts = self._clients.get(client)
        return None if texts is None else texts.get(id_)

    def store(self, client: str, id_: str, text: str) -> None:
        """Keep a text; long ones are not."""
        if len(text) > self._characters // 20:
            return
        if client not in self._clients:
            self._clients[client] = LRUCache(maxsize=self._characters, getsizeof=len)
        self._clients[client][id_] = text
