"""All settings together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, SecretStr

from app.settings.auth import AuthSettings
from app.settings.caching import CacheSettings
from app.settings.downloads import DownloadSettings
from app.settings.endpoints import EndpointSettings
from app.settings.fields import FieldSettings
from app.settings.intake import IntakeSettings
from app.settings.limits import BudgetSettings, LimitSettings
from app.settings.observability import LogSettings, TelemetrySettings
from app.settings.policy import PolicySettings
from app.settings.resilience import CallerSettings
from app.settings.section import Section
from app.settings.server import ServerSettings
from app.settings.sources import DomainSettings, RouteSettings, SourceSettings
from app.settings.stores import (
    AuditSettings,
    DocumentSettings,
    EventSettings,
    KeySettings,
    PostgresSettings,
    RedisSettings,
    SearchSettings,
)


class Settings(Section):
    """All sections. `load` reads them for a server; the demo and tests construct them directly."""

    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    policy: PolicySettings = PolicySettings()
    log: LogSettings = LogSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    limits: LimitSettings = LimitSettings()
    budgets: BudgetSettings = BudgetSettings()
    audit: AuditSettings = AuditSettings()
    redis: RedisSettings = RedisSettings()
    postgres: PostgresSettings = PostgresSettings()
    search: SearchSettings = SearchSettings()
    cache: CacheSettings = CacheSettings()
    api_keys: KeySettings = KeySettings()
    documents: DocumentSettings = DocumentSettings()
    events: EventSettings = EventSettings()
    endpoints: EndpointSettings = EndpointSettings()
    downloads: DownloadSettings = DownloadSettings()
    intake: IntakeSettings = IntakeSettings()
    engine: Literal["plan", "reference"] = "plan"
    demo: bool = False
    ide: bool = False
    console: bool = True
    data_dir: Path = Path(".tradegraph")
    sources: dict[str, SourceSettings] = {}
    callers: CallerSettings = CallerSettings()
    domains: DomainSettings = DomainSettings()
    routes: tuple[RouteSettings, ...] = ()
    fields: tuple[FieldSettings, ...] = ()


def credentials_of(settings: BaseModel) -> Iterator[str]:
    """Every secret in the settings, for redaction in logs."""
    for value in vars(settings).values():  # A section may have a field `keys`, which dict() would call.
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
