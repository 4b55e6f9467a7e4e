"""One attempt to post to a partner: which addresses are refused, and what is made of answers."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from starlette.responses import Response

from app.settings import EndpointSettings
from app.webhooks.outbound.egress import AddressRefused, EgressPolicy, parse_target
from app.webhooks.outbound.sender import Resolve, WebhookSender
from tests.support.certificates import certificate
from tests.support.certificates import serving as tls_for
from tests.upstreams.receiver import receiving

LOOPBACK = EndpointSettings(allowed_networks=("127.0.0.0/8",), timeout=2.0)
BODY = b'{"type":"test"}'

REFUSED_FORMS = [
    "",
    "hooks.example.com",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "HTTPS://hooks.example.com/",
    "https:hooks.example.com",
    "https:///path",
    "https://user@hooks.example.com/",
    "https://user:secret@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1/",
    "https://hooks.example.com#@127.0.0.1/",
    "https://hooks.example.com/#fragment",
    "https://hooks.example.com\\@127.0.0.1/",
    "https://hooks.example.com/a b",
    "https://hooks.example.com/\r\nx: y",
    "https://hooks.example.com/ä",
    "https://exämple.com/",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:65536/",
    "https://hooks.example.com:443:80/",
    "https://hooks.example.com:/",
    "https://hooks..example.com/",
    "https://hooks.example.com./",
    "https://-hooks.example.com/",
    "https://" + "a." * 130 + "com/",
    "https://hooks.example.com/" + "a" * 2000,
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://0x7f.0.0.1/",
    "https://127.1/",
    "https://127.0.0.1.1/",
    "https://256.0.0.1/",
    "https://0/",
    "https://[::1%25lo]/",
    "https://[fe80::1%25eth0]/",
    "https://[127.0.0.1]/",
    "https://[::1/",
]
NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("url", REFUSED_FORMS)
def test_address_in_another_form_is_refused(url: str):
    with pytest.raises(AddressRefused):
        parse_target(url)


def test_address_in_its_plain_form_is_taken_apart():
    found = parse_target("https://Hooks.Example.com:8443/in?key=a%20b&x=1")
    assert (found.scheme, found.host, found.port, found.path) == (
        "https", "hooks.example.com", 8443, "/in?key=a%20b&x=1",
    )  # fmt: skip
    assert found.authority == "hooks.example.com:8443"
    assert parse_target("https://[2606:4700::1111]").authority == "[2606:4700::1111]"
    assert parse_target("https://93.184.215.14").path == "/"


@pytest.mark.parametrize("ip", NOT_PUBLIC)
async def test_name_of_an_address_that_is_not_public_is_refused(ip: str):
    outcome = await WebhookSender(EndpointSettings(), resolve=always(ip)).send("https://hooks.example.com/", {}, BODY)
    assert outcome.status is None
    assert (outcome.cause or "").startswith("the address is refused: ")


@pytest.mark.parametrize("ip", [ip for ip in NOT_PUBLIC if "%" not in ip])
async def test_address_that_is_not_public_is_refused_by_itself(ip: str):
    url = f"https://[{ip}]/" if ":" in ip else f"https://{ip}/"
    outcome = await WebhookSender(EndpointSettings()).send(url, {}, BODY)
    assert (outcome.cause or "").startswith("the address is refused: ")


@pytest.mark.parametrize("ip", ["8.8.8.8", "93.184.215.14", "2606:4700::1111"])
def test_public_address_may_be_posted_to_by_https_on_named_ports(ip: str):
    allowance = EgressPolicy(ports=(443, 8443))
    allowance.check(parse_target("https://hooks.example.com:8443/"), ip)
    with pytest.raises(AddressRefused, match="only https"):
        allowance.check(parse_target("http://hooks.example.com/"), ip)
    with pytest.raises(AddressRefused, match="port 22 is not among"):
        allowance.check(parse_target("https://hooks.example.com:22/"), ip)


def test_allowed_network_allows_no_other_form_of_its_addresses():
    allowance = EgressPolicy(["127.0.0.0/8", "fd00:1::/64"])
    allowance.check(parse_target("http://hooks.example.com:8080/"), "127.0.0.1")
    allowance.check(parse_target("http://hooks.example.com:8080/"), "fd00:1::7")
    for ip in ("::ffff:127.0.0.1", "fd00:2::7", "10.0.0.1"):
        with pytest.raises(AddressRefused):
            allowance.check(parse_target("http://hooks.example.com:8080/"), ip)


async def test_one_bad_address_among_good_ones_spoils_them():
    outcome = await WebhookSender(EndpointSettings(), resolve=always("8.8.8.8", "10.0.0.1")).send(
        "https://hooks.example.com/", {}, BODY
    )
    assert outcome.cause == "the address is refused: 10.0.0.1 is not a public address; see endpoints.allowed_networks"


@pytest.mark.parametrize("dead", ["127.0.0.2", "192.88.98.1"], ids=["refuses", "does not answer"])
async def test_checked_addresses_are_tried_in_turn(dead: str):
    async with receiving() as receiver:
        port = int(receiver.url.rpartition(":")[2])
        settings = EndpointSettings(allowed_networks=("127.0.0.0/8", f"{dead}/32"), timeout=2.0)
        outcome = await WebhookSender(settings, resolve=always(dead, "127.0.0.1")).send(
            f"http://hooks.example.com:{port}/in", {"webhook-id": "msg_1"}, BODY
        )
        assert (outcome.status, outcome.cause) == (204, None)
        assert [webhook.id for webhook in receiver.webhooks] == ["msg_1"]


async def test_last_address_says_why_none_was_reached():
    async with receiving() as receiver:
        port = int(receiver.url.rpartition(":")[2])
    sender = WebhookSender(LOOPBACK, resolve=always("127.0.0.2", "127.0.0.3"))
    outcome = await sender.send(f"http://hooks.example.com:{port}/", {}, BODY)
    assert outcome.status is None
    assert "127.0.0.3" in (outcome.cause or "")


async def test_name_that_resolves_differently_is_checked_again_and_not_connected():
    """DNS rebinding: the first answer is harmless, the second is not."""
    async with receiving() as inside:
        answers = iter([["192.88.98.1"], ["127.0.0.1"]])
        asked: list[str] = []

        async def resolve(host: str, _: int) -> Sequence[str]:
            asked.append(host)
            return next(answers)

        settings = EndpointSettings(timeout=0.2, ports=(443, int(inside.url.rpartition(":")[2])))
        poster = WebhookSender(settings, resolve=resolve)
        url = f"https://hooks.example.com:{inside.url.rpartition(':')[2]}/"
        first = await poster.send(url, {}, BODY)
        second = await poster.send(url, {}, BODY)
        assert first.status is None  # The address of nobody; what matters is that it was asked for once only.
        assert second.cause is not None
        assert second.cause.startswith("the address is refused: 127.0.0.1")
        assert asked == ["hooks.example.com", "hooks.example.com"]
        assert inside.webhooks == []


async def test_body_and_headers_arrive_by_plain_http_where_the_network_is_allowed():
    async with receiving() as receiver:
        poster = WebhookSender(LOOPBACK, resolve=always("127.0.0.1"))
        port = receiver.url.rpartition(":")[2]
        outcome = await poster.send(f"http://hooks.example.com:{port}/in", {"webhook-id": "msg_1"}, BODY)
    assert (outcome.status, outcome.delivered, outcome.cause) == (204, True, None)
    (webhook,) = receiver.webhooks
    assert (webhook.path, webhook.body, webhook.id) == ("/in", BODY, "msg_1")
    assert webhook.headers["host"] == f"hooks.example.com:{port}"
    assert webhook.headers["content-type"] == "application/json"


async def test_redirect_is_not_followed():
    async with receiving() as receiver:
        receiver.answer = lambda _: Response(status_code=307, headers={"location": f"{receiver.url}/elsewhere"})
        outcome = await WebhookSender(LOOPBACK).send(f"{receiver.url}/in", {}, BODY)
        assert (outcome.status, outcome.delivered, outcome.reason) == (307, False, "HTTP 307")
        assert [webhook.path for webhook in receiver.webhooks] == ["/in"]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("99999999", 86_400.0), ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0), ("soon", None), ("-5", None)],
)
async def test_retry_after_is_read(header: str, seconds: float | None):
    async with receiving() as receiver:
        receiver.answer = lambda _: Response(status_code=503, headers={"retry-after": header})
        assert (await WebhookSender(LOOPBACK).send(receiver.url, {}, BODY)).retry_after == seconds


async def test_endless_answer_is_not_read_to_its_end():
    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
            await writer.drain()

    patient = LOOPBACK.model_copy(update={"timeout": 30.0})
    async with listening(pour) as port:
        outcome = await WebhookSender(patient).send(f"http://127.0.0.1:{port}/", {}, BODY)
    assert (outcome.status, outcome.delivered) == (200, True)
    assert outcome.seconds < 1.5


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        (b"", "no answer within 0.3 s"),
        (
            b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
            "UnacceptableResponse: more than 256 headers, or 65536 bytes of them",
        ),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "ConnectionBroken: malformed HTTP: Expected HTTP/"),
    ],
    ids=["silence", "a head without end", "another protocol"],
)
async def test_invalid_response_is_reported(sent: bytes, cause: str):
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()

    async with listening(answer) as port:
        poster = WebhookSender(EndpointSettings(allowed_networks=("127.0.0.0/8",), timeout=10 if sent else 0.3))
        outcome = await poster.send(f"http://127.0.0.1:{port}/", {}, BODY)
    assert outcome.status is None
    assert (outcome.cause or "").startswith(cause.partition(":")[0])


async def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    outcome = await WebhookSender(LOOPBACK).send(f"http://127.0.0.1:{port}/", {}, BODY)
    assert (outcome.status, (outcome.cause or "").partition(":")[0]) == (None, "ConnectionRefusedError")


async def test_certificate_is_checked_for_the_name_and_not_for_the_address(tmp_path: Path):
    """The connection goes to the checked address, with the name in TLS."""
    file = certificate(tmp_path, "hooks.example.com")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    settings = LOOPBACK.model_copy(update={"ca_file": file})
    poster, strict = (
        WebhookSender(settings, resolve=always("127.0.0.1")),
        WebhookSender(LOOPBACK, resolve=always("127.0.0.1")),
    )
    async with listening(answer, tls_for(file)) as port:
        assert (await poster.send(f"https://hooks.example.com:{port}/", {}, BODY)).status == 200
        other = await poster.send(f"https://other.example.com:{port}/", {}, BODY)
        unknown = await strict.send(f"https://hooks.example.com:{port}/", {}, BODY)
    assert (other.cause or "").startswith("the certificate is not to be believed: Hostname mismatch")
    assert (unknown.cause or "").startswith("the certificate is not to be believed: self-signed certificate")


def always(*addresses: str) -> Resolve:
    """A resolver with one answer."""

    async def resolve(_: str, __: int) -> Sequence[str]:
        return addresses

    return resolve


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that answers in bytes, and waits until its client leaves."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await answer(reader, writer)
            await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
        await ended.wait()
    finally:
        server.close()
