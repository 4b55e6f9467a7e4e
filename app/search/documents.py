"""Rows of the sources as documents of the index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from app.search.analysis import code_of, document_words, measure
from app.sources.contacts import Contact
from app.sources.customers import Customer
from app.sources.items import Attribute, Item, ItemContent
from app.sources.stock import StockLevel
from app.sources.values import Record

SEPARATOR = "\x1f"
LIVE = "*"
IN_STOCK = "s:"
FACET_CODE = "F:"
"""The prefix of the terms of all items that have an attribute."""

MAX_VALUE = 80
"""Characters of an attribute value that is counted; longer ones are prose."""

NAME, ATTRIBUTE, DESCRIPTION, CONTACT, EMAIL = "n:", "a:", "d:", "k:", "e:"
"""Prefixes of terms by the field that a word is of. CONTACT are names of contacts, EMAIL their mail addresses."""

ALL_TENANTS = ""
"""The tenant of rows that exist for the callers of every tenant."""


class IndexDocument(Record):
    """What an index knows of a row. `key` is its SKU or number; `codes` are found whole, by their beginning or a part;
    `name`, `attributes`, `description`, `contacts` and `emails` by their words, `phones` whole. `filters` are terms by
    which rows are filtered and counted, see `facet_prefix`, `category_terms` and others. For callers of another
    `tenant` the row does not exist."""

    key: str
    codes: tuple[str, ...] = ()
    name: str = ""
    attributes: tuple[str, ...] = ()
    description: str = ""
    contacts: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    tenant: str = ALL_TENANTS

    def terms(self) -> set[str]:
        """All terms of the document."""
        found = {LIVE, tenant_term(self.tenant), *self.filters, *map(phone_term, self.phones)}
        for field, texts in (
            (NAME, (self.name,)),
            (ATTRIBUTE, self.attributes),
            (DESCRIPTION, (self.description,)),
            (CONTACT, self.contacts),
            (EMAIL, self.emails),
        ):
            found.update(field + word for text in texts for word in document_words(text))
        return found

    def code_forms(self) -> list[str]:
        """The codes as they are compared."""
        return list(dict.fromkeys(form for code in self.codes if (form := code_of(code))))


def item_document(
    item: Item, content: ItemContent | None, level: StockLevel | None, tenant: str | None = None
) -> IndexDocument:
    """An item with the content of the commerce platform and its stock."""
    known = {attribute.code for attribute in item.attributes}
    more = content.attributes if content else ()
    attributes = [*item.attributes, *(one for one in more if one.code not in known)]
    return IndexDocument(
        key=item.sku,
        codes=tuple(code for code in (item.sku, item.gtin, item.manufacturer_part) if code),
        name=item.name,
        attributes=(*_attribute_texts(attributes), *([item.category.replace("/", " ")] if item.category else [])),
        description=(content.description if content else None) or item.description or "",
        filters=(
            *_facet_terms(attributes),
            *category_terms(item.category),
            *_stock_terms(level),
            *(assortment_term(code) for code in item.assortments or (EVERY_ASSORTMENT,)),
        ),
        tenant=tenant or ALL_TENANTS,
    )


def customer_document(customer: Customer, contacts: Sequence[Contact] = (), tenant: str | None = None) -> IndexDocument:
    """A customer with its addresses and contacts."""
    addresses = [one for one in (customer.bill_to, *customer.ship_tos) if one is not None]
    codes = [customer.number, *(one.address.postal_code for one in addresses), *(one.gln for one in addresses)]
    texts = [text for one in addresses for text in (one.name, *one.address.lines, one.address.city, one.address.region)]
    numbers = [number for contact in contacts for number in (contact.phone, contact.mobile) if number]
    return IndexDocument(
        key=customer.number,
        codes=tuple(code for code in codes if code),
        name=customer.name,
        attributes=tuple(text for text in texts if text),
        contacts=tuple(contact.name for contact in contacts),
        emails=tuple(contact.email for contact in contacts if contact.email),
        phones=tuple(form for number in numbers for form in phone_codes(number)),
        tenant=tenant or ALL_TENANTS,
    )


def phone_codes(number: str) -> list[str]:
    """The forms of a phone number that people type: whole, without the country's code, without the area's."""
    digits = "".join(one for one in number if one.isdigit())
    return list(dict.fromkeys(form for form in (digits, digits[-10:], digits[-7:]) if len(form) >= 5))


def phone_term(form: str) -> str:
    """The term of customers of which a contact has this phone number."""
    return f"p:{code_of(form)}"


def tenant_term(tenant: str) -> str:
    """The term of rows of a tenant; that of ALL_TENANTS is of rows that exist for every caller."""
    return f"t:{tenant}"


def _attribute_texts(attributes: Iterable[Attribute]) -> Iterator[str]:
    for attribute in attributes:
        yield attribute.value
        sized = measure(attribute.value, attribute.unit)
        if sized is not None:
            yield sized


def facet_prefix(code: str, value: str) -> str:
    """The beginning of the terms of an attribute's value; its unit follows."""
    return f"f:{code}{SEPARATOR}{value}{SEPARATOR}"


def _facet_terms(attributes: Iterable[Attribute]) -> Iterator[str]:
    for attribute in attributes:
        if attribute.value and len(attribute.value) <= MAX_VALUE and SEPARATOR not in attribute.code + attribute.value:
            yield f"{facet_prefix(attribute.code, attribute.value)}{attribute.unit or ''}"
            yield f"{FACET_CODE}{attribute.code}"


def category_terms(path: str | None) -> Iterator[str]:
    """The terms of a category and of those above it."""
    above = ""
    for name in (path or "").split("/"):
        if name:
            above = f"{above}/{name}" if above else name
            yield category_term(above)


def category_term(path: str) -> str:
    """The term of a category and all below it."""
    return f"c:{path}"


def warehouse_term(code: str) -> str:
    """The term of items of which a warehouse has some."""
    return f"w:{code}"


EVERY_ASSORTMENT = ""


def assortment_term(code: str) -> str:
    """The term of the items of an assortment; that of EVERY_ASSORTMENT is of the items in all."""
    return f"g:{code}"


def _stock_terms(level: StockLevel | None) -> Iterator[str]:
    """Where the system of record has goods that are not reserved, held or kept as safety stock."""
    positions = level.positions if level else ()
    codes = [one.warehouse for one in positions if one.on_hand > one.reserved + one.quality_hold + one.safety_stock]
    if codes:
        yield IN_STOCK
    yield from map(warehouse_term, codes)
