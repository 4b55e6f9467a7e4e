"""Stores: `[audit]`, `[redis]`, `[postgres]`, `[api_keys]`, `[documents]`, `[events]`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from app.settings.roles import Role
from app.settings.section import Section


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


class RedisSettings(Section):
    """A Redis or Valkey that gateways share: its address, `redis://`, `rediss://` or `unix://`. `timeout` is how many
    seconds a look-up of a document, key or endpoint may take; cache, budgets and events have limits of their own."""

    url: SecretStr | None = None
    url_file: Path | None = None
    timeout: float = Field(default=0.25, ge=0.01, le=10)


class PostgresSettings(Section):
    """A PostgreSQL that gateways share: its address, `postgresql://`. Each store opens up to `connections` of its own.
    `timeout` is how many seconds a connection is waited for, `command_timeout` how many a statement may take."""

    url: SecretStr | None = None
    url_file: Path | None = None
    connections: int = Field(default=8, ge=1, le=1000)
    timeout: float = Field(default=2.0, ge=0.01, le=60)
    command_timeout: float = Field(default=10.0, ge=0.1, le=3600)


class SearchSettings(Section):
    """The search index over items and customers: in files under `data_dir`, or in PostgreSQL, which several machines
    share. Changes are indexed every `refresh` seconds, and the whole index is built anew every `rebuild` seconds.
    `page` rows are read at a time for that. `memory_megabytes` of it are held in memory by each worker."""

    enabled: bool = True
    store: Literal["sqlite", "postgres"] = "sqlite"
    refresh: float = Field(default=2.0, gt=0, le=3600)
    rebuild: float = Field(default=86_400.0, ge=60)
    page: int = Field(default=500, ge=1, le=1000)
    memory_megabytes: int = Field(default=48, ge=1, le=4096)


class KeySettings(Section):
    """API keys of partners: in `api-keys.sqlite` under `data_dir`, or in Redis."""

    store: Literal["sqlite", "redis"] = "sqlite"


class DocumentSettings(Section):
    """Trusted documents. Callers of `trusted_roles` and `trusted_clients` run their published documents only; clients
    are named by patterns, in which `*` stands for any characters."""

    store: Literal["sqlite", "redis"] = "sqlite"
    trusted_roles: tuple[str, ...] = (Role.PARTNER,)
    trusted_clients: tuple[str, ...] = ()
    registering_clients: tuple[str, ...] = ()


class EventSettings(Section):
    """The event log: in `events.sqlite` under `data_dir`, or in Redis. Updates go after `keep_days`, or before, when
    there are more than `keep_updates` of them or they take more than `keep_megabytes`. Who has not read them by then is
    told so. The ids by which a source's event is known again are kept for `keep_days`.

    Sources with a feed are asked every `poll` seconds what is new, those that send webhooks every `poll_webhooks`; 0
    for never. Where a feed does not tell all, what is open is read again every `reread` seconds. What is new is read
    `attempts` times before it is given up, and for `patience` if its source is away.
    """

    store: Literal["sqlite", "redis"] = "sqlite"
    keep_days: float = Field(default=7.0, gt=0, le=366)
    keep_updates: int = Field(default=1_000_000, ge=1)
    keep_megabytes: int = Field(default=1024, ge=1)
    poll: float = Field(default=5.0, ge=0, le=3600)
    poll_webhooks: float = Field(default=30.0, ge=0, le=3600)
    reread: float = Field(default=300.0, gt=0, le=86_400)
    attempts: int = Field(default=10, ge=1, le=1000)
    patience: float = Field(default=86_400.0, ge=0)
