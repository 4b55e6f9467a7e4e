"""TLS and sign-in of brokers: real servers that demand them, and refusals with a code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aio_pika
import aiokafka
import aiokafka.admin
import nats
import pytest

from app.errors import ConfigurationError, SourceRejected, SourceUntrusted
from app.sources.brokers.kafka import KafkaConsumer, _connection
from app.sources.brokers.nats import NATSConsumer
from app.sources.source import Source
from tests.sources.brokers.test_kafka import TOPIC
from tests.support.brokers import (
    ORDERS,
    ConsumedTopic,
    KafkaProtocolServer,
    NATSServer,
    RabbitMQServer,
    broker_source,
    drain,
    free_port,
    order_event,
    running,
    until_listening,
)
from tests.support.certificates import certificate
from tests.support.kafka_proxy import kafka_proxy

LOGIN = {"username": "tradegraph", "password": "s3cret/:@ü"}
WRONG = {"username": "tradegraph", "password": "other"}


def source(url: str, folder: Path, *, credentials: dict[str, str] | None = None, **options: Any) -> Source:
    topics = {"orders": TOPIC if url.startswith("kafka") else ORDERS}
    given = {"credentials": credentials} if credentials else {}
    return broker_source(url, topics, folder, options={"topics": topics, **options}, **given)


async def refusal(tried: Source) -> Exception:
    """The error of a ping, which is that of consuming too."""
    [topic] = tried.topics
    with pytest.raises((SourceRejected, SourceUntrusted)) as pinged:
        await tried.ping()
    with pytest.raises((SourceRejected, SourceUntrusted)) as consumed:
        await topic.consumer.receive(1, 0.1)
    await tried.aclose()
    assert type(pinged.value) is type(consumed.value)
    assert all(value not in repr(pinged.value.detail) for value in (LOGIN["password"], WRONG["password"]))
    return pinged.value


async def consumed_keys(tried: Source, folder: Path) -> list[str]:
    await tried.ping()
    taken = ConsumedTopic(tried, folder)
    await drain(taken)
    keys = [hint.key for hint in await taken.hints()]
    await taken.close()
    return keys


async def test_nats_over_tls_with_client_certificate_and_password(tmp_path: Path):
    server_file, client_file = certificate(tmp_path, "127.0.0.1"), certificate(tmp_path, "gateway")
    options = ("--tls", "--tlscert", str(server_file), "--tlskey", str(server_file), "--tlsverify")
    server = NATSServer(
        tmp_path, *options, "--tlscacert", str(client_file), "--user", LOGIN["username"], "--pass", LOGIN["password"]
    )
    files = {"ca_file": str(server_file), "certificate_file": str(client_file)}
    async with running(server):
        url = server.url.replace("nats://", "tls://")
        good = source(url, tmp_path, credentials=LOGIN, tls=files)
        with pytest.raises(SourceRejected) as no_stream:
            await good.ping()  # Signed in; the stream is not there yet.
        assert no_stream.value.status == 404
        await publish_nats(good)
        assert await consumed_keys(good, tmp_path) == ["SO-1"]

        password = await refusal(source(url, tmp_path, credentials=WRONG, tls=files))
        untrusted = await refusal(source(url, tmp_path, credentials=LOGIN))
        assert (getattr(password, "status", None), type(untrusted)) == (401, SourceUntrusted)
        bare = await refusal(source(url, tmp_path, credentials=LOGIN, tls={"ca_file": str(server_file)}))
        assert getattr(bare, "status", None) == 401


async def publish_nats(signed_in: Source) -> None:
    """With the consumer's way to sign in."""
    consumer = signed_in.topics[0].consumer
    assert isinstance(consumer, NATSConsumer)
    security = consumer._security
    client = await nats.connect(
        consumer._settings.base_url,
        tls=security.tls,
        user=security.credentials["username"],
        password=security.credentials["password"],
    )
    await client.jetstream().add_stream(name="ERP", subjects=["orders"])
    await client.jetstream().publish("orders", order_event(1))
    await client.close()


