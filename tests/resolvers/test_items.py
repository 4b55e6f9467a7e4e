"""Items over the sandbox: by every key, listed, with units, content and relations."""

from __future__ import annotations

import pytest

from app.auth.principal import Role
from tests.support.gateway import BUYER, CSR_LEAD, Graph, signed

pytestmark = pytest.mark.shared_gateway

BY = "query($by: ItemKey!) { item(by: $by) { sku } }"
PART = {"customer": {"number": "CUST-0001"}, "number": "C01-0001"}


@pytest.mark.parametrize(
    "key",
    [
        {"id": "SXRlbTpTS1UtMDAwMQ"},
        {"sku": "SKU-0001"},
        {"sku": "sku-0001"},
        {"gtin": "4099000000017"},
        {"customerPart": PART},
        {"customerPart": PART | {"customer": {"id": "Q3VzdG9tZXI6Q1VTVC0wMDAx"}}},
        {"customerPart": PART | {"customer": {"ref": {"system": "erp", "id": "1001"}}}},
    ],
    ids=["id", "sku", "sku in small letters", "gtin", "part by number", "part by id", "part by ref"],
)
async def test_item_is_found_by_each_key(graph: Graph, key: dict):
    assert await graph.data(BY, {"by": key}) == {"item": {"sku": "SKU-0001"}}


@pytest.mark.parametrize(
    "key",
    [
        {"id": "SXRlbTpTS1UtOTk5OQ"},
        {"sku": "SKU-9999"},
        {"sku": "sku-9999"},
        {"gtin": "4099000000010"},
        {"customerPart": PART | {"number": "C01-9999"}},
        {"customerPart": PART | {"customer": {"number": "CUST-0002"}}},
        {"customerPart": PART | {"customer": {"ref": {"system": "erp", "id": "9"}}}},
    ],
    ids=str,
)
async def test_unknown_item_is_null(graph: Graph, key: dict):
    assert await graph.data(BY, {"by": key}) == {"item": None}


async def test_item_joins_master_data_and_content(graph: Graph):
    query = """{ item(by: {sku: "SKU-0001"}) {
      name status gtin manufacturerPart category baseUom description
      uoms { code name numerator denominator isBase isSales isStock minimum increment }
      attributes { code value unit } media { url kind alt } dimensions { weight weightUnit length } hazmat { unNumber }
      refs { system id } cost { unitCost { amount } marginFloor }
    } }"""
    item = (await graph.data(query, principal=CSR_LEAD))["item"]
    assert item["description"] == (
        "Kestrel Hex bolt M4 x 12 8.8 zinc plated: thread M4, length 12, material 8.8 zinc plated. "
        "Fasteners for industrial use."
    )
    assert [(uom["code"], uom["name"], uom["numerator"], uom["denominator"]) for uom in item["uoms"]] == [
        ("EA", "each", 1, 1),
        ("XBX", "box", 100, 1),
        ("XCS", "case", 1000, 1),
    ]
    assert [uom["isBase"] for uom in item["uoms"]] == [True, False, False]
    assert item["attributes"] == [
        {"code": "thread", "value": "M4", "unit": None},
        {"code": "length", "value": "12", "unit": "MMT"},
        {"code": "material", "value": "8.8 zinc plated", "unit": None},
        {"code": "brand", "value": "Kestrel", "unit": None},
    ]
    assert item["media"][0]["url"] == "https://media.example.com/sku-0001.jpg"
    assert (item["gtin"], item["category"], item["hazmat"]) == ("4099000000017", "Fasteners/Bolts", None)
    assert item["refs"] == [{"system": "erp", "id": "20001"}]
    assert item["cost"]["marginFloor"] == "12.5"


async def test_dangerous_goods_say_so(graph: Graph):
    item = (await graph.data('{ item(by: {sku: "SKU-0007"}) { hazmat { unNumber hazardClass packingGroup } } }'))[
        "item"
    ]
    assert item["hazmat"] == {"unNumber": "UN3082", "hazardClass": "9", "packingGroup": "III"}


async def test_units_are_exact_where_decimals_are_not(graph: Graph):
    item = (await graph.data('{ item(by: {sku: "SKU-0014"}) { baseUom uoms { code numerator denominator } } }'))["item"]
    assert item["baseUom"] == "MTR"
    assert {"code": "FOT", "numerator": 381, "denominator": 1250} in item["uoms"]


async def test_item_without_content_has_its_master_data(graph: Graph):
    query = '{ item(by: {sku: "SKU-0050"}) { sku description media { url } attributes { code } } }'
    item = (await graph.data(query))["item"]
    assert (item["description"], item["media"]) == (None, [])
    assert "brand" not in [attribute["code"] for attribute in item["attributes"]]


