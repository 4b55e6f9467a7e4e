"""Custom fields of a deployment: `[[fields]]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.settings.section import Section

ScalarName = Literal["String", "Int", "Decimal", "Boolean", "Date", "DateTime"]


class FieldSettings(Section):
    """`[[fields]]`: a field `name` of a type, a `scalar` or a `list` of it. `scope` narrows the type's audience.
    `volatility` is that of the data, where it changes more slowly than its row. `sources` maps each source to its
    field: a JSON key of `rest`, a field of Tryton, a custom field of Vendure, a key of Karrio's metadata."""

    type: str
    name: str
    scalar: ScalarName
    list: bool = False
    description: str = Field(min_length=1, max_length=500)
    scope: str | None = None
    volatility: Literal["REF", "SLOW", "VOL", "FACT"] | None = None
    sources: dict[str, str] = Field(min_length=1)
