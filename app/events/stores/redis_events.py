"""The event log in Redis (or Valkey), for gateways on several machines."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

import msgspec

from app.errors import StoreUnavailable
from app.events.log import ChangeEvent, DeadHint, EventPage, LeasedHint, LoggedEvent, LossReason, PostponedHint
from app.events.stores import redis_event_scripts as scripts
from app.events.stores.cursors import LogPosition, loss_reason, parse_cursor
from app.events.stores.digests import digest_of, subject_digest
from app.events.stores.retention_limits import Retention
from app.settings import RedisSettings
from app.sources.changes import ChangeHint, ChangeKind
from app.storage.batch_queue import BatchQueue, Notifier, WakeUp
from app.storage.redis import ConnectionFailed, NoScriptError, RedisError, RefusedByServer, connect, translate_errors
from app.telemetry import log as logged

TIMEOUT = 1.0
"""Seconds for a script; each is on a disk before it is answered, if Redis is set up so."""
BLOCK = 0.4
"""Seconds that a listener blocks in one call."""
RECONNECT_PAUSE = 0.1
"""Seconds until a listener reconnects."""
TRIM_STEP = 1_000


class ScriptCall(NamedTuple):
    """A script with its arguments."""

    script: scripts.Script
    arguments: tuple[str | float, ...]


class RedisEvents:
    """The log over one server, for one event loop. Without a clock, the server's time is used."""

    def __init__(
        self, settings: RedisSettings, retention: Retention, *, clock: Callable[[], float] | None = None
    ) -> None:
        self._redis = connect(settings, timeout=TIMEOUT)
        self._listening = connect(settings, timeout=TIMEOUT)
        self._retention = retention
        self._clock = clock or (lambda: 0.0)
        self._batch = BatchQueue(self._run_batch, most=256)
        self._listener: asyncio.Task[None] | None = None
        self._connected = False
        self._updates = Notifier()
        self._claims = WakeUp()

    async def enqueue(self, hints: Sequence[ChangeHint]) -> Sequence[bool]:
        arguments = [part for one in hints for part in (*_identity(one), _subject(one) + _json(one))]
        new = [bool(fresh) for fresh in await self._call(scripts.ENQUEUE, *arguments)]
        if any(new):
            self._claims.notify()
        return new

    async def wait_hints(self, seconds: float) -> None:
        self._listen()
        await self._claims.wait(seconds)

    async def claim(self, worker: str, limit: int, lease: float) -> Sequence[LeasedHint]:
        """See `EventLog.claim`. Which worker has a hint is known by its attempts."""
        with self._claims.claiming() as claim:
            found = await self._call(scripts.CLAIM, limit, lease)
            claim.exhausted = len(found) < limit
        with _readable():
            return [
                LeasedHint(number=number.decode(), hint=msgspec.json.decode(body, type=ChangeHint), attempts=attempts)
                for number, body, attempts, _ in found
            ]

    async def renew(self, leased: Sequence[LeasedHint], lease: float) -> None:
        await self._call(scripts.RENEW, lease, *(part for one in leased for part in (one.number, one.attempts)))

    async def record(self, leased: Sequence[LeasedHint], updates: Sequence[ChangeEvent]) -> Sequence[LoggedEvent]:
        leases = [part for one in leased for part in (one.number, one.attempts)]
        arguments = [part for one in updates for part in (_subject(one), _json(one))]
        log, *positions = await self._call(scripts.RECORD, len(leased), *leases, *arguments)
        self._claims.notify()  # What came meanwhile for the same thing is free now.
        if not positions:
            return ()
        self._updates.notify(int(positions[-1]))
        return [_recorded(log, int(at), update) for at, update in zip(positions, updates, strict=True)]

    async def postpone(self, leased: LeasedHint, cause: str, seconds: float) -> None:
        await self._call(scripts.POSTPONE, leased.number, leased.attempts, seconds, cause)
        self._claims.notify()

    async def postponed(self, limit: int = 100) -> Sequence[PostponedHint]:
        with _readable():
            return [_postponed(*entry) for entry in await self._call(scripts.POSTPONED, limit)]

    async def dead_letter(self, leased: LeasedHint, cause: str) -> None:
        await self._call(scripts.DEAD_LETTER, leased.number, leased.attempts, cause)
        self._claims.notify()

    async def dead_letters(self, limit: int = 100) -> Sequence[DeadHint]:
        with _readable():
            return [_dead(*entry) for entry in await self._call(scripts.DEAD_LETTERS, limit)]

    async def replay(self, numbers: Sequence[str] | None = None) -> int:
        named = ["all"] if numbers is None else ["named", *(number for number in numbers if number.isdecimal())]
        count = await self._call(scripts.REPLAY, *named)
        self._claims.notify()
        return count

    async def latest(self, kind: ChangeKind, source: str, key: str) -> ChangeEvent | None:
        body = await self._call(scripts.LATEST, subject_digest(kind, source, key))
        with _readable():
            return None if body is None else msgspec.json.decode(body, type=ChangeEvent)

    async def newest(self, limit: int) -> Sequence[LoggedEvent]:
        log, found = await self._call(scripts.NEWEST, limit)
        return _entries(log, reversed(found))

    async def end(self) -> str:
        log, position = await self._call(scripts.END)
        return str(LogPosition(bytes.fromhex(log.decode()), int(position)))

    async def read(self, after: str, limit: int = 500) -> EventPage:
        requested = parse_cursor(after)
        log, trimmed_to, why, begin, found = await self._call(
            scripts.READ, requested.log.hex(), requested.position, limit
        )
        start = LogPosition(bytes.fromhex(log.decode()), int(begin))
        entries = _entries(log, found)
        lost = loss_reason(requested, start, int(trimmed_to), LossReason(why.decode()) if why else None)
        cursor = entries[-1].cursor if entries else str(start)
        return EventPage(entries=entries, start=str(start), cursor=cursor, lost=lost)

    async def wait(self, after: str, seconds: float) -> None:
        self._listen()
        await self._updates.wait(parse_cursor(after).position, seconds)

    async def follows(self, first: str, second: str) -> bool:
        """See `EventLog.follows`. Positions are times, so they compare across logs."""
        return parse_cursor(second).position > parse_cursor(first).position

    async def offset(self, name: str) -> str | None:
        with translate_errors():
            found = await cast("Any", self._redis.hget(f"{scripts.PREFIX}places", name))
        return None if found is None else found.decode()

    async def commit_offset(self, name: str, cursor: str) -> None:
        with translate_errors():
            await cast("Any", self._redis.hset(f"{scripts.PREFIX}places", name, cursor))

    async def acquire_lease(self, name: str, worker: str, lease: float) -> bool:
        return await self._call(scripts.ACQUIRE_LEASE, name, worker, lease) == 1

    async def observe_sequence(self, source: str, numbers: Sequence[int]) -> bool:
        return await self._call(scripts.OBSERVE_SEQUENCE, source, *sorted(set(numbers))) == 1

    async def reset_sequence(self, source: str) -> None:
        await self._call(scripts.RESET_SEQUENCE, source)

    async def trim(self) -> int:
        retention, count = self._retention, 0
        while part := await self._call(scripts.TRIM, retention.seconds, retention.updates, retention.bytes, TRIM_STEP):
            count += part
        return count

    async def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener
        await self._redis.aclose()
        await self._listening.aclose()

    async def _call(self, script: scripts.Script, *arguments: str | float) -> Any:
        (answer,) = await self._batch.add([ScriptCall(script, (self._clock(), secrets.token_hex(8), *arguments))])
        if isinstance(answer, Exception):
            raise StoreUnavailable(detail=f"redis: {answer}") from answer
        return answer

    async def _run_batch(self, requested: Sequence[ScriptCall]) -> Sequence[Any]:
        """Run scripts in one round trip. A restarted server has lost its scripts: they are loaded again."""
        with translate_errors():
            answers = await self._send_batch(requested)
            forgotten = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if forgotten:
                for text in {requested[index].script.text for index in forgotten}:
                    await self._redis.script_load(text)
                again = await self._send_batch([requested[index] for index in forgotten])
                for index, answer in zip(forgotten, again, strict=True):
                    answers[index] = answer
        return answers

    async def _send_batch(self, requested: Sequence[ScriptCall]) -> list[Any]:
        pipe = self._redis.pipeline(transaction=False)
        for script, arguments in requested:
            pipe.evalsha(script.digest, 1, scripts.PREFIX, *arguments)
        try:
            return await pipe.execute(raise_on_error=False)
        except ConnectionFailed:  # One that was kept open, to a server that was started again. Steps bear repeating.
            for script, arguments in requested:
                pipe.evalsha(script.digest, 1, scripts.PREFIX, *arguments)
            return await pipe.execute(raise_on_error=False)

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen_forever())

    async def _listen_forever(self) -> None:
        while True:
            try:
                await self._read_notifications()
            except (RedisError, OSError) as error:
                if self._connected:
                    logged.warning("event_log_disconnected", detail=str(error))
                self._connected = False
                await asyncio.sleep(RECONNECT_PAUSE)

    async def _read_notifications(self) -> None:
        last: Any = "0"
        if not self._connected:
            await self._warn_if_not_durable()
        while True:
            found = cast("Any", await self._listening.xread({scripts.WAKE_KEY: last}, block=int(BLOCK * 1000)))
            if not self._connected:  # The server may have been away, and its data too.
                self._connected = True
                self._updates.notify()
                self._claims.notify()
            for _, entries in found:
                last, notification = entries[-1]
                self._updates.notify(int(notification[b"update"]))
                self._claims.observe(int(notification[b"notice"]))

    async def _warn_if_not_durable(self) -> None:
        """Warn where the server acknowledges writes before they are on disk. Some servers refuse to tell."""
        with suppress(RefusedByServer):
            found = cast("dict[str, str]", await self._listening.config_get("append*"))
            if (found.get("appendonly"), found.get("appendfsync")) != ("yes", "always"):
                logged.warning("events_not_durable", **{key: found.get(key) for key in ("appendonly", "appendfsync")})


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except msgspec.MsgspecError as error:
        raise StoreUnavailable(detail=f"redis holds an event that cannot be read: {error}") from error


