"""`./run brokers`: messages that were set aside are listed, replayed with the mended configuration, and discarded."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.auth.principal import SYSTEM
from app.cli.main import app
from app.errors import ConfigurationError
from app.events.log import EventLog
from app.events.stores import connect_events
from app.settings import Settings
from app.sources.consumer import Message
from tests.support.brokers import broker_source

CONFIG = """
demo = true
data_dir = "{data}"
[sources.bus]
vendor = "broker"
base_url = "nats://127.0.0.1:1"
[sources.bus.options.topics.orders]
name = "orders"
kind = "ORDER"
key = "{key}"
[sources.bus.options.topics.shipments]
name = "shipments"
dataset = "shipments"
columns = {{ id = "id", status = "{status}", tracking_number = "tracking" }}
"""
START = datetime(2026, 12, 1, 12, tzinfo=UTC)


def topics(key: str, status: str) -> dict[str, dict[str, Any]]:
    columns = {"id": "id", "status": status, "tracking_number": "tracking"}
    return {
        "orders": {"name": "orders", "kind": "ORDER", "key": key},
        "shipments": {"name": "shipments", "dataset": "shipments", "columns": columns},
    }


def message(id: str, body: dict[str, Any] | bytes, *, minutes: int | None = 0) -> Message:
    at = None if minutes is None else START + timedelta(minutes=minutes)
    return Message(id, body if isinstance(body, bytes) else json.dumps(body).encode(), at, None)


async def set_aside(data: Path) -> None:
    """Three orders of which two can be read once their key is right, and four shipments."""
    source = broker_source("nats://127.0.0.1:1", topics("order.number", "status"), data)
    orders, shipments = (topic.handler for topic in source.topics)
    await orders.handle([message("m1", {"id": "SO-1"}), message("m2", b"{no"), message("m3", {"id": "SO-3"})], START)
    now = START + timedelta(hours=1)
    rows = [
        message("s1", {"id": "S1", "state": "DELIVERED", "tracking": "late"}, minutes=1),
        message("s2", {"id": "S2", "state": "DELIVERED", "tracking": "only"}, minutes=1),
        message("s3", {"id": "S1", "status": "PENDING", "tracking": "newest"}, minutes=2),
        message("s4", {"id": "S1", "state": "DELIVERED", "tracking": "without a time"}, minutes=None),
    ]
    await shipments.handle(rows, now)
    await source.aclose()


async def command(config: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    called = ["brokers", *arguments, "--config", str(config)]
    result = await asyncio.to_thread(CliRunner().invoke, app, called)
    if isinstance(result.exception, ConfigurationError):
        raise result.exception
    return result.exit_code, result.output


async def keys_of(log: EventLog) -> list[str]:
    found = [claimed.hint.key for claimed in await log.claim("reader", 100, 600)]
    await log.close()
    return found


async def test_messages_are_listed_replayed_and_discarded(tmp_path: Path):
    data, config = tmp_path / "data", tmp_path / "tradegraph.toml"
    await set_aside(data)

    async def call(*arguments: str) -> tuple[int, str]:
        return await command(config, *arguments)

    config.write_text(CONFIG.format(data=data, key="order.number", status="status"))
    listed = json.loads((await call("list", "--json"))[1])
    assert [(one["number"], one["topic"], one["message"], one["code"], one["field"]) for one in listed] == [
        (6, "shipments", "s4", "VALUE_MISSING", "status"),
        (5, "shipments", "s2", "VALUE_MISSING", "status"),
        (4, "shipments", "s1", "VALUE_MISSING", "status"),
        (3, "orders", "m3", "MESSAGE_KEY_MISSING", "order.number"),
        (2, "orders", "m2", "MESSAGE_MALFORMED", None),
        (1, "orders", "m1", "MESSAGE_KEY_MISSING", "order.number"),
    ]
    assert json.loads((await call("show", "1"))[1])["body"] == '{"id": "SO-1"}'
    assert (await call("show", "9"))[0] == 1
    with pytest.raises(ConfigurationError):
        await call("replay")
    assert await call("replay", "--all", "--topic", "orders") == (
        1,
        """\
1 orders: MESSAGE_KEY_MISSING order.number
2 orders: MESSAGE_MALFORMED
3 orders: MESSAGE_KEY_MISSING order.number
replayed: 0
""",
    )

    config.write_text(CONFIG.format(data=data, key="id", status="state"))
    assert await call("replay", "1", "9") == (1, "replayed: 1\n")
    assert await call("replay", "--all") == (1, "2 orders: MESSAGE_MALFORMED\nreplayed: 4\n")
    assert await keys_of(connect_events(Settings(data_dir=data))) == ["SO-1", "SO-3"]
    source = broker_source("nats://127.0.0.1:1", topics("id", "state"), data)
    assert source.shipments is not None
    found = await source.shipments.by_id(SYSTEM, ["S1", "S2"])
    await source.aclose()
    assert {key: one.tracking_number for key, one in found.items()} == {"S1": "newest", "S2": "only"}
    assert {key: one.freshness.as_of for key, one in found.items()} == {
        "S1": START + timedelta(minutes=2),
        "S2": START + timedelta(minutes=1),
    }

    assert await call("discard", "2", "9") == (1, "discarded: 1\n")
    assert json.loads((await call("list", "--json"))[1]) == []


async def test_a_topic_that_is_not_configured_any_more_stays(tmp_path: Path):
    data, config = tmp_path / "data", tmp_path / "tradegraph.toml"
    await set_aside(data)
    text = CONFIG.format(data=data, key="id", status="state").replace("topics.orders]", "topics.others]")
    config.write_text(text)
    assert await command(config, "replay", "1") == (1, "1 orders: TOPIC_NOT_CONFIGURED\nreplayed: 0\n")


async def test_of_a_long_message_nothing_is_replayed(tmp_path: Path):
    data, config = tmp_path / "data", tmp_path / "tradegraph.toml"
    source = broker_source("nats://127.0.0.1:1", topics("order.number", "status"), data)
    long = json.dumps({"id": "SO-1"}).encode() + b" " * 70_000
    await source.topics[0].handler.handle([message("m1", long)], START)
    await source.aclose()
    config.write_text(CONFIG.format(data=data, key="id", status="state"))
    assert await command(config, "replay", "1") == (1, "1 orders: MESSAGE_KEY_MISSING order.number\nreplayed: 0\n")
