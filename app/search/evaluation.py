"""A query over one state of an index: rows, total, facets, categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import msgspec

from app.errors import InvalidCursor
from app.search.bitmaps import members
from app.search.documents import (
    ALL_TENANTS,
    EVERY_ASSORTMENT,
    FACET_CODE,
    IN_STOCK,
    LIVE,
    SEPARATOR,
    assortment_term,
    category_term,
    facet_prefix,
    tenant_term,
    warehouse_term,
)
from app.search.matching import (
    MAX_MISSING,
    Level,
    QueryPart,
    SearchScope,
    coded,
    parse,
    rank,
    terms_of,
    union,
    without,
)
from app.search.stores.store import Snapshot
from app.sources.search import (
    CategoryCount,
    CustomerSearchQuery,
    ItemFacet,
    ItemFacetValue,
    ItemSearchQuery,
    SearchPage,
)
from app.sources.values import PageRequest

MOST_FACETS = 6
"""Attributes that are counted where a query names none."""

MOST_VALUES = 30
"""Values of an attribute that are returned: the most common ones."""

COUNTED_TERMS = 40
"""Values of an attribute that are counted in a large result: the most frequent of the whole index."""

SMALL = 250
"""Documents up to which a result is counted document by document, and all values are."""

FEW_TERMS = 16
"""Terms that are counted without a look at what may be zero, and without leaving the event loop."""

MOST_CATEGORIES = 8
"""Categories of a result up to which the terms of each are looked at."""

CATEGORIES = category_term("")
"""The prefix of the terms of categories."""

CATEGORY = "\0category"
"""The name of the category's own filter beside those of attributes."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions of a query as terms: of each group a document has at least one. Groups of `own` are those of a facet's
    or the category's own filter, which do not narrow its counts."""

    groups: tuple[tuple[str, ...], ...]
    own: Mapping[str, tuple[str, ...]]

    def terms(self) -> list[str]:
        """All terms."""
        return [term for group in (*self.groups, *self.own.values()) for term in group]

    def base(self, sets: Mapping[str, int], without: str | None = None) -> int:
        """The documents that meet all conditions, or all but one filter."""
        documents = sets.get(LIVE, 0)
        for group in (*self.groups, *(group for name, group in self.own.items() if name != without)):
            documents &= _any(group, sets)
        return documents

    def widest(self, sets: Mapping[str, int]) -> int:
        """The documents that meet the conditions that are no facet's own filter."""
        return Conditions(self.groups, {}).base(sets)


def _any(terms: Sequence[str], sets: Mapping[str, int]) -> int:
    documents = 0
    for term in terms:
        documents |= sets.get(term, 0)
    return documents


async def search_items(query: ItemSearchQuery, snapshot: Snapshot, tenant: str | None = None) -> SearchPage:
    """A page of SKUs, of those that exist for a tenant; of all without one."""
    conditions = await _conditions(query, snapshot, tenant)
    sets = await snapshot.bitmaps([LIVE, *conditions.terms()])
    wide = conditions.widest(sets)
    ranked = await _ranked(query.text, query.keys, SearchScope(wide, query.hidden), snapshot)
    matched = union(ranked)
    base = conditions.base(sets) if conditions.own else wide
    page = await _page(query.page, [(penalty, documents & base) for penalty, documents in ranked], snapshot)
    found = matched & base
    counts = Counts(found, snapshot)
    names = query.facets
    if names is None:
        names = await _common_facets(counts, conditions)
    facets: list[ItemFacet] = []
    for name in names:
        own = Counts(matched & conditions.base(sets, name), snapshot) if name in conditions.own else counts
        facets.append(_facet(name, await own.of(f"f:{name}{SEPARATOR}")))
    categories: tuple[CategoryCount, ...] = ()
    if query.categories:
        own = Counts(matched & conditions.base(sets, CATEGORY), snapshot) if CATEGORY in conditions.own else counts
        categories = _categories(await own.categories())
    return msgspec.structs.replace(
        page,
        total=found.bit_count() if query.page.count else None,
        facets=tuple(one for one in facets if one.values),
        categories=categories,
        as_of=snapshot.state.checked_at,
    )


