"""What the messages of a topic mean: hints for the event log, or rows for the replica. Others are set aside."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from app.sources.brokers.options import TopicOptions
from app.sources.changes import ChangeHint
from app.sources.consumer import Message
from app.sources.replica.datasets import DATASETS
from app.sources.replica.mapping import LONGEST_KEY, MappedRow, RowRejected
from app.sources.replica.store import ReplicaStore, ReplicaWriter, SetAsideMessage
from app.telemetry import log, metrics

STORED_BODY = 64 * 1024
"""Bytes of a message that is set aside which are stored."""

_decoder = msgspec.json.Decoder(float_hook=Decimal)


class MessageFault(StrEnum):
    """Why a message is set aside; a rejected row has its own code."""

    MALFORMED = "MESSAGE_MALFORMED"
    TOO_LARGE = "MESSAGE_TOO_LARGE"
    KEY_MISSING = "MESSAGE_KEY_MISSING"


class _Poison(Exception):
    def __init__(self, code: str, name: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.name = name


@dataclass(slots=True)
class _Meaning:
    """What a batch means: hints, rows with their time, and messages to set aside."""

    hints: list[ChangeHint] = field(default_factory=list)
    rows: list[tuple[float, MappedRow]] = field(default_factory=list)
    poison: list[tuple[Message, _Poison]] = field(default_factory=list)


class ReplayedMessage(NamedTuple):
    """What came of a message that was set aside: its hints, or the code for which it stays there."""

    hints: tuple[ChangeHint, ...]
    code: str | None = None
    field: str | None = None


class TopicHandler:
    """Handles the messages of one topic."""

    def __init__(self, source: str, topic: str, options: TopicOptions, max_bytes: int, store: ReplicaStore) -> None:
        self._source, self._topic, self._options = source, topic, options
        self._target = options.source or source
        self._max_bytes = max_bytes
        self.store = store
        self._mapper = options.mapper() if options.dataset is not None else None
        columns = options.all_columns
        self._wanted = [columns[name] for name in self._mapper.mapped] if self._mapper is not None else []

    async def handle(self, messages: Sequence[Message], now: datetime) -> Sequence[ChangeHint]:
        meaning = _Meaning()
        for message in messages:
            try:
                self._read(message, meaning, now)
            except _Poison as poison:
                meaning.poison.append((message, poison))
        if meaning.rows or meaning.poison:
            await asyncio.to_thread(self._write, meaning, now)
        for message, poison in meaning.poison:
            metrics().brokers.messages.labels(self._source, self._topic, "set_aside").inc()
            log.warning(
                "message_set_aside", source=self._source, topic=self._topic, message=message.id, code=poison.code
            )
        return meaning.hints

    def _read(self, message: Message, meaning: _Meaning, now: datetime) -> None:
        if len(message.body) > self._max_bytes:
            raise _Poison(MessageFault.TOO_LARGE)
        try:
            body = _decoder.decode(message.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _Poison(MessageFault.MALFORMED) from None
        if any(_text(member(body, path)) != value for path, value in self._options.only.items()):
            return
        if self._mapper is None:
            meaning.hints.append(self._hint(message, body, now))
            return
        found = body if self._options.rows is None else member(body, self._options.rows)
        for row in found if isinstance(found, list) else [found]:
            if not isinstance(row, dict):
                raise _Poison(MessageFault.MALFORMED)
            raw = [_text(member(row, str(column.column)), column.separator) for column in self._wanted]
            try:
                meaning.rows.append(((message.at or now).timestamp(), self._mapper.map(raw)))
            except RowRejected as fault:
                raise _Poison(fault.fault, fault.field) from None

    def _hint(self, message: Message, body: Any, now: datetime) -> ChangeHint:
        options = self._options
        key = _text(member(body, options.key or ""))
        if not key or len(key) > LONGEST_KEY:
            raise _Poison(MessageFault.KEY_MISSING, options.key)
        id = _text(member(body, options.id)) if options.id is not None else message.id
        return ChangeHint(
            source=self._target,
            id=None if id is None else f"{self._source}:{self._topic}:{id[:LONGEST_KEY]}",
            kind=options.kind,  # pyright: ignore[reportArgumentType] - checked with the options
            key=key,
            at=_time(member(body, options.at)) if options.at is not None else message.at,
            received_at=now,
            deleted=options.deleted is not None and member(body, options.deleted) is True,
        )

    def _write(self, meaning: _Meaning, now: datetime) -> None:
        with self.store.writing() as writer:
            if meaning.rows:
                self._write_rows(writer, meaning, now)
            for message, poison in meaning.poison:
                writer.set_message_aside(
                    self._topic,
                    message.id,
                    message.body[:STORED_BODY],
                    poison.code,
                    poison.name,
                    at=now.timestamp(),
                    sent=None if message.at is None else message.at.timestamp(),
                )

    async def replay(self, stored: SetAsideMessage, now: datetime) -> ReplayedMessage:
        """What a message that was set aside means by the present options. Its rows are written, but for those that are
        stored with a later time; a message without a time replaces none. Raises StoreUnavailable."""
        meaning = _Meaning()
        try:
            if len(stored.body) >= STORED_BODY:
                raise _Poison(stored.code, stored.field)  # The rest of it is lost.
            self._read(Message(stored.message, stored.body, stored.sent, None), meaning, now)
        except _Poison as poison:
            await asyncio.to_thread(self._refuse, stored, poison)
            return ReplayedMessage((), poison.code, poison.name)
        if meaning.rows:
            await asyncio.to_thread(self._write_older, stored, meaning, now)
        return ReplayedMessage(tuple(meaning.hints))

    def _refuse(self, stored: SetAsideMessage, poison: _Poison) -> None:
        with self.store.writing() as writer:
            writer.refuse_message(stored.number, poison.code, poison.name)

    def _write_older(self, stored: SetAsideMessage, meaning: _Meaning, now: datetime) -> None:
        with self.store.writing() as writer:
            limit = 0.0 if stored.sent is None else stored.sent.timestamp()
            rows = writer.older(DATASETS[self._options.dataset or ""], [row for _, row in meaning.rows], limit)
            as_of = (stored.sent or stored.at).timestamp()
            if rows:
                self._write_rows(writer, _Meaning(rows=[(as_of, row) for row in rows]), now)

    def _write_rows(self, writer: ReplicaWriter, meaning: _Meaning, now: datetime) -> None:
        dataset = DATASETS[self._options.dataset or ""]
        rows = [row for _, row in meaning.rows]
        changed = writer.changed(dataset, rows)
        batch = writer.next_batch()
        for as_of, row in meaning.rows:
            writer.upsert(dataset, self._topic, batch, as_of, [row], unique=False)
        keys = ("*",) if dataset.announced_whole and changed else changed
        writer.report_changes(dataset.change, keys, now.timestamp())


def member(body: Any, path: str) -> Any:
    """The member at a path; None where there is none."""
    for name in path.split("."):
        if not isinstance(body, Mapping):
            return None
        body = body.get(name)
    return body


def _text(value: Any, separator: str = ",") -> str | None:
    """A value as text; None for null and for objects."""
    if value is None or isinstance(value, dict):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return separator.join(text for one in value if (text := _text(one)) is not None)
    return str(value)


def _time(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found.astimezone(UTC) if found is not None and found.tzinfo is not None else None
