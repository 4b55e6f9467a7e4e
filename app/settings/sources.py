"""The backends, and which of them is asked for what: `[sources]`, `[domains]`, `[[routes]]`."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from app.settings.resilience import (
    ORDER_SUBMISSIONS,
    SUBMISSION_TIMEOUT,
    BreakerSettings,
    CallerSettings,
    SourceLimits,
)
from app.settings.section import Section
from app.settings.validation import check_network, check_source_address


class WebhookSettings(Section):
    """`[sources.NAME.webhooks]`: what the backend tells us is taken at `/webhooks/NAME`. `secrets` are those that it
    may sign or send with, several while they are changed; `secret_files` hold one each. `networks` are where it may
    come from, anywhere if empty; `tolerance` is how far its clock and ours may be apart."""

    secrets: tuple[SecretStr, ...] = ()
    secret_files: tuple[Path, ...] = ()
    networks: tuple[Annotated[str, AfterValidator(check_network)], ...] = ()
    tolerance: float = Field(default=300.0, ge=1, le=3600)
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024, le=64 * 1024 * 1024)


class SourceSettings(Section):
    """One backend: `[sources.NAME]`. `options` are the vendor's own, key mapping included, checked by its adapter.

    A credential can be read from a file: `api_key_file` becomes `api_key`. `timeout` limits a whole call with its
    retries. `callers` overrides `[callers]` for this source, `poll` the polling interval of `[events]`; 0 disables
    polling. Callers of another `tenant` than the source's do not see its data; without one it serves all tenants.
    """

    vendor: str
    base_url: Annotated[str, AfterValidator(check_source_address)]
    timeout: float = Field(default=1.5, gt=0, le=120)
    concurrency: int = Field(default=16, ge=1, le=1000)
    max_response_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    credentials: dict[str, SecretStr] = {}
    options: dict[str, object] = {}
    limits: SourceLimits = SourceLimits()
    breaker: BreakerSettings = BreakerSettings()
    callers: CallerSettings = CallerSettings()
    webhooks: WebhookSettings | None = None
    poll: float | None = Field(default=None, ge=0, le=3600)
    tenant: str | None = Field(default=None, min_length=1, max_length=256)

    def timeout_of(self, kind: str) -> float:
        """Seconds of a call of a kind, its repetitions included."""
        default = max(self.timeout, SUBMISSION_TIMEOUT) if kind == ORDER_SUBMISSIONS else self.timeout
        return self.limits.timeouts.get(kind, default)


class Domain(Section):
    """Which source is the system of record of a kind of data, and which ones add to it."""

    master: str
    enrich: tuple[str, ...] = ()


class StockDomain(Domain):
    """Stock: also who is asked for reservations, and who keeps the balance of which warehouse."""

    reservations: tuple[str, ...] = ()
    balances: dict[str, str] = {}


class OrderDomain(Domain):
    """Orders: also the source that takes new ones, and for orders of a channel another one."""

    write: str | None = None
    write_channels: dict[str, str] = {}


class DomainSettings(Section):
    """`[domains]`. What is left out is answered by no source: its fields are null with NOT_SUPPORTED."""

    customers: Domain | None = None
    credit: Domain | None = None
    items: Domain | None = None
    contents: Domain | None = None
    warehouses: Domain | None = None
    stock: StockDomain | None = None
    prices: Domain | None = None
    orders: OrderDomain | None = None
    shipments: Domain | None = None
    billing: Domain | None = None
    commissions: Domain | None = None
    receivables: Domain | None = None
    contacts: Domain | None = None
    purchases: Domain | None = None
    quotes: Domain | None = None
    accounts: Domain | None = None
    search: Domain | None = None

    def configured(self) -> Mapping[str, Domain]:
        """The domains that some source serves, by name."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: domain for name, domain in found.items() if domain is not None}


class RouteSettings(Section):
    """`[[routes]]`: customers that live on another source than their domain's master. `*` stands for any characters.
    `exclusive`: no other source has rows of these customers, and this one has none of others, so that the sources'
    counts can be added."""

    customers: tuple[str, ...] = Field(min_length=1)
    source: str
    exclusive: bool = False

    def matches(self, customer: str) -> bool:
        """Whether this customer number lives on `source`."""
        return any(fnmatchcase(customer, pattern) for pattern in self.customers)
