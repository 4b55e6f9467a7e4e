"""One return by number, id and ref, read for its customer only; the download of returns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.sandbox import Sandbox
from app.sources.node_ids import node_id
from tests.support.gateway import BUYER, CSR, OTHER_BUYER, REP, Graph, gateway

RETURN = """query($by: ReturnKey!) { return(by: $by) { id number orderNumber shipmentState creditState creditMemo
  customer { number } lines { lineNumber sku quantity uom } freshness { source } } }"""
ID = node_id("Return", "erp", "916356")
KEYS = [
    {"number": "RMA-16356"}, {"number": "rma-16356"}, {"id": ID}, {"ref": {"system": "erp", "id": "916356"}},
]  # fmt: skip


@pytest.fixture
async def graph(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    async with gateway(dated_sandbox) as running:
        yield running


async def read(graph: Graph, by: Any, principal: Any) -> Any:
    return (await graph.data(RETURN, {"by": by}, principal=principal))["return"]


@pytest.mark.parametrize("by", KEYS)
async def test_return_is_the_same_by_every_key(graph: Graph, by: Any):
    assert await read(graph, by, BUYER) == {
        "id": ID, "number": "RMA-16356", "orderNumber": "SO-116356", "shipmentState": "RECEIVED",
        "creditState": "CREDITED", "creditMemo": "CM-816356", "customer": {"number": "CUST-0001"},
        "lines": [{"lineNumber": 1, "sku": "SKU-4452", "quantity": "1", "uom": "XBX"}], "freshness": {"source": "erp"},
    }  # fmt: skip


@pytest.mark.parametrize("by", KEYS)
async def test_returns_of_other_customers_are_as_unknown_ones(graph: Graph, by: Any):
    assert await read(graph, by, OTHER_BUYER) is None
    for unknown in (
        {"number": "RMA-99999"},
        {"id": node_id("Return", "erp", "1")},
        {"ref": {"system": "?", "id": "1"}},
    ):
        assert await read(graph, unknown, BUYER) is None


async def test_returns_are_forbidden_to_a_rep(graph: Graph):
    answer = await graph.ask(RETURN, {"by": KEYS[0]}, principal=REP)
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]
    assert sum((await graph.requests()).values()) == 0


@pytest.mark.parametrize(
    ("by", "code"),
    [
        ({"number": ""}, "INVALID_INPUT"),
        ({"number": "RMA\0"}, "INVALID_INPUT"),
        ({"number": "R" * 257}, "INVALID_INPUT"),
        ({"ref": {"system": "erp", "id": ""}}, "INVALID_INPUT"),
        ({"id": node_id("Order", "erp", "916356")}, "INVALID_ID"),
        ({}, "BAD_USER_INPUT"),
    ],
)
async def test_absurd_keys_are_refused_with_a_code(graph: Graph, by: Any, code: str):
    answer = await graph.ask(RETURN, {"by": by}, principal=CSR)
    assert [error["extensions"]["code"] for error in answer["errors"]] == [code]


@pytest.mark.parametrize("rows", [1, 20])
async def test_returns_by_number_are_one_call(graph: Graph, rows: int):
    listed = await graph.data(f"{{ returns(first: {rows}) {{ nodes {{ number }} }} }}", principal=CSR)
    numbers = [row["number"] for row in listed["returns"]["nodes"]]
    before = sum((await graph.requests()).values())
    fields = " ".join(f'r{at}: return(by: {{number: "{number}"}}) {{ number }}' for at, number in enumerate(numbers))
    found = await graph.data(f"{{ {fields} }}", principal=CSR)
    assert [one["number"] for one in found.values()] == numbers
    assert sum((await graph.requests()).values()) - before == 1
