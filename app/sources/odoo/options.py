"""The options and credentials of an Odoo source, checked at the start."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.errors import ConfigurationError
from app.settings import SourceSettings
from app.sources.odoo.versions import NEWEST, OLDEST

_FIELD = r"^[a-z][a-z0-9_]{0,62}$"


class OdooOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options]` of an Odoo source.

    `version` is the major version, which decides names of models and fields. `company` is the id of the company whose
    currency credit and cost are in. `warehouse_code` is the field of a warehouse that holds its code; Odoo's own
    `code` has at most five characters. `customer_ref_like` keeps partners out that are no customers (`%` stands for
    anything). `order_key_field` is the text field of a sales order in which the gateway keeps its key.
    `order_warehouse` is the code of the warehouse of written orders, where Odoo's default is not the right one.
    `max_tiers` is the most price breaks that are read of an item. `reconcile_days` is how long a shipped order is still
    named with the stock it took. `max_order_seconds` after a request Odoo has created an order or never does.
    """

    database: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,63}$")]
    version: Annotated[int, Meta(ge=OLDEST, le=NEWEST)]
    company: Annotated[int, Meta(ge=1)] = 1
    warehouse_code: Literal["code", "name"] = "code"
    customer_ref_like: Annotated[str, Meta(min_length=1, max_length=100)] = "%"
    order_key_field: Annotated[str, Meta(pattern=_FIELD)] = "origin"
    order_warehouse: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    max_tiers: Annotated[int, Meta(ge=1, le=50)] = 6
    reconcile_days: Annotated[int, Meta(ge=0, le=3650)] = 30
    reference_ttl: Annotated[float, Meta(ge=0)] = 600.0
    max_order_seconds: Annotated[float, Meta(gt=0)] | None = None


class OdooCredentials(msgspec.Struct, frozen=True):
    """Either `login` with `password`, or `api_key` alone, which is sent as a bearer token to `/json/2`."""

    login: str = ""
    password: str = ""
    api_key: str = ""

    def __repr__(self) -> str:
        return "<OdooCredentials>"


def read_options(name: str, settings: SourceSettings) -> OdooOptions:
    """The options; ConfigurationError names what is wrong."""
    try:
        return msgspec.convert(settings.options, OdooOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"sources.{name}.options", settings.options, str(error)) from None


def read_credentials(name: str, settings: SourceSettings, options: OdooOptions) -> OdooCredentials:
    """The credentials. Raises ConfigurationError for others than the two forms, and for a key before version 19."""
    given = {part: secret.get_secret_value() for part, secret in settings.credentials.items()}
    if not any(given.keys() == form and all(given.values()) for form in ({"login", "password"}, {"api_key"})):
        raise ConfigurationError(f"sources.{name}.credentials", None, "give login and password, or api_key alone")
    if "api_key" in given and options.version < NEWEST:
        cure = f"api_key alone needs Odoo {NEWEST}; give login, and the key as password"
        raise ConfigurationError(f"sources.{name}.credentials.api_key", "[hidden]", cure)
    return OdooCredentials(**given)
