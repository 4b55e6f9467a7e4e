"""The contract of index stores: SQLite and PostgreSQL find, count and change the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.errors import InvalidCursor
from app.search.documents import IndexDocument, customer_document, item_document
from app.search.stores.store import CODES, IndexStore
from app.sources.contacts import Contact
from app.sources.customers import Customer
from app.sources.items import Attribute, Item, ItemContent
from app.sources.search import AttributeFilter, CategoryCount, ItemFacetValue, SearchField, SearchPage
from app.sources.values import Freshness
from tests.support.postgres import Postgres
from tests.support.search import BUILT_AT, build, find, find_customers, open_store


def bolt(
    number: int, material: str = "zinc", *, assortments: tuple[str, ...] = (), stock: str | None = None
) -> IndexDocument:
    """Bolt B-001 is 1 mm long, and so on."""
    item = Item(
        sku=f"B-{number:03}",
        name=f"Hex bolt M8 x {number} {material}",
        base_uom="EA",
        gtin=f"40990000000{number:02}",
        manufacturer_part=f"KE-HB-{number:05}",
        category="Fasteners/Bolts",
        attributes=(
            Attribute(code="length", value=str(number), unit="MMT"),
            Attribute(code="material", value=material),
        ),
        assortments=assortments,
    )
    content = ItemContent(sku=item.sku, attributes=(Attribute(code="brand", value="Kestrel"),))
    document = item_document(item, content, None)
    return document if stock is None else with_stock(document, stock)


def with_stock(document: IndexDocument, warehouse: str) -> IndexDocument:
    """The document of an item that a warehouse has."""
    return IndexDocument(**{**_fields(document), "filters": (*document.filters, "s:", f"w:{warehouse}")})


def _fields(document: IndexDocument) -> dict[str, object]:
    return {name: getattr(document, name) for name in document.__struct_fields__}


VALVE = item_document(
    Item(
        sku="V-1",
        name="Ball valve 1/2 in brass",
        base_uom="EA",
        category="Valves",
        attributes=(Attribute(code="size", value="1/2", unit="INH"), Attribute(code="material", value="brass")),
    ),
    ItemContent(sku="V-1", description="Norpipe valve for water, gas and steam", attributes=()),
    None,
)


@pytest.fixture(params=["sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[IndexStore]:
    """An index of nine bolts, of which two are of the assortment SPECIAL and one is in stock, and a valve."""
    bolts = [bolt(number) for number in range(1, 7)]
    bolts += [bolt(7, "brass", stock="WH-1"), *(bolt(number, "brass", assortments=("SPECIAL",)) for number in (8, 9))]
    if request.param == "sqlite":
        async with open_store(tmp_path) as opened:
            await build(opened, [*bolts, VALVE])
            yield opened
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    async with postgres.database() as url, open_store(url) as opened:
        await build(opened, [*bolts, VALVE])
        yield opened


def facet(page: SearchPage, code: str) -> dict[str, int]:
    """The counts of an attribute's values."""
    (found,) = (one for one in page.facets if one.code == code)
    return {value.value: value.count for value in found.values}


@pytest.mark.parametrize(
    ("text", "first", "total"),
    [
        ("ball valve", "V-1", 1),
        ("ba val", "V-1", 1),  # half words
        ("alve", "V-1", 1),  # a part of a word
        ("ballvalve", "V-1", 1),  # two words in one
        ("vavle", "V-1", 1),  # neighbours swapped
        ("valvve", "V-1", 1),  # a character too many
        ("bal valv", "V-1", 1),
        ("velve", "V-1", 1),  # a wrong character
        ("steam", "V-1", 1),  # the description
        ('1/2" brass', "V-1", 1),
        ("1/2 inch", "V-1", 1),
        ("½ in", "V-1", 1),
        ("M8x5", "B-005", 1),
        ("m8 5 mm", "B-005", 1),
        ("b-005", "B-005", 1),
        ("B005", "B-005", 1),
        ("b 005", "B-005", 1),
        ("4099000000005", "B-005", 1),
        ("004099000000005", "B-005", 1),
        ("ke-hb-00005", "B-005", 1),
        ("KE-HB-0000", "B-001", 9),  # the beginning of part numbers
        ("hb00005", "B-005", 1),  # a part of one
        ("kestrel", "B-001", 9),
        ("KESTRËL", "B-001", 9),
        ("bolts", "B-001", 9),
        ("hex bolt brass", "B-007", 3),
        ("hex bolt unheardof", "B-001", 9),  # all words but one
    ],
)
async def test_what_people_type_finds(store: IndexStore, text: str, first: str, total: int):
    page = await find(store, text)
    assert (page.rows[0], page.total) == (first, total)


