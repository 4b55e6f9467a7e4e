"""Trusted documents on the wire: who may send what, by which id, and what becomes of everything else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.auth.principal import Principal, Role
from app.errors import StoreUnavailable
from app.execution.engine import Request
from app.gateway.documents.persisted_queries import PersistedQueries
from app.gateway.documents.published import CHECK_INTERVAL, PublishedDocuments
from app.gateway.documents.stores.document_store import DocumentState, DocumentStore, document_id
from app.gateway.documents.stores.sqlite_documents import SQLiteDocuments
from app.gateway.documents.trusted_documents import TrustedDocuments
from app.settings import DocumentSettings
from tests.support.graphs import small_engine, small_graph
from tests.support.serving import serving
from tests.support.stored import keep, stored

HELLO, NAMED, ADD = "{ hello }", "query N($n: String) { hello(name: $n) }", "mutation { add(amount: 2) }"
OTHERS = "query Others { who }"
RETIRED, RETIRING = "query Gone { hello }", "query Going { hello }"
MD5 = "9a0364b9e99bb480dd25e1f0284c8555"
SETTINGS = DocumentSettings(trusted_clients=("kiosk-*",), registering_clients=("portal", "app-*"))
MODERN = "application/graphql-response+json"

TODAY = date(2026, 11, 21)
NOT_FOUND = (404, "DOCUMENT_NOT_FOUND")
REQUIRED = (403, "TRUSTED_DOCUMENT_REQUIRED")
UNKNOWN_HASH = (400, "PERSISTED_QUERY_NOT_FOUND")
BAD = (400, "BAD_REQUEST")


def noon() -> datetime:
    return datetime(2026, 11, 21, 12, tzinfo=UTC)


PUBLISHED = (
    stored("acme", HELLO),
    stored("acme", NAMED, aliases=(MD5, "x-acme:named")),
    stored("acme", ADD),
    stored("acme", "query Draft { hello }", state=DocumentState.DRAFT, published=None),
    stored("acme", RETIRED, state=DocumentState.RETIRED, retires=TODAY),
    stored("acme", RETIRING, state=DocumentState.RETIRED, retires=date(2026, 11, 22)),
    stored("acme", "query Many { hello } query Other { who }"),
    stored("bolt", OTHERS, aliases=("bolts",)),
    stored("kiosk-1", HELLO),
    stored("portal", "query Portal { who }"),
)


@dataclass
class World:
    """A running endpoint over a store of documents."""

    client: httpx.AsyncClient
    store: DocumentStore

    async def post(self, principal: str, accept: str = MODERN, **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {principal}", "accept": accept}
        return await self.client.post("/graphql", json=body, headers=headers)

    async def get(self, principal: str, **parameters: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {principal}", "accept": MODERN}
        return await self.client.get("/graphql", params=parameters, headers=headers)


@asynccontextmanager
async def world(folder: Path, settings: DocumentSettings = SETTINGS) -> AsyncIterator[World]:
    store = SQLiteDocuments(folder / "documents.sqlite")
    await keep(store, *PUBLISHED)
    engine = small_engine()
    documents = TrustedDocuments(engine, store, settings, clock=noon)
    async with (
        serving(small_graph(engine=engine, documents=documents, max_body_bytes=128 * 1024)) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        try:
            yield World(client, store)
        finally:
            await documents.close()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as running:
        yield running


def refused(response: httpx.Response) -> tuple[int, str]:
    """Status and code of an answer that has one error and no data."""
    body = response.json()
    assert "data" not in body
    (error,) = body["errors"]
    assert set(error["extensions"]) <= {"code", "errorId", "limit"}
    return response.status_code, error["extensions"]["code"]


def apq(text: str, **changed: Any) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": document_id(text).removeprefix("sha256:"), **changed}}


PARTNER = "partner:acme"


@pytest.mark.parametrize(
    "id_",
    [document_id(NAMED), document_id(NAMED).removeprefix("sha256:"), MD5, "x-acme:named"],
    ids=["sha256", "bare", "md5", "x-"],
)
async def test_published_document_is_answered_by_any_of_its_ids(here: World, id_: str):
    posted = await here.post(PARTNER, documentId=id_, variables={"n": "you"})
    assert (posted.status_code, posted.json()) == (200, {"data": {"hello": "hello you"}})
    got = await here.get(PARTNER, documentId=id_, variables='{"n":"you"}')
    assert (got.status_code, got.json()) == (200, {"data": {"hello": "hello you"}})


async def test_published_document_is_answered_by_apollos_hash(here: World):
    assert (await here.post(PARTNER, extensions=apq(HELLO))).json() == {"data": {"hello": "hello world"}}
    got = await here.get(PARTNER, extensions=json.dumps(apq(HELLO)))
    assert got.json() == {"data": {"hello": "hello world"}}


async def test_operation_of_a_document_is_chosen_by_its_name(here: World):
    id_ = document_id("query Many { hello } query Other { who }")
    assert (await here.post(PARTNER, documentId=id_, operationName="Other")).json() == {"data": {"who": "acme"}}
    assert refused(await here.post(PARTNER, documentId=id_)) == BAD


@pytest.mark.parametrize("principal", [PARTNER, "kiosk-1", "csr:kiosk-2"])
@pytest.mark.parametrize(
    "body",
    [
        {"query": HELLO},
        {"query": HELLO, "documentId": None},
        {"query": HELLO, "extensions": {"persistedQuery": None}},
        {"query": "{ who }", "extensions": apq("{ who }")},
        {"query": "{ who"},
        {"query": "{ __schema { types { name } } }"},
        {"query": ""},
        {},
    ],
    ids=["text", "null id", "null hash", "registration", "broken", "introspection", "empty", "nothing"],
)
async def test_text_of_a_client_of_trusted_documents_is_refused(here: World, principal: str, body: dict):
    for _ in range(2):
        assert refused(await here.post(principal, **body)) == REQUIRED
    if "query" in body:
        assert refused(await here.get(principal, query=body["query"])) == REQUIRED


async def test_one_trusted_role_among_others_is_enough():
    documents = TrustedDocuments(small_engine(), SQLiteDocuments(Path("unused")), DocumentSettings())
    both = Principal("someone", frozenset({Role.PARTNER, Role.ADMIN}))
    assert documents.trusted_only(both)
    assert not documents.trusted_only(Principal("someone", frozenset({Role.ADMIN})))


@pytest.mark.parametrize(
    "id_",
    [
        document_id(OTHERS),
        "bolts",
        document_id("{ nobody }"),
        document_id("query Draft { hello }"),
        document_id(HELLO).upper()[7:],
        "x-a:b:c",
    ],
    ids=["another's", "another's alias", "nobody's", "draft", "upper case", "strange"],
)
@pytest.mark.parametrize("principal", [PARTNER, "csr:acme", "admin:portal"])
async def test_what_is_not_published_for_the_client_is_not_found(here: World, principal: str, id_: str):
    response = await here.post(principal, documentId=id_)
    assert refused(response) == NOT_FOUND
    message = "No document with this id is published for this client."
    assert response.json()["errors"][0]["message"] == message
    assert refused(await here.get(principal, documentId=id_)) == NOT_FOUND


async def test_other_partners_hash_is_answered_as_nobodys(here: World):
    foreign, unknown = [await here.post(PARTNER, extensions=apq(text)) for text in (OTHERS, "{ nobody }")]
    assert refused(foreign) == refused(unknown) == UNKNOWN_HASH
    assert foreign.json() == unknown.json()


async def test_document_is_refused_from_the_day_it_retires(here: World):
    assert refused(await here.post(PARTNER, documentId=document_id(RETIRED))) == (410, "DOCUMENT_RETIRED")
    assert refused(await here.post(PARTNER, extensions=apq(RETIRED))) == (410, "DOCUMENT_RETIRED")
    assert refused(await here.post("partner:bolt", documentId=document_id(RETIRED))) == NOT_FOUND


async def test_document_that_will_retire_is_answered_with_its_day(here: World):
    response = await here.post(PARTNER, documentId=document_id(RETIRING))
    assert response.headers["sunset"] == "Sun, 22 Nov 2026 00:00:00 GMT"
    assert response.json() == {
        "data": {"hello": "hello world"},
        "extensions": {"document": {"id": document_id(RETIRING), "retires": "2026-11-22"}},
    }
    assert "sunset" not in (await here.post(PARTNER, documentId=document_id(HELLO))).headers


async def test_mutation_by_get_is_not_run(here: World):
    response = await here.get(PARTNER, documentId=document_id(ADD))
    assert refused(response) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "GET, POST"
    assert refused(await here.get(PARTNER, extensions=json.dumps(apq(ADD)))) == (405, "METHOD_NOT_ALLOWED")
    assert (await here.post(PARTNER, documentId=document_id(ADD))).json() == {"data": {"add": 2}}


async def test_get_response_is_cacheable_by_its_caller_only(here: World):
    got = await here.get(PARTNER, documentId=document_id(HELLO))
    assert got.headers.get_list("cache-control") == ["private, no-cache"]
    assert got.headers["vary"] == "Accept, Authorization"
    for other in (
        await here.post(PARTNER, documentId=document_id(HELLO)),
        await here.get("csr:any", query=HELLO),
        await here.get(PARTNER, documentId="nobody"),
        await here.get(PARTNER, documentId=document_id(NAMED), variables='{"n":7}'),
    ):
        assert other.headers.get_list("cache-control") == ["no-store"]


LONG = "x" * 65536


@pytest.mark.parametrize("principal", [PARTNER, "csr:any", "portal"])
@pytest.mark.parametrize(
    "body",
    [
        {"documentId": 7},
        {"documentId": [document_id(HELLO)]},
        {"documentId": {"id": document_id(HELLO)}},
        {"documentId": True},
        {"documentId": ""},
        {"documentId": LONG},
        {"documentId": f"sha256:{LONG}"},
        {"documentId": "a/b"},
        {"documentId": ":"},
        {"documentId": "sha256:"},
        {"documentId": f"{document_id(HELLO)}\n"},
        {"documentId": "ä"},
        {"extensions": {"persistedQuery": 1}},
        {"extensions": {"persistedQuery": []}},
        {"extensions": {"persistedQuery": {}}},
        {"extensions": apq(HELLO, version=2)},
        {"extensions": apq(HELLO, version="1")},
        {"extensions": apq(HELLO, version=True)},
        {"extensions": apq(HELLO, version=None)},
        {"extensions": apq(HELLO, sha256Hash=7)},
        {"extensions": apq(HELLO, sha256Hash=None)},
        {"extensions": apq(HELLO, sha256Hash="")},
        {"extensions": apq(HELLO, sha256Hash=LONG)},
    ],
    ids=lambda body: json.dumps(body, ensure_ascii=True)[:60],
)
async def test_what_is_no_id_is_a_bad_request(here: World, principal: str, body: dict):
    assert refused(await here.post(principal, **body)) == BAD
    assert refused(await here.post(principal, query=HELLO, **body)) == BAD


async def test_batch_of_documents_is_a_bad_request(here: World):
    headers = {"authorization": f"Bearer {PARTNER}", "accept": MODERN}
    response = await here.client.post("/graphql", json=[{"documentId": document_id(HELLO)}], headers=headers)
    assert refused(response) == BAD


async def test_id_that_comes_twice_by_get_is_a_bad_request(here: World):
    headers = {"authorization": f"Bearer {PARTNER}", "accept": MODERN}
    response = await here.client.get(
        f"/graphql?documentId={document_id(HELLO)}&documentId={document_id(NAMED)}", headers=headers
    )
    assert refused(response) == BAD


@pytest.mark.parametrize("principal", [PARTNER, "portal"])
async def test_id_with_another_text_is_refused(here: World, principal: str):
    id_ = document_id("query Portal { who }") if principal == "portal" else document_id(HELLO)
    mismatch = (400, "DOCUMENT_MISMATCH")
    assert refused(await here.post(principal, documentId=id_, query=OTHERS)) == mismatch
    assert refused(await here.get(principal, documentId=id_, query=OTHERS)) == mismatch
    hashed = {"persistedQuery": {"version": 1, "sha256Hash": id_.removeprefix("sha256:")}}
    assert refused(await here.post(principal, extensions=hashed, query=OTHERS)) == mismatch
    assert refused(await here.post(principal, documentId=id_, extensions=apq(OTHERS))) == mismatch


async def test_id_with_its_own_text_is_answered(here: World):
    both = await here.post(PARTNER, documentId=document_id(HELLO), query=HELLO, extensions=apq(HELLO))
    assert both.json() == {"data": {"hello": "hello world"}}


async def test_front_end_registers_by_hash(here: World):
    first = await here.post("portal", accept="application/json", extensions=apq(HELLO))
    assert (first.status_code, first.json()) == (
        200,
        {"errors": [{"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}]},
    )
    assert (await here.post("portal", query=HELLO, extensions=apq(HELLO))).json() == {"data": {"hello": "hello world"}}
    assert (await here.post("portal", extensions=apq(HELLO))).json() == {"data": {"hello": "hello world"}}
    assert (await here.get("portal", extensions=json.dumps(apq(HELLO)))).json() == {"data": {"hello": "hello world"}}


async def test_registered_document_is_its_clients_alone(here: World):
    assert (await here.post("portal", query=HELLO, extensions=apq(HELLO))).status_code == 200
    assert refused(await here.post("app-ios", extensions=apq(HELLO))) == UNKNOWN_HASH
    assert refused(await here.post("portal", documentId=document_id(HELLO))) == NOT_FOUND  # registered is not published
    assert refused(await here.post("partner:portal", extensions=apq(HELLO))) == UNKNOWN_HASH


@pytest.mark.parametrize("principal", ["csr:any", "buyer:reports"])
async def test_client_that_may_not_register_gets_the_reason(here: World, principal: str):
    for body in ({}, {"query": HELLO}):
        response = await here.post(principal, accept="application/json", extensions=apq(HELLO), **body)
        assert (response.status_code, response.json()["errors"][0]) == (
            200,
            {"message": "PersistedQueryNotSupported", "extensions": {"code": "PERSISTED_QUERY_NOT_SUPPORTED"}},
        )
    assert (await here.post(principal, query=HELLO)).status_code == 200


@pytest.mark.parametrize(
    ("text", "hashed", "code"),
    [
        (OTHERS, HELLO, "DOCUMENT_MISMATCH"),
        (HELLO + " ", HELLO, "DOCUMENT_MISMATCH"),
        ("{ nothing }", "{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ hello", "{ hello", "GRAPHQL_PARSE_FAILED"),
        (f"{{ {'hello ' * 500} }}", f"{{ {'hello ' * 500} }}", "LIMIT_EXCEEDED"),
    ],
    ids=["other text", "space", "invalid", "broken", "long"],
)
async def test_poison_is_not_registered(here: World, text: str, hashed: str, code: str):
    assert refused(await here.post("portal", query=text, extensions=apq(hashed))) == (400, code)
    assert refused(await here.post("portal", extensions=apq(hashed))) == UNKNOWN_HASH


async def test_valid_but_long_document_runs_and_is_not_cached(here: World):
    long = HELLO + " " * 20_000
    assert (await here.post("portal", query=long, extensions=apq(long))).json() == {"data": {"hello": "hello world"}}
    assert refused(await here.post("portal", extensions=apq(long))) == UNKNOWN_HASH


def test_flood_of_registrations_pushes_out_the_clients_own_only():
    registered = PersistedQueries(characters=1000, clients=2)
    registered.store("portal", "a", "p" * 50)
    for number in range(1000):
        registered.store("app", f"{number}", "f" * 50)
    assert registered.get("portal", "a") == "p" * 50
    assert [number for number in range(1000) if registered.get("app", str(number))] == list(range(980, 1000))
    registered.get("portal", "a")
    registered.store("third", "a", "t")
    assert (registered.get("app", "999"), registered.get("portal", "a")) == (None, "p" * 50)


class Counting:
    """A store that counts what it is asked, and can be gone."""

    def __init__(self, store: DocumentStore) -> None:
        self._store = store
        self.asked: list[str] = []
        self.gone = False

    async def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.gone:
            raise StoreUnavailable(detail="gone")

    async def generation(self) -> int:
        await self._ask("generation")
        return await self._store.generation()

    async def find(self, client: str, id: str) -> Any:
        await self._ask(f"{client} {id[:6]}")
        return await self._store.find(client, id)

    async def all(self, client: str | None = None) -> Any:
        raise NotImplementedError

    async def put(self, documents: Any, *, since: int) -> None:
        raise NotImplementedError

    async def remove(self, documents: Any, *, since: int) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        await self._store.close()


@dataclass
class DocumentStoreCase:
    """Published documents over a counting store, and the time."""

    store: DocumentStore
    counting: Counting
    published: PublishedDocuments
    now: float = 100.0

    async def text(self, client: str, id_: str) -> str | None:
        known = await self.published.get(client, id_)
        return known and known.text


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[DocumentStoreCase]:
    store = SQLiteDocuments(tmp_path / "documents.sqlite")
    await keep(store, *PUBLISHED)
    counting = Counting(store)
    made = DocumentStoreCase(store, counting, PublishedDocuments(counting, small_engine(), monotonic=lambda: made.now))
    yield made
    await made.published.close()


async def test_store_is_asked_once_for_an_id_known_or_not(case: DocumentStoreCase):
    for _ in range(100):
        assert await case.text("acme", document_id(HELLO)) == HELLO
        assert await case.text("acme", "nobody") is None
    assert case.counting.asked == ["generation", "acme sha256", "acme nobody"]


async def test_change_is_seen_at_the_next_look(case: DocumentStoreCase):
    assert await case.text("acme", document_id(HELLO)) == HELLO
    assert await case.text("acme", document_id(OTHERS)) is None
    await keep(case.store, stored("acme", HELLO, state=DocumentState.DRAFT), stored("acme", OTHERS))
    assert await case.text("acme", document_id(HELLO)) == HELLO
    case.now += CHECK_INTERVAL
    assert await case.text("acme", document_id(HELLO)) is None
    assert await case.text("acme", document_id(OTHERS)) == OTHERS
    assert CHECK_INTERVAL <= 5


async def test_looks_without_a_change_keep_what_is_known(case: DocumentStoreCase):
    first = await case.published.get("acme", document_id(HELLO))
    case.now += CHECK_INTERVAL
    assert await case.published.get("acme", document_id(HELLO)) is first
    assert case.counting.asked == ["generation", "acme sha256", "generation"]


async def test_unavailable_store_leaves_documents_already_read(case: DocumentStoreCase):
    assert await case.text("acme", document_id(HELLO)) == HELLO
    case.counting.gone = True
    case.now += CHECK_INTERVAL
    assert await case.text("acme", document_id(HELLO)) == HELLO
    with pytest.raises(StoreUnavailable):
        await case.text("acme", document_id(NAMED))


async def test_text_that_is_not_that_of_its_id_is_not_answered(case: DocumentStoreCase):
    await keep(case.store, stored("acme", OTHERS, id=document_id("{ forged }")))
    assert await case.text("acme", document_id("{ forged }")) is None


async def test_document_is_answered_while_any_version_is_published(case: DocumentStoreCase):
    text = "query Versions { hello }"
    old = stored("acme", text, version="1", state=DocumentState.RETIRED, retires=date(2026, 1, 1))
    draft = stored("acme", text, version="3", state=DocumentState.DRAFT)
    await keep(case.store, old, stored("acme", text, version="2"), draft)
    known = await case.published.get("acme", document_id(text))
    assert known
    assert known.retires is None


async def test_known_document_is_neither_parsed_nor_hashed_again(tmp_path: Path):
    engine = small_engine()
    store = SQLiteDocuments(tmp_path / "documents.sqlite")
    await keep(store, *PUBLISHED)
    documents = TrustedDocuments(engine, store, SETTINGS, clock=noon)
    principal = Principal("acme", frozenset({Role.PARTNER}))
    first, second = [await documents.find(Request(document_id=document_id(HELLO)), principal) for _ in range(2)]
    assert first.known is second.known
    one, other = engine.prepare(first), engine.prepare(second)
    assert one.document is other.document
    assert one.annotations is other.annotations
    assert one.document_id == document_id(HELLO)
    await documents.close()


async def test_unavailable_store_is_reported(tmp_path: Path):
    store = Counting(SQLiteDocuments(tmp_path / "documents.sqlite"))
    store.gone = True
    documents = TrustedDocuments(small_engine(), store, SETTINGS)
    async with serving(small_graph(documents=documents)) as url, httpx.AsyncClient() as client:
        headers = {"authorization": f"Bearer {PARTNER}", "accept": MODERN}
        response = await client.post(f"{url}/graphql", json={"documentId": document_id(HELLO)}, headers=headers)
    assert refused(response) == (503, "STORE_UNAVAILABLE")
    await documents.close()
