"""The adapter's settings under `[sources.NAME.options]`."""

from __future__ import annotations

import re
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from app.errors import ConfigurationError
from app.settings import SourceSettings


class Options(BaseModel):
    """What one installation of Tryton needs told.

    `order_code_pattern` says which sale references are order codes that other systems share; any other reference is
    the customer's own. `customer_code_like` keeps suppliers and carriers out, which are parties as well (`%` stands for
    anything). `reconcile_days` is how long a shipped order is still named with the stock it took.

    `order_key_field` is the text field of a sale in which the gateway keeps its key of an order. `order_warehouse` is
    the code of the warehouse of written orders, where Tryton has no default. `confirm_warnings` are the names of the
    warnings that are confirmed when an order is written. `max_order_seconds` after a request Tryton has created a sale
    or never does; three times `timeout` by default. `quote_validity_days` is how long a quote that the gateway requests
    is valid from the day on which it is quoted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    database: str = Field("tryton", pattern=r"^[A-Za-z0-9_.-]+$")
    company: int = Field(1, ge=1)
    order_code_pattern: str = r"^SO-\d+$"
    customer_code_like: str = Field("CUST-%", min_length=1)
    reference_ttl: float = Field(600, ge=0)
    reconcile_days: int = Field(30, ge=0, le=3650)
    max_tiers: int = Field(6, ge=1, le=50)
    order_key_field: str = Field("description", pattern=r"^[a-z][a-z0-9_]*$")
    order_warehouse: str | None = None
    confirm_warnings: tuple[str, ...] = ()
    max_order_seconds: float | None = Field(None, gt=0)
    quote_validity_days: int = Field(30, ge=0, le=3650)

    @field_validator("order_code_pattern")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from None
        return value

    @classmethod
    def of(cls, name: str, settings: SourceSettings) -> Self:
        """The options of a source, or the error that stops the start."""
        try:
            return cls.model_validate(settings.options)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            known = ", ".join(cls.model_fields)
            cure = f"{first['msg']}; the options are {known}"
            raise ConfigurationError(f"sources.{name}.options.{key}", first["input"], cure) from None
