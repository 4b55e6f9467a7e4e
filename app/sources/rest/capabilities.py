"""What a system of the `rest` contract declares of its lists: all of the contract, or what `options.lists` says.

[sources.erp.options.lists.orders]
filters = ["customers", "status", "open"]
sorts = ["ORDERED_AT_DESC"]
totals = false
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from app.errors import ConfigurationError
from app.sources.billing import InvoiceQuery, InvoiceSort, ReturnQuery, ReturnSort
from app.sources.lists import ListCapability, all_filters
from app.sources.orders import OrderQuery, OrderSort
from app.sources.quotes import QuoteQuery, QuoteSort
from app.sources.shipments import ShipmentQuery, ShipmentSort

LISTS: Mapping[str, tuple[type[Any], type[Any], tuple[str, ...]]] = {
    "orders": (OrderQuery, OrderSort, ("orders.by_customer", "orders.search")),
    "shipments": (ShipmentQuery, ShipmentSort, ("shipments.by_customer", "shipments.search")),
    "invoices": (InvoiceQuery, InvoiceSort, ("billing.invoices_by_customer", "billing.search_invoices")),
    "quotes": (QuoteQuery, QuoteSort, ("quotes.by_customer", "quotes.search")),
    "returns": (ReturnQuery, ReturnSort, ("billing.returns_by_customer", "billing.search_returns")),
}
"""The name in `options.lists` -> query, sorts, and the reads that take them."""


class _Declared(msgspec.Struct, forbid_unknown_fields=True):
    filters: list[str] | None = None
    sorts: list[str] | None = None
    totals: bool = True


def list_capabilities(source: str, value: object, serves: frozenset[str]) -> dict[str, ListCapability]:
    """The lists of the ports that a source serves, by read. Raises ConfigurationError."""
    key = f"sources.{source}.options.lists"
    declared = _convert(key, {} if value is None else value, dict[str, _Declared])
    for name in declared:
        if name not in LISTS:
            raise ConfigurationError(f"{key}.{name}", name, f"no such list; there are {', '.join(LISTS)}")
    found: dict[str, ListCapability] = {}
    for name, (query, sort, reads) in LISTS.items():
        able = all_filters(query, sort)
        if name in declared:
            able = _narrowed(f"{key}.{name}", able, query, declared[name])
        found.update({read: able for read in reads if read.partition(".")[0] in serves})
    return found


def _narrowed(key: str, able: ListCapability, query: type[Any], declared: _Declared) -> ListCapability:
    names = {field.encode_name: field.name for field in msgspec.structs.fields(query) if field.name in able.filters}
    filters = names if declared.filters is None else declared.filters
    sorts = able.sorts if declared.sorts is None else declared.sorts
    for part, given, known in (("filters", filters, set(names)), ("sorts", sorts, able.sorts)):
        for one in given:
            if one not in known:
                raise ConfigurationError(f"{key}.{part}", one, f"use some of {', '.join(sorted(known))}")
    return replace(
        able, filters=frozenset(names[one] for one in filters), sorts=frozenset(sorts), totals=declared.totals
    )


def _convert(key: str, value: object, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConfigurationError(key, value, f"give a table for each list: {error}") from None
