"""Messages that were set aside: listed, replayed with the present options, discarded. For a command beside the gateway.

A replayed message is deleted only after the event log has its hints and the replica its rows, so that a crash repeats
it. Its rows do not replace newer ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

import msgspec

from app.sources.brokers.messages import TopicHandler
from app.sources.changes import ChangeHint
from app.sources.replica.store import ReplicaStore, SetAsideMessage, time_of

Enqueue = Callable[[Sequence[ChangeHint]], Awaitable[object]]

COLUMNS = "number, topic, message, body, code, field, at, sent"
UNKNOWN_TOPIC = "TOPIC_NOT_CONFIGURED"


class ReplayResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a message: the `code` for which it stays set aside, or None."""

    number: int
    topic: str
    code: str | None = None
    field: str | None = None


class SetAsideMessages:
    """Those of one source."""

    def __init__(self, store: ReplicaStore, handlers: Mapping[str, TopicHandler]) -> None:
        self._store = store
        self._handlers = handlers

    async def list(
        self, most: int, *, topic: str | None = None, numbers: Sequence[int] | None = None, oldest: bool = False
    ) -> list[SetAsideMessage]:
        """Messages, newest first or `oldest` first: all, those of a topic, or those with the numbers."""
        wanted = None if numbers is None else msgspec.json.encode(list(numbers)).decode()
        query = (
            f"SELECT {COLUMNS} FROM set_aside WHERE (?1 IS NULL OR topic = ?1) AND "  # noqa: S608 - constants
            "(?2 IS NULL OR number IN (SELECT value FROM json_each(?2))) "
            f"ORDER BY number {'ASC' if oldest else 'DESC'} LIMIT ?3"
        )
        return [_message(row) for row in await self._store.read(query, topic, wanted, most)]

    async def replay(self, messages: Sequence[SetAsideMessage], enqueue: Enqueue, now: datetime) -> list[ReplayResult]:
        """Take messages that can be read by now. Raises StoreUnavailable; those before are taken."""
        return [await self._replay(one, enqueue, now) for one in messages]

    async def _replay(self, message: SetAsideMessage, enqueue: Enqueue, now: datetime) -> ReplayResult:
        handler = self._handlers.get(message.topic)
        if handler is None:
            return ReplayResult(message.number, message.topic, UNKNOWN_TOPIC)
        replayed = await handler.replay(message, now)
        if replayed.code is not None:
            return ReplayResult(message.number, message.topic, replayed.code, replayed.field)
        if replayed.hints:
            await enqueue(replayed.hints)
        await self.discard([message])
        return ReplayResult(message.number, message.topic)

    async def discard(self, messages: Sequence[SetAsideMessage]) -> None:
        """Delete messages. Raises StoreUnavailable."""

        def delete() -> None:
            with self._store.writing() as writer:
                writer.discard_messages([one.number for one in messages])

        await asyncio.to_thread(delete)

    async def aclose(self) -> None:
        await self._store.close()


def _message(row: Sequence[object]) -> SetAsideMessage:
    number, topic, message, body, code, field, at, sent = row
    return msgspec.convert(
        {
            "number": number,
            "topic": topic,
            "message": message,
            "body": body,
            "code": code,
            "field": field,
            "at": time_of(float(str(at))),
            "sent": None if sent is None else time_of(float(str(sent))),
        },
        SetAsideMessage,
    )