def _subject(one: ChangeHint | ChangeEvent) -> str:
    return subject_digest(one.kind, one.source, one.key)


def _identity(hint: ChangeHint) -> tuple[str, str]:
    if hint.id is None:
        return "", f"{_subject(hint)}{int(hint.deleted)}"
    return digest_of(hint.source, hint.id), ""


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _postponed(number: bytes, hint: bytes, attempts: bytes, cause: bytes, until: bytes) -> PostponedHint:
    return PostponedHint(
        number=number.decode(),
        hint=msgspec.json.decode(hint[scripts.DIGEST_LENGTH :], type=ChangeHint),
        attempts=int(attempts),
        cause=cause.decode(),
        until=datetime.fromtimestamp(float(until), UTC),
    )


def _dead(number: bytes, at: bytes, record: bytes) -> DeadHint:
    body, attempts, cause = msgspec.json.decode(record, type=tuple[str, int, str])
    return DeadHint(
        number=number.decode(),
        hint=msgspec.json.decode(body[scripts.DIGEST_LENGTH :], type=ChangeHint),
        attempts=attempts,
        cause=cause,
        at=datetime.fromtimestamp(float(at), UTC),
    )


def _entries(log: bytes, found: Iterable[tuple[bytes, Sequence[bytes]]]) -> tuple[LoggedEvent, ...]:
    with _readable():
        return tuple(
            _recorded(log, int(id.partition(b"-")[0]), msgspec.json.decode(fields[3], type=ChangeEvent))
            for id, fields in found
        )


def _recorded(log: bytes, position: int, update: ChangeEvent) -> LoggedEvent:
    return LoggedEvent(cursor=str(LogPosition(bytes.fromhex(log.decode()), position)), update=update)
