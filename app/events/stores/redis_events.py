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
AGAIN = 0.1
"""Seconds until a listener comes back to a server that is gone."""
TRIM_STEP = 1_000


class ScriptCall(NamedTuple):
    """A script to take, with what it needs to know."""

    script: scripts.Script
    given: tuple[str | float, ...]


class RedisEvents:
    """The log over one server. Belongs to one event loop. Without a clock, the server's time counts for all."""

    def __init__(self, settings: RedisSettings, keep: Retention, *, clock: Callable[[], float] | None = None) -> None:
        self._redis = connect(settings, timeout=TIMEOUT)
        self._listening_to = connect(settings, timeout=TIMEOUT)
        self._keep = keep
        self._clock = clock or (lambda: 0.0)
        self._batch = BatchQueue(self._go, most=256)
        self._listener: asyncio.Task[None] | None = None
        self._heard = False
        self._updates = Notifier()
        self._claims = WakeUp()

    async def enqueue(self, hints: Sequence[ChangeHint]) -> Sequence[bool]:
        """See `EventLog.enqueue`."""
        given = [part for one in hints for part in (*_identity(one), _subject(one) + _json(one))]
        new = [bool(fresh) for fresh in await self._do(scripts.ENQUEUE, *given)]
        if any(new):
            self._claims.notify()
        return new

    async def wait_hints(self, seconds: float) -> None:
        """See `EventLog.wait_hints`."""
        self._listen()
        await self._claims.wait(seconds)

    async def claim(self, worker: str, most: int, lease: float) -> Sequence[LeasedHint]:
        """See `EventLog.claim`. Which worker has a hint is known by its attempts."""
        with self._claims.claiming() as claim:
            found = await self._do(scripts.CLAIM, most, lease)
            claim.exhausted = len(found) < most
        with _readable():
            return [
                LeasedHint(number=place.decode(), hint=msgspec.json.decode(body, type=ChangeHint), attempts=attempts)
                for place, body, attempts, _ in found
            ]

    async def renew(self, taken: Sequence[LeasedHint], lease: float) -> None:
        """See `EventLog.renew`."""
        await self._do(scripts.RENEW, lease, *(part for one in taken for part in (one.number, one.attempts)))

    async def record(self, taken: Sequence[LeasedHint], updates: Sequence[ChangeEvent]) -> Sequence[LoggedEvent]:
        """See `EventLog.record`."""
        mine = [part for one in taken for part in (one.number, one.attempts)]
        given = [part for one in updates for part in (_subject(one), _json(one))]
        log, *positions = await self._do(scripts.RECORD, len(taken), *mine, *given)
        self._claims.notify()  # What came meanwhile for the same thing is free now.
        if not positions:
            return ()
        self._updates.notify(int(positions[-1]))
        return [_recorded(log, int(at), update) for at, update in zip(positions, updates, strict=True)]

    async def postpone(self, taken: LeasedHint, cause: str, seconds: float) -> None:
        """See `EventLog.postpone`."""
        await self._do(scripts.POSTPONE, taken.number, taken.attempts, seconds, cause)
        self._claims.notify()

    async def postponed(self, most: int = 100) -> Sequence[PostponedHint]:
        """See `EventLog.postponed`."""
        with _readable():
            return [_postponed(*entry) for entry in await self._do(scripts.POSTPONED, most)]

    async def dead_letter(self, taken: LeasedHint, cause: str) -> None:
        """See `EventLog.dead_letter`."""
        await self._do(scripts.DEAD_LETTER, taken.number, taken.attempts, cause)
        self._claims.notify()

    async def dead_letters(self, most: int = 100) -> Sequence[DeadHint]:
        """See `EventLog.dead_letters`."""
        with _readable():
            return [_dead(*entry) for entry in await self._do(scripts.DEAD_LETTERS, most)]

    async def replay(self, places: Sequence[str] | None = None) -> int:
        """See `EventLog.replay`."""
        named = ["all"] if places is None else ["named", *(place for place in places if place.isdecimal())]
        count = await self._do(scripts.REPLAY, *named)
        self._claims.notify()
        return count

    async def latest(self, kind: ChangeKind, source: str, key: str) -> ChangeEvent | None:
        """See `EventLog.latest`."""
        body = await self._do(scripts.LATEST, subject_digest(kind, source, key))
        with _readable():
            return None if body is None else msgspec.json.decode(body, type=ChangeEvent)

    async def newest(self, most: int) -> Sequence[LoggedEvent]:
        """See `EventLog.newest`."""
        log, found = await self._do(scripts.NEWEST, most)
        return _entries(log, reversed(found))

    async def end(self) -> str:
        """See `EventLog.end`."""
        log, position = await self._do(scripts.END)
        return str(LogPosition(bytes.fromhex(log.decode()), int(position)))

    async def read(self, after: str, most: int = 500) -> EventPage:
        """See `EventLog.read`."""
        asked = parse_cursor(after)
        log, upto, why, begin, found = await self._do(scripts.READ, asked.log.hex(), asked.position, most)
        start = LogPosition(bytes.fromhex(log.decode()), int(begin))
        entries = _entries(log, found)
        lost = loss_reason(asked, start, int(upto), LossReason(why.decode()) if why else None)
        cursor = entries[-1].cursor if entries else str(start)
        return EventPage(entries=entries, start=str(start), cursor=cursor, lost=lost)

    async def wait(self, after: str, seconds: float) -> None:
        """See `EventLog.wait`."""
        self._listen()
        await self._updates.wait(parse_cursor(after).position, seconds)

    async def follows(self, first: str, second: str) -> bool:
        """See `EventLog.follows`. Positions are times, so they compare across logs."""
        return parse_cursor(second).position > parse_cursor(first).position

    async def offset(self, name: str) -> str | None:
        """See `EventLog.offset`."""
        with translate_errors():
            found = await cast("Any", self._redis.hget(f"{scripts.PREFIX}places", name))
        return None if found is None else found.decode()

    async def commit_offset(self, name: str, cursor: str) -> None:
        """See `EventLog.commit_offset`."""
        with translate_errors():
            await cast("Any", self._redis.hset(f"{scripts.PREFIX}places", name, cursor))

    async def acquire_lease(self, name: str, worker: str, lease: float) -> bool:
        """See `EventLog.acquire_lease`."""
        return await self._do(scripts.ACQUIRE_LEASE, name, worker, lease) == 1

    async def observe_sequence(self, source: str, numbers: Sequence[int]) -> bool:
        """See `EventLog.observe_sequence`."""
        return await self._do(scripts.OBSERVE_SEQUENCE, source, *sorted(set(numbers))) == 1

    async def reset_sequence(self, source: str) -> None:
        """See `EventLog.reset_sequence`."""
        await self._do(scripts.RESET_SEQUENCE, source)

    async def trim(self) -> int:
        """See `EventLog.trim`."""
        keep, gone = self._keep, 0
        while part := await self._do(scripts.TRIM, keep.seconds, keep.updates, keep.bytes, TRIM_STEP):
            gone += part
        return gone

    async def close(self) -> None:
        """See `EventLog.close`."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener
        await self._redis.aclose()
        await self._listening_to.aclose()

    async def _do(self, script: scripts.Script, *given: str | float) -> Any:
        (answer,) = await self._batch.add([ScriptCall(script, (self._clock(), secrets.token_hex(8), *given))])
        if isinstance(answer, Exception):
            raise StoreUnavailable(detail=f"redis: {answer}") from answer
        return answer

    async def _go(self, asked: Sequence[ScriptCall]) -> Sequence[Any]:
        """Run scripts in one round trip. A server that was started again has forgotten the scripts."""
        with translate_errors():
            answers = await self._answers(asked)
            forgotten = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if forgotten:
                for text in {asked[index].script.text for index in forgotten}:
                    await self._redis.script_load(text)
                for index, answer in zip(forgotten, await self._answers([asked[n] for n in forgotten]), strict=True):
                    answers[index] = answer
        return answers

    async def _answers(self, asked: Sequence[ScriptCall]) -> list[Any]:
        pipe = self._redis.pipeline(transaction=False)
        for script, given in asked:
            pipe.evalsha(script.digest, 1, scripts.PREFIX, *given)
        try:
            return await pipe.execute(raise_on_error=False)
        except ConnectionFailed:  # One that was kept open, to a server that was started again. Steps bear repeating.
            for script, given in asked:
                pipe.evalsha(script.digest, 1, scripts.PREFIX, *given)
            return await pipe.execute(raise_on_error=False)

    def _listen(self) -> None:
        """Hear of what others write, from now on."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._hear_for_ever())

    async def _hear_for_ever(self) -> None:
        while True:
            try:
                await self._hear()
            except (RedisError, OSError) as error:
                if self._heard:
                    logged.warning("events_not_heard", detail=str(error))
                self._heard = False
                await asyncio.sleep(AGAIN)

    async def _hear(self) -> None:
        last: Any = "0"
        if not self._heard:
            await self._tell_risks()
        while True:
            found = cast("Any", await self._listening_to.xread({scripts.BELL: last}, block=int(BLOCK * 1000)))
            if not self._heard:  # The server may have been away, and its data too.
                self._heard = True
                self._updates.notify()
                self._claims.notify()
            for _, entries in found:
                last, bell = entries[-1]
                self._updates.notify(int(bell[b"update"]))
                self._claims.observe(int(bell[b"notice"]))

    async def _tell_risks(self) -> None:
        """Say so where the server acknowledges what is not on its disk yet. Some do not let themselves be asked."""
        with suppress(RefusedByServer):
            found = cast("dict[str, str]", await self._listening_to.config_get("append*"))
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
    """The digest of its id, or else what it says."""
    if hint.id is None:
        return "", f"{_subject(hint)}{int(hint.deleted)}"
    return digest_of(hint.source, hint.id), ""


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _postponed(place: bytes, hint: bytes, attempts: bytes, cause: bytes, until: bytes) -> PostponedHint:
    return PostponedHint(
        number=place.decode(),
        hint=msgspec.json.decode(hint[scripts.THING :], type=ChangeHint),
        attempts=int(attempts),
        cause=cause.decode(),
        until=datetime.fromtimestamp(float(until), UTC),
    )


def _dead(place: bytes, at: bytes, grave: bytes) -> DeadHint:
    body, attempts, cause = msgspec.json.decode(grave, type=tuple[str, int, str])
    return DeadHint(
        number=place.decode(),
        hint=msgspec.json.decode(body[scripts.THING :], type=ChangeHint),
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
