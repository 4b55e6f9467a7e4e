"""The endpoint beyond the specification's own clauses: bodies, limits, errors, ids, deadlines, clients that leave."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import httpx
import pytest
import structlog

from app.telemetry import metrics_text
from tests.support.graphs import TOKEN, Gate, small_graph
from tests.support.serving import serving

JSON = {"content-type": "application/json", "authorization": TOKEN}
MODERN = {**JSON, "accept": "application/graphql-response+json"}
INTERNAL = "Internal error. Quote the error id when you report it."


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(small_graph()) as url, httpx.AsyncClient(base_url=url, headers=MODERN) as client:
        yield client


async def ask(client: httpx.AsyncClient, query: str, **parameters: object) -> httpx.Response:
    return await client.post("/graphql", json={"query": query, **parameters})


def only_error(response: httpx.Response) -> dict:
    errors = response.json()["errors"]
    assert len(errors) == 1
    return errors[0]


BODIES = [
    (b"", "The body is not JSON in UTF-8 (line 1, column 1)."),
    (b"{", "The body is not JSON in UTF-8 (line 1, column 2)."),
    (b"\xff\xfe", "The body is not JSON in UTF-8 (line 1, column 1)."),
    (b'{"query": "\xc3\x28"}', None),
    (b'{"query": "{hello}"} x', None),
    (b'{"query": NaN}', None),
    (b'{"query": "\\ud800"}', None),
    (b"[" * 100_000, None),
    (b'{"a":' * 100_000, None),
    (b"null", "The body must be a JSON object with the key 'query'."),
    (b"true", "The body must be a JSON object with the key 'query'."),
    (b"17", "The body must be a JSON object with the key 'query'."),
    (b'"{hello}"', "The body must be a JSON object with the key 'query'."),
    (b"[]", "The body must be a JSON object with the key 'query'; batches are not supported."),
    (b'[{"query": "{hello}"}]', "The body must be a JSON object with the key 'query'; batches are not supported."),
    (b"{}", "'query' is required and must be a string."),
    (b'{"query": null}', "'query' is required and must be a string."),
    (b'{"query": ["{hello}"]}', "'query' is required and must be a string."),
    (b'{"query": {"a": 1}}', "'query' is required and must be a string."),
    (b'{"query": "  "}', "'query' is required and must be a string."),
    (b'{"query": "{hello}", "variables": "{}"}', "'variables' must be an object or null."),
    (b'{"query": "{hello}", "variables": [1]}', "'variables' must be an object or null."),
    (b'{"query": "{hello}", "variables": 0}', "'variables' must be an object or null."),
    (b'{"query": "{hello}", "operationName": 7}', "'operationName' must be a string or null."),
    (b'{"query": "{hello}", "operationName": {}}', "'operationName' must be a string or null."),
    (b'{"query": "{hello}", "extensions": []}', "'extensions' must be an object or null."),
]


@pytest.mark.parametrize(("body", "message"), BODIES, ids=[repr(body[:30]) for body, _ in BODIES])
@pytest.mark.parametrize("headers", [JSON, MODERN], ids=["legacy", "modern"])
async def test_malformed_body_of_any_type_is_a_bad_request(body: bytes, message: str | None, headers: dict):
    async with serving(small_graph(max_body_bytes=1_000_000)) as url, httpx.AsyncClient() as client:
        response = await client.post(f"{url}/graphql", content=body, headers=headers)
    assert response.status_code == 400
    error = only_error(response)
    assert error["extensions"] == {"code": "BAD_REQUEST"}
    assert "data" not in response.json()
    if message is not None:
        assert error["message"] == message


async def test_last_of_duplicate_keys_counts(client: httpx.AsyncClient):
    response = await client.post("/graphql", content=b'{"query": "{missing}", "query": "{hello}"}')
    assert response.json() == {"data": {"hello": "hello world"}}


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
async def test_body_over_the_limit_is_refused(client: httpx.AsyncClient, chunked: bool):
    body = json.dumps({"query": "{hello}" + " " * 5000}).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    response = await client.post("/graphql", content=chunks() if chunked else body)
    assert response.status_code == 413
    assert only_error(response) == {
        "message": "The body may have at most 4096 bytes.",
        "extensions": {"code": "PAYLOAD_TOO_LARGE"},
    }


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP", "identity, gzip"])
async def test_compressed_body_is_refused_unread(client: httpx.AsyncClient, encoding: str):
    bomb = gzip.compress(b'{"query": "{hello}", "variables": {"a": "' + b"a" * 10_000_000 + b'"}}')
    response = await client.post("/graphql", content=bomb, headers={"content-encoding": encoding})
    assert response.status_code == 415
    assert only_error(response) == {
        "message": "Send the body as it is: no Content-Encoding is accepted.",
        "extensions": {"code": "UNSUPPORTED_MEDIA_TYPE"},
    }


@pytest.mark.parametrize("length", ["-1", "99999999999999999999999999", "4,4", "0x10"])
async def test_wrong_content_length_does_no_harm(length: str):
    async with serving(small_graph()) as url:
        status = await raw(url, f"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{{}}")
        assert status in {400, 401, 413}
        async with httpx.AsyncClient(headers=JSON) as client:
            assert (await client.post(f"{url}/graphql", json={"query": "{hello}"})).status_code == 200


async def raw(url: str, request: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(request.encode())
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


async def test_too_many_tokens_are_refused_before_they_are_parsed(client: httpx.AsyncClient):
    response = await ask(client, "{" + " hello" * 300 + "}")
    assert response.status_code == 400
    assert only_error(response) == {
        "message": "Limit 'tokens' exceeded: 201, maximum 200.",
        "extensions": {"code": "LIMIT_EXCEEDED", "limit": {"name": "tokens", "max": 200, "actual": 201}},
    }


async def test_unknown_method_is_answered_with_the_allowed_ones(client: httpx.AsyncClient):
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        response = await client.request(method, "/graphql")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
        assert only_error(response)["extensions"] == {"code": "METHOD_NOT_ALLOWED"}


async def test_anonymous_caller_is_refused_before_the_body_is_read(client: httpx.AsyncClient):
    response = await client.post("/graphql", content=b"{", headers={"authorization": ""})
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert only_error(response) == {
        "message": "Send a valid bearer token in the Authorization header.",
        "extensions": {"code": "UNAUTHENTICATED"},
    }


async def test_context_is_made_of_who_asks(client: httpx.AsyncClient):
    response = await client.post("/graphql", json={"query": "{who}"}, headers={"authorization": "Bearer ann"})
    assert response.json() == {"data": {"who": "ann"}}


async def test_two_operations_without_a_name_are_refused(client: httpx.AsyncClient):
    response = await ask(client, "query A { hello } query B { who }")
    assert response.status_code == 400
    assert only_error(response) == {
        "message": "The document has several operations; name the one to run in operationName.",
        "extensions": {"code": "BAD_REQUEST"},
    }
    response = await ask(client, "query A { hello } query B { who }", operationName="B")
    assert response.json() == {"data": {"who": "buyer"}}


async def test_unknown_operation_name_is_refused(client: httpx.AsyncClient):
    response = await ask(client, "query A { hello }", operationName="C")
    assert response.status_code == 400
    assert only_error(response)["message"] == "The document has no operation named 'C'."


async def test_subscription_is_refused_to_who_takes_json_alone(client: httpx.AsyncClient):
    response = await ask(client, "subscription { ticks { number } }")
    assert response.status_code == 406
    assert only_error(response) == {
        "message": "A subscription is a stream: accept text/event-stream, or use a WebSocket.",
        "extensions": {"code": "NOT_ACCEPTABLE"},
    }


async def test_source_error_keeps_its_code_source_and_the_other_fields(client: httpx.AsyncClient):
    response = await ask(client, "{ hello late }")
    assert response.status_code == 200
    assert response.json()["data"] == {"hello": "hello world", "late": None}
    error = only_error(response)
    error_id = error["extensions"].pop("errorId")
    assert error == {
        "message": "The source 'erp' did not answer in time; try again shortly.",
        "locations": [{"line": 1, "column": 9}],
        "path": ["late"],
        "extensions": {"code": "SOURCE_TIMEOUT", "source": "erp"},
    }
    assert len(error_id) == 32


async def test_cause_goes_to_the_log_under_the_error_id_and_not_to_the_client(client: httpx.AsyncClient):
    with structlog.testing.capture_logs() as logs:
        response = await ask(client, "{ broken }")
    assert "secret" not in response.text
    extensions = only_error(response)["extensions"]
    assert extensions["code"] == "INTERNAL"
    assert only_error(response)["message"] == INTERNAL
    [entry] = [entry for entry in logs if entry.get("error_id") == extensions["errorId"]]
    assert entry["error"] == "RuntimeError: the backend said: secret"
    assert entry["path"] == "broken"


async def test_one_cause_of_many_errors_has_one_id(client: httpx.AsyncClient):
    with structlog.testing.capture_logs() as logs:
        errors = (await ask(client, "{ brokens { name } }")).json()["errors"]
    assert [error["path"] for error in errors] == [["brokens", 0, "name"], ["brokens", 1, "name"]]
    assert len({error["extensions"]["errorId"] for error in errors}) == 1
    assert len([entry for entry in logs if entry["event"] == "error"]) == 1


@pytest.mark.parametrize("field", ["missing", "colour"])
async def test_wrong_value_of_a_resolver_is_internal_and_not_quoted(client: httpx.AsyncClient, field: str):
    response = await ask(client, f"{{ {field} }}")
    assert response.status_code == 200
    assert "secret" not in response.text
    assert only_error(response)["message"] == INTERNAL
    assert only_error(response)["extensions"]["code"] == "INTERNAL"


async def test_refusal_has_its_code_and_no_id(client: httpx.AsyncClient):
    response = await ask(client, "{ forbidden }")
    assert only_error(response)["message"] == "Your role does not have permission for this field."
    assert only_error(response)["extensions"] == {"code": "FORBIDDEN"}


async def test_wrong_one_of_input_is_bad_user_input(client: httpx.AsyncClient):
    both = await ask(client, "query ($by: Key!) { echo(by: $by) }", variables={"by": {"id": "1", "number": "2"}})
    assert both.status_code == 400
    assert only_error(both)["extensions"] == {"code": "BAD_USER_INPUT"}
    null = await ask(client, "query ($id: String) { echo(by: {id: $id}) }", variables={"id": None})
    assert only_error(null)["message"] == "Value for member field 'id' must be non-null"
    assert only_error(null)["extensions"] == {"code": "BAD_USER_INPUT"}


async def test_valid_request_id_is_used_and_an_invalid_one_replaced(client: httpx.AsyncClient):
    kept = await client.post(
        "/graphql", json={"query": "{hello}"}, headers={"x-request-id": "a-1", "x-correlation-id": "c-1"}
    )
    assert (kept.headers["x-request-id"], kept.headers["x-correlation-id"]) == ("a-1", "c-1")
    made = await client.post("/graphql", json={"query": "{hello}"}, headers={"x-request-id": "x" * 500 + "; drop"})
    assert len(made.headers["x-request-id"]) == 32
    assert made.headers["x-correlation-id"] == made.headers["x-request-id"]


async def test_client_that_leaves_takes_its_operation_with_it():
    gate = Gate()
    async with serving(small_graph(gate)) as url, httpx.AsyncClient(base_url=url, headers=JSON) as client:
        asking = asyncio.create_task(ask(client, "{ held }"))
        await gate.entered.wait()
        asking.cancel()
        async with asyncio.timeout(120):
            await gate.cancelled.wait()


async def test_operation_over_its_deadline_is_cut_off_with_a_code():
    gate = Gate()
    async with (
        serving(small_graph(gate, timeout=0.05)) as url,
        httpx.AsyncClient(base_url=url, headers=MODERN) as client,
    ):
        response = await ask(client, "{ held }")
    assert response.status_code == 504
    assert only_error(response)["extensions"]["code"] == "DEADLINE_EXCEEDED"
    assert gate.cancelled.is_set()


async def test_body_that_does_not_come_is_not_waited_for():
    async with serving(small_graph(timeout=0.05)) as url:
        head = "content-type: application/json\r\nauthorization: Bearer a\r\ncontent-length: 100"
        assert await raw(url, f'POST /graphql HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n{{"query"') == 504


async def test_query_string_over_the_limit_is_refused(client: httpx.AsyncClient):
    response = await client.get("/graphql", params={"query": "{hello}" + " " * 5000})
    assert (response.status_code, only_error(response)["extensions"]) == (413, {"code": "PAYLOAD_TOO_LARGE"})


async def test_operations_are_counted_by_name_and_outcome(client: httpx.AsyncClient):
    await ask(client, "query CountedHere { hello late }")
    await ask(client, "query CountedHere { hello }")
    text = metrics_text().decode()
    assert 'tradegraph_requests_total{operation="CountedHere",outcome="partial"} 1.0' in text
    assert 'tradegraph_requests_total{operation="CountedHere",outcome="ok"} 1.0' in text


async def test_answer_forbids_caching(client: httpx.AsyncClient):
    headers = (await ask(client, "{hello}")).headers
    assert headers["cache-control"] == "no-store"
    assert headers["vary"] == "Accept, Authorization"
    assert "server" not in headers
