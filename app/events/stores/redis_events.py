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
from app.events.log import Dead, Loss, Page, Recorded, Taken, Update
from app.events.stores import redis_event_scripts as steps
from app.events.stores.cursors import Place, loss_of, place_of
from app.events.stores.digests import digest_of, thing_of
from app.events.stores.retention_limits import Retention
from app.settings import RedisSettings
from app.sources.changes import ChangeKind, Notice
from app.storage.batch_queue import Bell, Calls, Gathering
from app.storage.redis import ConnectionFailed, NoScriptError, RedisError, RefusedByServer, connect, told
from app.telemetry import log as logged

TIMEOUT = 1.0
"""Seconds for a step; each is on a disk before it is answered, if Redis is set up so."""
BLOCK = 0.4
"""Seconds that a listener blocks in one call."""
AGAIN = 0.1
"""Seconds until a listener comes back to a server that is gone."""
TRIM_STEP = 1_000


class Ask(NamedTuple):
    """A step to take, with what it needs to know."""

    step: steps.Step
    given: tuple[str | float, ...]


class RedisEvents:
    """The log over one server. Belongs to one event loop. Without a clock, the server's time counts for all."""

    def __init__(self, settings: RedisSettings, keep: Retention, *, clock: Callable[[], float] | None = None) -> None:
        self._redis = connect(settings, timeout=TIMEOUT)
        self._listening_to = connect(settings, timeout=TIMEOUT)
        self._keep = keep
        self._clock = clock or (lambda: 0.0)
        self._steps = Gathering(self._go, most=256)
        self._listener: asyncio.Task[None] | None = None
        self._heard = False
        self._updates = Bell()
        self._calls = Calls()

    async def note(self, notices: Sequence[Notice]) -> Sequence[bool]:
        """See `EventLog.note`."""
        given = [part for one in notices for part in (digest_of(one.source, one.id), _of(one) + _json(one))]
        new = [bool(fresh) for fresh in await self._do(steps.NOTE, *given)]
        if any(new):
            self._calls.call()
        return new

    async def wait_notices(self, seconds: float) -> None:
        """See `EventLog.wait_notices`."""
        self._listen()
        await self._calls.wait(seconds)

    async def take(self, worker: str, most: int, lease: float) -> Sequence[Taken]:
        """See `EventLog.take`. Which worker has a notice is known by its attempts."""
        with self._calls.answered() as answered:
            found = await self._do(steps.TAKE, most, lease)
            answered.fully = len(found) < most
        with _readable():
            return [
                Taken(place=place.decode(), notice=msgspec.json.decode(body, type=Notice), attempts=attempts)
                for place, body, attempts, _ in found
            ]

    async def renew(self, taken: Sequence[Taken], lease: float) -> None:
        """See `EventLog.renew`."""
        await self._do(steps.RENEW, lease, *(part for one in taken for part in (one.place, one.attempts)))

    async def record(self, taken: Sequence[Taken], updates: Sequence[Update]) -> Sequence[Recorded]:
        """See `EventLog.record`."""
        mine = [part for one in taken for part in (one.place, one.attempts)]
        given = [part for one in updates for part in (_of(one), _json(one))]
        log, *positions = await self._do(steps.RECORD, len(taken), *mine, *given)
        self._calls.call()  # What came meanwhile for the same thing is free now.
        if not positions:
            return ()
        self._updates.ring(int(positions[-1]))
        return [_recorded(log, int(at), update) for at, update in zip(positions, updates, strict=True)]

    async def postpone(self, taken: Taken, cause: str, seconds: float) -> None:
        """See `EventLog.postpone`."""
        await self._do(steps.POSTPONE, taken.place, taken.attempts, seconds)
        self._calls.call()

    async def bury(self, taken: Taken, cause: str) -> None:
        """See `EventLog.bury`."""
        await self._do(steps.BURY, taken.place, taken.attempts, cause)
        self._calls.call()

    async def dead(self, most: int = 100) -> Sequence[Dead]:
        """See `EventLog.dead`."""
        with _readable():
            return [_dead(*entry) for entry in await self._do(steps.DEAD, most)]

    async def replay(self, places: Sequence[str] | None = None) -> int:
        """See `EventLog.replay`."""
        named = ["all"] if places is None else ["named", *(place for place in places if place.isdecimal())]
        count = await self._do(steps.REPLAY, *named)
        self._calls.call()
        return count

    async def latest(self, kind: ChangeKind, source: str, key: str) -> Update | None:
        """See `EventLog.latest`."""
        body = await self._do(steps.LATEST, thing_of(kind, source, key))
        with _readable():
            return None if body is None else msgspec.json.decode(body, type=Update)

    async def newest(self, most: int) -> Sequence[Recorded]:
        """See `EventLog.newest`."""
        log, found = await self._do(steps.NEWEST, most)
        return _entries(log, reversed(found))

    async def end(self) -> str:
        """See `EventLog.end`."""
        log, position = await self._do(steps.END)
        return str(Place(bytes.fromhex(log.decode()), int(position)))

    async def read(self, after: str, most: int = 500) -> Page:
        """See `EventLog.read`."""
        asked = place_of(after)
        log, upto, why, begin, found = await self._do(steps.READ, asked.log.hex(), asked.position, most)
        start = Place(bytes.fromhex(log.decode()), int(begin))
        entries = _entries(log, found)
        lost = loss_of(asked, start, int(upto), Loss(why.decode()) if why else None)
        cursor = entries[-1].cursor if entries else str(start)
        return Page(entries=entries, start=str(start), cursor=cursor, lost=lost)

    async def wait(self, after: str, seconds: float) -> None:
        """See `EventLog.wait`."""
        self._listen()
        await self._updates.wait(place_of(after).position, seconds)

    async def follows(self, first: str, second: str) -> bool:
        """See `EventLog.follows`. Positions are times, so they compare across logs."""
        return place_of(second).position > place_of(first).position

    async def place(self, name: str) -> str | None:
        """See `EventLog.place`."""
        with told():
            found = await cast("Any", self._redis.hget(f"{steps.PREFIX}places", name))
        return None if found is None else found.decode()

    async def keep_place(self, name: str, cursor: str) -> None:
        """See `EventLog.keep_place`."""
        with told():
            await cast("Any", self._redis.hset(f"{steps.PREFIX}places", name, cursor))

    async def lead(self, name: str, worker: str, lease: float) -> bool:
        """See `EventLog.lead`."""
        return await self._do(steps.LEAD, name, worker, lease) == 1

    async def trim(self) -> int:
        """See `EventLog.trim`."""
        keep, gone = self._keep, 0
        while part := await self._do(steps.TRIM, keep.seconds, keep.updates, keep.bytes, TRIM_STEP):
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

    async def _do(self, step: steps.Step, *given: str | float) -> Any:
        (answer,) = await self._steps.add([Ask(step, (self._clock(), secrets.token_hex(8), *given))])
        if isinstance(answer, Exception):
            raise StoreUnavailable(detail=f"redis: {answer}") from answer
        return answer

    async def _go(self, asked: Sequence[Ask]) -> Sequence[Any]:
        """Take steps in one go. A server that was started again has forgotten the scripts."""
        with told():
            answers = await self._answers(asked)
            forgotten = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if forgotten:
                for text in {asked[index].step.text for index in forgotten}:
                    await self._redis.script_load(text)
                for index, answer in zip(forgotten, await self._answers([asked[n] for n in forgotten]), strict=True):
                    answers[index] = answer
        return answers

    async def _answers(self, asked: Sequence[Ask]) -> list[Any]:
        pipe = self._redis.pipeline(transaction=False)
        for step, given in asked:
            pipe.evalsha(step.digest, 1, steps.PREFIX, *given)
        try:
            return await pipe.execute(raise_on_error=False)
        except ConnectionFailed:  # One that was kept open, to a server that was started again. Steps bear repeating.
            for step, given in asked:
                pipe.evalsha(step.digest, 1, steps.PREFIX, *given)
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
            found = cast("Any", await self._listening_to.xread({steps.BELL: last}, block=int(BLOCK * 1000)))
            if not self._heard:  # The server may have been away, and its data too.
                self._heard = True
                self._updates.ring()
                self._calls.call()
            for _, entries in found:
                last, bell = entries[-1]
                self._updates.ring(int(bell[b"update"]))
                self._calls.hear(int(bell[b"notice"]))

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


def _of(one: Notice | Update) -> str:
    return thing_of(one.kind, one.source, one.key)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _dead(place: bytes, at: bytes, grave: bytes) -> Dead:
    body, attempts, cause = msgspec.json.decode(grave, type=tuple[str, int, str])
    return Dead(
        place=place.decode(),
        notice=msgspec.json.decode(body[steps.THING :], type=Notice),
        attempts=attempts,
        cause=cause,
        at=datetime.fromtimestamp(float(at), UTC),
    )


def _entries(log: bytes, found: Iterable[tuple[bytes, Sequence[bytes]]]) -> tuple[Recorded, ...]:
    with _readable():
        return tuple(
            _recorded(log, int(id.partition(b"-")[0]), msgspec.json.decode(fields[3], type=Update))
            for id, fields in found
        )


def _recorded(log: bytes, position: int, update: Update) -> Recorded:
    return Recorded(cursor=str(Place(bytes.fromhex(log.decode()), position)), update=update)
