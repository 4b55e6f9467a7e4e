"""Maps the claims of a verified token to a principal."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any

from app.auth.issuers import Issuer
from app.auth.principal import Principal
from app.errors import TooManyAccounts, Unauthenticated

MAX_CUSTOMERS = 1000
REFUSED = "The bearer token was not accepted. Get a new one and send it in the Authorization header."
NO_ROLE = "The bearer token names no role that this gateway knows."

CLIENT_CLAIMS = ("azp", "client_id")
"""Where issuers write which application a token was issued to, in the order of preference."""


def principal_of(claims: Mapping[str, Any], issuer: Issuer) -> Principal:
    """The principal of verified claims: the subject, or the application for its own tokens; at least one known role and
    only customers that this issuer may grant. Raises Unauthenticated."""
    client = _client(claims, issuer)
    subject = claims.get("sub", client)
    tenant = _claim(claims, issuer.claims.tenant, "default")
    if not _is_name(subject) or not _is_name(client or subject) or not _is_name(tenant):
        raise Unauthenticated(REFUSED, detail="sub, client or tenant is not a name")
    salesperson = _salesperson(claims, issuer, subject)
    known = {role.value: role for role in issuer.roles}
    roles = frozenset(known[name] for name in _strings(claims, issuer.claims.roles) if name in known)
    if not roles:
        raise Unauthenticated(NO_ROLE, detail="no known role")
    return Principal(
        subject=_qualified(subject, issuer),
        roles=roles,
        customers=_customers(claims, issuer),
        agents=_agents(claims, issuer),
        salesperson=salesperson,
        tenant=tenant,
        client=_qualified(client or subject, issuer),
        expires_at=float(claims["exp"]),
        spend_limit=_spend_limit(claims, issuer),
    )


def _salesperson(claims: Mapping[str, Any], issuer: Issuer, subject: str) -> str:
    """The number by which a source assigns accounts. An issuer that is limited to accounts names them itself."""
    if "*" not in issuer.customers:
        return ""
    if issuer.claims.salesperson is None:
        return _qualified(subject, issuer)
    salesperson = _claim(claims, issuer.claims.salesperson, "")
    if salesperson != "" and not _is_name(salesperson):
        raise Unauthenticated(REFUSED, detail="the salesperson is not a name")
    return salesperson


def _spend_limit(claims: Mapping[str, Any], issuer: Issuer) -> Decimal | None:
    name = issuer.claims.spend_limit
    value = None if name is None else _claim(claims, name, None)
    if value is None:
        return None
    try:
        limit = Decimal(str(value)) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except InvalidOperation:
        limit = None
    if limit is None or not limit.is_finite() or limit < 0:
        raise Unauthenticated(REFUSED, detail=f"{name} is not an amount")
    return limit


def _client(claims: Mapping[str, Any], issuer: Issuer) -> Any:
    if issuer.claims.client is not None:
        return _claim(claims, issuer.claims.client, None)
    return next((claims[name] for name in CLIENT_CLAIMS if claims.get(name)), None)


def _qualified(name: str, issuer: Issuer) -> str:
    return name if issuer.namespace is None else f"{issuer.namespace}:{name}"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 256


def _customers(claims: Mapping[str, Any], issuer: Issuer) -> frozenset[str]:
    customers = frozenset(_strings(claims, issuer.claims.customers))
    if len(customers) > MAX_CUSTOMERS:
        raise TooManyAccounts(f"The bearer token names {len(customers)} customers; at most {MAX_CUSTOMERS} are read.")
    if "*" not in issuer.customers:
        foreign = [one for one in customers if not any(fnmatchcase(one, pattern) for pattern in issuer.customers)]
        if foreign:
            raise Unauthenticated(REFUSED, detail=f"{issuer.name} may not name customer {min(foreign)[:40]!r}")
    return customers


def _agents(claims: Mapping[str, Any], issuer: Issuer) -> frozenset[str]:
    agents = frozenset(_strings(claims, issuer.claims.agents))
    if len(agents) > MAX_CUSTOMERS:
        raise TooManyAccounts(f"The bearer token names {len(agents)} agents; at most {MAX_CUSTOMERS} are read.")
    if agents and "*" not in issuer.customers:
        raise Unauthenticated(REFUSED, detail=f"{issuer.name} is limited to accounts and may not name agents")
    return agents


def _strings(claims: Mapping[str, Any], name: str) -> Collection[str]:
    values = _claim(claims, name, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Unauthenticated(REFUSED, detail=f"{name} is not a list of strings")
    return values


def _claim(claims: Mapping[str, Any], name: str, default: Any) -> Any:
    """The claim of this name, which may contain dots (a URL), or else the nested value of its dotted path."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return default
        value = value[part]
    return value
