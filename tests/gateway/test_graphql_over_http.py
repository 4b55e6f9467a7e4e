"""GraphQL over HTTP, clause by clause, and its audit suite. https://graphql.github.io/graphql-over-http/draft/"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.graphs import TOKEN, small_graph
from tests.support.node_tools import node_folder
from tests.support.serving import serving

MODERN = "application/graphql-response+json"
LEGACY = "application/json"
UTF8 = "; charset=utf-8"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(small_graph()) as url,
        httpx.AsyncClient(base_url=url, headers={"authorization": TOKEN}) as client,
    ):
        del client.headers["accept"]
        yield client


async def post(client: httpx.AsyncClient, query: str, accept: str = MODERN, **parameters: object) -> httpx.Response:
    return await client.post("/graphql", json={"query": query, **parameters}, headers={"accept": accept})


async def get(client: httpx.AsyncClient, accept: str = MODERN, **parameters: str) -> httpx.Response:
    return await client.get("/graphql", params=parameters, headers={"accept": accept})


def codes(response: httpx.Response) -> list[str]:
    return [error["extensions"]["code"] for error in response.json()["errors"]]


@pytest.mark.node
@pytest.mark.timeout(300)
async def test_audit_suite_passes_entirely():
    folder = node_folder()
    async with serving(small_graph()) as url:
        audit = await asyncio.create_subprocess_exec(
            "node", "audit.mjs", f"{url}/graphql", TOKEN, cwd=folder, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await audit.communicate()
    results = [json.loads(line) for line in out.splitlines()]
    assert [result for result in results if result["status"] != "ok"] == []
    assert len(results) == 61


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        (MODERN, MODERN),
        (LEGACY, LEGACY),
        ("*/*", LEGACY),
        ("application/*", LEGACY),
        (f"{MODERN}, {LEGACY};q=0.9", MODERN),
        (f"{LEGACY}, {MODERN}", MODERN),
        (f"{LEGACY}, {MODERN};q=0.1", LEGACY),
        (f"{MODERN};q=0, */*", LEGACY),
        (f"text/html, {LEGACY};charset=utf-8", LEGACY),
        (f"text/event-stream, {MODERN}", MODERN),
        ("text/html;q=0.9, */*;q=0.1", LEGACY),
        (MODERN.upper(), MODERN),
        ("", LEGACY),
    ],
)
async def test_best_accepted_media_type_is_answered(client: httpx.AsyncClient, accept: str, answer: str):
    """A server MUST respect the Accept header; without one it SHOULD answer application/json for now."""
    response = await post(client, "{ hello }", accept)
    assert (response.status_code, response.headers["content-type"]) == (200, answer + UTF8)


async def test_missing_accept_is_answered_in_the_legacy_type(client: httpx.AsyncClient):
    """If the request does not contain an Accept header, the server SHOULD assume application/json before 2025."""
    response = await client.post("/graphql", json={"query": "{ hello }"})
    assert response.headers["content-type"] == LEGACY + UTF8


@pytest.mark.parametrize(
    "accept", ["text/html", f"{MODERN};q=0", f"{LEGACY};charset=utf-16", "text/event-stream;q=0", "json"]
)
async def test_nothing_acceptable_is_406(client: httpx.AsyncClient, accept: str):
    """If no supported media type is acceptable, the server MUST either respond 406 or disregard the header."""
    response = await post(client, "{ hello }", accept)
    assert (response.status_code, codes(response)) == (406, ["NOT_ACCEPTABLE"])


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/graphql",
        "application/json; charset=latin-1",
    ],
)
async def test_other_body_types_are_415(client: httpx.AsyncClient, content_type: str | None):
    """If the client does not supply a Content-Type, or one the server cannot read, it SHOULD reject with 4xx."""
    headers = {} if content_type is None else {"content-type": content_type}
    response = await client.post("/graphql", content=b'{"query": "{hello}"}', headers=headers)
    assert (response.status_code, codes(response)) == (415, ["UNSUPPORTED_MEDIA_TYPE"])


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
async def test_json_in_utf8_is_read(client: httpx.AsyncClient, content_type: str):
    """The server MUST accept application/json in UTF-8, and assume UTF-8 if no charset is given."""
    body = '{"query": "{ hello(name: \\"Åse 🏃\\") }"}'.encode()
    response = await client.post("/graphql", content=body, headers={"content-type": content_type})
    assert response.json() == {"data": {"hello": "hello Åse 🏃"}}


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("{", None, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("query ($amount: String!) { hello(name: $amount) }", {"amount": 7}, "BAD_USER_INPUT"),
        ("query ($amount: String!) { hello(name: $amount) }", None, "BAD_USER_INPUT"),
    ],
    ids=["parse", "validate", "wrong variable", "missing variable"],
)
async def test_request_error_has_no_data(client: httpx.AsyncClient, query: str, variables: dict | None, code: str):
    """A request error is 400 for graphql-response+json, 200 for json; the response has no data entry."""
    for accept, status in ((MODERN, 400), (LEGACY, 200)):
        response = await post(client, query, accept, variables=variables)
        assert (response.status_code, codes(response)) == (status, [code])
        assert "data" not in response.json()


@pytest.mark.parametrize("accept", [MODERN, LEGACY])
async def test_partial_answer_is_200(client: httpx.AsyncClient, accept: str):
    """If the data entry is not null, the response MUST use a 2xx status, errors or not."""
    response = await post(client, "{ hello late }", accept)
    assert (response.status_code, codes(response)) == (200, ["SOURCE_TIMEOUT"])
    assert response.json()["data"] == {"hello": "hello world", "late": None}


async def test_get_takes_a_query_with_its_parameters(client: httpx.AsyncClient):
    """Parameters MUST be provided in the query component, variables and extensions as JSON."""
    query = "query A($name: String!) { hello(name: $name) } query B { who }"
    variables = json.dumps({"name": "Åse & co"})
    response = await get(client, query=query, operationName="A", variables=variables, extensions="{}")
    assert response.json() == {"data": {"hello": "hello Åse & co"}}


async def test_empty_parameters_of_get_count_as_absent(client: httpx.AsyncClient):
    """operationName: an empty string MUST be treated as if it were not there; so it is with the other two."""
    response = await get(client, query="{ hello }", operationName="", variables="", extensions="")
    assert response.json() == {"data": {"hello": "hello world"}}


@pytest.mark.parametrize("accept", [MODERN, LEGACY])
async def test_get_never_mutates(client: httpx.AsyncClient, accept: str):
    """GET requests MUST NOT be used for executing mutation operations: 405."""
    response = await get(client, accept, query="mutation { add }")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    assert codes(response) == ["METHOD_NOT_ALLOWED"]
    chosen = await get(client, accept, query="mutation A { add } query B { hello }", operationName="B")
    assert chosen.json() == {"data": {"hello": "hello world"}}


async def test_post_may_mutate(client: httpx.AsyncClient):
    """POST may carry any operation."""
    assert (await post(client, "mutation { add(amount: 3) }")).json() == {"data": {"add": 3}}


@pytest.mark.parametrize(
    ("query_string", "message"),
    [
        ("", "'query' is required and must be a string."),
        ("query=%7Bhello%7D&variables=%7B", "The parameter 'variables' is not JSON in UTF-8 (line 1, column 2)."),
        ("query=%7Bhello%7D&variables=[1]", "'variables' must be an object or null."),
        ("query=%7Bhello%7D&extensions=7", "'extensions' must be an object or null."),
        ("query=%7Bhello%7D&query=%7Bwho%7D", "The parameter 'query' comes twice."),
        ("query=%FF", "The query string is not percent-encoded UTF-8, or has too many parameters."),
        ("a=b&" * 60, "The query string is not percent-encoded UTF-8, or has too many parameters."),
    ],
)
async def test_malformed_query_string_is_400(client: httpx.AsyncClient, query_string: str, message: str):
    """Malformed parameters are a bad request, whatever the media type."""
    for accept in (MODERN, LEGACY):
        response = await client.get(f"/graphql?{query_string}", headers={"accept": accept})
        assert (response.status_code, codes(response)) == (400, ["BAD_REQUEST"])
        assert response.json()["errors"][0]["message"] == message
