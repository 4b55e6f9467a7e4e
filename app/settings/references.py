"""Checks across tables: every domain and route names a configured source, every list of roles known ones, and a claim
of an order outlasts the request that posts it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from app.errors import ConfigurationError
from app.settings.resilience import ORDER_SUBMISSIONS
from app.settings.root import Settings
from app.settings.suggestions import did_you_mean


def check_sources(settings: Settings) -> None:
    """Refuse domains and routes that name a source which is not configured."""
    known = settings.sources.keys()
    for name, domain in settings.domains.configured().items():
        for key, source in _named_sources(domain):
            _check_source(f"domains.{name}.{key}", source, known)
    for index, route in enumerate(settings.routes):
        _check_source(f"routes[{index}].source", route.source, known)


def check_roles(settings: Settings) -> None:
    """Refuse lists of roles that name one which the deployment does not have."""
    limits, budgets, known = settings.limits, settings.budgets, settings.policy.known_roles
    named: dict[str, Iterable[str]] = {
        "limits.introspection": limits.introspection,
        "limits.roles": limits.roles,
        "budgets.show": budgets.show,
        "budgets.roles": budgets.roles,
        "documents.trusted_roles": settings.documents.trusted_roles,
        "intake.approvals.tiers": (tier.role for tier in settings.intake.approvals.tiers),
        "intake.approvals.rules": (role for rule in settings.intake.approvals.rules for role in rule.roles),
    }
    for key, names in named.items():
        for name in names:
            if name not in known:
                raise ConfigurationError(key, name, f"is not a role; {did_you_mean(name, known)}")


def check_lease(settings: Settings) -> None:
    """Refuse a lease that ends before a request which posts an order may end."""
    orders = settings.domains.orders
    targets = () if orders is None else (orders.write, *orders.write_channels.values())
    for name in targets:
        source = None if name is None else settings.sources.get(name)
        limit = 0.0 if source is None else source.timeout_of(ORDER_SUBMISSIONS)
        if settings.intake.lease < limit:
            cure = f"must not be shorter than sources.{name}.limits.timeouts.{ORDER_SUBMISSIONS}, {limit:g} seconds"
            raise ConfigurationError("intake.lease", settings.intake.lease, cure)


def _check_source(key: str, source: str, known: Collection[str]) -> None:
    if source not in known:
        cure = f"no source of that name under [sources]; {did_you_mean(source, known)}"
        raise ConfigurationError(key, source, cure)


def _named_sources(domain: Any) -> Iterable[tuple[str, str]]:
    yield "master", domain.master
    for key in ("enrich", "reservations"):
        for index, source in enumerate(getattr(domain, key, ())):
            yield f"{key}[{index}]", source
    for warehouse, source in getattr(domain, "balances", {}).items():
        yield f"balances.{warehouse}", source