async def test_nats_gets_no_password_over_a_connection_that_is_not_encrypted(tmp_path: Path):
    server = NATSServer(tmp_path, "--user", LOGIN["username"], "--pass", LOGIN["password"])
    async with running(server):
        for url, options in ((server.url.replace("nats://", "tls://"), {}), (server.url, {"tls": True})):
            assert type(await refusal(source(url, tmp_path, credentials=LOGIN, **options))) is SourceUntrusted


async def test_kafka_protocol_over_tls_with_password(tmp_path: Path):
    file, port = certificate(tmp_path, "127.0.0.1"), free_port()
    server = KafkaProtocolServer(tmp_path)
    server.advertised = port
    login = (LOGIN["username"], LOGIN["password"])
    async with running(server), kafka_proxy(server.port, port, file, login) as proxy:
        url, secure = f"kafka://127.0.0.1:{port}", {"tls": {"ca_file": str(file)}, "sasl": "PLAIN"}
        good = source(url, tmp_path, credentials=LOGIN, **secure)
        await publish_over_tls(good)
        assert await consumed_keys(good, tmp_path) == ["SO-1"]
        assert proxy.signed_in >= 3

        wrong = await refusal(source(url, tmp_path, credentials=WRONG, **secure))
        other = await refusal(source(url, tmp_path, credentials=LOGIN, tls={"ca_file": str(file)}))  # SCRAM-SHA-512
        untrusted = await refusal(source(url, tmp_path, credentials=LOGIN, sasl="PLAIN"))
        assert [getattr(one, "status", None) for one in (wrong, other, untrusted)] == [401, 401, None]
        assert type(untrusted) is SourceUntrusted


async def test_kafka_protocol_refuses_an_unknown_user_by_scram(tmp_path: Path):
    server = KafkaProtocolServer(tmp_path, "--authentication")
    async with running(server):
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            tried = source(server.url, tmp_path, credentials=LOGIN, tls=False, sasl=mechanism)
            assert getattr(await refusal(tried), "status", None) == 401


async def test_rabbitmq_over_tls_with_password_and_with_client_certificate(tmp_path: Path):
    authority = certificate(tmp_path, "authority")
    file = certificate(tmp_path, "127.0.0.1", issuer=authority)
    own, foreign = (certificate(tmp_path, name, issuer=authority) for name in (LOGIN["username"], "nobody"))
    secure = free_port()
    config = f"""
loopback_users = none
default_user = {LOGIN["username"]}
default_pass = s3cret
listeners.ssl.1 = 127.0.0.1:{secure}
ssl_options.certfile = {file}
ssl_options.keyfile = {file}
ssl_options.cacertfile = {authority}
ssl_options.versions.1 = tlsv1.2
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
ssl_cert_login_from = common_name
"""
    server = RabbitMQServer(tmp_path, config=config, plugins="rabbitmq_auth_mechanism_ssl")
    url = f"amqps://127.0.0.1:{secure}"
    files = {"ca_file": str(authority), "certificate_file": str(own)}
    login = {**LOGIN, "password": "s3cret"}
    async with running(server):
        await until_listening(secure)
        signed_in = source(url, tmp_path, credentials=login, tls=files)
        with pytest.raises(SourceRejected) as no_queue:
            await signed_in.ping()
        assert no_queue.value.status == 404
        await publish_rabbit(server, login)
        certified = source(url, tmp_path, tls=files, sasl="EXTERNAL")
        assert await consumed_keys(certified, tmp_path) == ["SO-1"]
        await signed_in.ping()
        await signed_in.aclose()

        password = await refusal(source(url, tmp_path, credentials=WRONG, tls=files))
        other = {**files, "certificate_file": str(foreign)}
        external = await refusal(source(url, tmp_path, tls=other, sasl="EXTERNAL"))
        untrusted = await refusal(source(url, tmp_path, credentials=login))
        bare = await refusal(source(url, tmp_path, credentials=login, tls={"ca_file": str(authority)}))
        assert [getattr(one, "status", None) for one in (password, external, untrusted, bare)] == [401, 401, None, 401]
        assert type(untrusted) is SourceUntrusted