async def test_item_that_only_the_shop_knows_is_no_item(graph: Graph):
    """SKU-5001 is in the commerce platform alone; the master of items is the ERP."""
    query = """{ item(by: {sku: "SKU-5001"}) { sku } itemsBySku(skus: ["SKU-5001", "SKU-0001"]) { sku description }
      items(first: 1, filter: {search: "SKU-5001"}) { totalCount nodes { sku } } }"""
    data = await graph.data(query)
    assert (data["item"], data["items"]) == (None, {"totalCount": 0, "nodes": []})
    assert [row and row["sku"] for row in data["itemsBySku"]] == [None, "SKU-0001"]


RELATED = '{ item(by: {sku: "SKU-0244"}) { status relations { type approved priority ratio item { sku } } } }'


async def test_relations_are_by_priority(graph: Graph):
    item = (await graph.data(RELATED))["item"]
    assert item["status"] == "DISCONTINUED"
    assert [(one["type"], one["item"]["sku"], one["approved"], one["priority"]) for one in item["relations"]] == [
        ("SUPERSEDED_BY", "SKU-4623", True, 0),
        ("SUBSTITUTE", "SKU-2917", True, 1),
        ("SUBSTITUTE", "SKU-4258", False, 2),
    ]


@pytest.mark.parametrize("principal", [BUYER, signed(Role.PARTNER, "CUST-0001")], ids=["buyer", "partner"])
async def test_relations_that_are_not_approved_are_not_for_those_who_buy(graph: Graph, principal: dict[str, str]):
    item = (await graph.data(RELATED, principal=principal))["item"]
    assert [one["item"]["sku"] for one in item["relations"]] == ["SKU-4623", "SKU-2917"]


async def test_customer_part_number(graph: Graph):
    query = """query($by: CustomerKey!) { itemsBySku(skus: ["SKU-0001", "SKU-0013", "SKU-0012"]) {
      customerPartNumber(customer: $by) } }"""
    found = await graph.data(query, {"by": {"number": "CUST-0001"}})
    assert [row["customerPartNumber"] for row in found["itemsBySku"]] == ["C01-0001", None, "C01-0012"]
    missing = await graph.data(query, {"by": {"number": "CUST-9999"}})
    assert [row["customerPartNumber"] for row in missing["itemsBySku"]] == [None, None, None]


LIST = """query($first: Int!, $after: String, $filter: ItemFilter) {
  items(first: $first, after: $after, filter: $filter) {
  totalCount nodes { sku name category } pageInfo { hasNextPage endCursor } } }"""


async def whole_list(graph: Graph, **filters: str) -> list[dict]:
    found: list[dict] = []
    after = None
    while True:
        page = (await graph.data(LIST, {"first": 100, "after": after, "filter": filters}))["items"]
        found += page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            assert page["totalCount"] == len(found)
            return found
        after = page["pageInfo"]["endCursor"]


async def test_all_items_page_by_sku_without_gap_or_double(graph: Graph):
    assert [item["sku"] for item in await whole_list(graph)] == [f"SKU-{number:04}" for number in range(1, 5001)]


async def test_search_and_category_together_narrow_the_list(graph: Graph):
    bolts = await whole_list(graph, category="Fasteners/Bolts")
    assert {item["category"] for item in bolts} == {"Fasteners/Bolts"}
    m4 = await whole_list(graph, category="Fasteners/Bolts", search="M4 ZINC")
    assert [item for item in bolts if "M4 " in item["name"] and "zinc" in item["name"]] == m4
    assert 0 < len(m4) < len(bolts)


async def test_repeated_and_unknown_skus_keep_their_positions(graph: Graph):
    skus = ["SKU-0003", "none", "SKU-0001", "SKU-0003"]
    data = await graph.data("query($skus: [String!]!) { itemsBySku(skus: $skus) { sku } }", {"skus": skus})
    assert [row and row["sku"] for row in data["itemsBySku"]] == ["SKU-0003", None, "SKU-0001", "SKU-0003"]


async def test_five_hundred_skus_are_one_read(graph: Graph):
    skus = [f"SKU-{number:04}" for number in range(500, 0, -1)]
    data = await graph.data("query($skus: [String!]!) { itemsBySku(skus: $skus) { sku } }", {"skus": skus})
    assert [row["sku"] for row in data["itemsBySku"]] == skus
    assert await graph.requests() == {"erp": 1, "commerce": 0, "logistics": 0}
