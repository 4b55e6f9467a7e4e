"""Fields of a deployment's own, as sources have them: values are read with their row and checked for their type.

A value that is missing is no value; one of another type is named in `CustomValues.malformed`, and the row stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from app.errors import ConfigurationError
from app.settings.suggestions import did_you_mean
from app.sources.values import CustomValues

if TYPE_CHECKING:
    from app.settings import FieldSettings, Settings

MAX_TEXT, MAX_ITEMS = 10_000, 1_000
"""Characters of a text, values of a list."""

SCALARS: Mapping[str, Any] = {
    "String": Annotated[str, msgspec.Meta(max_length=MAX_TEXT)],
    "Int": Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)],
    "Decimal": Decimal,
    "Boolean": bool,
    "Date": date,
    "DateTime": Annotated[datetime, msgspec.Meta(tz=True)],
}

DOMAINS: Mapping[str, str] = {"Customer": "customers", "Item": "items", "Order": "orders", "Shipment": "shipments"}
"""The types that may have fields of a deployment, and the domain that their rows come from."""

KEYS: Mapping[str, tuple[str, frozenset[str]]] = {
    "rest": (r"[^\x00-\x1f\x7f]{1,100}", frozenset(DOMAINS)),
    "tryton": (r"[a-z][a-z0-9_]{0,62}", frozenset({"Customer", "Item", "Order"})),
    "vendure": (r"[A-Za-z_][A-Za-z0-9_]{0,99}", frozenset({"Order"})),
    "shopify": (r"[A-Za-z0-9_-]{2,255}\.[A-Za-z0-9_-]{2,64}", frozenset({"Customer", "Item", "Order"})),
    "medusa": (r"[^\x00-\x1f\x7f]{1,100}", frozenset({"Customer", "Item", "Order"})),
    "woocommerce": (r"[^\x00-\x1f\x7f]{1,100}", frozenset({"Customer", "Item", "Order"})),
    "odoo": (r"[a-z][a-z0-9_]{0,62}", frozenset({"Customer", "Item", "Order"})),
    "karrio": (r"[^\x00-\x1f\x7f]{1,100}", frozenset({"Shipment"})),
}
"""The form of a key at each vendor, and the types that its adapter reads."""


@dataclass(frozen=True, slots=True)
class SourceField:
    """A field of the graph, its key at a source, and the type of its values. `setting` is the key of the configuration
    that declares it."""

    name: str
    key: str
    type: Any
    setting: str = ""


@dataclass(frozen=True, slots=True)
class SourceFields:
    """The fields that one source has, by GraphQL type."""

    source: str = ""
    types: Mapping[str, tuple[SourceField, ...]] = field(default_factory=dict)

    def of(self, type_name: str) -> tuple[SourceField, ...]:
        """The fields of a type, in the order of the settings."""
        return self.types.get(type_name, ())

    def read(self, type_name: str, value_of: Callable[[str], Any]) -> CustomValues | None:
        """The values of a row; `value_of` returns what the source has under a key: Raw JSON, or a plain value. None
        without fields."""
        fields = self.of(type_name)
        return self.of_values([(one, value_of(one.key)) for one in fields]) if fields else None

    def of_values(self, found: list[tuple[SourceField, Any]]) -> CustomValues:
        """The values that were found of a row, each checked for its type."""
        values: dict[str, Any] = {}
        malformed: list[str] = []
        for one, raw in found:
            try:
                value = _converted(raw, one.type)
            except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
                malformed.append(one.name)
            else:
                if value is not None:
                    values[one.name] = value
        return CustomValues(source=self.source, values=values, malformed=tuple(malformed))


NO_FIELDS = SourceFields()


def check_keys(fields: Iterable[SourceField], known: Collection[str], cure: str) -> None:
    """Refuse a field whose key is one of those that its source's rows have anyway."""
    for one in fields:
        if one.key in known:
            raise ConfigurationError(one.setting, one.key, cure)


def python_type(settings: FieldSettings) -> Any:
    """The type that values of a field must have."""
    scalar = SCALARS[settings.scalar]
    return Annotated[list[scalar], msgspec.Meta(max_length=MAX_ITEMS)] if settings.list else scalar


def _converted(raw: Any, kind: Any) -> Any:
    if isinstance(raw, msgspec.Raw):
        raw = bytes(raw)
        value = msgspec.json.decode(raw, type=kind | None) if raw else None
    else:
        value = msgspec.convert(raw, kind | None)
    for one in value if isinstance(value, list) else (value,):
        if isinstance(one, Decimal) and not one.is_finite():
            raise ValueError("is not finite")
    return value


def fields_of_sources(settings: Settings) -> Mapping[str, SourceFields]:
    """The fields of each source that has some. Raises ConfigurationError for a source that cannot have one."""
    types: dict[str, dict[str, list[SourceField]]] = {}
    for index, one in enumerate(settings.fields):
        for source, key in one.sources.items():
            _check(f"fields[{index}].sources", source, key, one, settings)
            made = SourceField(one.name, key, python_type(one), f"fields[{index}].sources.{source}")
            known = types.setdefault(source, {}).setdefault(one.type, [])
            check_keys([made], {other.key for other in known}, "is the key of another field; keep one of them")
            known.append(made)
    return {
        source: SourceFields(source, {name: tuple(fields) for name, fields in by_type.items()})
        for source, by_type in types.items()
    }


def _check(setting: str, source: str, key: str, one: FieldSettings, settings: Settings) -> None:
    if source not in settings.sources:
        cure = f"no source of that name under [sources]; {did_you_mean(source, settings.sources)}"
        raise ConfigurationError(setting, source, cure)
    vendor = settings.sources[source].vendor
    form, types = KEYS.get(vendor, ("", frozenset[str]()))
    if one.type not in types:
        able = ", ".join(sorted(name for name, (_, known) in KEYS.items() if one.type in known)) or "none"
        raise ConfigurationError(
            f"{setting}.{source}", key, f"vendor '{vendor}' has no fields of {one.type}; {able} do"
        )
    if not re.fullmatch(form, key):
        raise ConfigurationError(f"{setting}.{source}", key, f"is not a field name of vendor '{vendor}'")
    serving = tuple(_serving(DOMAINS[one.type], settings))
    if source not in serving:
        cure = f"its rows of {one.type} are never read; name one of {', '.join(serving) or 'none'}, or add a route"
        raise ConfigurationError(f"{setting}.{source}", key, cure)


def _serving(domain: str, settings: Settings) -> Iterator[str]:
    found = settings.domains.configured().get(domain)
    if found is not None:
        yield from dict.fromkeys((found.master, *found.enrich, *(route.source for route in settings.routes)))