async def publish_rabbit(server: RabbitMQServer, login: dict[str, str]) -> None:
    name, password = login["username"], login["password"]
    connection = await aio_pika.connect(f"amqp://{name}:{password}@127.0.0.1:{server.port}")
    channel = await connection.channel()
    await channel.declare_queue("orders", durable=True)
    await channel.default_exchange.publish(aio_pika.Message(order_event(1)), "orders")
    await connection.close()


async def publish_over_tls(signed_in: Source) -> None:
    consumer = signed_in.topics[0].consumer
    assert isinstance(consumer, KafkaConsumer)
    address = {"bootstrap_servers": consumer._settings.base_url[8:], **_connection(consumer._security)}
    admin = aiokafka.admin.AIOKafkaAdminClient(**address)
    await admin.start()
    await admin.create_topics([aiokafka.admin.NewTopic("orders", 1, 1)])
    await admin.close()
    producer = aiokafka.AIOKafkaProducer(**address)
    await producer.start()
    await producer.send("orders", order_event(1))
    await producer.stop()


@pytest.mark.parametrize(
    ("url", "credentials", "options", "key"),
    [
        ("amqp://h", {}, {"tls": True}, "options.tls"),
        ("amqps://h", {}, {"tls": False}, "options.tls"),
        ("tls://h", {}, {"tls": False}, "options.tls"),
        ("kafka://h", {"username": "a"}, {}, "credentials"),
        ("kafka://h", {"password": "a"}, {}, "credentials"),
        ("kafka://h", {"token": "a"}, {}, "credentials.token"),
        ("nats://h", {"token": "a", **LOGIN}, {}, "credentials"),
        ("nats://h", {"pasword": "a"}, {}, "credentials.pasword"),
        ("nats://h", LOGIN, {"sasl": "PLAIN"}, "options.sasl"),
        ("kafka://h", LOGIN, {"sasl": "EXTERNAL"}, "options.sasl"),
        ("kafka://h", LOGIN, {"sasl": "OAUTHBEARER"}, "options"),
        ("kafka://h", {}, {"sasl": "PLAIN"}, "options.sasl"),
        ("amqp://h", LOGIN, {"sasl": "EXTERNAL"}, "options.sasl"),
        ("amqps://h", {}, {"sasl": "EXTERNAL"}, "options.sasl"),
        ("amqps://h", {}, {"tls": {"ca_file": "ca.pem"}}, "options.tls.ca_file"),
        ("amqps://h", {}, {"tls": {"ca_file": "/missing.pem"}}, "options.tls.ca_file"),
        ("amqps://h", {}, {"tls": {"verify": False}}, "options"),
    ],
)
async def test_wrong_options_are_refused_at_the_start(
    tmp_path: Path, url: str, credentials: dict[str, str], options: dict[str, Any], key: str
):
    with pytest.raises(ConfigurationError) as refused:
        source(url, tmp_path, credentials=credentials, **options)
    assert refused.value.key == f"sources.bus.{key}"
    assert LOGIN["password"] not in str(refused.value)


async def test_files_that_are_no_certificates_are_refused_at_the_start(tmp_path: Path):
    text, good = tmp_path / "text.pem", certificate(tmp_path, "127.0.0.1")
    text.write_text("no certificate\n")
    for name, files in {
        "ca_file": {"ca_file": str(text)},
        "certificate_file": {"certificate_file": str(text)},
        "key_file": {"key_file": str(good)},
    }.items():
        with pytest.raises(ConfigurationError) as refused:
            source("amqps://h", tmp_path, tls=files)
        assert refused.value.key == f"sources.bus.options.tls.{name}"
