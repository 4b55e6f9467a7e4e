"""Search over items and customers: what a source with a search of its own serves, and the gateway's own index.

A search returns keys (SKUs, customer numbers) in the order of relevance; the rows are read by their own ports.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

import msgspec

from app.auth.principal import Principal
from app.sources.customers import CustomerQuery
from app.sources.ports import Port, Read, Shape
from app.sources.values import Page, PageRequest, Record, Timestamp


class AttributeFilter(Record):
    """Items whose attribute `code` has one of these values, in `unit` if one is given."""

    code: str
    values: tuple[str, ...]
    unit: str | None = None


class SearchField(StrEnum):
    """What a text is matched with beside the name and the key, as far as the caller may see it."""

    CODES = "CODES"
    ATTRIBUTES = "ATTRIBUTES"
    DESCRIPTION = "DESCRIPTION"
    CONTACTS = "CONTACTS"
    CONTACT_DETAILS = "CONTACT_DETAILS"


class ItemSearchQuery(Record):
    """A search for items. All conditions have to hold; of the values of one condition, any.

    `text` is free text as people type it; without one all items match, by SKU. `keys` are SKUs that match beside it,
    before all others, such as those of the customer's own part number. `category` is a path such as
    "Fasteners/Bolts", with what is below it. `in_stock` asks for items of which a warehouse has some, of `warehouses`
    if any are named. `assortments` is row scope: the codes of the assortments that the caller may see, None for all.
    `facets` are attribute codes to count; None for the most common ones of the result; `categories` asks for their
    counts. A facet's own filter does not narrow its counts, nor the category's its own. `hidden` names the fields that
    the caller may not see: the text must not be matched with them.
    """

    page: PageRequest
    text: str | None = None
    keys: tuple[str, ...] = ()
    category: str | None = None
    attributes: tuple[AttributeFilter, ...] = ()
    in_stock: bool = False
    warehouses: tuple[str, ...] = ()
    assortments: tuple[str, ...] | None = None
    facets: tuple[str, ...] | None = ()
    categories: bool = False
    hidden: tuple[SearchField, ...] = ()


class ItemFacetValue(Record):
    """A value of an attribute, and how many items of the result have it."""

    value: str
    unit: str | None = None
    count: int


class ItemFacet(Record):
    """An attribute of the items found, with its values, the most common first."""

    code: str
    values: tuple[ItemFacetValue, ...] = ()


class CategoryCount(Record):
    """A category by its path, and how many items of the result are in it or below."""

    path: str
    count: int


class CustomerSearchQuery(CustomerQuery):
    """A search for customers. `hidden` names the fields that the caller may not see, such as the phone numbers and mail
    addresses of contacts (CONTACT_DETAILS): the text must not be matched with them."""

    hidden: tuple[SearchField, ...] = ()


class SearchPage(Page[str]):
    """A page of keys. `as_of` is the time up to which changes are in the index; None where nothing is indexed."""

    facets: tuple[ItemFacet, ...] = ()
    categories: tuple[CategoryCount, ...] = ()
    as_of: Timestamp | None = None


class Search(Protocol):
    """Search by text, best match first."""

    async def items(self, principal: Principal, query: ItemSearchQuery) -> SearchPage:
        """A page of SKUs. Raises InvalidCursor for a cursor of another search."""
        ...

    async def customers(self, principal: Principal, query: CustomerSearchQuery) -> SearchPage:
        """A page of customer numbers, of `query.numbers` if given."""
        ...


def _own_numbers(query: Any, customers: frozenset[str]) -> Any:
    return msgspec.structs.replace(query, numbers=tuple(sorted(customers)))


SEARCH = Port(
    "search",
    Search,
    {
        "items": Read(record=str, shape=Shape.LIST, page=SearchPage),
        "customers": Read(record=str, shape=Shape.LIST, page=SearchPage, restrict=_own_numbers),
    },
)
