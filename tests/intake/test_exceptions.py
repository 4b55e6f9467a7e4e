"""The workbench's exceptions: submitted orders that do not proceed, with what to do about each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.intake.records import IntakeProblem, IntakeState
from app.intake.stores import connect_intakes
from app.settings import Settings
from tests.support.gateway import BUYER, CSR, NOON, REP, Graph
from tests.support.intakes import content, intake

AT = NOON.timestamp()
LATE = AT - 15 * 60 - 1
QUERY = """query($first: Int!, $after: String) { me { workbench { exceptions(first: $first, after: $after) {
  totalCount pageInfo { endCursor hasNextPage }
  nodes { kind severity since cure intake { key state customer { number } } } } } } }"""


@pytest.fixture
async def troubled(ordering: Graph) -> AsyncIterator[Graph]:
    """A gateway with orders that failed, are held, and are queued for a system that never takes them."""
    store = connect_intakes(Settings(data_dir=ordering.data_dir))
    problem = IntakeProblem(code="DUPLICATE_PO", message="Used before.", cure="Use another number.")
    held = content(problems=(problem,))
    for one in (
        intake("failed", customer="CUST-0001", at=AT, state=IntakeState.FAILED),
        intake("held", customer="CUST-0002", at=AT, state=IntakeState.HELD, content=held),
        intake("stuck", customer="CUST-0001", at=LATE, target="elsewhere"),
        intake("queued", customer="CUST-0003", at=LATE + 2, target="elsewhere"),
        intake("posted", customer="CUST-0001", at=LATE, state=IntakeState.POSTED),
        intake("other tenant", customer="CUST-0001", at=AT, state=IntakeState.FAILED, tenant="other"),
        intake("foreign", customer="CUST-0400", at=AT, state=IntakeState.HELD),
    ):
        await store.submit(one, guard_po=0)
    await ordering.forget()
    yield ordering
    await store.close()


async def test_exceptions_of_a_rep_are_those_of_assigned_accounts(troubled: Graph):
    found = (await troubled.data(QUERY, {"first": 10}, principal=REP))["me"]["workbench"]["exceptions"]
    assert found["totalCount"] == 3
    assert [(row["kind"], row["severity"], row["since"], row["intake"]["key"]) for row in found["nodes"]] == [
        ("ORDER_STUCK", "LOW", "2026-11-21T11:44:59Z", "stuck"),
        ("ORDER_HELD", "MEDIUM", "2026-11-21T12:00:00Z", "held"),
        ("ORDER_FAILED", "HIGH", "2026-11-21T12:00:00Z", "failed"),
    ]
    assert [row["cure"] for row in found["nodes"]] == [
        "Check the source that does not answer; the gateway repeats the order by itself.",
        "Use another number.",
        "Correct what the system of record refused, then retry the order, or cancel it.",
    ]


async def test_exceptions_have_pages_and_cost_one_request_for_the_customers(troubled: Graph):
    first = (await troubled.data(QUERY, {"first": 2}, principal=REP))["me"]["workbench"]["exceptions"]
    assert (len(first["nodes"]), first["totalCount"], first["pageInfo"]["hasNextPage"]) == (2, 3, True)
    assert await troubled.requests() == {"erp": 1, "commerce": 0, "logistics": 0}
    rest = await troubled.data(QUERY, {"first": 2, "after": first["pageInfo"]["endCursor"]}, principal=REP)
    page = rest["me"]["workbench"]["exceptions"]
    assert [row["intake"]["key"] for row in page["nodes"]] == ["failed"]
    assert (page["totalCount"], page["pageInfo"]["hasNextPage"]) == (3, False)


@pytest.mark.parametrize(
    ("principal", "keys"), [(BUYER, ["stuck", "failed"]), (CSR, ["foreign", "stuck", "held", "failed"])]
)
async def test_rows_of_other_customers_are_neither_listed_nor_counted(
    troubled: Graph, principal: dict[str, str], keys: list[str]
):
    found = (await troubled.data(QUERY, {"first": 10}, principal=principal))["me"]["workbench"]["exceptions"]
    assert ([row["intake"]["key"] for row in found["nodes"]], found["totalCount"]) == (keys, len(keys))
