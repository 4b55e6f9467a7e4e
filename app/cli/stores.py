"""Shared by command groups: settings, stores, JSON options."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import orjson
import typer

from app.auth.principal import AnyRole, Role
from app.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from app.settings import Settings

Config = Annotated[
    Path | None, typer.Option(help="Configuration file. Default: $TRADEGRAPH_CONFIG, else ./tradegraph.toml.")
]
DataDir = Annotated[Path | None, typer.Option(help="Data folder of the gateway. Default: that of the configuration.")]


class Closable(Protocol):
    """A store that a command opens and closes."""

    async def close(self) -> None:
        """Close the store."""
        ...


S = TypeVar("S", bound=Closable)
T = TypeVar("T")


def settings_of(config: Path | None, data_dir: Path | None, *, demo: bool = False) -> Settings:
    """The settings, with `data_dir` instead of theirs if given. Without configured sources they are those of the demo
    that runs over the folder; with `demo`, else those of the sandbox."""
    from app.cli.demo import CONFIG_FILE, settings_or_sandbox
    from app.settings import load

    settings = load(config)
    running_demo = (data_dir or settings.data_dir) / CONFIG_FILE
    if not settings.sources and running_demo.is_file():
        settings = load(running_demo)
    elif demo:
        settings = settings_or_sandbox(config)
    return settings if data_dir is None else settings.model_copy(update={"data_dir": data_dir})


def source_of_vendor(settings: Settings, source: str | None, vendor: str) -> str:
    """The source of a vendor that is named, or the only one. Raises ConfigurationError."""
    names = [name for name, one in settings.sources.items() if one.vendor == vendor]
    if source in names or (source is None and len(names) == 1):
        return source or names[0]
    raise ConfigurationError("--source", source, f"name a source of vendor '{vendor}': {', '.join(names) or 'none'}")


def run_with(
    connect: Callable[[Settings], S], settings: Settings, section: str, work: Callable[[S], Awaitable[T]]
) -> T:
    """Run an action with the store of a settings section, and close it. Raises ConfigurationError."""

    async def run() -> T:
        store = connect(settings)
        try:
            return await work(store)
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except StoreUnavailable as error:
        store = getattr(settings, section).store
        raise ConfigurationError(f"{section}.store", store, f"cannot be used: {error.detail}") from None


def json_object(text: str, example: str) -> dict[str, Any]:
    """The object in `--variables`. Raises ConfigurationError."""
    try:
        read = orjson.loads(text)
    except orjson.JSONDecodeError:
        read = None
    if not isinstance(read, dict):
        raise ConfigurationError("--variables", text[:200], f"must be a JSON object, such as {example}")
    return read


def roles_of(names: Sequence[str] | None, settings: Settings) -> tuple[AnyRole, ...]:
    """The roles of `--role`. Default: partner. Raises ConfigurationError."""
    known = settings.policy.known_roles
    unknown = next((name for name in names or () if name not in known), None)
    if unknown is not None:
        raise ConfigurationError("--role", unknown, f"choose from {', '.join(known)}")
    return tuple(known[name] for name in names or (Role.PARTNER.value,))
