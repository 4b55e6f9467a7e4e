"""Settings: from `tradegraph.toml` and `TRADEGRAPH_...` variables. The only reader of the environment.

A variable wins over the file: `TRADEGRAPH_SERVER__PORT=9000` is `port` in `[server]`. Times are in seconds.
docs/configuration.md describes every key.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from app.errors import ConfigurationError
from app.settings_checks import (
    check_address,
    check_host,
    check_network,
    check_origin,
    check_sources,
    check_variable_names,
    first_fault,
    secret_from,
    unreadable_variable,
)

PREFIX = "TRADEGRAPH_"

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519", "HS256"]


class Section(BaseModel):
    """A table of the settings file; an unknown key in it is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SourceSettings(Section):
    """One backend: `[sources.NAME]`. `options` are the vendor's own, key mapping included, checked by its adapter.

    A credential may be kept in a file: `api_key_file` is read and becomes `api_key`.
    """

    vendor: str
    base_url: Annotated[str, AfterValidator(check_address)]
    timeout: float = Field(default=5.0, gt=0, le=120)
    concurrency: int = Field(default=16, ge=1, le=1000)
    max_response_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    credentials: dict[str, SecretStr] = {}
    options: dict[str, object] = {}


class ConnectionSettings(Section):
    """`[server.connections]`: what one connection may cost. `header_timeout` and `body_timeout` run from a request's
    first byte and from its last header; `write_timeout` is how long a client may leave an answer unread; `keep_alive`
    how long it may ask nothing."""

    most: int = Field(default=10_000, ge=1)
    header_timeout: float = Field(default=10.0, gt=0, le=300)
    body_timeout: float = Field(default=20.0, gt=0, le=300)
    write_timeout: float = Field(default=20.0, gt=0, le=300)
    keep_alive: int = Field(default=20, ge=0, le=3600)
    max_header_bytes: int = Field(default=64 * 1024, ge=1024, le=1024 * 1024)
    max_headers: int = Field(default=100, ge=10, le=1000)


class TLSSettings(Section):
    """`[server.tls]`: serve https, TLS 1.2 or later. Files in PEM; the certificate's may hold its chain and key."""

    certificate_file: Path | None = None
    key_file: Path | None = None


class ServerSettings(Section):
    """How the gateway listens. `request_timeout` bounds each operation, `graceful_shutdown` the wait for open ones.

    `allowed_hosts` are names that a `Host` header may have, any if empty; `allowed_origins` pages of other hosts that
    a browser may ask from; `trusted_proxies` addresses or networks whose `X-Forwarded-*` are believed;
    `strict_transport` for how many seconds browsers are to insist on https once they came by it.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: Literal[1] = 1
    max_body_bytes: int = Field(default=256 * 1024, ge=1024, le=64 * 1024 * 1024)
    max_tokens: int = Field(default=3_000, ge=100, le=100_000)
    request_timeout: float = Field(default=10.0, gt=0, le=300)
    graceful_shutdown: int = Field(default=10, ge=0, le=600)
    allowed_hosts: tuple[Annotated[str, AfterValidator(check_host)], ...] = ()
    allowed_origins: tuple[Annotated[str, AfterValidator(check_origin)], ...] = ()
    allow_credentials: bool = False
    trusted_proxies: tuple[Annotated[str, AfterValidator(check_network)], ...] = ()
    strict_transport: int = Field(default=31_536_000, ge=0)
    connections: ConnectionSettings = ConnectionSettings()
    tls: TLSSettings = TLSSettings()


class ClaimNames(Section):
    """Which claims of an issuer's tokens say what. A dot leads into an object: `realm_access.roles`."""

    roles: str = "roles"
    customers: str = "customers"
    tenant: str = "tenant"
    client: str | None = None


class IssuerSettings(Section):
    """An issuer of tokens and its keys: an address to read them from, a file, or a public key in PEM. Without any of
    these its discovery document says where they are. `roles` and `customers` limit what its tokens may claim."""

    issuer: str | None = Field(default=None, min_length=1)
    audience: str | None = Field(default=None, min_length=1)
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "ES256", "EdDSA", "Ed25519"), min_length=1)
    jwks_url: str | None = None
    jwks_file: Path | None = None
    public_key: str | None = None
    public_key_file: Path | None = None
    claims: ClaimNames = ClaimNames()
    roles: tuple[str, ...] | None = None
    customers: tuple[str, ...] = ("*",)
    namespace: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")


class AuthSettings(IssuerSettings):
    """Whose bearer tokens are believed: one issuer, and more under `[[auth.issuers]]`. A shared secret is for demos."""

    leeway: int = Field(default=30, ge=0, le=60)
    secret: SecretStr | None = None
    secret_file: Path | None = None
    issuers: tuple[IssuerSettings, ...] = ()


