"""Stores: `[audit]`, `[redis]`, `[postgres]`, `[api_keys]`, `[documents]`, `[events]`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from app.settings.roles import Role
from app.settings.section import Section


class AuditSettings(Section):
    """The audit log: `audit.sqlite` under `data_dir`. Entries are deleted after `keep_days`, or earlier if the file
    would exceed `keep_megabytes`. At most `queue` entries wait to be written; `log` also logs each; `variables` stores
    the names of an operation's variables, never their values."""

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
    """The event log: in `events.sqlite` under `data_dir`, or in Redis. Updates are deleted after `keep_days`, or
    earlier if there are more than `keep_updates` or they exceed `keep_megabytes`; readers that missed them get a gap
    notice. Event ids for deduplication are stored for `keep_days`.

    Feeds are polled every `poll` seconds, or every `poll_webhooks` for sources that send webhooks; 0 disables polling.
    Where a feed is incomplete, open objects are read again every `reread` seconds. A hint is dead-lettered after
    `attempts` failed reads, or after `patience` seconds while its source is unavailable.
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
