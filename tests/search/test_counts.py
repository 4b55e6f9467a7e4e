"""Counts of results of hundreds of items, over both stores: what is left out of the counting is zero."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from app.search.documents import IndexDocument, item_document
from app.search.evaluation import COUNTED_TERMS, MOST_VALUES, SMALL
from app.search.stores.store import IndexStore
from app.sources.items import Attribute, Item
from app.sources.search import AttributeFilter, SearchPage
from tests.support.postgres import Postgres
from tests.support.search import BUILT_AT, build, find, open_store

ITEMS = 2400
KINDS = (
    ("Fasteners/Bolts", "bolt", ("length", "thread")),
    ("Fasteners/Nuts", "nut", ("thread",)),
    ("Fasteners", "washer", ("bore",)),
    ("Valves/Ball/Brass", "valve", ("size", "pressure")),
    ("Tools", "drill", ("diameter", "length")),
    (None, "oddment", ("length",)),
)
"""Categories of different depth, one with items of its own beside those below it, and items without one."""


def item(number: int, word: str = "common") -> Item:
    """Item I-0000 and so on: of the kinds in turn, with some 60 values of each attribute."""
    category, name, codes = KINDS[number % len(KINDS)]
    values = [Attribute(code=code, value=str(number * number % 61)) for code in codes]
    if number % 5 == 0:
        values += [Attribute(code="finish", value=value) for value in ("zinc", "black")[: number % 3]]
    return Item(
        sku=f"I-{number:04d}",
        name=f"{name} {word} {'rare' if number % 7 == 0 else ''} {'even' if number % 2 == 0 else 'odd'}",
        base_uom="EA",
        category=category,
        attributes=tuple(values),
        assortments=("SPECIAL",) if number % 4 == 0 else (),
    )


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[IndexStore]:
    items = [document(item(number)) for number in range(ITEMS)]
    if request.param == "sqlite":
        async with open_store(tmp_path) as opened:
            await build(opened, items)
            yield opened
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    async with postgres.database() as url, open_store(url) as opened:
        await build(opened, items)
        yield opened


def document(one: Item) -> IndexDocument:
    return item_document(one, None, None)


def counted(page: SearchPage) -> tuple[int | None, dict[str, list[tuple[str, int]]], dict[str, int]]:
    """The total, the facets and the categories of a page."""
    facets = {facet.code: [(value.value, value.count) for value in facet.values] for facet in page.facets}
    return page.total, facets, {one.path: one.count for one in page.categories}


def expected(
    items: Sequence[Item],
    codes: Sequence[str],
    everything: Sequence[Item],
    own: dict[str, Sequence[Item]] | None = None,
) -> tuple[int, dict[str, list[tuple[str, int]]], dict[str, int]]:
    """What is counted of items, item by item; `own` are those that a facet's own filter does not narrow."""
    facets: dict[str, list[tuple[str, int]]] = {}
    for code in codes:
        found = (own or {}).get(code, items)
        frequent = [value for value, _ in _most_common(everything, code)[:COUNTED_TERMS]]
        counts = _most_common(found, code)
        if len(found) > SMALL:
            counts = [(value, count) for value, count in counts if value in frequent]
        if counts:
            facets[code] = counts[:MOST_VALUES]
    categories: Counter[str] = Counter()
    for one in items:
        names = (one.category or "").split("/")
        categories.update("/".join(names[: depth + 1]) for depth in range(len(names)) if one.category)
    return len(items), facets, dict(categories)


def _most_common(items: Sequence[Item], code: str) -> list[tuple[str, int]]:
    counts = Counter(one.value for each in items for one in each.attributes if one.code == code)
    return sorted(counts.items(), key=lambda one: (-one[1], one[0] + "\x1f"))


CODES = ("length", "thread", "bore", "size", "pressure", "diameter", "finish")


@pytest.mark.parametrize(
    "text", ["common", "odd", "bolt", "washer", "fasteners", "valve odd", "oddment", "rare", "nut rare"]
)
async def test_facets_and_categories_of_a_result_are_those_of_its_items(store: IndexStore, text: str):
    everything = [item(number) for number in range(ITEMS)]
    found = [one for one in everything if all(_has(one, word) for word in text.split())]
    for _ in range(2):  # The second time from memory.
        page = await find(store, text, facets=CODES, categories=True)
        assert counted(page) == expected(found, CODES, everything)
    scoped = [one for one in found if not one.assortments]
    page = await find(store, text, facets=CODES, categories=True, assortments=())
    assert counted(page) == expected(scoped, CODES, everything)


def _has(one: Item, word: str) -> bool:
    return word in one.name.split() or word in (one.category or "").lower().split("/")


async def test_filters_of_a_facet_and_a_category_narrow_the_counts_of_the_others(store: IndexStore):
    everything = [item(number) for number in range(ITEMS)]
    bolts = [one for one in everything if (one.category or "").startswith("Fasteners")]
    threads = [one for one in bolts if any(a.code == "thread" and a.value in ("1", "4", "9") for a in one.attributes)]
    filters = (AttributeFilter(code="thread", values=("1", "4", "9")),)
    page = await find(store, facets=CODES, category="Fasteners", attributes=filters)
    total, facets, _ = expected(threads, CODES, everything, {"thread": bolts})
    assert counted(page) == (total, facets, {})


async def test_counts_are_those_of_the_index_after_a_change(store: IndexStore):
    await find(store, "common", facets=CODES, categories=True)
    changed = [item(number, "special") for number in range(6)]
    moved = [Item(sku="I-9999", name="bolt common", base_uom="EA", category="Tools/New", attributes=(
        Attribute(code="pressure", value="7"),
    ))]  # fmt: skip
    await store.apply([document(one) for one in (*changed, *moved)], ["I-0007"], "5", BUILT_AT)
    everything = [item(number) for number in range(6, ITEMS) if number != 7] + moved
    page = await find(store, "common", facets=CODES, categories=True)
    total, facets, categories = expected(everything, CODES, [*everything, *changed])
    assert counted(page) == (total, facets, categories)
