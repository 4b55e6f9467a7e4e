"""What can be done with a connection that stays open."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import time
from contextlib import suppress

from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.attacks.attacker import STREAM, Attacker, closing, frames
from tests.attacks.catalog import Attacks, Group
from tests.attacks.expect import refused

attacks = Attacks(Group.SOCKETS)

ME = {"query": "{ me { subject } }"}


def _asking(key: object = "1", **payload: object) -> dict[str, object]:
    return {"id": key, "type": "subscribe", "payload": payload or ME}


@attacks.attack("asking before saying who", "an answer without a credential")
async def _(attacker: Attacker) -> None:
    for frame, code in ((_asking(), 4401), ({"type": "complete", "id": "1"}, 4400)):
        async with attacker.socket(init=False) as socket:
            await socket.send(json.dumps(frame))
            assert await closing(socket) == code
    async with attacker.socket(init=False) as socket:
        await socket.send(json.dumps({"type": "ping", "payload": {"authorization": attacker.credential("admin")}}))
        assert json.loads(await socket.recv())["type"] == "pong"
        await socket.send(json.dumps(_asking()))
        assert await closing(socket) == 4401


@attacks.attack("saying who twice", "to become somebody else on the way")
async def _(attacker: Attacker) -> None:
    async with attacker.socket() as socket:
        await socket.send(
            json.dumps({"type": "connection_init", "payload": {"authorization": attacker.credential("admin")}})
        )
        assert await closing(socket) == 4429


@attacks.attack("renewal with another's credential", "to become somebody else on the way")
async def _(attacker: Attacker) -> None:
    for principal in ("admin", "acme", "csr"):
        async with attacker.socket() as socket:
            await socket.send(
                json.dumps({"type": "ping", "payload": {"authorization": attacker.credential(principal)}})
            )
            assert await closing(socket) == 4403


@attacks.attack("renewal with nonsense", "to go on without a credential")
async def _(attacker: Attacker) -> None:
    for value in ("Bearer x", "", 7, None, []):
        async with attacker.socket() as socket:
            await socket.send(json.dumps({"type": "ping", "payload": {"authorization": value}}))
            assert await closing(socket) == 4403


@attacks.attack("going on after the end", "answers by a credential that has ended meanwhile")
async def _(attacker: Attacker) -> None:
    end = int(time.time()) + 5
    token = attacker.target.token("buyer", exp=end)
    async with attacker.socket(f"Bearer {token}") as socket:
        assert (await frames(socket, _asking(), most=2))[0]["payload"]["data"] == {"me": {"subject": "a-buyer"}}
        await asyncio.sleep(end - time.time() + 0.1)  # until it has ended, by the gateway's clock
        try:
            told = (await frames(socket, _asking("2")))[0]
        except ConnectionClosed:
            assert socket.close_code == 4403
        else:
            assert told["type"] == "error"
            assert [error["extensions"]["code"] for error in told["payload"]] == ["UNAUTHENTICATED"]


@attacks.attack("ten thousand ids", "an operation each, on one socket", watched=True)
async def _(attacker: Attacker) -> None:
    async with attacker.socket() as socket:
        for number in range(10_000):
            await socket.send(json.dumps(_asking(str(number), query="{ __typename }")))
            if number % 500 == 499:
                await asyncio.wait_for(socket.recv(), 120)
        done = refused_ = 0
        while done + refused_ < 9_000:
            frame = json.loads(await asyncio.wait_for(socket.recv(), 120))
            done += frame["type"] == "complete"
            refused_ += frame["type"] == "error"


@attacks.attack("one id twice", "an answer that goes to the wrong place")
async def _(attacker: Attacker) -> None:
    query = "{ customers(first: 10) { nodes { orders(first: 5) { nodes { number } } } } }"
    async with attacker.target.broken("erp", delayMs=2000), attacker.socket("sales_rep") as socket:
        await socket.send(json.dumps(_asking("1", query=query)))
        await socket.send(json.dumps(_asking("1", query=query)))
        assert await closing(socket) == 4409


@attacks.attack("ids of another kind", "a lookup that fails, or finds something else")
async def _(attacker: Attacker) -> None:
    for key in (7, None, [], {}, "", "x" * 257, True):
        async with attacker.socket() as socket:
            await socket.send(json.dumps(_asking(key)))
            assert await closing(socket) == 4400
    for key in ("__proto__", "constructor", "\u0000", "\U0001f600", "a\nb", '"}', "x" * 256):
        async with attacker.socket() as socket:
            told = await frames(socket, _asking(key), most=2)
            assert [frame["id"] for frame in told] == [key, key]


@attacks.attack("a giant frame", "memory, by one message", watched=True)
async def _(attacker: Attacker) -> None:
    async with attacker.socket() as socket:
        with suppress(ConnectionClosed):
            await socket.send("x" * 20_000_000)
        assert await closing(socket) == 1009


@attacks.attack("a frame in endless pieces", "memory, by a message that never ends", watched=True)
async def _(attacker: Attacker) -> None:
    async def pieces() -> object:
        for _ in range(400):
            yield "x" * 10_000

    async with attacker.socket() as socket:
        with suppress(ConnectionClosed):
            await socket.send(pieces())  # type: ignore[arg-type]
        assert await closing(socket) in {1009, 1006}


@attacks.attack("binary frames", "a reader that decodes what it should not")
async def _(attacker: Attacker) -> None:
    for data in (b"\x00\x01", json.dumps(_asking()).encode(), os.urandom(64)):
        async with attacker.socket() as socket:
            await socket.send(data)
            assert await closing(socket) == 4400


@attacks.attack("frames that are no message", "an exception in the reader")
async def _(attacker: Attacker) -> None:
    for text in (
        "",
        "{",
        "[]",
        "null",
        "7",
        '"x"',
        "{}",
        '{"type": 7}',
        '{"type": "start", "id": "1"}',
        '{"type": "__proto__"}',
        "[" * 100_000,
        '{"type": "subscribe"}',
        '{"type": "next", "id": "1"}',
        "\u0000",
    ):
        async with attacker.socket() as socket:
            await socket.send(text)
            assert await closing(socket) == 4400, text[:40]


@attacks.attack("payloads that are no request", "an exception in the reader of requests")
async def _(attacker: Attacker) -> None:
    payloads: list[object] = [
        None,
        [],
        "{ me { subject } }",
        7,
        {"query": 7},
        {"query": None},
        {"query": "{me{subject}}", "variables": []},
        {"query": "{me{subject}}", "variables": "x"},
        {"query": "{me{subject}}", "operationName": 7},
        {"query": "{me{subject}}", "extensions": []},
    ]
    async with attacker.socket() as socket:
        for number, payload in enumerate(payloads):
            (told,) = await frames(socket, {"id": str(number), "type": "subscribe", "payload": payload})
            assert told["type"] == "error"
            assert [error["extensions"]["code"] for error in told["payload"]] == ["BAD_REQUEST"]


@attacks.attack("the same key twice in a frame", "one id for the check, one for the answer")
async def _(attacker: Attacker) -> None:
    async with attacker.socket() as socket:
        text = '{"type": "ping", "type": "subscribe", "id": "a", "id": "b", "payload": {}, "payload": {"query": "{ me { subject } }"}}'
        told = await frames(socket, text, most=2)
        assert [frame["id"] for frame in told] == ["b", "b"]


@attacks.attack("a flood of pings", "a loop that only answers", watched=True)
async def _(attacker: Attacker) -> None:
    async with attacker.socket() as socket:
        for number in range(4_000):
            await socket.send('{"type": "ping"}')
            if number % 200 == 199:
                for _ in range(200):
                    await asyncio.wait_for(socket.recv(), 120)


@attacks.attack("another subprotocol", "an older protocol with weaker rules")
async def _(attacker: Attacker) -> None:
    for protocol in ("graphql-ws", "graphql-transport-ws2", "mqtt"):
        try:
            async with attacker.socket(init=False, protocol=protocol) as socket:
                assert await closing(socket) == 4406
        except (InvalidStatus, ConnectionClosed):
            pass


@attacks.attack("frames against RFC 6455", "a parser in a state it was not made for")
async def _(attacker: Attacker) -> None:
    head = (
        f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{attacker.target.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    ).encode()
    broken = [
        b"\x81\x02{}",  # not masked
        b"\xf1\x80\x00\x00\x00\x00",  # reserved bits
        b"\x83\x80\x00\x00\x00\x00",  # an opcode that does not exist
        b"\x89\xfe\x00\x80" + b"\x00" * 132,  # a ping too long
        b"\x09\x80\x00\x00\x00\x00",  # a ping in pieces
        b"\x80\x80\x00\x00\x00\x00",  # a piece of nothing
        b"\x81\xff" + struct.pack(">Q", 2**63) + b"\x00" * 8,  # a length without end
        b"\x81\x82\x00\x00\x00\x00\xff\xfe",  # no UTF-8
    ]
    for answer in await asyncio.gather(*(attacker.raw(head, bad, wait=2) for bad in broken)):
        assert answer.startswith(b"HTTP/1.1 101")
        _, _, after = answer.partition(b"\r\n\r\n")
        assert not after or after[0] == 0x88, "a close frame, and nothing else"


@attacks.attack("a handshake against RFC 6455", "a socket without what makes it one")
async def _(attacker: Attacker) -> None:
    for lines in (
        ["Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="],
        ["Sec-WebSocket-Version: 13"],
        ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short"],
    ):
        head = "\r\n".join(
            [
                "GET /graphql HTTP/1.1",
                f"Host: 127.0.0.1:{attacker.target.port}",
                "Upgrade: websocket",
                "Connection: Upgrade",
                *lines,
                "",
                "",
            ]
        )
        answer = await attacker.raw(head.encode(), wait=3)
        assert answer[9:10] == b"4", answer[:80]


@attacks.attack("sockets that never say who", "all places taken by silence", watched=True)
async def _(attacker: Attacker) -> None:
    async def silent() -> int:
        async with attacker.socket(init=False) as socket:
            async with asyncio.timeout(120):
                await socket.wait_closed()
            return socket.close_code or 0

    assert set(await asyncio.gather(*(silent() for _ in range(30)))) == {4408}


@attacks.attack("more sockets than a caller may have", "all places taken by one")
async def _(attacker: Attacker) -> None:
    async def three() -> list[int]:
        async with attacker.socket("thrifty"), attacker.socket("thrifty"), attacker.socket("thrifty"):
            codes = []
            for _ in range(3):
                async with attacker.socket(init=False) as more:
                    await more.send(
                        json.dumps(
                            {"type": "connection_init", "payload": {"authorization": attacker.credential("thrifty")}}
                        )
                    )
                    codes.append(await closing(more))
            return codes

    assert await three() == [4429] * 3
    async with attacker.socket("thrifty"):
        pass


@attacks.attack("reading nothing of what was asked for", "memory, by answers that nobody takes", watched=True)
async def _(attacker: Attacker) -> None:
    query = "{ items(first: 100) { nodes { sku name description attributes { code value } } } }"
    async with attacker.socket("sales_rep") as socket:
        socket.transport.pause_reading()
        for number in range(40):
            await socket.send(json.dumps(_asking(str(number), query=query)))
        assert (await attacker.ask("{ __typename }")).data == {"__typename": "Query"}
        socket.transport.abort()


@attacks.attack("events within a value", "an event of one's own in another's stream")
async def _(attacker: Attacker) -> None:
    text = 'x\n\nevent: next\ndata: {"data":{"me":null}}\n\nid: 1\r\n\r'
    payload = {
        "query": "query($s: String) { items(first: 1, filter: {search: $s}) { totalCount } }",
        "variables": {"s": text},
    }
    answer = await attacker.post(payload, accept=STREAM)
    assert answer.text.count("event: next") == 1
    assert answer.text.count("\nevent: ") == 2
    unknown = await attacker.post({"query": '{ a(x: "\\n\\nevent: next\\ndata: 1") }'}, accept=STREAM)
    assert unknown.text.count("event: next") == 1


@attacks.attack("Last-Event-ID with lines", "a header or an event of one's own")
async def _(attacker: Attacker) -> None:
    for value in ("x" * 5_000, "../../..", "0", "-1", "%0d%0aX: y", "null"):
        reply = await attacker.post(ME, accept=STREAM, **{"last-event-id": value})
        assert reply.text.count("event: next") == 1
        assert "a-buyer" in reply.text


@attacks.attack("a subscription as a query", "a stream where none is expected")
async def _(attacker: Attacker) -> None:
    query = "subscription { shipmentUpdates { __typename } }"
    for transport in ("post", "get"):
        reply = await attacker.over(transport, {"query": query})
        assert reply.status in {406, 400}
        refused(reply, "NOT_ACCEPTABLE", "BAD_REQUEST", "NOT_SUPPORTED")
    two = "subscription { a: shipmentUpdates { __typename } b: shipmentUpdates { __typename } }"
    for transport in ("sse", "websocket"):
        refused(await attacker.over(transport, {"query": two}), "GRAPHQL_VALIDATION_FAILED")
        refused(
            await attacker.over(transport, {"query": "subscription { __typename }"}),
            "GRAPHQL_VALIDATION_FAILED",
            "BAD_REQUEST",
        )
