"""`first: 0` of the Relay specification: no edges, and a `pageInfo` that says whether rows follow or come before."""

from __future__ import annotations

from tests.support.gateway import CSR, Graph

PAGE = "edges { cursor } nodes { id } totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"


async def test_first_zero_of_a_list_with_rows_has_no_edges_and_a_next_page(graph: Graph) -> None:
    one = await graph.data("{ customers(first: 1) { totalCount pageInfo { endCursor } } }", principal=CSR)
    found = await graph.data(f"{{ customers(first: 0) {{ {PAGE} }} }}", principal=CSR)
    assert found["customers"] == {
        "edges": [],
        "nodes": [],
        "totalCount": one["customers"]["totalCount"],
        "pageInfo": {"hasNextPage": True, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    }


async def test_first_zero_after_a_row_has_a_previous_page(graph: Graph) -> None:
    one = await graph.data("{ items(first: 1) { pageInfo { endCursor } } }", principal=CSR)
    after = one["items"]["pageInfo"]["endCursor"]
    text = f"query ($after: String) {{ items(first: 0, after: $after) {{ {PAGE} }} }}"
    page = (await graph.data(text, {"after": after}, principal=CSR))["items"]
    assert (page["edges"], page["nodes"]) == ([], [])
    assert page["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": True,
        "startCursor": None,
        "endCursor": None,
    }


async def test_first_zero_of_an_empty_list_has_no_next_page(graph: Graph) -> None:
    text = f'{{ items(first: 0, filter: {{search: "no such item"}}) {{ {PAGE} }} }}'
    assert (await graph.data(text, principal=CSR))["items"] == {
        "edges": [],
        "nodes": [],
        "totalCount": 0,
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    }


async def test_first_zero_below_a_row_is_read_once_with_a_page_of_one(graph: Graph) -> None:
    text = """{ customer(by: {number: "CUST-0001"}) {
        none: orders(first: 0) { nodes { number } pageInfo { hasNextPage } }
        one: orders(first: 1) { nodes { number } pageInfo { hasNextPage } }
    } }"""
    found = (await graph.data(text, principal=CSR))["customer"]
    assert found["none"] == {"nodes": [], "pageInfo": {"hasNextPage": True}}
    assert len(found["one"]["nodes"]) == 1
