"""Lists of items: by the search index or a source's own search, with facets; else by the source's plain list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from app.auth.policy import Key
from app.auth.principal import RowReach, row_reach
from app.errors import Forbidden, InvalidInput, NotSupported, SearchIndexNotReady, SourceError
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, customer_number, validate_key
from app.resolvers.loading.paging import Connection, ListScope, rows_of_keys
from app.sources.freshness_contracts import ITEM, note_incomplete
from app.sources.items import CustomerPartKey, Item, ItemQuery
from app.sources.search import AttributeFilter, CategoryCount, ItemFacet, ItemSearchQuery, SearchField, SearchPage
from app.sources.values import Freshness, Page, Record

MAX_CONDITIONS = 20
"""Attributes, values of one, warehouses and facets that a list may name at most, each."""

MAX_WORDS = 32
"""Words of a search."""

OWN_NUMBERS = 20
"""Customers of a caller whose part numbers are looked up without being named."""

WITHIN_ASSORTMENT = frozenset({RowReach.OWN, RowReach.PARTNER})
"""Reach of roles for which only items of their customers' assortments exist."""


SEARCHED_FIELDS: Mapping[SearchField, Sequence[Key]] = {
    SearchField.CODES: (("Item", "gtin"), ("Item", "manufacturerPart")),
    SearchField.ATTRIBUTES: (("Item", "attributes"), ("Item", "category")),
    SearchField.DESCRIPTION: (("Item", "description"),),
}
"""The fields of the schema that a search field is made of; it is hidden from those who do not see all of them."""


@dataclass(frozen=True, slots=True)
class ItemAttributeFilter:
    """Items whose attribute has one of these values."""

    code: str
    values: Sequence[str]
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which items a list shows."""

    search: str | None = None
    category: str | None = None
    attributes: Sequence[ItemAttributeFilter] | None = None
    in_stock: bool | None = None
    warehouses: Sequence[str] | None = None
    customer: CustomerKey | None = None

    @property
    def is_plain(self) -> bool:
        """Whether every source that lists items can answer it."""
        return not (self.attributes or self.in_stock or self.warehouses or self.customer)


class ItemCategory(Record):
    """A category of the items found, with those below it."""

    path: str
    name: str
    count: int
    children: tuple[ItemCategory, ...] = ()


class ItemConnection(Connection[Item]):
    """A page of items with the counts of the whole list."""

    facets: tuple[ItemFacet, ...] = ()
    categories: tuple[ItemCategory, ...] = ()
    freshness: Freshness | None = None


async def items(
    ctx: Context,
    first: int,
    after: str | None = None,
    filter: ItemFilter | None = None,
    facets: Sequence[str] | None = None,
) -> ItemConnection:
    requested = filter or ItemFilter()
    scope = ListScope("items", requested.search, requested.category, *_identity(requested))
    page = scope.page(first, after, count=ctx.selects("ItemConnection", "totalCount"))
    search = validate_search(requested.search) if requested.search else None
    category = validate_key(requested.category, "A category") if requested.category else None
    if category and not ctx.permissions.reveals("Item", "category"):
        raise Forbidden
    counts = (
        ctx.selects("ItemConnection", "facets") and ctx.permissions.reveals("Item", "attributes"),
        ctx.selects("ItemConnection", "categories") and ctx.permissions.reveals("Item", "category"),
    )
    customers = await _customers(requested, ctx)
    query = ItemSearchQuery(
        page=page,
        text=search,
        keys=await _own_part_numbers(search, customers, ctx),
        category=category,
        attributes=_attributes(requested.attributes or ()),
        in_stock=bool(requested.in_stock),
        warehouses=_bounded(requested.warehouses, "warehouses"),
        assortments=await _assortments(customers, ctx) if requested.customer or _is_limited(ctx) else None,
        facets=(_bounded(facets, "facets") if facets else None) if counts[0] else (),
        categories=counts[1],
        hidden=hidden_fields(SEARCHED_FIELDS, ctx),
    )
    try:
        found = await ctx.sources.search.items(ctx.principal, query)
    except (NotSupported, SearchIndexNotReady):
        if any(counts) or not requested.is_plain or query.assortments is not None:
            raise
        plain = ItemQuery(page=page, search=search, category=category)
        return _connection(scope, await ctx.sources.items.search(ctx.principal, plain), SearchPage(), ctx)
    return _connection(scope, await rows_of_keys(found, ctx.loaders.items), found, ctx)


def validate_search(text: str) -> str:
    """The text of a search; InvalidInput if it is too long, has too many words, or control characters."""
    text = validate_key(text, "A search")
    words = len(text.split())
    if words > MAX_WORDS:
        raise InvalidInput(f"A search may have at most {MAX_WORDS} words, not {words}.")
    return text


def hidden_fields(searched: Mapping[SearchField, Sequence[Key]], ctx: Context) -> tuple[SearchField, ...]:
    """The search fields that the caller may not see."""
    return tuple(name for name, fields in searched.items() if not all(ctx.permissions.reveals(*one) for one in fields))


def _identity(requested: ItemFilter) -> tuple[object, ...]:
    """What a cursor is bound to beyond the filters of a plain list."""
    if requested.is_plain:
        return ()
    attributes = tuple((one.code, tuple(one.values), one.unit) for one in requested.attributes or ())
    return attributes, requested.in_stock, tuple(requested.warehouses or ()), requested.customer


def _attributes(given: Sequence[ItemAttributeFilter]) -> tuple[AttributeFilter, ...]:
    if len(given) > MAX_CONDITIONS:
        raise InvalidInput(f"attributes may name at most {MAX_CONDITIONS} attributes, not {len(given)}.")
    return tuple(
        AttributeFilter(
            code=validate_key(one.code, "An attribute's code"),
            values=_bounded(one.values, "values"),
            unit=one.unit and validate_key(one.unit, "A unit"),
        )
        for one in given
    )


def _bounded(given: Sequence[str] | None, what: str) -> tuple[str, ...]:
    if len(given or ()) > MAX_CONDITIONS:
        raise InvalidInput(f"{what} may have at most {MAX_CONDITIONS} entries, not {len(given or ())}.")
    return tuple(validate_key(one, f"An entry of {what}") for one in given or ())


async def within_assortment(rows: Sequence[Item | None], ctx: Context) -> list[Item | None]:
    """The items, None for those outside the assortments of a buyer's or partner's customers. The customers are read
    only if an item is not in all assortments."""
    if not _is_limited(ctx) or not any(row.assortments for row in rows if row is not None):
        return list(rows)
    codes = await _assortments(sorted(ctx.principal.customers), ctx)
    if codes is None:
        return list(rows)
    return [row if row is None or not row.assortments or set(codes) & set(row.assortments) else None for row in rows]


def _is_limited(ctx: Context) -> bool:
    return all(row_reach(role) in WITHIN_ASSORTMENT for role in ctx.principal.roles)


async def _customers(requested: ItemFilter, ctx: Context) -> list[str]:
    """The customers that a list is for: the one named, else the caller's own."""
    if requested.customer is not None:
        number = await customer_number(requested.customer, ctx)
        return [] if number is None else [number]
    return sorted(ctx.principal.customers) if ctx.principal.restricted else []


