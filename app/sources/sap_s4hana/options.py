"""The options and credentials of an S/4HANA source, checked at the start."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from app.errors import ConfigurationError
from app.settings import SourceSettings

Plant = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,4}$")]
Code2 = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,2}$")]
Code4 = Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,4}$")]


class S4HANAOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options]` of an S/4HANA source.

    `sales_organization`, `distribution_channel` and `division` are the sales area that is read and written. `plants`
    are the plants that are warehouses, with their names. `language` is that of descriptions and unit codes.
    `atp_checking_rule` adds the periods of the availability check to stock; `credit_segment` serves credit.
    `order_type` is the sales document type of orders and simulations, `ship_to_function` and `bill_to_function` are
    the partner functions of ship-to and bill-to parties in `language`, `note_text_id` is the text of an order for
    notes. `price_condition_type` is the condition type of a manual price: without one, S/4HANA prices the orders that
    are written.
    """

    sales_organization: Code4
    distribution_channel: Code2
    division: Code2
    plants: Annotated[dict[Plant, Annotated[str, Meta(min_length=1, max_length=60)]], Meta(min_length=1)]
    language: Annotated[str, Meta(pattern=r"^[A-Z]{2}$")] = "EN"
    atp_checking_rule: Code2 | None = None
    credit_segment: Annotated[str, Meta(min_length=1, max_length=10, pattern=r"^[A-Z0-9]+$")] | None = None
    order_type: Code4 = "OR"
    ship_to_function: Code2 = "SH"
    bill_to_function: Code2 = "BP"
    note_text_id: Code4 = "TX01"
    price_condition_type: Code4 | None = None


def read_options(name: str, settings: SourceSettings) -> S4HANAOptions:
    """The options; ConfigurationError names what is wrong."""
    try:
        return msgspec.convert(settings.options, S4HANAOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"sources.{name}.options", settings.options, str(error)) from None


def read_credentials(name: str, settings: SourceSettings) -> tuple[str, str]:
    """The user and the password of the communication user. Raises ConfigurationError."""
    user, password = (settings.credentials.get(part) for part in ("username", "password"))
    if user is None or password is None:
        raise ConfigurationError(f"sources.{name}.credentials", None, "give username and password")
    return user.get_secret_value(), password.get_secret_value()
