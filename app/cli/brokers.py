"""`./run brokers`: messages of brokers that were set aside; replay and removal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import orjson
import typer

from app.cli.stores import Config, DataDir, settings_of, source_of_vendor
from app.cli.tables import print_table
from app.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from app.settings import Settings
    from app.sources.replica.store import SetAsideMessage
    from app.sources.wiring import SetAsideMessages

T = TypeVar("T")

brokers = typer.Typer(help="Message brokers: messages that were set aside.", no_args_is_help=True)

Source = Annotated[str | None, typer.Option(help="The source; needed where several are brokers.")]
Topic = Annotated[str | None, typer.Option(help="Label of a topic, as the configuration names it.")]
Numbers = Annotated[list[int] | None, typer.Argument(help="Numbers as `brokers list` prints them.")]
All = Annotated[bool, typer.Option("--all", help="All messages, or all of --topic.")]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

COLUMNS = ("number", "at", "topic", "code", "field", "bytes", "message")
MOST = 10_000


@brokers.command("list")
def list_messages(
    topic: Topic = None,
    most: Annotated[int, typer.Option(help="Maximum number of rows.", min=1, max=MOST)] = 20,
    source: Source = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: JSON = False,
) -> None:
    """Print messages that were set aside, newest first, with the code of the reason."""
    found = _with_messages(config, data_dir, source, lambda messages, _: messages.list(most, topic=topic))
    rows = [_described(one) for one in found]
    if json:
        _print_json(rows)
    else:
        print_table([tuple(name.upper() for name in COLUMNS), *([row[name] for name in COLUMNS] for row in rows)])


@brokers.command()
def show(
    number: Annotated[int, typer.Argument(help="Number as `brokers list` prints it.")],
    source: Source = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Print one message as JSON, with its body: text of UTF-8, of at most 64 KiB."""
    found = _with_messages(config, data_dir, source, lambda messages, _: messages.list(1, numbers=[number]))
    if not found:
        print(f"No message {number} is set aside.")
        raise typer.Exit(1)
    _print_json({**_described(found[0]), "body": found[0].body.decode(errors="replace")})


@brokers.command()
def replay(
    numbers: Numbers = None,
    every: All = False,
    topic: Topic = None,
    source: Source = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Read messages again with the present configuration. Those that still cannot be read stay, with their code."""
    from app.events.stores import connect_events
    from app.sources.values import utc_now

    async def work(messages: SetAsideMessages, settings: Settings) -> list[Any]:
        chosen = await _chosen(messages, numbers, topic, every)
        log = connect_events(settings)
        try:
            return await messages.replay(chosen, log.enqueue, utc_now())
        finally:
            await log.close()

    results = _with_messages(config, data_dir, source, work)
    for one in results:
        if one.code is not None:
            print(f"{one.number} {one.topic}: {one.code}{f' {one.field}' if one.field else ''}")
    taken = sum(one.code is None for one in results)
    print(f"replayed: {taken}")
    if taken < len(results) or (numbers and len(results) < len(set(numbers))):
        raise typer.Exit(1)


@brokers.command()
def discard(
    numbers: Numbers = None,
    every: All = False,
    topic: Topic = None,
    source: Source = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Delete messages for good."""

    async def work(messages: SetAsideMessages, _: Settings) -> int:
        chosen = await _chosen(messages, numbers, topic, every)
        await messages.discard(chosen)
        return len(chosen)

    count = _with_messages(config, data_dir, source, work)
    print(f"discarded: {count}")
    if numbers and count < len(set(numbers)):
        raise typer.Exit(1)


async def _chosen(
    messages: SetAsideMessages, numbers: Sequence[int] | None, topic: str | None, every: bool
) -> list[SetAsideMessage]:
    """In the order in which they were set aside."""
    if bool(numbers) == every:
        raise ConfigurationError("brokers", None, "name numbers, as ./run brokers list prints them, or --all")
    return await messages.list(MOST, topic=topic, numbers=numbers or None, oldest=True)


def _with_messages(
    config: Path | None,
    data_dir: Path | None,
    source: str | None,
    work: Callable[[SetAsideMessages, Settings], Awaitable[T]],
) -> T:
    from app.sources.wiring import connect_set_aside

    settings = settings_of(config, data_dir)
    name = source_of_vendor(settings, source, "broker")

    async def run() -> T:
        messages = connect_set_aside(name, settings)
        try:
            return await work(messages, settings)
        finally:
            await messages.aclose()

    try:
        return asyncio.run(run())
    except StoreUnavailable as error:
        raise ConfigurationError(f"sources.{name}", None, f"a store cannot be used: {error.detail}") from None


def _described(one: SetAsideMessage) -> dict[str, Any]:
    plain = msgspec.to_builtins(one, builtin_types=(bytes,))
    return {**{name: plain[name] for name in COLUMNS if name != "bytes"}, "bytes": len(one.body)}


def _print_json(value: Any) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
