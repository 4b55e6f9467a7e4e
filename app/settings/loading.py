"""Settings from `tradegraph.toml` and `TRADEGRAPH_...` variables. The only reader of the environment."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from app.errors import ConfigurationError
from app.settings.auth import IssuerSettings
from app.settings.downloads import DownloadSettings
from app.settings.intake import IntakeSettings
from app.settings.observability import TelemetrySettings
from app.settings.references import check_lease, check_roles, check_sources
from app.settings.root import Settings
from app.settings.secret_files import read_secret
from app.settings.server import TLSSettings
from app.settings.sources import SourceSettings, WebhookSettings
from app.settings.stores import PostgresSettings, RedisSettings
from app.settings.validation_errors import check_variable_names, first_validation_error, unreadable_variable

PREFIX = "TRADEGRAPH_"


class _Loader(BaseSettings, Settings):  # pyright: ignore[reportIncompatibleVariableOverride] - both are mappings
    """Overrides the file, passed as arguments, by the environment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the base class names its parameters
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load(path: Path | None = None) -> Settings:
    """Read `path`, else the file that TRADEGRAPH_CONFIG names, else `tradegraph.toml` here, if there is one.

    Raises ConfigurationError for the first invalid setting, with key, value and cure.
    """
    file = config_file(path)
    return settings_of_table({} if file is None else _read(file), Path() if file is None else file.parent)


def config_file(path: Path | None = None) -> Path | None:
    """The file that `load` reads, which may not exist if it is named; None without a file."""
    named = path or (Path(os.environ[f"{PREFIX}CONFIG"]) if os.environ.get(f"{PREFIX}CONFIG") else None)
    default = Path("tradegraph.toml")
    return named or (default if default.is_file() else None)


def settings_of_table(table: dict[str, Any], base: Path) -> Settings:
    """The settings of a parsed file, overridden by the environment; relative paths start at `base`. Raises
    ConfigurationError for the first invalid setting."""
    check_variable_names(PREFIX, os.environ, tuple(Settings.model_fields))
    try:
        settings = _Loader(**table)
    except ValidationError as error:
        raise first_validation_error(error, Settings, os.environ, PREFIX) from None
    except SettingsError as error:
        raise unreadable_variable(str(error), os.environ, PREFIX) from None
    check_sources(settings)
    check_roles(settings)
    check_lease(settings)
    return _with_secrets(settings, base)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError("config", str(file), "there is no such file; name another with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("config", str(file), f"cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError("config", str(file), f"is not valid TOML: {error}") from None


def _with_secrets(settings: Settings, base: Path) -> Settings:
    sources = {name: _source_with_secrets(name, source, base) for name, source in settings.sources.items()}
    auth: dict[str, object] = _issuer_with_keys("auth", settings.auth, base)
    if settings.auth.secret_file:
        auth["secret"] = SecretStr(read_secret("auth.secret_file", settings.auth.secret_file, base))
    auth["issuers"] = tuple(
        issuer.model_copy(update=_issuer_with_keys(f"auth.issuers[{index}]", issuer, base))
        for index, issuer in enumerate(settings.auth.issuers)
    )
    changed = {
        "sources": sources,
        "server": settings.server.model_copy(update={"tls": _tls_with_files(settings.server.tls, base)}),
        "auth": settings.auth.model_copy(update=auth),
        "redis": _with_url("redis", settings.redis, base),
        "postgres": _with_url("postgres", settings.postgres, base),
        "telemetry": _telemetry_with_secret(settings.telemetry, base),
        "downloads": _downloads_with_secrets(settings.downloads, base),
        "intake": _intake_with_keys(settings.intake, base),
    }
    return Settings(**{**dict(settings), **changed})


def _tls_with_files(tls: TLSSettings, base: Path) -> TLSSettings:
    return tls.model_copy(update={key: (base / file).resolve() for key, file in dict(tls).items() if file is not None})


def _with_url(key: str, server: RedisSettings | PostgresSettings, base: Path) -> RedisSettings | PostgresSettings:
    if server.url_file is None:
        return server
    return server.model_copy(update={"url": SecretStr(read_secret(f"{key}.url_file", server.url_file, base))})


def _telemetry_with_secret(telemetry: TelemetrySettings, base: Path) -> TelemetrySettings:
    if telemetry.metrics_token_file is None:
        return telemetry
    token = read_secret("telemetry.metrics_token_file", telemetry.metrics_token_file, base)
    return telemetry.model_copy(update={"metrics_token": SecretStr(token)})


def _issuer_with_keys(key: str, issuer: IssuerSettings, base: Path) -> dict[str, object]:
    changed: dict[str, object] = {}
    if issuer.public_key_file:
        changed["public_key"] = read_secret(f"{key}.public_key_file", issuer.public_key_file, base)
    if issuer.jwks_file:
        changed["jwks_file"] = (base / issuer.jwks_file).resolve()
    return changed


def _source_with_secrets(name: str, source: SourceSettings, base: Path) -> SourceSettings:
    credentials: dict[str, SecretStr] = {}
    for key, value in source.credentials.items():
        if key.endswith("_file"):
            text = read_secret(f"sources.{name}.credentials.{key}", Path(value.get_secret_value()), base)
            credentials[key.removesuffix("_file")] = SecretStr(text)
        else:
            credentials[key] = value
    return source.model_copy(
        update={"credentials": credentials, "webhooks": _webhooks_with_secrets(name, source, base)}
    )


def _webhooks_with_secrets(name: str, source: SourceSettings, base: Path) -> WebhookSettings | None:
    webhooks = source.webhooks
    if webhooks is None:
        return None
    key = f"sources.{name}.webhooks.secret_files"
    from_files = (SecretStr(read_secret(f"{key}[{n}]", file, base)) for n, file in enumerate(webhooks.secret_files))
    return webhooks.model_copy(update={"secrets": (*webhooks.secrets, *from_files)})


def _downloads_with_secrets(downloads: DownloadSettings, base: Path) -> DownloadSettings:
    key = "downloads.secret_files"
    from_files = [SecretStr(read_secret(f"{key}[{n}]", file, base)) for n, file in enumerate(downloads.secret_files)]
    return downloads.model_copy(update={"secrets": (*downloads.secrets, *from_files)})


def _intake_with_keys(intake: IntakeSettings, base: Path) -> IntakeSettings:
    proofs, key = intake.proofs, "intake.proofs.key_files"
    read = {id: SecretStr(read_secret(f"{key}.{id}", file, base)) for id, file in proofs.key_files.items()}
    return intake.model_copy(update={"proofs": proofs.model_copy(update={"keys": {**proofs.keys, **read}})})
