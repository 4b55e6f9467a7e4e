"""Consumers of message brokers: the port that an adapter implements.

Messages are delivered at least once. They are acknowledged after the event log has what came of them, so that a crash
at any point repeats messages and loses none; the log leaves out hints that it knows by source and id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.sources.changes import ChangeHint


@dataclass(frozen=True, slots=True)
class Message:
    """A message. `id` is the same for each delivery of it, None where it has none; `handle` is the consumer's own, to
    acknowledge it by."""

    id: str | None
    body: bytes
    at: datetime | None
    handle: Any


class MessageConsumer(Protocol):
    """A durable subscription, read in batches. While nothing is received the broker keeps what arrives, so not to
    receive is to pause. Raises SourceError; the next call connects again."""

    async def receive(self, limit: int, seconds: float) -> Sequence[Message]:
        """The next messages that are not acknowledged, in order; none if none arrive within `seconds`."""
        ...

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """The broker need not deliver these again. Those that it did not hear of are delivered again."""
        ...

    async def release(self, messages: Sequence[Message]) -> None:
        """Have the broker deliver these again: what came of them could not be written."""
        ...

    async def lag(self) -> int | None:
        """How many messages wait, those received and not acknowledged included; None if the broker cannot tell."""
        ...

    async def ping(self) -> None:
        """Raises SourceError if the topic cannot be consumed. Consumes nothing, since any worker may ask."""
        ...

    async def aclose(self) -> None: ...


class MessageHandler(Protocol):
    """What a message means."""

    async def handle(self, messages: Sequence[Message], now: datetime) -> Sequence[ChangeHint]:
        """The hints of messages. What else they bring is durable when this returns; messages that cannot be read are
        set aside with a code. Raises StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A topic of a source: its consumer, and what its messages mean. `target` is the source of the subjects that they
    name."""

    name: str
    target: str
    consumer: MessageConsumer
    handler: MessageHandler