@pytest.mark.parametrize(
    "text",
    [
        "unheardof",
        "😀",
        '"',
        "''''",
        "*",
        "%%%",
        "___",
        "\\",
        '" OR zzz=qqq --',
        "NEAR(bolt, 5) AND NOT valve*" * 2,
        "^" * 200,
        "ボルト",
        "{schema} %(q)s",
    ],
)
async def test_operators_and_signs_are_text(store: IndexStore, text: str):
    page = await find(store, text, facets=None, categories=True)
    if not any(word in text for word in ("bolt", "valve")):
        assert (page.rows, page.total, page.facets, page.categories) == ((), 0, (), ())
    assert (await find(store, "valve")).rows == ("V-1",)


async def test_without_a_text_all_are_listed_by_sku_in_pages(store: IndexStore):
    listed: list[str] = []
    after: str | None = None
    while True:
        page = await find(store, first=4, after=after)
        assert page.total == 10
        listed += page.rows
        if not page.has_next:
            break
        after = page.cursors[-1]
    assert listed == [*(f"B-{number:03}" for number in range(1, 10)), "V-1"]


async def test_pages_of_a_search_hold_each_item_once(store: IndexStore):
    whole = (await find(store, "brass hex")).rows
    parts = [await find(store, "brass hex", 1)]
    while parts[-1].has_next:
        parts.append(await find(store, "brass hex", 1, after=parts[-1].cursors[-1]))
    assert tuple(row for page in parts for row in page.rows) == whole == ("B-007", "B-008", "B-009")
    assert [page.has_previous for page in parts] == [False, True, True]


@pytest.mark.parametrize("cursor", ["", "1", "x:B-001", "-1:B-001", "99999:B-001"])
async def test_a_cursor_of_another_kind_is_refused(store: IndexStore, cursor: str):
    with pytest.raises(InvalidCursor):
        await find(store, "bolt", after=cursor)


async def test_facets_and_categories_count_the_whole_result(store: IndexStore):
    page = await find(store, "m8", 2, facets=("material", "length", "unknown"), categories=True)
    assert facet(page, "material") == {"zinc": 6, "brass": 3}
    (length,) = (one for one in page.facets if one.code == "length")
    assert length.values[0] == ItemFacetValue(value="1", unit="MMT", count=1)
    assert page.categories == (CategoryCount(path="Fasteners", count=9), CategoryCount(path="Fasteners/Bolts", count=9))


async def test_a_facets_own_filter_does_not_narrow_its_counts(store: IndexStore):
    page = await find(
        store,
        category="Fasteners",
        attributes=(AttributeFilter(code="material", values=("brass",)),),
        facets=("material", "brand"),
        categories=True,
    )
    assert (page.rows, page.total) == (("B-007", "B-008", "B-009"), 3)
    assert facet(page, "material") == {"zinc": 6, "brass": 3}
    assert facet(page, "brand") == {"Kestrel": 3}
    assert page.categories == (
        CategoryCount(path="Fasteners", count=3),
        CategoryCount(path="Fasteners/Bolts", count=3),
        CategoryCount(path="Valves", count=1),
    )


async def test_attribute_filters_take_several_values_and_a_unit(store: IndexStore):
    async def rows(*filters: AttributeFilter) -> tuple[str, ...]:
        return (await find(store, attributes=filters)).rows

    assert await rows(AttributeFilter(code="length", values=("1", "2", "77"))) == ("B-001", "B-002")
    assert await rows(AttributeFilter(code="length", values=("1",), unit="MMT")) == ("B-001",)
    assert await rows(AttributeFilter(code="length", values=("1",), unit="INH")) == ()
    assert await rows(AttributeFilter(code="length\x1f1", values=("",))) == ()
    assert (
        await rows(AttributeFilter(code="length", values=("8",)), AttributeFilter(code="material", values=("zinc",)))
        == ()
    )


async def test_items_outside_the_assortments_are_neither_listed_nor_counted(store: IndexStore):
    for assortments, rows, brass in ((), 8, 2), (("OTHER",), 8, 2), (("SPECIAL", "OTHER"), 10, 4), (None, 10, 4):
        page = await find(store, first=20, assortments=assortments, facets=None, categories=True)
        assert (len(page.rows), page.total) == (rows, rows)
        assert facet(page, "material")["brass"] == brass
        assert page.categories[0].count == rows - 1
    hidden = await find(store, "KE-HB-00008", assortments=(), keys=("B-008",), facets=None, categories=True)
    assert (hidden.rows, hidden.total, hidden.facets, hidden.categories) == ((), 0, (), ())