class Counts:
    """How many documents of a set have each term; what was counted is remembered with the set. Of a large set `whole`
    counts all terms; otherwise those that no document of its categories has are left out, as they are zero."""

    def __init__(self, documents: int, snapshot: Snapshot, *, whole: bool = False) -> None:
        self._documents = documents
        self._snapshot = snapshot
        self._whole = whole
        self._size = documents.bit_count()
        self._counted = snapshot.counted(documents)

    async def of(self, prefix: str) -> Sequence[tuple[str, int]]:
        """Terms that begin with a prefix, the most common first."""
        counts = self._counted.get(prefix)
        if counts is None:
            found = await (self._of_each(prefix) if self._size <= SMALL else self._of_sets(prefix))
            counts = self._counted[prefix] = sorted(found, key=lambda one: (-one[1], one[0]))
        return counts

    async def _of_each(self, prefix: str) -> list[tuple[str, int]]:
        counted = self._counted.get("")
        if counted is None:
            counted = self._counted[""] = await self._snapshot.counts(list(members(self._documents)))
        return [one for one in counted.items() if one[0].startswith(prefix)]

    async def _of_sets(self, prefix: str) -> list[tuple[str, int]]:
        terms = (await self._snapshot.terms(prefix))[:COUNTED_TERMS]
        if len(terms) >= FEW_TERMS and not self._whole:
            terms = await self._possible(prefix, terms)
        count = partial(_count, await self._snapshot.bitmaps(terms), self._documents)
        return count() if len(terms) < FEW_TERMS else await self._snapshot.compute(count)

    async def _possible(self, prefix: str, terms: Sequence[str]) -> Sequence[str]:
        """Those of the terms that documents of the set's categories have."""
        categories = await self._cover()
        if not 0 < len(categories) <= MOST_CATEGORIES:
            return terms
        found: set[str] = set()
        for documents in (await self._snapshot.bitmaps(categories)).values():
            found.update(term for term, _ in await Counts(documents, self._snapshot, whole=True).of(prefix))
        return [term for term in terms if term in found]

    async def _cover(self) -> list[str]:
        """The categories that the documents are in, each the innermost; none where a document is in no category."""
        left = dict(await self.categories())
        outermost = 0
        for term, count in list(left.items()):
            above = term.rpartition("/")[0]
            if above:
                left[above] -= count
            else:
                outermost += count
        return [term for term, count in left.items() if count] if outermost == self._size else []

    async def categories(self) -> Sequence[tuple[str, int]]:
        """Categories with their counts. Those below a category without documents are not looked at, nor the rest of
        those beside each other once they hold all documents of the one above: a document is in one of them."""
        if self._size <= SMALL:
            return await self.of(CATEGORIES)
        counts = self._counted.get(CATEGORIES)
        if counts is None:
            counts = self._counted[CATEGORIES] = await self._count_categories()
        return counts

    async def _count_categories(self) -> list[tuple[str, int]]:
        below: dict[str, list[str]] = {}
        for term in await self._snapshot.terms(CATEGORIES):
            below.setdefault(term.rpartition("/")[0], []).append(term)
        found: list[tuple[str, int]] = []
        level = [("", self._size)]
        while level:
            names = [term for above, _ in level for term in below.get(above, ())]
            sets = await self._snapshot.bitmaps(names)
            level = await self._snapshot.compute(partial(_count_below, level, below, sets, self._documents))
            found += level
        return found


def _count(sets: Mapping[str, int], documents: int) -> list[tuple[str, int]]:
    return [(term, count) for term, members in sets.items() if (count := (members & documents).bit_count())]


def _count_below(
    level: Sequence[tuple[str, int]], below: Mapping[str, Sequence[str]], sets: Mapping[str, int], documents: int
) -> list[tuple[str, int]]:
    """The categories below those of a level that documents are in."""
    found: list[tuple[str, int]] = []
    for above, size in level:
        left = size
        for term in below.get(above, ()):
            count = (sets.get(term, 0) & documents).bit_count()
            if count:
                found.append((term, count))
                left -= count
                if not left:
                    break
    return found


async def search_customers(query: CustomerSearchQuery, snapshot: Snapshot, tenant: str | None = None) -> SearchPage:
    """A page of customer numbers, of the caller's own where the query names them, and of those that exist for a tenant;
    of all without one."""
    conditions = Conditions(_tenant_groups(tenant), {})
    base = conditions.base(await snapshot.bitmaps([LIVE, *conditions.terms()]))
    if query.numbers is not None:
        base &= await snapshot.documents_of(query.numbers)
    ranked = await _ranked(query.search, (), SearchScope(base, query.hidden), snapshot)
    page = await _page(query.page, ranked, snapshot)
    total = union(ranked).bit_count() if query.page.count else None
    return msgspec.structs.replace(page, total=total, as_of=snapshot.state.checked_at)


