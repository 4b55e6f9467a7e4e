"""The cache in front of real backends: what is asked again and what is not, and what an answer says of its age."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from app.errors import ConfigurationError
from app.gateway.documents.stores.document_store import document_id
from app.sandbox import Sandbox
from app.settings import CacheSettings, DocumentSettings
from app.sources.pipeline.cache.cache import tightened
from tests.support.consumers import VARIABLES
from tests.support.gateway import BUYER, CSR, OTHER_BUYER, SELLER, Graph, document, gateway

ON = CacheSettings()
ANY_DOCUMENT = DocumentSettings(trusted_roles=(), registering_clients=("*",))
ITEM = '{ item(by: {sku: "SKU-0001"}) { name } }'


@pytest.fixture
async def kept(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """A gateway that keeps what it may."""
    async with gateway(dated_sandbox, cache=ON, documents=ANY_DOCUMENT) as running:
        yield running


async def reads(graph: Graph) -> dict[str, int]:
    """How often each resource was read since `forget`, over all backends."""
    found: dict[str, int] = {}
    for backend in graph.backends.values():
        for name, count in (await backend.get("/sandbox/counters")).json()["reads"].items():
            found[name] = found.get(name, 0) + count
    return found


async def told(graph: Graph, query: str, principal: Any = CSR, **variables: Any) -> list[dict[str, Any]]:
    """What an answer says of the age of its data."""
    body = {"query": query, "variables": variables, "extensions": {"freshness": True}}
    answer = (await graph.client.post("/graphql", json=body, headers=principal)).json()
    return answer["extensions"]["freshness"]


async def test_reference_data_is_read_once(kept: Graph):
    first = await kept.data(ITEM)
    again = await kept.data(ITEM)
    assert again == first
    assert await reads(kept) == {"items": 1}


async def test_many_at_once_ask_once(kept: Graph):
    answers = await asyncio.gather(
        *(kept.client.post("/graphql", json={"query": ITEM}, headers=CSR, timeout=60) for _ in range(200))
    )
    assert {answer.content for answer in answers} == {b'{"data":{"item":{"name":"Hex bolt M4 x 12 8.8 zinc plated"}}}'}
    assert await kept.requests() == {"erp": 1, "commerce": 0, "logistics": 0}


async def test_sales_view_refetches_only_volatile_data(kept: Graph):
    first = await kept.data(document("sales_view"), VARIABLES["sales_view"], principal=SELLER)
    cold = await reads(kept)
    await kept.forget()
    again = await kept.data(document("sales_view"), VARIABLES["sales_view"], principal=SELLER)
    same = [json.loads(json.dumps(one), object_hook=without_age) for one in (first, again)]
    assert same[0] == same[1]
    warm = await reads(kept)
    assert {name: cold[name] for name in ("customers", "items")} == {"customers": 1, "items": 1}
    assert set(warm) == {"balances", "credit", "orders", "prices", "reservations", "shipments", "stock"}


@pytest.mark.parametrize("name", sorted(VARIABLES))
async def test_answers_are_those_of_a_gateway_that_keeps_nothing(graph: Graph, dated_sandbox: Sandbox, name: str):
    async with gateway(dated_sandbox, cache=ON) as kept:
        for _ in range(2):
            answers = [await one.ask(document(name), VARIABLES[name], principal=SELLER) for one in (graph, kept)]
            plain, cached = (json.loads(json.dumps(answer), object_hook=without_age) for answer in answers)
            assert cached == plain


def without_age(found: dict[str, Any]) -> dict[str, Any]:
    """An object without what tells when it was read."""
    return {key: value for key, value in found.items() if key not in {"freshness", "errorId", "quotedAt", "checkedAt"}}


async def test_the_answer_says_how_old_its_data_is(kept: Graph):
    query = '{ item(by: {sku: "SKU-0001"}) { name freshness { source age cached degraded maxAge } description } }'
    assert [(one["source"], one["cached"]) for one in await told(kept, query)] == [("commerce", False), ("erp", False)]
    again = await told(kept, query)
    assert [one.pop("asOf")[:10] for one in again] == ["2026-11-21"] * 2
    assert all(0 <= one.pop("age") < 60 for one in again)
    assert again == [
        {"source": source, "cached": True, "degraded": False, "reason": None} for source in ("commerce", "erp")
    ]
    response = await kept.client.post("/graphql", json={"query": query}, headers=CSR)
    header = response.headers["tradegraph-freshness"]
    assert re.fullmatch(r"commerce;age=[1-5]?\d;cached, erp;age=[1-5]?\d;cached", header)
    assert "extensions" not in response.json()
    label = response.json()["data"]["item"]["freshness"]
    assert (label["source"], label["cached"], label["degraded"], label["maxAge"]) == ("erp", True, False, 600)


async def test_a_client_that_wants_it_now_gets_it_from_the_source(kept: Graph):
    await kept.data(ITEM)
    await kept.data('query Now @fresh(within: "PT0S") ' + ITEM)
    await kept.data('query Soon @fresh(within: "PT30S") ' + ITEM)
    assert await reads(kept) == {"items": 2}


async def test_a_source_that_fails_is_answered_for_and_the_answer_says_so(dated_sandbox: Sandbox):
    ages = CacheSettings(max_age={"items": 1})
    query = '{ item(by: {sku: "SKU-0001"}) { name freshness { cached degraded reason } } }'
    async with gateway(dated_sandbox, cache=ages) as kept:
        await kept.data(query)
        await kept.turn("erp", resource="*", errorRate=1.0)
        await kept.turn("erp", resource="batch", errorRate=1.0)
        async with asyncio.timeout(120):
            while True:  # until it is older than it may be
                answer = await kept.ask(query)
                if answer["data"]["item"]["freshness"]["degraded"]:
                    break
        reason = "erp did not answer (SOURCE_UNAVAILABLE); this was read earlier."
        assert answer["data"]["item"] == {
            "name": "Hex bolt M4 x 12 8.8 zinc plated",
            "freshness": {"cached": True, "degraded": True, "reason": reason},
        }
        assert [(one["source"], one["degraded"], one["reason"]) for one in answer["extensions"]["freshness"]] == [
            ("erp", True, reason)
        ]
        now = await kept.ask('query Now @fresh(within: "PT0S") ' + query)
        assert now["data"] == {"item": None}
        assert now["errors"][0]["extensions"]["code"] == "SOURCE_UNAVAILABLE"


CARD = '{ customer(by: {number: "%s"}) { number name creditStatus { state } } }'


async def test_what_one_caller_made_known_another_does_not_see(kept: Graph):
    assert (await kept.data(CARD % "CUST-0001", principal=BUYER))["customer"]["number"] == "CUST-0001"
    assert await kept.data(CARD % "CUST-0001", principal=OTHER_BUYER) == {"customer": None}
    assert await kept.data(CARD % "CUST-0002", principal=BUYER) == {"customer": None}
    assert (await kept.data(CARD % "CUST-0002", principal=OTHER_BUYER))["customer"]["number"] == "CUST-0002"


async def test_callers_at_the_same_time_get_their_own(kept: Graph):
    both = [(BUYER, "CUST-0001"), (OTHER_BUYER, "CUST-0002")] * 20

    async def ask(principal: Any, number: str) -> Any:
        query = (
            f'{{ mine: customer(by: {{number: "{number}"}}) {{ number }} '
            f'item(by: {{sku: "SKU-0001"}}) {{ contractPrice(customer: {{number: "{number}"}}) '
            "{ unitPrice { amount } } } }"
        )
        return await kept.data(query, principal=principal)

    alone = {number: await ask(principal, number) for principal, number in both[:2]}
    answers = await asyncio.gather(*(ask(principal, number) for principal, number in both))
    assert answers == [alone[number] for _, number in both]


async def by_id(graph: Graph, query: str, *, principal: Any = CSR, **headers: str) -> httpx.Response:
    """An answer by GET, of a document that the gateway knows."""
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": document_id(query).removeprefix("sha256:")}}
    await graph.client.post("/graphql", json={"query": query, "extensions": extensions}, headers=principal)
    parameters = {"extensions": json.dumps(extensions)}
    return await graph.client.get("/graphql", params=parameters, headers={**principal, **headers})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('{ item(by: {sku: "SKU-0001"}) { sku name uoms { code } } }', "public, max-age=600"),
        ("{ warehouses { code name } }", "public, max-age=600"),
        (
            '{ customer(by: {number: "CUST-0001"}) { name } item(by: {sku: "SKU-0001"}) { name } }',
            "private, max-age=300",
        ),
        ('{ item(by: {sku: "SKU-0001"}) { name availability { atp } } }', "private, no-cache"),
        ('query Q @fresh(within: "PT5S") { warehouses { code } }', "public, max-age=5"),
        ("{ me { subject } }", "private, no-cache"),
        ('{ item(by: {sku: "SKU-0001"}) { relations { type } } }', "private, max-age=600"),
    ],
)
async def test_get_response_has_the_max_age_of_its_strictest_contract(kept: Graph, query: str, expected: str):
    got = await by_id(kept, query)
    assert "errors" not in got.json()
    said, _, seconds = got.headers["cache-control"].partition("=")
    assert said == expected.partition("=")[0]
    if seconds:  # less what has passed since it was read
        most = int(expected.partition("=")[2])
        assert most - 4 <= int(seconds) <= most


async def test_an_answer_that_still_holds_is_not_sent_again_and_asks_no_backend(kept: Graph):
    first = await by_id(kept, ITEM)
    await kept.forget()
    again = await by_id(kept, ITEM, **{"if-none-match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"].startswith("public, max-age=")
    assert "content-length" not in again.headers
    other = await by_id(kept, ITEM, **{"if-none-match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)
    assert sum((await kept.requests()).values()) == 0


async def test_contracts_can_be_made_tighter_and_not_looser():
    assert tightened(CacheSettings(max_age={"items": 5}))["items"].max_age == 5
    with pytest.raises(ConfigurationError) as refused:
        tightened(CacheSettings(stale_for={"customers": 7200}))
    assert refused.value.key == "cache.stale_for.customers"
    ages = [tightened(CacheSettings(max_age={"items": age}))["items"].max_age for age in (0, 1, 600)]
    assert all(before < after for before, after in pairwise(ages))


async def test_prices_are_cached_for_seconds_only_if_the_settings_say_so(dated_sandbox: Sandbox):
    query = (
        '{ item(by: {sku: "SKU-0001"}) { contractPrice(customer: {number: "CUST-0001"}, quantity: "%s") '
        "{ unitPrice { amount } freshness { cached maxAge } } } }"
    )
    async with gateway(dated_sandbox, cache=CacheSettings(prices_seconds=30)) as kept:
        for quantity in ("1", "1", "2"):
            price = (await kept.data(query % quantity, principal=SELLER))["item"]["contractPrice"]
        assert price["freshness"] == {"cached": False, "maxAge": None}
        again = (await kept.data(query % "1", principal=SELLER))["item"]["contractPrice"]
        assert again["freshness"] == {"cached": True, "maxAge": 30}
        assert (await reads(kept))["prices"] == 2