class AuditSettings(Section):
    """Who asked what, kept in `audit.sqlite` under `data_dir`. The oldest entries go after `keep_days`, or before, when
    the file would grow beyond `keep_megabytes`. `queue` entries wait to be written at most; `log` also writes each as
    a line; `variables` keeps the names of an operation's variables, never their values."""

    enabled: bool = True
    log: bool = True
    variables: Literal["none", "names"] = "none"
    keep_days: int = Field(default=400, ge=1)
    keep_megabytes: int = Field(default=2048, ge=1)
    queue: int = Field(default=10_000, ge=1)


RoleName = Literal["buyer", "buyer_admin", "sales_rep", "csr", "partner", "finance", "operations", "admin"]


class RedisSettings(Section):
    """A Redis or Valkey that gateways share: its address, `redis://`, `rediss://` or `unix://`."""

    url: SecretStr | None = None
    url_file: Path | None = None


class DocumentSettings(Section):
    """Trusted documents. Callers of `trusted_roles` and `trusted_clients` run their published documents only; clients
    are named by patterns, in which `*` stands for any characters."""

    store: Literal["sqlite", "redis"] = "sqlite"
    trusted_roles: tuple[RoleName, ...] = ("partner",)
    trusted_clients: tuple[str, ...] = ()
    registering_clients: tuple[str, ...] = ()


class LogSettings(Section):
    """One JSON object a line for machines, or a console for people."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class CostLimits(Section):
    """The most that one operation may ask of the backends, in cost units, requests to one source, and rows."""

    max_cost: int | None = Field(default=None, ge=1)
    max_calls_per_source: int | None = Field(default=None, ge=1)
    max_rows: int | None = Field(default=None, ge=1)


class LimitSettings(Section):
    """`[limits]`: what a request may ask for at most, decided before anything is asked. `mode` is that of the cost:
    "measure" only counts and logs. `introspection` are the roles that may read the schema. `roles` and `clients`
    override the cost's; a client's own comes first, of several roles the widest."""

    mode: Literal["enforce", "measure"] = "enforce"
    max_depth: int = Field(default=20, ge=1, le=100)
    max_aliases: int = Field(default=100, ge=0, le=10_000)
    max_root_fields: int = Field(default=20, ge=1, le=1_000)
    max_fields: int = Field(default=2_000, ge=1, le=20_000)
    max_directives: int = Field(default=100, ge=0, le=10_000)
    max_directives_per_place: int = Field(default=5, ge=0, le=100)
    max_list_items: int = Field(default=1_000, ge=1, le=10_000)
    max_introspection_depth: int = Field(default=1, ge=1, le=5)
    introspection: tuple[RoleName, ...] = ("csr", "operations", "admin")
    max_cost: int = Field(default=5_000, ge=1)
    max_calls_per_source: int = Field(default=200, ge=1)
    max_rows: int = Field(default=20_000, ge=1)
    roles: dict[RoleName, CostLimits] = {}
    clients: dict[str, CostLimits] = {}


class Budget(Section):
    """What a caller may ask over time: a bucket of `capacity` cost units that fills up by `restore_rate` a second, and
    how much at the same time."""

    capacity: int | None = Field(default=None, ge=1)
    restore_rate: float | None = Field(default=None, gt=0)
    max_concurrent: int | None = Field(default=None, ge=1)
    max_connections: int | None = Field(default=None, ge=1)
    max_subscriptions: int | None = Field(default=None, ge=1)


class BudgetSettings(Section):
    """`[budgets]`: the budget of each client; `roles` and `clients` as in `[limits]`. `show` are the roles that are
    told the cost of every answer; others may ask for it. `redis_url`: where several workers keep one budget."""

    mode: Literal["enforce", "measure"] = "enforce"
    redis_url: SecretStr | None = None
    show: tuple[RoleName, ...] = ("partner",)
    capacity: int = Field(default=200_000, ge=1)
    restore_rate: float = Field(default=20_000, gt=0)
    max_concurrent: int = Field(default=500, ge=1)
    max_connections: int = Field(default=50, ge=1)
    max_subscriptions: int = Field(default=200, ge=1)
    roles: dict[RoleName, Budget] = {
        "partner": Budget(
            capacity=10_000, restore_rate=500, max_concurrent=20, max_connections=10, max_subscriptions=50
        )
    }
    clients: dict[str, Budget] = {}


class Domain(Section):
    """Which source is the system of record of a kind of data, and which ones add to it."""

    master: str
    enrich: tuple[str, ...] = ()


class StockDomain(Domain):
    """Stock: also who is asked for reservations, and who keeps the balance of which warehouse."""

    reservations: tuple[str, ...] = ()
    balances: dict[str, str] = {}


class DomainSettings(Section):
    """`[domains]`. What is left out is answered by no source: its fields are null with NOT_SUPPORTED."""

    customers: Domain | None = None
    credit: Domain | None = None
    items: Domain | None = None
    contents: Domain | None = None
    warehouses: Domain | None = None
    stock: StockDomain | None = None
    prices: Domain | None = None
    orders: Domain | None = None
    shipments: Domain | None = None
    billing: Domain | None = None

    def configured(self) -> Mapping[str, Domain]:
        """The domains that some source serves, by name."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: domain for name, domain in found.items() if domain is not None}


