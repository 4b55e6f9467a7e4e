"""What every store of documents does: the same over SQLite and over Redis."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from datetime import date
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.errors import ConfigurationError, StoreUnavailable
from app.gateway.documents.stores import connect_documents
from app.gateway.documents.stores.document_store import DocumentState, DocumentStore, StoreChanged, document_id
from app.settings import DocumentSettings, RedisSettings, Settings
from tests.support.stored import keep, stored
from tests.support.valkey import Valkey

Connect = Callable[[], DocumentStore]
ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import asyncio, pathlib, sys
from app.settings import Settings
from app.gateway.documents.stores import connect_documents
from tests.support.stored import keep, stored
asyncio.run(keep(connect_documents(Settings(data_dir=pathlib.Path(sys.argv[1]))), stored("acme", "{ hello }")))
"""
A, B = "{ hello }", "query B { hello }"


@pytest.fixture(params=["sqlite", "redis"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "sqlite":
        return Settings(data_dir=tmp_path / "data")
    url = request.getfixturevalue("redis_url")
    return Settings(documents=DocumentSettings(store="redis"), redis=RedisSettings(url=SecretStr(url), timeout=5))


@pytest.fixture
async def connect(settings: Settings) -> AsyncIterator[Connect]:
    """Makes stores as several processes would: each over a connection of its own."""
    opened: list[DocumentStore] = []

    def one() -> DocumentStore:
        opened.append(connect_documents(settings))
        return opened[-1]

    yield one
    for store in opened:
        await store.close()


async def test_new_store_is_empty(connect: Connect):
    store = connect()
    assert (await store.generation(), await store.all(), await store.find("acme", document_id(A))) == (0, [], [])


async def test_stored_document_is_returned_unchanged(connect: Connect):
    whole = stored(
        "acme",
        "query Größe { hello }",
        version="1.2",
        operations=("Größe",),
        aliases=("9a0364b9e99bb480dd25e1f0284c8555",),
        contact="edi@acme.example.com",
        roles=("partner", "buyer"),
        state=DocumentState.RETIRED,
        cost=42,
        retires=date(2027, 6, 1),
    )
    await keep(connect(), whole)
    assert await connect().all() == [whole]
    assert await connect().find("acme", whole.id) == [whole]
    assert await connect().find("acme", whole.aliases[0]) == [whole]


async def test_document_is_found_by_its_own_client_only(connect: Connect):
    store = connect()
    await keep(store, stored("acme", A, aliases=("a1",)), stored("bolt", B, aliases=("b1",)))
    for other in (document_id(A), "a1"):
        assert await store.find("bolt", other) == []
    assert [one.text for one in await store.find("bolt", "b1")] == [B]
    assert [one.client for one in await store.all("acme")] == ["acme"]


async def test_document_is_stored_once_for_each_version(connect: Connect):
    store = connect()
    await keep(store, stored("acme", A, version="2"), stored("acme", A, version="1"), stored("acme", B, version="1"))
    assert [one.version for one in await store.find("acme", document_id(A))] == ["1", "2"]
    assert [(one.version, one.text) for one in await store.all()] == sorted(
        [("1", A), ("1", B), ("2", A)], key=lambda one: (one[0], document_id(one[1]))
    )


async def test_later_write_replaces_the_earlier(connect: Connect):
    store = connect()
    await keep(store, stored("acme", A, state=DocumentState.DRAFT, aliases=("old",)))
    await keep(store, stored("acme", A, state=DocumentState.PUBLISHED, aliases=("new",)))
    assert [one.state for one in await store.all()] == [DocumentState.PUBLISHED]
    assert await store.find("acme", "old") == []
    assert len(await store.find("acme", "new")) == 1


async def test_other_process_sees_that_something_was_written(connect: Connect):
    reader, writer = connect(), connect()
    before = await reader.generation()
    await keep(writer, stored("acme", A))
    assert await reader.generation() == before + 1
    assert len(await reader.find("acme", document_id(A))) == 1


async def test_writing_over_a_change_unseen_is_refused_whole(connect: Connect):
    one, other = connect(), connect()
    since = await one.generation()
    await keep(other, stored("acme", A, contact="other"))
    with pytest.raises(StoreChanged):
        await one.put([stored("acme", B), stored("acme", A, contact="one")], since=since)
    assert [(kept.text, kept.contact) for kept in await one.all()] == [(A, "other")]


async def test_concurrent_writers_each_succeed_or_get_a_conflict(connect: Connect):
    stores = [connect() for _ in range(8)]
    since = await stores[0].generation()
    writes = [store.put([stored("acme", A, version=str(n))], since=since) for n, store in enumerate(stores)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, StoreChanged) for outcome in outcomes) == 7
    assert len(await stores[0].all()) == 1


async def test_removed_document_is_unknown_and_its_name_free(connect: Connect):
    one, other = connect(), connect()
    await keep(one, stored("acme", A, aliases=("old",)), stored("acme", B))
    since = await one.generation()
    await one.remove([stored("acme", A)], since=since)
    assert [kept.text for kept in await other.all()] == [B]
    assert (await other.find("acme", "old"), await other.find("acme", document_id(A))) == ([], [])
    assert await other.generation() == since + 1
    with pytest.raises(StoreChanged):
        await other.remove([stored("acme", B)], since=since)
    await keep(one, stored("acme", A, aliases=("old",)))
    assert len(await other.find("acme", "old")) == 1


async def test_failed_writing_leaves_the_store_usable(connect: Connect):
    store = connect()
    with pytest.raises(StoreChanged):
        await store.put([stored("acme", A)], since=7)
    await keep(store, stored("acme", A))
    assert len(await store.all()) == 1


async def test_document_that_another_process_wrote_is_read_at_once(tmp_path: Path):
    """A real second process, as the command line is one beside a server."""
    store = connect_documents(Settings(data_dir=tmp_path))
    assert await store.all() == []
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, tmp_path, cwd=ROOT)
    assert await writer.wait() == 0
    assert [one.text for one in await store.find("acme", document_id(A))] == [A]
    await store.close()


