"""What every store of endpoints does: the same over SQLite and over Redis."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from app.errors import StoreUnavailable
from app.gateway.documents.stores.document_store import StoreChanged
from app.settings import EventSettings, RedisSettings, Settings
from app.webhooks.outbound.endpoints import DeliveryGap, EndpointState, EndpointStore, Secret
from app.webhooks.outbound.stores import connect_endpoints
from tests.support.endpoints import SECRET, delivery, endpoint, put
from tests.support.events import THEN

Connect = Callable[[], EndpointStore]


@pytest.fixture(params=["sqlite", "redis"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path / "data")
    url = request.getfixturevalue("redis_url")
    return Settings(events=EventSettings(store="redis"), redis=RedisSettings(url=SecretStr(url), timeout=5))


@pytest.fixture
async def connect(settings: Settings) -> AsyncIterator[Connect]:
    """Makes stores as several processes would: each over a connection of its own."""
    opened: list[EndpointStore] = []

    def one() -> EndpointStore:
        opened.append(connect_endpoints(settings))
        return opened[-1]

    yield one
    for store in opened:
        await store.close()


async def test_endpoint_comes_back_as_it_was_put(connect: Connect):
    whole = endpoint(
        variables={"customer": {"number": "CUST-0001"}},
        roles=("buyer",),
        secrets=(Secret(value=SECRET), Secret(value="whsec_b2xk", ends=THEN)),
        state=EndpointState.DISABLED,
        reason="it answered 410 Gone",
    )
    await put(connect(), whole, endpoint("ep0", "zeta"))
    assert await connect().all() == [whole, endpoint("ep0", "zeta")]


async def test_change_is_noticed_elsewhere_and_based_on_what_was_read(connect: Connect):
    ours, theirs = connect(), connect()
    before = await ours.generation()
    await put(theirs, endpoint())
    assert await ours.generation() == before + 1
    with pytest.raises(StoreChanged):
        await ours.put(replace(endpoint(), state=EndpointState.PAUSED), since=before)
    assert await ours.all() == [endpoint()]


async def test_deliveries_are_pending_in_the_order_of_their_first_storing(connect: Connect):
    store = connect()
    await store.save([delivery("c9"), delivery("c1")])
    again = delivery("c9", attempts=2, cause="no answer within 10 s")
    gap = delivery("lost:c0", update=None, gap=DeliveryGap(start="c0", end="c1", reason="EXPIRED"))
    await store.save([gap, again])
    assert await connect().pending("ep1") == [again, delivery("c1"), gap]
    await store.remove_deliveries("ep1", ["c9", "unknown"])
    assert await connect().pending("ep1") == [delivery("c1"), gap]
    assert await connect().pending("ep2") == []


async def test_dead_deliveries_are_listed_newest_first_and_replayed_with_all_their_time(connect: Connect):
    store, died, now = connect(), THEN + timedelta(hours=36), THEN + timedelta(hours=40)
    await put(store, endpoint(), endpoint("ep2"))
    dead = [delivery(f"c{hour}", dead_at=died + timedelta(hours=hour), attempts=40) for hour in range(3)]
    other = delivery("c7", endpoint="ep2", dead_at=died + timedelta(hours=1, minutes=30))
    await store.save([delivery("c1"), *dead, other])
    assert await store.pending("ep1") == []
    assert await store.dead_letters() == [dead[2], other, dead[1], dead[0]]
    assert await store.dead_letters("ep1", limit=2) == [dead[2], dead[1]]

    before = await store.generation()
    assert await store.replay("ep1", ["c2", "c7", "unknown"], now=now) == 1
    assert await connect().generation() == before + 1
    (again,) = await store.pending("ep1")
    assert again == replace(dead[2], dead_at=None, attempts=0, first_at=now, next_at=now)
    assert await store.replay("ep1", now=now) == 2
    assert [one.cursor for one in await store.pending("ep1")] == ["c1", "c0", "c2"] or [
        one.cursor for one in await store.pending("ep1")
    ] == ["c2", "c0", "c1"]
    assert await store.dead_letters() == [other]


async def test_old_dead_deliveries_go(connect: Connect):
    store = connect()
    await put(store, endpoint())
    await store.save([delivery("c1", dead_at=THEN), delivery("c2", dead_at=THEN + timedelta(days=1)), delivery("c3")])
    assert await store.trim(THEN + timedelta(hours=1)) == 1
    assert [one.cursor for one in await store.dead_letters()] == ["c2"]
    assert [one.cursor for one in await store.pending("ep1")] == ["c3"]


async def test_removed_endpoint_takes_its_deliveries_along(connect: Connect):
    store = connect()
    await put(store, endpoint(), endpoint("ep2"))
    await store.save([delivery("c1"), delivery("c2", dead_at=THEN), delivery("c1", endpoint="ep2")])
    assert await store.remove("ep1")
    assert not await store.remove("ep1")
    assert [one.id for one in await store.all()] == ["ep2"]
    assert (await store.pending("ep1"), await store.dead_letters()) == ([], [])
    assert [one.cursor for one in await store.pending("ep2")] == ["c1"]


def test_secret_is_in_no_repr():
    assert SECRET not in repr(endpoint())


async def test_file_is_its_owners_alone(tmp_path: Path):
    store = connect_endpoints(Settings(data_dir=tmp_path))
    await put(store, endpoint())
    assert modes(tmp_path) == {0o600}
    await store.close()


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_store_that_is_not_there_says_so(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable):
        await connect_endpoints(Settings(data_dir=tmp_path / "file")).all()
    gone = Settings(events=EventSettings(store="redis"), redis=RedisSettings(url=SecretStr("redis://127.0.0.1:1/0")))
    store = connect_endpoints(gone)
    with pytest.raises(StoreUnavailable):
        await store.save([delivery("c1")])
    await store.close()