async def _assortments(customers: Sequence[str], ctx: Context) -> tuple[str, ...] | None:
    """The assortments of customers together; None where one of them may buy the whole range. A customer that does not
    exist for the caller has none."""
    found = await ctx.loaders.customers.many(customers)
    codes: set[str] = set()
    for one in found:
        if isinstance(one, Exception):
            raise one
        if one is not None and one.assortments is None:
            return None
        codes.update(one.assortments or () if one is not None else ())
    return tuple(sorted(codes))


async def _own_part_numbers(search: str | None, customers: Sequence[str], ctx: Context) -> tuple[str, ...]:
    """SKUs whose part number at one of the customers is what was searched for, from the source in one call."""
    if search is None or not 0 < len(customers) <= OWN_NUMBERS or not any(one.isdigit() for one in search):
        return ()
    number = search.strip()
    if len(number.split()) > 2:
        return ()
    keys = [CustomerPartKey(customer=customer, number=number) for customer in customers]
    found: Sequence[str | Exception | None] = ()
    with suppress(NotSupported):
        found = await ctx.loaders.skus_by_customer_part.many(keys)
    for one in found:
        if isinstance(one, SourceError):
            note_incomplete(one.source, ctx.now, one.code)  # The search goes on without the customer's own numbers.
    return tuple(dict.fromkeys(one for one in found if isinstance(one, str)))


def _connection(scope: ListScope, page: Page[Item], found: SearchPage, ctx: Context) -> ItemConnection:
    plain = scope.connection(page)
    return ItemConnection(
        found=plain.found,
        scope=scope,
        facets=found.facets,
        categories=_tree(found.categories),
        freshness=None if found.as_of is None else _freshness(found, ctx),
    )


def _freshness(found: SearchPage, ctx: Context) -> Freshness:
    assert found.as_of is not None  # noqa: S101 - the caller looked
    old = (ctx.now - found.as_of).total_seconds() > ITEM.max_age
    return Freshness(
        source="search",
        as_of=found.as_of,
        cached=True,
        degraded=old,
        max_age=ITEM.max_age,
        reason="SEARCH_INDEX_BEHIND" if old else None,
    )


def _tree(categories: Sequence[CategoryCount]) -> tuple[ItemCategory, ...]:
    """Categories below those whose paths begin theirs."""
    below: dict[str, list[CategoryCount]] = {}
    for one in categories:
        parent, _, _ = one.path.rpartition("/")
        below.setdefault(parent, []).append(one)

    def children(path: str) -> tuple[ItemCategory, ...]:
        return tuple(
            ItemCategory(path=one.path, name=one.path.rpartition("/")[2], count=one.count, children=children(one.path))
            for one in below.get(path, ())
        )

    return children("")
