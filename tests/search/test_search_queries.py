"""Searches through the graph: rows, counts, row scope, bad input, backend calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.auth.demo import issue_demo_token
from app.auth.principal import Role
from app.sandbox import Sandbox
from app.settings import BudgetSettings, Domain, DomainSettings, PolicySettings, SearchSettings
from tests.support.gateway import AUTH, BUYER, BUYER_ADMIN, CSR, REP, SANDBOX_DOMAINS, Graph, gateway, signed

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIST = """query List($first: Int!, $after: String, $filter: ItemFilter, $facets: [String!]) {
  items(first: $first, after: $after, filter: $filter, facets: $facets) {
    totalCount
    nodes { sku name }
    pageInfo { hasNextPage endCursor }
    facets { code values { value unit count } }
    categories { path name count children { path count } }
    freshness { source asOf degraded }
  }
}"""
WITHOUT_CHEMICALS = signed(Role.BUYER, "CUST-0004")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def graph(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """A gateway with a search index, once it is built."""
    async with gateway(dated_sandbox, search=SearchSettings(), budgets=BudgetSettings(mode="measure")) as running:
        await wait_for_indexes(running)
        yield running


async def listed(graph: Graph, principal: Any = CSR, first: int = 5, **variables: Any) -> dict[str, Any]:
    """A list of items."""
    return (await graph.data(LIST, {"first": first, **variables}, principal=principal))["items"]


async def test_a_search_has_rows_facets_and_a_tree_of_categories_for_one_backend_call(graph: Graph):
    await graph.forget()
    found = await listed(graph, filter={"search": "hex bolt m8x40"})
    assert await graph.requests() == {"erp": 1, "commerce": 0, "logistics": 0}
    assert found["totalCount"] == 5
    assert [node["name"] for node in found["nodes"]] == [
        "Hex bolt M8 x 40 A2 stainless",
        "Hex bolt M8 x 40 10.9 plain",
        "Hex bolt M8 x 40 8.8 zinc plated",
        "Hex bolt M8 x 40 A4 stainless",
        "Hex bolt M8 x 40 A2 stainless, economy",
    ]
    facets = {facet["code"]: facet["values"] for facet in found["facets"]}
    assert facets["brand"] == [{"value": "Kestrel", "unit": None, "count": 5}]
    assert facets["length"] == [{"value": "40", "unit": "MMT", "count": 5}]
    assert found["categories"] == [
        {
            "path": "Fasteners",
            "name": "Fasteners",
            "count": 5,
            "children": [{"path": "Fasteners/Bolts", "count": 5}],
        }
    ]
    assert found["freshness"] == {"source": "search", "asOf": "2026-11-21T12:00:00Z", "degraded": False}


async def test_backend_calls_do_not_grow_with_rows(graph: Graph):
    for first in (1, 50):
        await graph.forget()
        found = await listed(graph, first=first, filter={"search": "bolt"})
        assert len(found["nodes"]) == first
        assert (await graph.requests())["erp"] == 1


async def test_pages_follow_each_other(graph: Graph):
    whole = [node["sku"] for node in (await listed(graph, first=60, filter={"search": "check valve"}))["nodes"]]
    paged: list[str] = []
    after = None
    while True:
        page = await listed(graph, first=25, after=after, filter={"search": "check valve"})
        paged += [node["sku"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"] or len(paged) >= 60:
            break
        after = page["pageInfo"]["endCursor"]
    assert paged[:60] == whole
    assert len(set(paged)) == len(paged)


async def test_filters_select_and_count(graph: Graph):
    found = await listed(
        graph,
        filter={"category": "Valves", "inStock": True, "attributes": [{"code": "material", "values": ["brass"]}]},
        facets=["material", "brand"],
    )
    facets = {facet["code"]: {one["value"]: one["count"] for one in facet["values"]} for facet in found["facets"]}
    assert set(facets) == {"material", "brand"}
    assert (found["totalCount"], facets["brand"]) == (47, {"Norpipe": 46})  # One has no content, so no brand.
    assert facets["material"]["brass"] == found["totalCount"] < sum(facets["material"].values())
    here = await graph.data('{ items(first: 1, filter: {category: "Valves", warehouses: ["WH-WEST"]}) { totalCount } }')
    everywhere = await graph.data('{ items(first: 1, filter: {category: "Valves", inStock: true}) { totalCount } }')
    assert 0 < here["items"]["totalCount"] < everywhere["items"]["totalCount"]


async def test_items_outside_the_assortment_are_neither_shown_nor_counted(graph: Graph):
    for principal, visible in ((CSR, True), (BUYER, True), (WITHOUT_CHEMICALS, False)):
        adhesives = await listed(graph, principal, filter={"search": "adhesive"})
        assert (adhesives["totalCount"] > 0, bool(adhesives["nodes"]), bool(adhesives["facets"])) == (visible,) * 3
        everything = await listed(graph, principal, first=0)
        assert ("Chemicals" in [one["path"] for one in everything["categories"]]) is visible
    whole, narrowed = [
        (await listed(graph, principal, first=0))["totalCount"] for principal in (CSR, WITHOUT_CHEMICALS)
    ]
    chemicals = (await listed(graph, filter={"category": "Chemicals"}))["totalCount"]
    assert narrowed == whole - chemicals
    hidden = (await listed(graph, first=1, filter={"category": "Chemicals"}))["nodes"][0]["sku"]
    assert (await listed(graph, WITHOUT_CHEMICALS, filter={"search": hidden}))["totalCount"] == 0


async def test_keys_and_ids_show_no_item_outside_the_assortment(graph: Graph):
    adhesives = (await listed(graph, first=50, filter={"category": "Chemicals"}))["nodes"]
    skus = [node["sku"] for node in adhesives]
    query = """query($one: String, $skus: [String!]!, $id: ID!) {
      item(by: {sku: $one}) { sku } itemsBySku(skus: $skus) { sku } node(id: $id) { id }
    }"""
    id = (await graph.data("query($sku: String) { item(by: {sku: $sku}) { id } }", {"sku": skus[0]}))["item"]["id"]
    for number in (1, len(skus)):
        variables = {"one": skus[0], "skus": [*skus[:number], "SKU-0001"], "id": id}
        whole = [{"sku": sku} for sku in variables["skus"]]
        for principal in (CSR, BUYER):
            found = await graph.data(query, variables, principal=principal)
            assert found == {"item": {"sku": skus[0]}, "itemsBySku": whole, "node": {"id": id}}
        await graph.forget()
        found = await graph.data(query, variables, principal=WITHOUT_CHEMICALS)
        assert found == {"item": None, "itemsBySku": [None] * number + [{"sku": "SKU-0001"}], "node": None}
        assert (await graph.requests())["erp"] == 2
    await graph.forget()
    query = '{ item(by: {sku: "SKU-0001"}) { sku } }'
    assert (await graph.data(query, principal=WITHOUT_CHEMICALS))["item"] == {"sku": "SKU-0001"}
    assert (await graph.requests())["erp"] == 1


async def test_a_rep_searches_in_the_assortment_of_a_customer(graph: Graph):
    named = {"search": "adhesive", "customer": {"number": "CUST-0004"}}
    assert (await listed(graph, REP, filter=named))["totalCount"] == 0
    assert (await listed(graph, REP, filter=named | {"customer": {"number": "CUST-0001"}}))["totalCount"] > 0
    foreign = {"search": "adhesive", "customer": {"number": "CUST-0400"}}
    unknown = {"search": "adhesive", "customer": {"number": "CUST-9999"}}
    assert await listed(graph, REP, filter=foreign) == await listed(graph, REP, filter=unknown)


async def test_the_customers_own_part_number_comes_first(graph: Graph):
    found = await listed(graph, BUYER, filter={"search": "C01-0001"})
    assert [node["sku"] for node in found["nodes"]] == ["SKU-0001"]
    assert (await listed(graph, signed(Role.BUYER, "CUST-0002"), filter={"search": "C01-0001"}))["totalCount"] == 0


async def test_a_search_goes_on_while_part_numbers_cannot_be_read(graph: Graph):
    await graph.turn("erp", resource="customer-parts", errorRate=1.0)
    try:
        answer = await graph.ask(LIST, {"first": 5, "filter": {"search": "SKU-0001"}}, principal=BUYER)
        assert [node["sku"] for node in answer["data"]["items"]["nodes"]] == ["SKU-0001"]
    finally:
        await graph.repair()


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ({"search": "word " * 5_000}, "A search must have 1 to 256 characters."),
        ({"search": "a b " * 20}, "A search may have at most 32 words, not 40."),
        ({"search": "bolt\0"}, "A search must not contain control characters."),
        ({"warehouses": ["W"] * 21}, "warehouses may have at most 20 entries, not 21."),
        ({"attributes": [{"code": "c", "values": ["v"]}] * 21}, "attributes may name at most 20 attributes, not 21."),
        ({"attributes": [{"code": "c", "values": ["v"] * 21}]}, "values may have at most 20 entries, not 21."),
        (
            {"attributes": [{"code": "c\n", "values": ["v"]}]},
            "An attribute's code must not contain control characters.",
        ),
    ],
)
async def test_absurd_filters_are_refused(graph: Graph, filter: dict[str, Any], message: str):
    answer = await graph.ask(LIST, {"first": 5, "filter": filter})
    assert answer["data"]["items"] is None
    (error,) = answer["errors"]
    assert (error["message"], error["extensions"]["code"]) == (message, "INVALID_INPUT")


async def test_a_cursor_of_another_filter_is_refused(graph: Graph):
    cursor = (await listed(graph, filter={"search": "bolt"}))["pageInfo"]["endCursor"]
    for other in ({"search": "bolts"}, {"search": "bolt", "inStock": True}, None):
        answer = await graph.ask(LIST, {"first": 5, "after": cursor, "filter": other})
        assert answer["errors"][0]["extensions"]["code"] == "INVALID_CURSOR"


@pytest.mark.parametrize("text", ["😀", '"; DROP TABLE items; --', "%_%_%", "ß\u0301\u0302" * 40, "* NEAR(a b, 2)"])
async def test_signs_and_operators_find_nothing_and_break_nothing(graph: Graph, text: str):
    found = await listed(graph, filter={"search": text})
    assert found["totalCount"] is not None


async def test_customers_are_found_by_number_name_city_and_postcode_within_the_callers_own(graph: Graph):
    async def numbers(text: str, principal: Any = REP) -> list[str]:
        return await customer_numbers(graph, text, principal)

    query = '{ customer(by: {number: "CUST-0003"}) { name billTo { address { city postalCode lines } } } }'
    customer = (await graph.data(query, principal=REP))["customer"]
    address = customer["billTo"]["address"]
    for text in (
        "CUST-0003",
        "cust 0003",
        customer["name"],
        address["city"],
        address["postalCode"],
        address["lines"][0],
    ):
        assert "CUST-0003" in await numbers(text), text
        assert set(await numbers(text)) <= {f"CUST-{number:04}" for number in range(1, 11)}
        assert "CUST-0003" not in await numbers(text, BUYER)
    contacts = '{ customer(by: {number: "CUST-0003"}) { contacts { name phone email } } }'
    contact = (await graph.data(contacts, principal=REP))["customer"]["contacts"][0]
    for text in (contact["name"], contact["phone"], contact["email"]):
        assert await numbers(text) == ["CUST-0003"], text
        assert "CUST-0003" not in await numbers(text, BUYER)
    typo = address["city"][0] + address["city"][2:]
    assert "CUST-0003" in await numbers(typo)


async def customer_numbers(graph: Graph, text: str, principal: Any) -> list[str]:
    """The customers found by a search, of which no more are counted."""
    query = "query($text: String) { customers(first: 100, filter: {search: $text}) { totalCount nodes { number } } }"
    found = (await graph.data(query, {"text": text}, principal=principal))["customers"]
    assert found["totalCount"] == len(found["nodes"])
    return [node["number"] for node in found["nodes"]]


async def first_contact(graph: Graph, number: str) -> dict[str, Any]:
    """A contact of a customer, with whole values."""
    query = "query($number: String) { customer(by: {number: $number}) { contacts { name phone email } } }"
    return (await graph.data(query, {"number": number}))["customer"]["contacts"][0]


async def test_phone_and_mail_of_contacts_find_nothing_for_callers_who_see_them_masked(graph: Graph):
    contact = await first_contact(graph, "CUST-0001")
    digits = "".join(one for one in contact["phone"] if one.isdigit())
    guesses = (contact["phone"], digits, digits[-7:], digits[-4:], contact["email"])
    for text in guesses:
        assert await customer_numbers(graph, text, BUYER) == [], text
    for text in guesses[:3] + guesses[4:]:
        assert await customer_numbers(graph, text, BUYER_ADMIN) == ["CUST-0001"], text
    assert await customer_numbers(graph, contact["name"], BUYER) == ["CUST-0001"]


async def wait_for_indexes(graph: Graph) -> None:
    """Wait until both indexes are built."""
    for name in ("items", "customers"):
        while not (graph.data_dir / "search" / f"{name}.current").exists():
            await asyncio.sleep(0.02)


async def test_a_deployments_own_rights_decide_what_is_searched(dated_sandbox: Sandbox):
    policy = PolicySettings.model_validate(
        {
            "roles": {"showroom": {"description": "Counter staff.", "reach": "own", "like": "buyer"}},
            "scopes": {"CONTACT_DETAILS": {"add": ["buyer"], "remove": ["buyer_admin"]}},
            "masks": {
                "Item.manufacturerPart": {"mask": "HIDDEN", "whole": "STAFF"},
                "Item.category": {"mask": "HIDDEN", "whole": "STAFF"},
                "Item.description": {"mask": "HIDDEN", "whole": "STAFF"},
            },
        }
    )
    showroom = signed(policy.known_roles["showroom"], "CUST-0004")  # type: ignore[arg-type]
    async with gateway(
        dated_sandbox, search=SearchSettings(), budgets=BudgetSettings(mode="measure"), policy=policy
    ) as graph:
        await wait_for_indexes(graph)
        contact = await first_contact(graph, "CUST-0001")
        for principal, found in ((BUYER, ["CUST-0001"]), (BUYER_ADMIN, [])):
            assert await customer_numbers(graph, contact["phone"], principal) == found
        part = (await graph.data('{ item(by: {sku: "SKU-0001"}) { manufacturerPart } }'))["item"]["manufacturerPart"]
        assert (await listed(graph, CSR, filter={"search": part}))["nodes"][0]["sku"] == "SKU-0001"
        assert (await listed(graph, BUYER, filter={"search": part}))["totalCount"] == 0
        assert [node["sku"] for node in (await listed(graph, BUYER, filter={"search": "SKU-0001"}))["nodes"]] == [
            "SKU-0001"
        ]
        assert (await listed(graph, CSR))["categories"]
        assert (await listed(graph, BUYER))["categories"] == []
        refused = await graph.ask(LIST, {"first": 1, "filter": {"category": "Valves"}}, principal=BUYER)
        assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        # A role of the deployment that is bound to its own accounts has their assortment, too.
        assert (await listed(graph, CSR, filter={"search": "adhesive"}))["totalCount"] > 0
        assert (await listed(graph, showroom, filter={"search": "adhesive"}))["totalCount"] == 0


async def test_items_and_customers_of_another_tenants_master_are_not_counted(dated_sandbox: Sandbox):
    north, south = (
        {"authorization": "Bearer " + issue_demo_token(AUTH, roles=[Role.CSR], subject="a", tenant=tenant, ttl=86_400)}
        for tenant in ("north", "south")
    )
    domains = DomainSettings(customers=Domain(master="erp"), items=Domain(master="commerce"))
    catalogue = {"tenant": "south", "base_url": dated_sandbox.urls["erp"], "options": {"serves": ["items"]}}
    async with gateway(
        dated_sandbox,
        search=SearchSettings(),
        budgets=BudgetSettings(mode="measure"),
        domains=domains,
        sources={"erp": {"tenant": "north"}, "commerce": catalogue},
    ) as graph:
        await wait_for_indexes(graph)
        assert len(await customer_numbers(graph, "CUST-0003", north)) == 1
        assert await customer_numbers(graph, "CUST-0003", south) == []
        found = await listed(graph, south, filter={"search": "ball valve"})
        assert min(found["totalCount"], len(found["nodes"]), len(found["categories"])) > 0
        foreign = await listed(graph, north, filter={"search": "ball valve"})
        assert [foreign[name] for name in ("totalCount", "nodes", "facets", "categories")] == [0, [], [], []]


async def test_without_an_index_plain_lists_are_the_sources_and_counts_are_refused(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox) as running:
        plain = '{ items(first: 2, filter: {search: "ball valve"}) { totalCount nodes { sku } freshness { asOf } } }'
        assert (await running.data(plain))["items"]["freshness"] is None
        answer = await running.ask("{ items(first: 2) { facets { code } } }")
        assert (answer["data"]["items"], answer["errors"][0]["extensions"]["code"]) == (None, "NOT_SUPPORTED")


async def test_a_sources_own_search_is_used_where_it_is_the_master(dated_sandbox: Sandbox):
    domains = SANDBOX_DOMAINS.model_copy(update={"search": SANDBOX_DOMAINS.items})
    async with gateway(dated_sandbox, domains=domains, search=SearchSettings()) as running:
        await running.forget()
        found = await listed(running, filter={"search": "coupling bronze economy"}, facets=["size"])
        assert await running.requests() == {"erp": 2, "commerce": 0, "logistics": 0}
    assert [node["sku"] for node in found["nodes"]] == ["SKU-3528", "SKU-3691", "SKU-4957"]
    assert (found["totalCount"], found["categories"][0]["count"], found["freshness"]) == (3, 3, None)
    assert {one["value"] for one in found["facets"][0]["values"]} == {"1-1/2", "2", "1/8"}