async def test_hidden_codes_crowd_out_none_that_the_caller_may_see(store: IndexStore):
    hidden = [bolt(number, assortments=("SPECIAL",)) for number in range(10_000, 10_000 + CODES)]
    await build(store, [*hidden, bolt(10_000 + CODES)])
    for text in ("KE-HB-10", "HB-10"):  # The beginning, and a part.
        found = await find(store, text, assortments=())
        assert (found.rows, found.total) == ((f"B-{10_000 + CODES}",), 1), text
        assert (await find(store, text, assortments=("SPECIAL",))).total == CODES


async def test_only_items_in_stock_of_some_warehouse(store: IndexStore):
    assert (await find(store, "bolt", in_stock=True)).rows == ("B-007",)
    assert (await find(store, warehouses=("WH-1", "WH-2"))).rows == ("B-007",)
    assert (await find(store, warehouses=("WH-2",), facets=None)).facets == ()


async def test_named_keys_come_first(store: IndexStore):
    page = await find(store, "hex bolt 3", keys=("V-1", "GONE"))
    assert page.rows[:2] == ("V-1", "B-003")


async def test_a_changed_item_is_found_by_its_new_words_only(store: IndexStore):
    later = BUILT_AT + timedelta(minutes=5)
    renamed = bolt(3, "titanium")
    await store.apply([renamed, bolt(42)], ["B-001", "UNKNOWN"], "17", later)
    assert (await find(store, "titanium")).rows == ("B-003",)
    assert (await find(store, "titanim")).rows == ("B-003",)
    assert (await find(store, "tanium")).rows == ("B-003",)
    assert (await find(store, "KE-HB-00042")).rows == ("B-042",)
    assert (await find(store, "hb00042")).rows == ("B-042",)
    assert (await find(store, "KE-HB-00001")).total == 0
    page = await find(store, "m8", facets=("material",))
    assert page.total == 9
    assert facet(page, "material") == {"zinc": 5, "brass": 3, "titanium": 1}
    assert page.as_of == later
    state = await store.state()
    assert state is not None
    assert (state.cursor, state.documents, state.version) == ("17", 10, 1)


async def test_a_check_without_changes_moves_the_position_only(store: IndexStore):
    later = BUILT_AT + timedelta(minutes=5)
    await store.apply((), (), "18", later)
    state = await store.state()
    assert state is not None
    assert (state.cursor, state.checked_at, state.version, state.built_at > BUILT_AT) == ("18", later, 0, True)
    assert state.bytes > 0


async def test_a_rebuild_replaces_the_index_while_it_is_searched(store: IndexStore):
    before = await find(store, first=2)
    await build(store, [bolt(number) for number in range(1, 31)])
    after = await find(store, first=3, after=before.cursors[-1])
    assert (after.rows, after.total) == (("B-003", "B-004", "B-005"), 30)
    await build(store, [VALVE])
    assert (await find(store)).rows == ("V-1",)


async def test_an_unfinished_build_leaves_the_index_and_is_deleted_by_the_next(store: IndexStore):
    target = await store.begin_build()
    assert (await find(store)).total == 10
    again = await store.begin_build()
    assert target.target != again.target
    await build(store, [VALVE])
    assert (await find(store)).total == 1


async def test_one_process_at_a_time_writes(store: IndexStore):
    async with store.leading() as first, store.leading() as second:
        assert (first, second) == (True, False)
    async with store.leading() as third:
        assert third is True


async def test_an_index_that_was_never_built_is_none(tmp_path: Path, postgres_url: str):
    for place in (tmp_path, postgres_url):
        async with open_store(place) as empty:
            assert await empty.state() is None
            assert await empty.read(lambda snapshot: snapshot.known(["x"])) is None


async def test_customers_are_found_in_the_callers_own(tmp_path: Path, postgres_url: str):
    documents = [
        IndexDocument(
            key="C-1",
            codes=("C-1", "77002"),
            phones=("17135550101", "7135550101", "5550101"),
            name="Atlas Boilers",
            attributes=("Houston",),
        ),
        IndexDocument(key="C-2", codes=("C-2", "77002"), name="Atlas Pumps", attributes=("Houston", "Ann Archer")),
    ]
    for place in (tmp_path, postgres_url):
        async with open_store(place, "customers") as store:
            await build(store, documents)
            for text in ("atlas", "houston", "77002", "houstn"):
                assert (await find_customers(store, text)).total == 2
                assert (await find_customers(store, text, ["C-2"])).rows == ("C-2",)
                assert (await find_customers(store, text, ["C-3"])).total == 0
            for text in ("713-555-0101", "+17135550101", "(713) 555-0101", "555-0101", "713 555 0101"):
                assert (await find_customers(store, text)).rows == ("C-1",)
            assert (await find_customers(store, "archer")).rows == ("C-2",)


