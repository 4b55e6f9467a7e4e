"""`./run files`: the ledger of files that sources handed over, their rejected rows, and retries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
import orjson
import typer

from app.cli.stores import settings_of, source_of_vendor
from app.cli.tables import print_table
from app.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from app.sources.replica.ledger import FileArchive

T = TypeVar("T")

files = typer.Typer(help="Files of sources: the ledger, rejected rows, retries.", no_args_is_help=True)

Config = Annotated[Path | None, typer.Option(help="The settings file; else TRADEGRAPH_CONFIG, else ./tradegraph.toml.")]
DataDir = Annotated[Path | None, typer.Option(help="The gateway's data folder, instead of that of the settings.")]
Source = Annotated[str | None, typer.Option(help="The source; needed where several take files.")]
JSON = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Id = Annotated[str, typer.Argument(help="Id as `files list` prints it.")]

COLUMNS = ("id", "finished", "feed", "name", "state", "rows", "rejected", "asOf", "code", "detail")


@files.command("list")
def list_received(
    state: Annotated[str | None, typer.Option(help="IMPORTED, SKIPPED, QUARANTINED or RETRYING only.")] = None,
    most: Annotated[int, typer.Option(help="How many at most.", min=1, max=10_000)] = 20,
    source: Source = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: JSON = False,
) -> None:
    """Print the files that were taken, newest first, with what became of them."""
    from app.sources.replica.ledger import FileState, list_files

    try:
        states = (FileState(state.upper()),) if state else ()
    except ValueError:
        raise ConfigurationError("--state", state, f"use one of {', '.join(FileState)}") from None
    rows = _with_archive(config, data_dir, source, lambda archive: list_files(archive.store, most, states))
    plain = [msgspec.to_builtins(row) for row in rows]
    if json:
        _print_json(plain)
    else:
        print_table([tuple(name.upper() for name in COLUMNS), *([row.get(name) for name in COLUMNS] for row in plain)])


@files.command()
def show(id: Id, source: Source = None, config: Config = None, data_dir: DataDir = None) -> None:
    """Print one file as JSON, with the lines, fields and codes of its rejected rows."""
    from app.sources.replica.ledger import recorded, rejected_rows

    async def found(archive: FileArchive) -> dict[str, Any] | None:
        record = await recorded(archive.store, id)
        if record is None:
            return None
        rows = await rejected_rows(archive.store, id)
        return {**msgspec.to_builtins(record), "rejectedRows": msgspec.to_builtins(rows)}

    shown = _with_archive(config, data_dir, source, found)
    if shown is None:
        print(f"There is no file {id}.")
        raise typer.Exit(1)
    _print_json(shown)


@files.command()
def retry(id: Id, source: Source = None, config: Config = None, data_dir: DataDir = None) -> None:
    """Import a file that was quarantined or skipped, although it is known, old or small. The gateway does it."""
    if not _with_archive(config, data_dir, source, lambda archive: archive.retry(id)):
        print(f"There is no file {id} that was quarantined or skipped.")
        raise typer.Exit(1)
    print(f"{id} will be imported again by the running gateway.")


def _with_archive(
    config: Path | None, data_dir: Path | None, source: str | None, work: Callable[[FileArchive], Awaitable[T]]
) -> T:
    from app.sources.wiring import connect_file_archive

    settings = settings_of(config, data_dir)
    name = source_of_vendor(settings, source, "files")

    async def run() -> T:
        archive = connect_file_archive(name, settings)
        try:
            return await work(archive)
        finally:
            await archive.aclose()

    try:
        return asyncio.run(run())
    except StoreUnavailable as error:
        raise ConfigurationError(f"sources.{name}", None, f"its store cannot be used: {error.detail}") from None


def _print_json(value: Any) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
