"""`./run events`, as an operator uses it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.errors import ConfigurationError
from app.events.log import EventLog
from app.events.stores import connect_events
from app.settings import Settings
from tests.support.events import hint, update


class Events:
    """The command over one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str) -> Result:
        done = CliRunner().invoke(app, ["events", *arguments, "--data-dir", str(self.folder)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    def table(self, *arguments: str) -> list[list[str]]:
        """What is printed, row by row, cell by cell."""
        return [re.split(r"  +", line) for line in self(*arguments).stdout.splitlines()]

    def log(self, work: Callable[[EventLog], Awaitable[Any]]) -> Any:
        """What the gateway does meanwhile."""

        async def run() -> Any:
            log = connect_events(Settings(data_dir=self.folder))
            try:
                return await work(log)
            finally:
                await log.close()

        return asyncio.run(run())


@pytest.fixture
def events(tmp_path: Path) -> Events:
    return Events(tmp_path)


def recorded(events: Events, *keys: str) -> list[str]:
    """Record updates; their cursors."""
    return [one.cursor for one in events.log(lambda log: log.record((), [update(key) for key in keys]))]


def buried(events: Events, *ids: str) -> None:
    """Note these, and give them up."""

    async def work(log: EventLog) -> None:
        await log.enqueue([hint(id) for id in ids])
        for taken in await log.claim("w", 10, 30):
            await log.dead_letter(taken, f"no shipment {taken.hint.id}")

    events.log(work)


def test_newest_updates_are_listed_in_order(events: Events):
    cursors = recorded(events, "A", "B", "C")
    head, *rows = events.table("list", "--most", "2")
    assert (head[0], head[-1]) == ("RECORDEDAT", "CURSOR")
    assert [(row[3], row[-1]) for row in rows] == [("B", cursors[1]), ("C", cursors[2])]


def test_updates_after_a_cursor_are_listed(events: Events):
    cursors = recorded(events, "A", "B", "C")
    listed = json.loads(events("list", "--after", cursors[0], "--json").stdout)
    assert listed["lost"] is None
    assert [(one["update"]["key"], one["cursor"]) for one in listed["updates"]] == [
        ("B", cursors[1]),
        ("C", cursors[2]),
    ]


def test_cursor_of_another_log_is_reported_as_lost(events: Events, tmp_path: Path):
    (foreign,) = recorded(Events(tmp_path / "other"), "X")
    recorded(events, "A")
    assert events("list", "--after", foreign).stdout.startswith("Updates after that cursor were deleted: OTHER_LOG.")


def test_garbage_for_a_cursor_is_refused(events: Events):
    with pytest.raises(ConfigurationError, match="--after = 'garbage': is not a cursor of an event log"):
        events("list", "--after", "garbage")


def test_dead_notices_are_listed_with_their_cause(events: Events):
    assert events("dead", "--json").stdout == "[]\n"
    buried(events, "1", "2")
    found = json.loads(events("dead", "--json").stdout)
    assert [(one["hint"]["id"], one["cause"]) for one in found] == [("2", "no shipment 2"), ("1", "no shipment 1")]
    assert [row[-1] for row in events.table("dead")] == ["CAUSE", "no shipment 2", "no shipment 1"]


def test_postponed_hints_are_listed_with_their_cause(events: Events):
    assert events("postponed", "--json").stdout == "[]\n"

    async def work(log: EventLog) -> None:
        await log.enqueue([hint("1", "A")])
        (claimed,) = await log.claim("w", 10, 30)
        await log.postpone(claimed, "SOURCE_UNAVAILABLE", 60)

    events.log(work)
    (found,) = json.loads(events("postponed", "--json").stdout)
    assert (found["hint"]["key"], found["attempts"], found["cause"]) == ("A", 1, "SOURCE_UNAVAILABLE")
    head, row = events.table("postponed")
    assert (head[1:5], head[-1]) == (["KIND", "SOURCE", "KEY", "ATTEMPTS"], "CAUSE")
    assert (row[1:5], row[-1]) == (["SHIPMENT", "parcels", "A", "1"], "SOURCE_UNAVAILABLE")


def test_dead_notices_are_replayed_by_number_or_all(events: Events):
    buried(events, "1", "2", "3")
    number = json.loads(events("dead", "--json").stdout)[0]["number"]
    assert events("replay", number).stdout == "replayed: 1\n"
    assert events("replay", "--all").stdout == "replayed: 2\n"
    assert [one.hint.id for one in events.log(lambda log: log.claim("w", 10, 30))] == ["3", "1", "2"]


def test_number_that_is_not_a_dead_letter_is_reported(events: Events):
    done = events("replay", "99")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (1, "replayed: 0")


@pytest.mark.parametrize("arguments", [(), ("1", "--all")])
def test_replay_wants_numbers_or_all(events: Events, arguments: tuple[str, ...]):
    with pytest.raises(ConfigurationError, match="name numbers"):
        events("replay", *arguments)


def test_log_that_cannot_be_opened_is_reported(events: Events):
    (events.folder / "events.sqlite").write_text("not a database, but long enough to look like one" * 50)
    with pytest.raises(ConfigurationError, match=r"^events\.store = 'sqlite': cannot be used: .*not a database"):
        events("dead")