async def test_fields_that_are_hidden_from_the_caller_are_not_matched(tmp_path: Path, postgres_url: str):
    ann = Contact(
        id="1",
        customer="C-1",
        name="Ann Archer",
        phone="+1 713 555 0101",
        email="ann@kilnworks.example",
        freshness=Freshness(source="erp", as_of=BUILT_AT),
    )
    documents = [
        customer_document(Customer(number="C-1", name="Atlas Boilers", currency="USD"), (ann,)),
        customer_document(Customer(number="C-2", name="Arche Pumps", currency="USD")),
    ]
    details, contacts = (SearchField.CONTACT_DETAILS,), (SearchField.CONTACTS, SearchField.CONTACT_DETAILS)
    phones = ("+1 713 555 0101", "713-555-0101", "5550101")
    for place in (tmp_path, postgres_url):
        async with open_store(place, "customers") as store:
            await build(store, documents)

            async def found(text: str, hidden: tuple[SearchField, ...]) -> tuple[tuple[str, ...], int | None]:
                page = await find_customers(store, text, hidden=hidden)
                return page.rows, page.total

            for text in (*phones, "ann@kilnworks.example", "kilnworks", "atlas 713-555-0101"):
                assert await found(text, ()) == (("C-1",), 1), text
            for text in (*phones, "ann@kilnworks.example", "kilnworks", "kilnwork", "7135550"):
                assert await found(text, contacts) == ((), 0), text
            for text in (*phones, "kilnworks", "7135550"):
                assert await found(text, details) == ((), 0), text
            assert await found("ann archer", details) == (("C-1",), 1)
            # A typo is mended as if the hidden word did not exist.
            assert await found("archer", contacts) == (("C-2",), 1)


async def test_codes_and_attributes_that_are_hidden_are_not_matched(store: IndexStore):
    async def total(text: str, *hidden: SearchField) -> int | None:
        return (await find(store, text, hidden=hidden)).total

    for text, field in (
        ("4099000000005", SearchField.CODES),
        ("ke-hb-0000", SearchField.CODES),
        ("kestrel", SearchField.ATTRIBUTES),
        ("steam", SearchField.DESCRIPTION),
    ):
        assert await total(text) in (1, 9)
        assert await total(text, field) == 0, text
    assert (await find(store, "B-005", hidden=(SearchField.CODES,))).rows == ("B-005",)


async def test_rows_of_another_tenant_are_neither_found_nor_counted(tmp_path: Path, postgres_url: str):
    def item(sku: str, name: str, material: str, tenant: str | None) -> IndexDocument:
        attributes = (Attribute(code="material", value=material), Attribute(code=f"own-{tenant}", value="yes"))
        one = Item(sku=sku, name=name, base_uom="EA", category=f"Cat-{tenant}", attributes=attributes)
        return item_document(one, None, None, tenant)

    documents = [
        item("N-1", "flange", "steel", "north"),
        item("S-1", "flang", "iron", "south"),
        item("A-1", "gasket", "rubber", None),
    ]
    for place in (tmp_path, postgres_url):
        async with open_store(place) as store:
            await build(store, documents)
            for tenant, own in (("north", ("N-1", "A-1")), ("south", ("S-1", "A-1")), ("other", ("A-1",))):
                page = await find(store, tenant=tenant, facets=None, categories=True)
                assert (page.rows, page.total) == (own, len(own))
                tenants = {"None", tenant} if len(own) == 2 else {"None"}
                assert {one.path for one in page.categories} == {f"Cat-{one}" for one in tenants}
                assert {one.code for one in page.facets} == {"material", *(f"own-{one}" for one in tenants)}
            assert (await find(store, tenant=None)).total == 3
            assert (await find(store, "N-1", keys=("N-1",), tenant="south")).total == 0
            # A foreign word does not keep a typo from being mended.
            assert (await find(store, "flange", tenant="south")).rows == ("S-1",)
            assert (await find(store, "flange", tenant="north")).rows == ("N-1",)
            customers = [
                customer_document(Customer(number=f"C-{one}", name="Atlas", currency="USD"), (), one)
                for one in ("north", "south")
            ]
            await build(store, customers)
            found = await find_customers(store, "atlas", tenant="north")
            assert (found.rows, found.total) == (("C-north",), 1)
