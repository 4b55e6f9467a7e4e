"""Settings: from `tradegraph.toml` and `TRADEGRAPH_...` variables.

A variable wins over the file: `TRADEGRAPH_SERVER__PORT=9000` is `port` in `[server]`. Times are in seconds.
docs/configuration.md describes every key.
"""

from __future__ import annotations

from app.settings.approvals import (
    MONTHLY_LIMIT,
    QUARTERLY_LIMIT,
    SPEND_LIMIT,
    ApprovalRule,
    ApprovalSettings,
    ApprovalTier,
)
from app.settings.auth import Algorithm, AuthSettings, ClaimNames, IssuerSettings
from app.settings.caching import CacheSettings
from app.settings.downloads import DownloadSettings
from app.settings.endpoints import EndpointSettings
from app.settings.fields import FieldSettings
from app.settings.intake import IntakeSettings
from app.settings.limits import Budget, BudgetSettings, CostLimits, LimitSettings
from app.settings.loading import PREFIX, config_file, load, settings_of_table
from app.settings.observability import LogSettings, TelemetrySettings
from app.settings.policy import MaskSettings, PolicySettings, RoleSettings, ScopeSettings
from app.settings.proofs import PriceChangePolicy, PriceChangeRule, ProofSettings
from app.settings.resilience import BreakerSettings, CallerClass, CallerSettings, SourceLimits
from app.settings.roles import Role
from app.settings.root import Settings, credentials_of
from app.settings.section import Section
from app.settings.server import ConnectionSettings, ServerSettings, TLSSettings
from app.settings.sources import (
    Domain,
    DomainSettings,
    OrderDomain,
    RouteSettings,
    SourceSettings,
    StockDomain,
    WebhookSettings,
)
from app.settings.stores import (
    AuditSettings,
    DocumentSettings,
    EventSettings,
    KeySettings,
    PostgresSettings,
    RedisSettings,
    SearchSettings,
)

__all__ = [
    "MONTHLY_LIMIT",
    "PREFIX",
    "QUARTERLY_LIMIT",
    "SPEND_LIMIT",
    "Algorithm",
    "ApprovalRule",
    "ApprovalSettings",
    "ApprovalTier",
    "AuditSettings",
    "AuthSettings",
    "BreakerSettings",
    "Budget",
    "BudgetSettings",
    "CacheSettings",
    "CallerClass",
    "CallerSettings",
    "ClaimNames",
    "ConnectionSettings",
    "CostLimits",
    "DocumentSettings",
    "Domain",
    "DomainSettings",
    "DownloadSettings",
    "EndpointSettings",
    "EventSettings",
    "FieldSettings",
    "IntakeSettings",
    "IssuerSettings",
    "KeySettings",
    "LimitSettings",
    "LogSettings",
    "MaskSettings",
    "OrderDomain",
    "PolicySettings",
    "PostgresSettings",
    "PriceChangePolicy",
    "PriceChangeRule",
    "ProofSettings",
    "RedisSettings",
    "Role",
    "RoleSettings",
    "RouteSettings",
    "ScopeSettings",
    "SearchSettings",
    "Section",
    "ServerSettings",
    "Settings",
    "SourceLimits",
    "SourceSettings",
    "StockDomain",
    "TLSSettings",
    "TelemetrySettings",
    "WebhookSettings",
    "config_file",
    "credentials_of",
    "load",
    "settings_of_table",
]
