"""`./run events`: the event log, its dead letters and their replay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import orjson
import typer

from app.cli.stores import Config, DataDir, run_with, settings_of
from app.cli.tables import print_table
from app.errors import ConfigurationError, InvalidCursor

if TYPE_CHECKING:
    from app.events.log import EventLog

T = TypeVar("T")

events = typer.Typer(help="Event log: updates and dead letters.", no_args_is_help=True)

Most = Annotated[int, typer.Option(help="Maximum number of rows.", min=1, max=10_000)]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@events.command("list")
def list_events(
    after: Annotated[str | None, typer.Option(help="Print events after this cursor. Default: the newest.")] = None,
    most: Most = 20,
    config: Config = None,
    data_dir: DataDir = None,
    json: JSON = False,
) -> None:
    """Print the newest updates, or those after a cursor; oldest first."""

    async def found(log: EventLog) -> tuple[str | None, list[dict[str, Any]]]:
        if after is None:
            return None, [_plain(one) for one in await log.newest(most)]
        page = await log.read(after, most)
        return page.lost, [_plain(one) for one in page.entries]

    try:
        lost, entries = _with_log(config, data_dir, found)
    except InvalidCursor:
        raise ConfigurationError("--after", after, "is not a cursor of an event log") from None
    if json:
        _print_json({"lost": lost, "updates": entries})
        return
    if lost:
        print(f"Updates after that cursor were deleted: {lost}. The oldest stored updates follow.")
    columns = ("recordedAt", "kind", "source", "key", "status", "customer")
    rows = [(*(one["update"].get(name) for name in columns), one["cursor"]) for one in entries]
    print_table([_head(*columns, "cursor"), *rows])


@events.command()
def dead(most: Most = 100, config: Config = None, data_dir: DataDir = None, json: JSON = False) -> None:
    """Print dead-lettered hints with their cause, newest first."""

    async def found(log: EventLog) -> list[dict[str, Any]]:
        return [_plain(one) for one in await log.dead_letters(most)]

    entries = _with_log(config, data_dir, found)
    if json:
        _print_json(entries)
        return
    columns = ("kind", "source", "key", "id")
    rows = [
        (one["number"], one["at"], *(one["hint"].get(name) for name in columns), one["attempts"], one["cause"])
        for one in entries
    ]
    print_table([_head("number", "at", *columns, "attempts", "cause"), *rows])


@events.command()
def postponed(most: Most = 100, config: Config = None, data_dir: DataDir = None, json: JSON = False) -> None:
    """Print hints whose subjects could not be read yet, with the cause and the time of the next attempt."""

    async def found(log: EventLog) -> list[dict[str, Any]]:
        return [_plain(one) for one in await log.postponed(most)]

    entries = _with_log(config, data_dir, found)
    if json:
        _print_json(entries)
        return
    columns = ("kind", "source", "key")
    rows = [
        (one["number"], *(one["hint"].get(name) for name in columns), one["attempts"], one["until"], one["cause"])
        for one in entries
    ]
    print_table([_head("number", *columns, "attempts", "until", "cause"), *rows])


@events.command()
def replay(
    numbers: Annotated[
        list[str] | None, typer.Argument(help="Numbers of dead letters, as `events dead` prints them.")
    ] = None,
    replay_all: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Process dead-lettered hints again."""
    if bool(numbers) == replay_all:
        raise ConfigurationError("events replay", None, "name numbers, as ./run events dead prints them, or --all")
    count = _with_log(config, data_dir, lambda log: log.replay(numbers or None))
    print(f"replayed: {count}")
    if numbers and count < len(set(numbers)):
        print("The other numbers are not dead letters; see ./run events dead")
        raise typer.Exit(1)


def _with_log(config: Path | None, data_dir: Path | None, work: Callable[[EventLog], Awaitable[T]]) -> T:
    """Run an action with the configured event log."""
    from app.events.stores import connect_events

    return run_with(connect_events, settings_of(config, data_dir, demo=True), "events", work)


def _plain(value: Any) -> dict[str, Any]:
    import msgspec

    return msgspec.to_builtins(value)


def _print_json(value: Any) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _head(*names: str) -> tuple[str, ...]:
    return tuple(name.upper() for name in names)
