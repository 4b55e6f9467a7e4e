"""`./run sources`: health and capabilities of the configured sources."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer

from app.cli.capability_tables import as_json, as_markdown, as_rows
from app.cli.stores import Config, settings_of
from app.cli.tables import check_printed, print_table
from app.errors import ConfigurationError, TradegraphError
from app.sources.capabilities import Capability

if TYPE_CHECKING:
    from app.settings import Settings
    from app.sources.source import Source
    from app.sources.vendor_calls import VendorDeclaration

PAGE = Path(__file__).resolve().parents[2] / "docs" / "capabilities.md"
WEBHOOKS = {"webhooks": {"secrets": ["whsec_" + base64.b64encode(bytes(32)).decode()]}}

sources = typer.Typer(help="The configured sources.", no_args_is_help=True)


@sources.command("ping")
def ping(config: Config = None) -> None:
    """Check the health of each configured source. Exits with 1 if one fails."""
    settings = _configured(config)
    found, unknown = asyncio.run(_ping(settings))
    width = max(map(len, found))
    for name, (error, seconds) in sorted(found.items()):
        state = "ok" if error is None else f"{error.code}: {error.detail or error.message}"
        print(f"{name:<{width}}  {settings.sources[name].vendor:<8}  {seconds * 1000:6.0f} ms  {state}")
    for code in unknown:
        typer.echo(f"domains.stock.balances.{code}: no warehouse has this code", err=True)
    if unknown or any(error for error, _ in found.values()):
        raise typer.Exit(1)


@sources.command("describe")
def describe(
    config: Config = None,
    vendors: Annotated[bool, typer.Option("--vendors", help="Every vendor, not the configured sources.")] = False,
    probe: Annotated[bool, typer.Option("--probe", help="Sign in and probe first.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write the page of the documentation.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Compare the page with the code.")] = False,
    to: Annotated[Path, typer.Option(help="The page.")] = PAGE,
) -> None:
    """Print what each source can: reads, filters, sorts, totals, writes, push; and what is missing, and why."""
    if check or markdown:
        page = as_markdown(vendor_capabilities())
        if check:
            check_printed(to, page, "The page is not that of the code. Run: sources describe --markdown")
        else:
            to.write_text(page, encoding="utf-8")
            typer.echo(f"written: {to}", err=True)
        return
    found = vendor_capabilities() if vendors else asyncio.run(_capabilities(_configured(config), probe=probe))
    if json:
        print(orjson.dumps(as_json(found), option=orjson.OPT_INDENT_2).decode())
    else:
        print_table(as_rows(found))


@sources.command("uses")
def uses(
    check: Annotated[bool, typer.Option("--check", help="Compare the files with the code.")] = False,
) -> None:
    """Write `uses.json` of each vendor: the calls that its adapter makes, with the fields that it reads and sends."""
    from app.sources.vendor_calls import encode_declaration

    for file, declaration in vendor_declarations().items():
        text = encode_declaration(declaration)
        if check:
            check_printed(file, text, "The declared calls are not those of the code. Run: sources uses")
        else:
            file.write_text(text, encoding="utf-8")
            typer.echo(f"written: {file}", err=True)


def vendor_declarations() -> dict[Path, VendorDeclaration]:
    """The declarations of the vendors that have one, by the file that they are written to."""
    from app.sources.wiring import VENDORS

    found: dict[Path, VendorDeclaration] = {}
    for package in VENDORS.values():
        if find_spec(f"{package}.calls") is not None:
            module = import_module(f"{package}.calls")
            found[Path(module.__file__ or "").with_name("uses.json")] = module.DECLARATION
    return found


def vendor_sources() -> dict[str, Source]:
    """A source of each vendor as `./run init` configures it, with webhooks. A loop has to run; nothing is called."""
    from app.cli.init import choose, configured_sources
    from app.sources.wiring import VENDORS, connect, utc_now

    found: dict[str, Source] = {}
    for vendor in VENDORS:
        (chosen,) = choose([vendor])
        (settings,) = configured_sources([chosen], WEBHOOKS).values()
        found[vendor] = connect(chosen.name, settings, utc_now)
    return found


def vendor_capabilities() -> dict[str, tuple[Capability, ...]]:
    """The capabilities of every vendor."""
    from app.sources.pipeline.derived_capabilities import capabilities_of

    async def of_all() -> dict[str, tuple[Capability, ...]]:
        found = vendor_sources()
        await asyncio.gather(*(source.aclose() for source in found.values()))
        return {vendor: capabilities_of(source) for vendor, source in found.items()}

    return asyncio.run(of_all())


def _configured(config: Path | None) -> Settings:
    from app.telemetry import configure_logs

    configure_logs(form="console", level="error")
    settings = settings_of(config, None)
    if not settings.sources:
        cure = "none is configured, and no demo runs here; name a settings file with --config"
        raise ConfigurationError("sources", None, cure)
    return settings


async def _capabilities(settings: Settings, *, probe: bool) -> Mapping[str, tuple[Capability, ...]]:
    from app.sources.wiring import connect_all

    connected = connect_all(settings)
    try:
        if probe:
            await connected.ping()
        return {name: source.capabilities for name, source in sorted(connected.connected.items())}
    finally:
        await connected.close()


async def _ping(settings: Settings) -> tuple[dict[str, tuple[TradegraphError | None, float]], list[str]]:
    """What is wrong with each source, and how long it took to say so; and the codes in `domains.stock.balances` that no
    warehouse has. The operator may see a backend's own words."""
    from app.sources.wiring import connect_all

    connected = connect_all(settings)

    async def timed(name: str) -> tuple[TradegraphError | None, float]:
        started = time.perf_counter()
        try:
            await connected.connected[name].ping()
        except TradegraphError as error:
            return error, time.perf_counter() - started
        return None, time.perf_counter() - started

    try:
        names = list(connected.connected)
        found = dict(zip(names, await asyncio.gather(*map(timed, names)), strict=True))
        with suppress(TradegraphError):
            return found, await connected.unknown_warehouses()
        return found, []
    finally:
        await connected.close()
