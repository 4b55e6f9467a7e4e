"""Message brokers as a source of changes and of rows.

    options.py    topics, and what their messages mean       messages.py   messages to hints and rows
    nats.py       NATS JetStream                              kafka.py      the Kafka protocol
    rabbitmq.py   RabbitMQ, quorum queues                     security.py   TLS and sign-in
                                                              set_aside.py  messages set aside, and their replay

A message may name subjects of another source, which is then read again; its content is not trusted. Rows of a topic are
kept in a replica (`app/sources/replica`), which answers reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

from app.errors import ConfigurationError
from app.settings import SourceSettings
from app.sources.brokers.messages import TopicHandler
from app.sources.brokers.options import BrokerOptions, read_options
from app.sources.brokers.security import read_security
from app.sources.brokers.set_aside import SetAsideMessages
from app.sources.capabilities import Limitation
from app.sources.consumer import MessageConsumer, Topic
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.replica.datasets import DATASETS
from app.sources.replica.ports import MISSING, replica_ports
from app.sources.replica.store import ReplicaStore
from app.sources.source import Source
from app.sources.values import utc_now

CONSUMERS = {
    "nats": ("app.sources.brokers.nats", "NATSConsumer"),
    "tls": ("app.sources.brokers.nats", "NATSConsumer"),
    "amqp": ("app.sources.brokers.rabbitmq", "RabbitMQConsumer"),
    "amqps": ("app.sources.brokers.rabbitmq", "RabbitMQConsumer"),
    "kafka": ("app.sources.brokers.kafka", "KafkaConsumer"),
}
"""Scheme of the address -> the consumer."""

COPY = Limitation(stale="the rows of the messages that were consumed")


def connect(
    name: str,
    settings: SourceSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    fields: SourceFields = NO_FIELDS,
    data_dir: Path,
) -> Source:
    """A broker as a source; rows of its topics are in `data_dir`. No I/O. Raises ConfigurationError."""
    if fields.types:
        raise ConfigurationError(
            "fields", name, "brokers have no custom fields; take the source out of their `sources`"
        )
    options = read_options(name, settings)
    security = read_security(name, settings, options.tls, options.sasl)
    store = _store(name, data_dir)
    module, class_name = CONSUMERS[urlsplit(settings.base_url).scheme]
    make: Callable[..., MessageConsumer] = getattr(import_module(module), class_name)
    handlers = _handlers(name, options, store)
    topics = tuple(
        Topic(
            name=label,
            consumer=make(name, settings, topic, security),
            handler=handlers[label],
            target=topic.source or name,
        )
        for label, topic in options.topics.items()
    )
    datasets = [DATASETS[topic.dataset] for topic in options.topics.values() if topic.dataset is not None]

    async def ping() -> None:
        await asyncio.gather(*(topic.consumer.ping() for topic in topics))

    async def aclose() -> None:
        await asyncio.gather(*(topic.consumer.aclose() for topic in topics), return_exceptions=True)
        await store.close()

    return Source(
        name=name,
        vendor="broker",
        ping=ping,
        aclose=aclose,
        topics=topics,
        requests=one_request,
        limitations={**MISSING, **{dataset.port: COPY for dataset in datasets}},
        **(replica_ports(store, datasets, {}, clock) if datasets else {}),
    )


def connect_set_aside_messages(name: str, settings: SourceSettings, data_dir: Path) -> SetAsideMessages:
    """The messages that were set aside; connects to no broker. Raises ConfigurationError."""
    store = _store(name, data_dir)
    return SetAsideMessages(store, _handlers(name, read_options(name, settings), store))


def _store(name: str, data_dir: Path) -> ReplicaStore:
    return ReplicaStore(name, data_dir / "sources" / f"{name}.sqlite")


def _handlers(name: str, options: BrokerOptions, store: ReplicaStore) -> dict[str, TopicHandler]:
    return {
        label: TopicHandler(name, label, topic, options.max_message_bytes, store)
        for label, topic in options.topics.items()
    }


def one_request(_: str, keys: int, __: object) -> int:
    """One query of the replica."""
    return 1 if keys else 0
