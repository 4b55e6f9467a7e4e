"""Webhooks in, over real HTTP: what is taken, what is refused and by which code, and that nothing is taken twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.http.standard_webhooks import decode_secret, sign, signed_headers
from app.sandbox import Sandbox
from tests.support.intake import OLDER, OTHER, SECRET, WEBHOOKS, IngestBench, count, event, ingest_bench, keys

NOBODY = [event("shp-none", "e-none", kind="CUSTOMER")]


@pytest.fixture
async def bench(dated_sandbox: Sandbox) -> AsyncIterator[IngestBench]:
    async with ingest_bench(dated_sandbox) as running:
        yield running


def code(answer: httpx.Response) -> str:
    return answer.json()["errors"][0]["extensions"]["code"]


async def hints(bench: IngestBench) -> list[str | None]:
    """Ids of the hints that wait, or are dead: none may be left behind by a refusal."""
    return [one.hint.id for one in await bench.log.claim("test", 100, 0.1)]


async def test_signed_webhook_is_stored_and_acknowledged(bench: IngestBench):
    answer = await bench.post({"events": [event("shp-000001", "e-1"), event("shp-000002", "e-2")]})
    assert (answer.status_code, answer.json()) == (202, {"notices": 2, "new": 2})
    found = await bench.updates(2)
    assert sorted(one.update.key for one in found) == ["shp-000001", "shp-000002"]
    assert {one.update.source for one in found} == {"logistics"}


@pytest.mark.parametrize("secret", [OLDER, SECRET])
async def test_each_live_secret_is_taken(bench: IngestBench, secret: str):
    assert (await bench.post({"events": NOBODY}, secret=secret)).status_code == 202


async def test_one_fitting_signature_of_several_is_enough(bench: IngestBench):
    raw, now = b'{"events":[]}', int(time.time())
    signatures = [sign(decode_secret(one), "msg_1", now, raw) for one in (OTHER, SECRET)]
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": " ".join(signatures)}
    answer = await bench.graph.client.post(
        "/webhooks/logistics", content=raw, headers={"content-type": "application/json", **headers}
    )
    assert (answer.status_code, answer.json()) == (202, {"notices": 0, "new": 0})


async def test_a_replay_is_acknowledged_and_noted_once(bench: IngestBench):
    before = count("tradegraph_webhooks_total", source="logistics", outcome="duplicate")
    body = {"events": [event("shp-000003", "e-3")]}
    answers = [await bench.post(body, id=f"msg_{n}") for n in range(3)]
    assert [answer.json() for answer in answers] == [{"notices": 1, "new": 1}] + [{"notices": 1, "new": 0}] * 2
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert count("tradegraph_webhooks_total", source="logistics", outcome="duplicate") == before + 2
    assert keys(await bench.updates(1)) == [("SHIPMENT", "shp-000003", "DELIVERED")]


async def test_many_at_once_are_noted_once(bench: IngestBench):
    body = {"events": [event("shp-000004", "e-4")]}
    answers = await asyncio.gather(*(bench.post(body) for _ in range(20)))
    assert sum(answer.json()["new"] for answer in answers) == 1


async def test_an_event_without_an_id_is_another_one_also_in_the_same_second(bench: IngestBench):
    same = count("tradegraph_notices_read_total", source="logistics", outcome="same")
    first = await bench.post({"events": [event("shp-000005")]})
    await bench.updates(1)
    again = await bench.post({"events": [event("shp-000005")]})
    assert [one.json()["new"] for one in (first, again)] == [1, 1]
    async with asyncio.timeout(120):
        while count("tradegraph_notices_read_total", source="logistics", outcome="same") < same + 1:
            await asyncio.sleep(0.01)
    assert len(await bench.updates(1)) == 1


async def test_an_unknown_source_is_not_found(bench: IngestBench):
    for name in ("nowhere", "erp", "%00", "a" * 500):  # The ERP is a source, and sends no webhooks.
        answer = await bench.post({"events": NOBODY}, source=name)
        assert (answer.status_code, code(answer)) == (404, "WEBHOOK_SOURCE_UNKNOWN")


async def test_another_method_is_refused(bench: IngestBench):
    answer = await bench.graph.client.get("/webhooks/logistics")
    assert (answer.status_code, code(answer), answer.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", "POST")


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
async def test_without_a_signature_it_is_unauthorized(bench: IngestBench, missing: str):
    raw = b'{"events":[]}'
    headers = signed_headers([decode_secret(SECRET)], "msg_1", int(time.time()), raw)
    del headers[missing]
    answer = await bench.graph.client.post("/webhooks/logistics", content=raw, headers=headers)
    assert (answer.status_code, code(answer)) == (401, "WEBHOOK_UNSIGNED")


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": "a second later"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "٣"},
        {"webhook-timestamp": "-1"},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1,ü"},
        {"webhook-signature": "v1," + " v1," * 1000},
        {"webhook-id": "m" * 300},
    ],
    ids=lambda changed: next(iter(changed))[8:],
)
async def test_a_forged_one_is_refused(bench: IngestBench, changed: dict[str, str]):
    raw, now = b'{"events":[]}', int(time.time())
    headers: dict[str, str] = signed_headers([decode_secret(SECRET)], "msg_1", now, raw) | changed
    if headers["webhook-timestamp"] == "a second later":
        headers["webhook-timestamp"] = str(now + 1)
    wire = {name.encode(): value.encode() for name, value in headers.items()}
    wire[b"content-type"] = b"application/json"
    answer = await bench.graph.client.post("/webhooks/logistics", content=raw, headers=wire)
    assert (answer.status_code, code(answer)) == (401, "WEBHOOK_FORGED")


async def test_another_body_or_secret_is_forged(bench: IngestBench):
    raw = b'{"events":[]}'
    headers = signed_headers([decode_secret(SECRET)], "msg_1", int(time.time()), raw)
    answer = await bench.graph.client.post(
        "/webhooks/logistics", content=raw + b" ", headers={"content-type": "application/json", **headers}
    )
    assert (answer.status_code, code(answer)) == (401, "WEBHOOK_FORGED")
    answer = await bench.post({"events": [event("shp-000001", "e-x")]}, secret=OTHER)
    assert (answer.status_code, code(answer)) == (401, "WEBHOOK_FORGED")
    assert await hints(bench) == []


@pytest.mark.parametrize("ago", [301, 86_400, -310])
async def test_one_signed_at_another_time_has_expired(bench: IngestBench, ago: float):
    answer = await bench.post({"events": [event("shp-000001", "e-y")]}, ago=ago)
    assert (answer.status_code, code(answer)) == (401, "WEBHOOK_EXPIRED")
    assert await hints(bench) == []


@pytest.mark.parametrize("ago", [290, -290])
async def test_a_clock_may_be_some_minutes_off(bench: IngestBench, ago: float):
    assert (await bench.post({"events": []}, ago=ago)).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"events"',
        b"null",
        b"not json",
        b"{}",
        b'{"events":null}',
        b'{"events":[1]}',
        b'{"events":[{"kind":"SHIPMENT"}]}',
        b'{"events":[{"kind":"LOVE","key":"a","at":"2026-11-20T08:00:00Z"}]}',
        b'{"events":[{"kind":"SHIPMENT","key":"","at":"2026-11-20T08:00:00Z"}]}',
        b'{"events":[{"kind":"SHIPMENT","key":"' + b"k" * 257 + b'","at":"2026-11-20T08:00:00Z"}]}',
        b'\xff\xfe{"events":[]}',
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
async def test_a_body_of_another_shape_is_malformed(bench: IngestBench, body: bytes):
    answer = await bench.post(body)
    assert (answer.status_code, code(answer)) == (400, "WEBHOOK_MALFORMED")
    assert await hints(bench) == []


async def test_a_malformed_body_is_malformed_for_who_signed_it_only(bench: IngestBench):
    answer = await bench.post(b"[]", secret=OTHER)
    assert code(answer) == "WEBHOOK_FORGED"


async def test_too_many_events_in_one_are_refused(bench: IngestBench):
    answer = await bench.post({"events": [event("shp-000001")] * 1001})
    assert (answer.status_code, code(answer)) == (400, "WEBHOOK_MALFORMED")


@pytest.mark.parametrize("media", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_another_content_type_is_refused(bench: IngestBench, media: str | None):
    raw = b'{"events":[]}'
    headers = signed_headers([decode_secret(SECRET)], "msg_1", int(time.time()), raw)
    if media:
        headers["content-type"] = media
    answer = await bench.graph.client.post("/webhooks/logistics", content=raw, headers=headers)
    assert (answer.status_code, code(answer)) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_five_megabytes_are_too_much(bench: IngestBench):
    answer = await bench.post(b" " * 5_000_000)
    assert (answer.status_code, code(answer)) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_body_that_is_declared_too_long_is_not_read(bench: IngestBench):
    """The refusal comes while the body has not been sent."""
    headers = signed_headers([decode_secret(SECRET)], "msg_1", int(time.time()), b"")
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    address = bench.graph.client.base_url
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(
        b"POST /webhooks/logistics HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: 5000000\r\n" + lines.encode() + b"\r\n"
    )
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 120)
    assert answer.startswith(b"HTTP/1.1 413")
    writer.close()


async def test_a_body_of_unknown_length_is_read_up_to_the_limit(bench: IngestBench):
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b" " * 65_536

    headers = signed_headers([decode_secret(SECRET)], "msg_1", int(time.time()), b"")
    headers["content-type"] = "application/json"
    answer = await bench.graph.client.post("/webhooks/logistics", content=pieces(), headers=headers)
    assert (answer.status_code, code(answer)) == (413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize(
    ("networks", "status"),
    [(["127.0.0.0/8"], 202), (["fd00::/8", "127.0.0.1"], 202), (["10.0.0.0/8"], 403)],
)
async def test_networks_are_held(dated_sandbox: Sandbox, networks: list[str], status: int):
    allowed: dict[str, Any] = {"logistics": {"webhooks": {**WEBHOOKS, "networks": networks}}}
    async with ingest_bench(dated_sandbox, sources=allowed) as bench:
        answer = await bench.post({"events": []})
        assert answer.status_code == status
        if status == 403:
            assert code(answer) == "WEBHOOK_NETWORK_REFUSED"


async def test_a_log_that_cannot_be_written_acknowledges_nothing(bench: IngestBench):
    """503 with Retry-After. The sender tries again; what the first try may have come to is not told twice."""
    import sqlite3

    body = {"events": [event("shp-000006", "e-6")]}
    with sqlite3.connect(bench.graph.data_dir / "events.sqlite", isolation_level=None) as db:
        db.execute("BEGIN EXCLUSIVE")
        answer = await bench.post(body)
        assert (answer.status_code, code(answer), answer.headers["retry-after"]) == (503, "STORE_UNAVAILABLE", "2")
        db.execute("ROLLBACK")
    db.close()
    answer = await bench.post(body)
    assert answer.status_code == 202
    assert keys(await bench.updates(1)) == [("SHIPMENT", "shp-000006", "DELIVERED")]