async def test_file_that_is_not_a_database_is_reported(tmp_path: Path):
    (tmp_path / "documents.sqlite").write_text("not a database, but long enough to look like one" * 50)
    store = connect_documents(Settings(data_dir=tmp_path))
    with pytest.raises(StoreUnavailable) as caught:
        await store.all()
    assert "not a database" in (caught.value.detail or "")
    assert "sqlite" not in caught.value.message


async def test_unreadable_stored_document_is_reported(tmp_path: Path):
    store = connect_documents(Settings(data_dir=tmp_path))
    await keep(store, stored("acme", A))
    with sqlite3.connect(tmp_path / "documents.sqlite") as sql:
        sql.execute("UPDATE documents SET body = '{}'")
    sql.close()
    with pytest.raises(StoreUnavailable):
        await store.find("acme", document_id(A))
    await store.close()


async def test_unavailable_redis_is_reported():
    nowhere = RedisSettings(url=SecretStr("redis://:secret@127.0.0.1:1/0"))
    store = connect_documents(Settings(documents=DocumentSettings(store="redis"), redis=nowhere))
    for ask in (store.generation(), store.find("acme", "x"), store.all(), store.put([], since=0)):
        with pytest.raises(StoreUnavailable) as caught:
            await ask
        assert "secret" not in str(caught.value) + (caught.value.detail or "")
    await store.close()


async def test_redis_is_waited_for_as_long_as_the_settings_say(tmp_path: Path):
    server = Valkey(tmp_path)
    server.start()
    try:
        redis = RedisSettings(url=SecretStr(server.url), timeout=10)
        store = connect_documents(Settings(documents=DocumentSettings(store="redis"), redis=redis))
        with server.hanging():
            asking = asyncio.create_task(store.generation())
            assert await asyncio.wait({asking}, timeout=0.6) == (set(), {asking})
        assert await asking == 0
        await store.close()
    finally:
        server.stop()


@pytest.mark.parametrize("url", [None, "http://127.0.0.1"])
def test_redis_needs_an_address(url: str | None):
    redis = RedisSettings(url=SecretStr(url) if url else None)
    with pytest.raises(ConfigurationError, match=r"^redis\.url = "):
        connect_documents(Settings(documents=DocumentSettings(store="redis"), redis=redis))
