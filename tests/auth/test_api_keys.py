"""API keys: what opens, for how long, and what is kept of them."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from app.auth.api_keys import APIKeyAuthenticator, KeyRecord, KeyStore, TooManyKeys, _check, digest_of, new_key
from app.auth.principal import Principal, Role
from app.auth.stores import connect_keys
from app.auth.stores.redis_keys import RECORDS
from app.auth.stores.sqlite_keys import FILE, SQLiteKeys
from app.errors import AuthenticationUnavailable, StoreUnavailable, Unauthenticated
from app.settings import KeySettings, RedisSettings, Settings
from app.storage.redis import connect as connect_redis

Connect = Callable[[], KeyStore]

NOW = 1_800_000_000.0
NOBODY = "redis://127.0.0.1:1/0"
REFUSED = "The API key was not accepted. Send a valid one in the Authorization header, or ask the operators for one."


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return NOW + self.seconds

    def timer(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "redis"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path)
    url = request.getfixturevalue("redis_url")
    return Settings(api_keys=KeySettings(store="redis"), redis=RedisSettings(url=SecretStr(url), timeout=5))


@pytest.fixture
async def connect(settings: Settings) -> AsyncIterator[Connect]:
    """Makes stores as several processes would: each over a connection of its own."""
    made: list[KeyStore] = []

    def one() -> KeyStore:
        made.append(connect_keys(settings))
        return made[-1]

    yield one
    for store in made:
        await store.close()


@pytest.fixture
def store(connect: Connect) -> KeyStore:
    return connect()


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SQLiteKeys]:
    opened = SQLiteKeys(tmp_path / FILE)
    yield opened
    await opened.close()


@pytest.fixture
def door(store: KeyStore, clock: Clock) -> APIKeyAuthenticator:
    return opened(store, clock)


def opened(store: Any, clock: Clock) -> APIKeyAuthenticator:
    return APIKeyAuthenticator(store, now=clock.now, timer=clock.timer)


def made(client: str = "acme", **more: Any) -> tuple[str, KeyRecord]:
    key_id, key = new_key()
    values = {"role": Role.PARTNER, "customers": frozenset({"CUST-0001"}), "created_at": NOW, **more}
    return key, KeyRecord(id=key_id, digest=digest_of(key), client=client, **values)


async def added(store: KeyStore, client: str = "acme", **more: Any) -> tuple[str, KeyRecord]:
    key, record = made(client, **more)
    await store.add(record, now=NOW)
    return key, record


async def refusal(door: APIKeyAuthenticator, key: str) -> str | None:
    with pytest.raises(Unauthenticated) as caught:
        await door.authenticate(f"Bearer {key}")
    assert (caught.value.message, caught.value.code) == (REFUSED, "UNAUTHENTICATED")
    assert key not in f"{caught.value.detail}"
    return caught.value.detail


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def resealed(key: str, secret: str) -> str:
    """The key with another secret and a check that fits."""
    body = f"{key[:16]}{secret}"
    return body + _check(body)


async def test_key_opens_the_accounts_of_its_client(door: APIKeyAuthenticator, store: KeyStore):
    key, record = await added(store, tenant="north", expires_at=NOW + 60)
    principal = await door.authenticate(f"Bearer {key}")
    assert principal == Principal(
        subject="acme",
        roles=frozenset({Role.PARTNER}),
        customers=frozenset({"CUST-0001"}),
        tenant="north",
        client="acme",
    )
    assert (principal.expires_at, principal.claims) == (NOW + 60, {"api_key": record.id})


async def test_each_partner_gets_its_own_accounts(door: APIKeyAuthenticator, store: KeyStore):
    ours, _ = await added(store)
    theirs, _ = await added(store, "globex", customers=frozenset({"CUST-0002"}))
    found = [await door.authenticate(f"Bearer {key}") for key in (ours, theirs)]
    assert [(principal.client, principal.customers) for principal in found] == [
        ("acme", {"CUST-0001"}),
        ("globex", {"CUST-0002"}),
    ]


def test_keys_are_of_one_form_and_none_like_another():
    keys = {new_key()[1] for _ in range(1000)}
    assert len(keys) == 1000
    assert {len(key) for key in keys} == {3 + 12 + 1 + 43 + 6}
    assert {key[:3] + key[15] for key in keys} == {"tg__"}


async def test_wrong_keys_are_refused_with_one_sentence(door: APIKeyAuthenticator, store: KeyStore):
    key, record = await added(store)
    other, foreign = await added(store, "globex")
    assert await refusal(door, key[:-1]) == "not an API key: wrong format or checksum"
    assert await refusal(door, key + "0") == "not an API key: wrong format or checksum"
    assert await refusal(door, key[:20] + ("A" if key[20] != "A" else "B") + key[21:]) == (
        "not an API key: wrong format or checksum"
    )
    assert await refusal(door, key[:16] + key[16:].swapcase()) == "not an API key: wrong format or checksum"
    assert await refusal(door, resealed(key, "0" * 43)) == f"wrong secret for API key {record.id}"
    assert await refusal(door, resealed(other, key[16:-6])) == f"wrong secret for API key {foreign.id}"
    assert await refusal(door, new_key()[1]) == "unknown API key id"
    assert await refusal(door, "tg_") == "not an API key: wrong format or checksum"
    assert await refusal(door, "tg_" + "a" * 65536) == "not an API key: wrong format or checksum"
    assert await refusal(door, key.replace("tg_", "tg_' OR 1=1 --")) == "not an API key: wrong format or checksum"
    assert await refusal(door, f"{key}\n{key}") == "not an API key: wrong format or checksum"


async def test_key_ends_when_it_expires(door: APIKeyAuthenticator, store: KeyStore, clock: Clock):
    key, record = await added(store, expires_at=NOW + 60)
    clock.seconds = 59.9
    assert (await door.authenticate(f"Bearer {key}")).client == "acme"
    clock.seconds = 60
    assert await refusal(door, key) == f"API key {record.id} of acme is expired"


async def test_revoked_key_is_refused_by_every_process_within_five_seconds(
    store: KeyStore, clock: Clock, connect: Connect
):
    """Two workers with a connection of their own each; a third one, the command line, revokes."""
    key, record = await added(store)
    stay, _ = await added(store)
    workers = [opened(connect(), clock) for _ in range(2)]
    for worker in workers:
        assert (await worker.authenticate(f"Bearer {key}")).client == "acme"
    assert await store.revoke([record.id], now=clock.now()) == 1
    clock.seconds = 2.0
    for worker in workers:
        assert await refusal(worker, key) == f"API key {record.id} of acme is revoked"
        assert (await worker.authenticate(f"Bearer {stay}")).client == "acme"


async def test_new_key_opens_at_once_and_made_up_ones_cause_ten_questions_a_second(clock: Clock):
    flaky = Flaky()
    door = opened(flaky, clock)
    await door.warm()
    key, record = made()
    await flaky.add(record, now=NOW)
    clock.seconds = 0.1
    assert (await door.authenticate(f"Bearer {key}")).client == "acme"
    for clock.seconds, asked in [(0.1, 2), (0.15, 2), (0.2, 3), (0.25, 3), (0.31, 4)]:
        for _ in range(20):
            assert await refusal(door, new_key()[1]) == "unknown API key id"
        assert flaky.asked == asked


async def test_client_has_two_live_keys_at_most(store: KeyStore, connect: Connect):
    stores = [connect() for _ in range(6)]  # as of so many processes at once
    done = await asyncio.gather(*(one.add(made()[1], now=NOW) for one in stores), return_exceptions=True)
    assert [type(one) for one in done if one is not None] == [TooManyKeys] * 4
    _, records = await store.all()
    assert len(records) == 2
    await added(store, "globex")
    assert await store.revoke([records[0].id], now=NOW) == 1
    await added(store)


async def test_expired_key_frees_its_slot(store: KeyStore):
    await added(store, expires_at=NOW)
    await added(store)
    await added(store)
    with pytest.raises(TooManyKeys):
        await added(store)


async def test_end_of_the_old_key_is_set_with_the_new_one_and_never_put_off(store: KeyStore):
    _, lasting = await added(store)
    await store.add(made()[1], now=NOW, ending={lasting.id: NOW + 7})
    _, ending = await added(store, "globex", expires_at=NOW + 3)
    await store.add(made("globex")[1], now=NOW, ending={ending.id: NOW + 7})
    ends = {record.id: record.expires_at for record in (await store.all())[1]}
    assert (ends[lasting.id], ends[ending.id]) == (NOW + 7, NOW + 3)


async def test_revoking_twice_or_nobody_changes_nothing(store: KeyStore):
    _, record = await added(store)
    assert await store.revoke([record.id], now=NOW) == 1
    assert await store.revoke([record.id, "nobody"], now=NOW + 9) == 0
    assert (await store.all())[1][0].revoked_at == NOW


async def test_store_keeps_what_it_was_given(store: KeyStore):
    _, record = await added(store, tenant="north", expires_at=NOW + 60)
    assert (await store.all())[1] == [record]


async def test_file_is_its_owners_and_holds_no_key(file: SQLiteKeys, tmp_path: Path):
    key, record = await added(file)
    assert key not in repr(record)
    assert record.digest not in repr(record)
    kept = b"".join(file.read_bytes() for file in files(tmp_path))
    assert record.id.encode() in kept
    assert key[16:-6].encode() not in kept
    assert {stat.S_IMODE(file.stat().st_mode) for file in files(tmp_path)} == {0o600}


async def test_new_store_has_no_keys(store: KeyStore, clock: Clock):
    assert (await store.generation(), [*(await store.all())[1]]) == (0, [])
    assert await refusal(opened(store, clock), new_key()[1]) == "unknown API key id"


async def test_store_without_a_file_has_no_keys_and_makes_none(file: SQLiteKeys, tmp_path: Path):
    door = APIKeyAuthenticator(file)
    assert await refusal(door, new_key()[1]) == "unknown API key id"
    await file.used({"a": NOW})
    assert await file.revoke(["a"], now=NOW) == 0
    assert files(tmp_path) == []


async def test_file_that_is_not_a_store_is_reported(file: SQLiteKeys, tmp_path: Path, clock: Clock):
    (tmp_path / FILE).write_bytes(b"garbage" * 1000)
    with pytest.raises(StoreUnavailable) as caught:
        await file.all()
    assert caught.value.detail == f"{tmp_path / FILE}: file is not a database"
    with pytest.raises(AuthenticationUnavailable):
        await opened(file, clock).authenticate(f"Bearer {new_key()[1]}")


async def test_redis_with_foreign_data_is_reported(redis_url: str, clock: Clock):
    settings = Settings(api_keys=KeySettings(store="redis"), redis=RedisSettings(url=SecretStr(redis_url), timeout=5))
    broken, redis = connect_keys(settings), connect_redis(settings.redis)
    await redis.hset(RECORDS, "a", '{"id": 1}')
    with pytest.raises(StoreUnavailable) as caught:
        await broken.all()
    assert caught.value.detail is not None
    assert caught.value.detail.startswith("redis holds a KeyRecord that cannot be read: ")
    with pytest.raises(StoreUnavailable):
        await broken.add(made()[1], now=NOW)
    with pytest.raises(AuthenticationUnavailable):
        await opened(broken, clock).authenticate(f"Bearer {new_key()[1]}")
    assert await redis.hgetall(RECORDS) == {b"a": b'{"id": 1}'}
    await broken.close()
    await redis.aclose()


async def test_unavailable_redis_is_reported_as_such(clock: Clock):
    gone = connect_keys(Settings(api_keys=KeySettings(store="redis"), redis=RedisSettings(url=SecretStr(NOBODY))))
    for work in (gone.generation(), gone.all(), gone.used({"a": NOW}), gone.revoke(["a"], now=NOW)):
        with pytest.raises(StoreUnavailable):
            await work
    with pytest.raises(AuthenticationUnavailable):
        await opened(gone, clock).authenticate(f"Bearer {new_key()[1]}")
    await gone.close()


class Flaky:
    """A store in memory that counts, and fails when told."""

    def __init__(self, *records: KeyRecord) -> None:
        self.records, self.failing = list(records), False
        self.asked, self.noted = 0, []

    def check(self) -> None:
        if self.failing:
            raise StoreUnavailable(detail="disk is gone")

    async def generation(self) -> int:
        self.asked += 1
        self.check()
        return len(self.records)

    async def all(self) -> tuple[int, Sequence[KeyRecord]]:
        self.check()
        return len(self.records), self.records

    async def add(self, record: KeyRecord, *, now: float, ending: Mapping[str, float] | None = None) -> None:
        self.records.append(record)

    async def revoke(self, ids: Any, *, now: float) -> int:
        self.records = [replace(record, revoked_at=now) for record in self.records]
        return len(self.records)

    async def used(self, at: Mapping[str, float]) -> None:
        self.check()
        self.noted.append(dict(at))

    async def close(self) -> None:
        pass


async def test_store_is_asked_once_in_two_seconds_whoever_asks(clock: Clock):
    key, record = made()
    flaky = Flaky(record)
    door = opened(flaky, clock)
    for clock.seconds, asked in [(0, 1), (1.9, 1), (2.0, 2), (3.9, 2), (4.0, 3)]:
        await asyncio.gather(*(door.authenticate(f"Bearer {key}") for _ in range(20)))
        assert flaky.asked == asked


async def test_keys_are_believed_five_seconds_without_their_store_and_no_longer(clock: Clock):
    key, record = made()
    flaky = Flaky(record)
    door = opened(flaky, clock)
    await door.authenticate(f"Bearer {key}")
    flaky.failing = True
    with structlog.testing.capture_logs() as logs:
        for clock.seconds in (1.9, 2.0, 4.5, 5.0):
            assert (await door.authenticate(f"Bearer {key}")).client == "acme"
        clock.seconds = 5.1
        with pytest.raises(AuthenticationUnavailable) as caught:
            await door.authenticate(f"Bearer {key}")
    assert caught.value.code == "AUTHENTICATION_UNAVAILABLE"
    assert [(line["event"], line["detail"]) for line in logs] == [("api_keys_unreadable", "disk is gone")] * 2
    flaky.failing = False
    clock.seconds = 7.0
    assert (await door.authenticate(f"Bearer {key}")).client == "acme"


async def test_last_use_is_written_once_a_minute_and_at_the_end(clock: Clock):
    (key, record), (other, second) = made(), made("globex")
    flaky = Flaky(record, second)
    door = opened(flaky, clock)
    for clock.seconds in range(60):
        await door.authenticate(f"Bearer {key}")
    assert flaky.noted == []
    clock.seconds = 60
    await door.authenticate(f"Bearer {other}")
    await asyncio.sleep(0)
    assert flaky.noted == [{record.id: NOW + 59, second.id: NOW + 60}]
    clock.seconds = 61
    await door.authenticate(f"Bearer {key}")
    await door.aclose()
    assert flaky.noted[1:] == [{record.id: NOW + 61}]


async def test_use_that_could_not_be_written_is_written_later(clock: Clock):
    key, record = made()
    flaky = Flaky(record)
    door = opened(flaky, clock)
    await door.authenticate(f"Bearer {key}")
    flaky.failing = True
    await door.aclose()
    flaky.failing = False
    await door.aclose()
    assert flaky.noted == [{record.id: NOW}]


async def test_last_use_only_moves_on(store: KeyStore):
    _, record = await added(store)
    generation = await store.generation()
    await store.used({record.id: NOW + 9})
    await store.used({record.id: NOW + 5})
    assert (await store.all())[1][0].last_used_at == NOW + 9
    assert await store.generation() == generation


async def test_writer_that_finds_the_file_locked_says_so(file: SQLiteKeys, tmp_path: Path):
    await added(file)
    with sqlite3.connect(tmp_path / FILE, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable) as caught:
            await added(file)
        assert caught.value.detail == f"{tmp_path / FILE}: database is locked"
        assert len((await file.all())[1]) == 1  # readers go on
        other.execute("ROLLBACK")
    other.close()
