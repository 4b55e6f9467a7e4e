"""The options and credentials of a Business Central source, checked at the start."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from app.errors import ConfigurationError
from app.http.oauth import ClientAssertion, ClientAuthentication, ClientSecret
from app.settings import SourceSettings

TOKEN_URL = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"  # noqa: S105 - an address
SCOPE = "https://api.businesscentral.dynamics.com/.default"
_ID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"


class BusinessCentralOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options]` of a Business Central source.

    `tenant` is the Entra tenant that issues tokens, its id or domain; `token_url` replaces its endpoint. `company`
    is the id of the company and `currency` its local currency. `certificate_thumbprint` is the SHA-256 of the
    certificate of a `private_key`, in base64url. `default_location` is the warehouse of stock that has no location;
    without one, that stock is left out. `price_api` is publisher, group and version of an API page with prices.
    `replica_lag` are the seconds by which the replica for stock is taken to lag.
    """

    tenant: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,100}$")]
    company: Annotated[str, Meta(pattern=_ID)]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
    token_url: str | None = None
    scope: str = SCOPE
    certificate_thumbprint: str | None = None
    default_location: Annotated[str, Meta(min_length=1, max_length=10)] | None = None
    price_api: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]{1,40}/[A-Za-z0-9]{1,40}/v\d{1,3}\.\d{1,3}$")] | None = None
    replica_lag: Annotated[float, Meta(ge=0, le=86_400)] = 60.0

    @property
    def token_endpoint(self) -> str:
        return self.token_url or TOKEN_URL.format(tenant=self.tenant)


def read_options(name: str, settings: SourceSettings) -> BusinessCentralOptions:
    """The options; ConfigurationError names what is wrong."""
    try:
        return msgspec.convert(settings.options, BusinessCentralOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"sources.{name}.options", settings.options, str(error)) from None


def client_authentication(name: str, settings: SourceSettings, options: BusinessCentralOptions) -> ClientAuthentication:
    """How the application authenticates: by a secret, or by a certificate's key. Raises ConfigurationError."""
    key = f"sources.{name}.credentials"
    credentials = {part: secret.get_secret_value() for part, secret in settings.credentials.items()}
    client_id = credentials.get("client_id")
    if not client_id or ("client_secret" in credentials) == ("private_key" in credentials):
        raise ConfigurationError(key, None, "give client_id, and either client_secret or private_key")
    if "client_secret" in credentials:
        return ClientSecret(client_id, credentials["client_secret"])
    try:
        return ClientAssertion(
            client_id,
            credentials["private_key"],
            audience=options.token_endpoint,
            algorithm="PS256",
            thumbprint=options.certificate_thumbprint,
        )
    except ValueError as error:
        raise ConfigurationError(f"{key}.private_key", "[hidden]", str(error)) from None
