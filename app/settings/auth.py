"""Token issuers: `[auth]`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from app.settings.section import Section

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519", "HS256"]


class ClaimNames(Section):
    """Names of claims in an issuer's tokens. A dot selects a member of an object: `realm_access.roles`."""

    roles: str = "roles"
    customers: str = "customers"
    agents: str = "agents"
    salesperson: str | None = None
    tenant: str = "tenant"
    spend_limit: str | None = None
    client: str | None = None


class IssuerSettings(Section):
    """A token issuer and its keys: a JWKS URL, a file, or a public key in PEM. Without these the issuer's discovery
    document names the JWKS URL. `roles` and `customers` limit what its tokens may claim."""

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
    """Trusted issuers: one here, more under `[[auth.issuers]]`. A shared secret is for demos.

    `accounts` says where the accounts of roles with assigned accounts come from: the credential ("token"), the source
    of `[domains.accounts]` ("source"), or what both agree on ("both"). Assignments count for `accounts_max_age` seconds
    and, while the source fails, for `accounts_stale_for` more."""

    accounts: Literal["token", "source", "both"] = "token"
    accounts_max_age: float = Field(default=30.0, gt=0, le=60)
    accounts_stale_for: float = Field(default=300.0, ge=0, le=3600)
    max_accounts: int = Field(default=10_000, ge=1, le=100_000)
    leeway: int = Field(default=30, ge=0, le=60)
    secret: SecretStr | None = None
    secret_file: Path | None = None
    issuers: tuple[IssuerSettings, ...] = ()
