"""The search of the sandbox's ERP: items and customers whose text holds all words, with counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from app.sandbox.store import SandboxStore
from app.sources.search import CategoryCount, ItemFacet, ItemFacetValue, ItemSearchQuery

MOST = 100_000
"""Documents that a search looks at."""


def matching_items(store: SandboxStore, query: ItemSearchQuery) -> list[dict[str, Any]]:
    """The items of a search by SKU; those that are named besides come first."""
    found = store.search("items", words=query.text, keys=None, tag=None, after=None, limit=MOST)
    named = dict(store.rows("items.sku", query.keys)) if query.keys else {}
    stocked = _stocked(store, query) if query.in_stock or query.warehouses else None
    bodies = named | {key: body for key, body in found if key not in named}
    return [
        row
        for key, body in bodies.items()
        if (stocked is None or key in stocked) and _selects(query, row := msgspec.json.decode(body))
    ]


def _stocked(store: SandboxStore, query: ItemSearchQuery) -> set[str]:
    levels = (msgspec.json.decode(body) for body in store.all("stock"))
    return {
        level["sku"]
        for level in levels
        for one in level["positions"]
        if (not query.warehouses or one["warehouse"] in query.warehouses)
        and float(one["onHand"]) > sum(float(one.get(name, 0)) for name in ("reserved", "qualityHold", "safetyStock"))
    }


def _selects(query: ItemSearchQuery, row: dict[str, Any]) -> bool:
    assortments, category = row.get("assortments"), row.get("category", "")
    if query.assortments is not None and assortments and not set(assortments) & set(query.assortments):
        return False
    if query.category is not None and f"{category}/".startswith(f"{query.category}/") is False:
        return False
    return all(
        any(
            one["code"] == requested.code
            and one["value"] in requested.values
            and requested.unit in (None, one.get("unit"))
            for one in row["attributes"]
        )
        for requested in query.attributes
    )


def facets(rows: Sequence[dict[str, Any]], names: Iterable[str] | None) -> list[ItemFacet]:
    """Counts of attribute values, of all attributes where none are named."""
    counts: dict[str, Counter[tuple[str, str | None]]] = {}
    for row in rows:
        for one in row["attributes"]:
            counts.setdefault(one["code"], Counter())[one["value"], one.get("unit")] += 1
    return [
        ItemFacet(
            code=code,
            values=tuple(
                ItemFacetValue(value=value, unit=unit, count=count) for (value, unit), count in values.most_common()
            ),
        )
        for code, values in sorted(counts.items())
        if names is None or code in set(names)
    ]


def categories(rows: Sequence[dict[str, Any]]) -> list[CategoryCount]:
    """Counts of categories, those above included."""
    counts: Counter[str] = Counter()
    for row in rows:
        parts = row.get("category", "").split("/")
        counts.update("/".join(parts[: depth + 1]) for depth in range(len(parts)) if parts[depth])
    return [CategoryCount(path=path, count=count) for path, count in sorted(counts.items())]