async def _ranked(text: str | None, keys: Sequence[str], scope: SearchScope, snapshot: Snapshot) -> Sequence[Level]:
    """The documents within the scope by penalty: those with one of the keys or the whole text as code, then those that
    the text matches; where it is a code, only those that match all of it."""
    parts = await parse(text, snapshot, scope) if text else []
    sets = await snapshot.bitmaps(terms_of(parts))
    named = await coded(text, snapshot, scope)
    ranked = await snapshot.compute(partial(_rank, text, parts, sets, scope.base, whole=bool(named)))
    whole = keys if scope.codes or not text else (*keys, text.strip())
    if whole:
        named |= await snapshot.documents_of(whole) & scope.base
    if named:
        ranked = [(0, named), *((penalty + 1, without(documents, named)) for penalty, documents in ranked)]
    return ranked


def _rank(
    text: str | None, parts: Sequence[QueryPart], sets: Mapping[str, int], base: int, *, whole: bool
) -> list[Level]:
    """All documents without a text; none for a text without a word."""
    if not text:
        return [(0, base)] if base else []
    return rank(parts, sets, base, 0 if whole else MAX_MISSING) if parts and base else []


def _tenant_groups(tenant: str | None) -> tuple[tuple[str, ...], ...]:
    return () if tenant is None else ((tenant_term(ALL_TENANTS), tenant_term(tenant)),)


async def _conditions(query: ItemSearchQuery, snapshot: Snapshot, tenant: str | None) -> Conditions:
    groups: list[tuple[str, ...]] = [*_tenant_groups(tenant)]
    if query.assortments is not None:
        groups.append(tuple(map(assortment_term, (EVERY_ASSORTMENT, *query.assortments))))
    if query.warehouses:
        groups.append(tuple(map(warehouse_term, query.warehouses)))
    elif query.in_stock:
        groups.append((IN_STOCK,))
    own: dict[str, tuple[str, ...]] = {} if query.category is None else {CATEGORY: (category_term(query.category),)}
    for one in query.attributes:
        units = [f"{facet_prefix(one.code, value)}{one.unit or ''}" for value in one.values]
        if one.unit is None:
            units = [term for prefix in units for term in await snapshot.terms(prefix)]
        own[one.code] = (*own.get(one.code, ()), *units)
    return Conditions(tuple(groups), own)


async def _page(request: PageRequest, ranked: Sequence[Level], snapshot: Snapshot) -> SearchPage:
    """The documents after a cursor, which names a penalty and a key: so it is good for the next index too."""
    after = None if request.after is None else _read_cursor(request.after)
    start = -1 if after is None else await snapshot.number_of(after[1])
    found: list[tuple[int, int]] = []
    for penalty, documents in ranked:
        if after is None or penalty >= after[0]:
            beyond = start if after is not None and penalty == after[0] else -1
            found += [(penalty, one) for one in islice(members(documents, beyond), request.first + 1 - len(found))]
        if len(found) > request.first:
            break
    rows = found[: request.first]
    keys = await snapshot.keys([number for _, number in rows])
    return SearchPage(
        rows=tuple(keys),
        cursors=tuple(f"{penalty}:{key}" for (penalty, _), key in zip(rows, keys, strict=True)),
        has_next=len(found) > len(rows),
        has_previous=request.after is not None,
    )


def _read_cursor(cursor: str) -> tuple[int, str]:
    penalty, separator, key = cursor.partition(":")
    if not separator or not penalty.isdecimal() or len(penalty) > 4:
        raise InvalidCursor
    return int(penalty), key


async def _common_facets(counts: Counts, conditions: Conditions) -> list[str]:
    """The attributes that most of the documents have, those that are filtered by first."""
    common = [term.removeprefix(FACET_CODE) for term, _ in await counts.of(FACET_CODE)]
    filtered = [name for name in conditions.own if name != CATEGORY]
    return list(dict.fromkeys((*filtered, *common)))[: max(MOST_FACETS, len(filtered))]


def _facet(code: str, counts: Sequence[tuple[str, int]]) -> ItemFacet:
    values = []
    for term, count in counts[:MOST_VALUES]:
        _, value, unit = term.split(SEPARATOR)
        values.append(ItemFacetValue(value=value, unit=unit or None, count=count))
    return ItemFacet(code=code, values=tuple(values))


def _categories(counts: Sequence[tuple[str, int]]) -> tuple[CategoryCount, ...]:
    return tuple(CategoryCount(path=term[2:], count=count) for term, count in sorted(counts))