class Route(Section):
    """`[[routes]]`: customers that live on another source than their domain's master. `*` stands for any characters."""

    customers: tuple[str, ...] = Field(min_length=1)
    source: str

    def takes(self, customer: str) -> bool:
        """Whether this customer number lives on `source`."""
        return any(fnmatchcase(customer, pattern) for pattern in self.customers)


class Settings(Section):
    """All of it. Made by `load` for a server, or directly where code decides, as in the demo and in tests."""

    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    log: LogSettings = LogSettings()
    limits: LimitSettings = LimitSettings()
    budgets: BudgetSettings = BudgetSettings()
    audit: AuditSettings = AuditSettings()
    redis: RedisSettings = RedisSettings()
    documents: DocumentSettings = DocumentSettings()
    engine: Literal["plan", "reference"] = "plan"
    demo: bool = False
    ide: bool = False
    data_dir: Path = Path(".tradegraph")
    sources: dict[str, SourceSettings] = {}
    domains: DomainSettings = DomainSettings()
    routes: tuple[Route, ...] = ()


def credentials_of(settings: BaseModel) -> Iterator[str]:
    """Every secret that settings hold, so that logs can hide it."""
    for value in dict(settings).values():
        yield from _secrets_in(value)


def _secrets_in(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        yield from credentials_of(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _secrets_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _secrets_in(inner)


class _Loader(BaseSettings, Settings):  # pyright: ignore[reportIncompatibleVariableOverride] - both are mappings
    """Lays the environment over the file, which comes in as arguments."""

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

    Raises ConfigurationError for the first thing that is wrong, with the key, the value and the cure.
    """
    named = path or (Path(os.environ[f"{PREFIX}CONFIG"]) if os.environ.get(f"{PREFIX}CONFIG") else None)
    file = named or Path("tradegraph.toml")
    table = _read(file) if named or file.is_file() else {}
    check_variable_names(PREFIX, os.environ, tuple(Settings.model_fields))
    try:
        settings = _Loader(**table)
    except ValidationError as error:
        raise first_fault(error, Settings, os.environ, PREFIX) from None
    except SettingsError as error:
        raise unreadable_variable(str(error), os.environ, PREFIX) from None
    check_sources(settings)
    return _with_secrets(settings, file.parent)


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
        auth["secret"] = SecretStr(secret_from("auth.secret_file", settings.auth.secret_file, base))
    auth["issuers"] = tuple(
        issuer.model_copy(update=_issuer_with_keys(f"auth.issuers[{index}]", issuer, base))
        for index, issuer in enumerate(settings.auth.issuers)
    )
    changed = {
        "sources": sources,
        "server": settings.server.model_copy(update={"tls": _tls_with_files(settings.server.tls, base)}),
        "auth": settings.auth.model_copy(update=auth),
        "redis": _redis_with_secret(settings.redis, base),
    }
    return Settings(**{**dict(settings), **changed})


def _tls_with_files(tls: TLSSettings, base: Path) -> TLSSettings:
    return tls.model_copy(update={key: (base / file).resolve() for key, file in dict(tls).items() if file is not None})


def _redis_with_secret(redis: RedisSettings, base: Path) -> RedisSettings:
    if redis.url_file is None:
        return redis
    return redis.model_copy(update={"url": SecretStr(secret_from("redis.url_file", redis.url_file, base))})


def _issuer_with_keys(key: str, issuer: IssuerSettings, base: Path) -> dict[str, object]:
    """What changes in an issuer's settings once its files are found: paths start at the settings file."""
    changed: dict[str, object] = {}
    if issuer.public_key_file:
        changed["public_key"] = secret_from(f"{key}.public_key_file", issuer.public_key_file, base)
    if issuer.jwks_file:
        changed["jwks_file"] = (base / issuer.jwks_file).resolve()
    return changed


def _source_with_secrets(name: str, source: SourceSettings, base: Path) -> SourceSettings:
    credentials: dict[str, SecretStr] = {}
    for key, value in source.credentials.items():
        if key.endswith("_file"):
            text = secret_from(f"sources.{name}.credentials.{key}", Path(value.get_secret_value()), base)
            credentials[key.removesuffix("_file")] = SecretStr(text)
        else:
            credentials[key] = value
    return source.model_copy(update={"credentials": credentials})
