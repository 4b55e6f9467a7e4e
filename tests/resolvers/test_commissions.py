"""Agents and commission statements: who sees which, as few calls for many agents as for one, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from app.auth.claims import principal_of
from app.auth.issuers import Issuer
from app.auth.key_sets import StaticKeySet
from app.auth.principal import Role
from app.cli.demo import SANDBOX_DOMAINS
from app.errors import Unauthenticated
from app.sandbox import Sandbox
from app.sandbox.build import PORTS
from app.schema import build_schema
from app.schema.declare.freshness import contracts_of
from app.settings import ClaimNames
from app.sources.commissions import AGENT, COMMISSION
from app.sources.node_ids import node_id
from tests.support.gateway import Graph, gateway, signed

FINANCE = signed(Role.FINANCE)
REGION = signed(Role.AGENT, agents=["AG-01-01"])
REPS = [f"AG-0{first}-0{region}-0{rep}" for first in (1, 2) for region in range(1, 5) for rep in range(1, 7)]
AGENT_BY = "query($by: AgentKey!) { agent(by: $by) { number tier parent { number } subAgents { number } } }"
STATEMENT_BY = "query($by: CommissionStatementKey!) { commissionStatement(by: $by) { number state } }"

shared = pytest.mark.shared_gateway


@shared
async def test_statement_with_its_lines_is_the_settlement_systems(graph: Graph):
    query = """{ agent(by: {number: "AG-01-01-01"}) { id name tier status rawStatus parent { number }
      statements(first: 1, state: [APPROVED]) { number periodStart periodEnd state rawStatus
        base { amount currency } total { amount } refs { system } freshness { source cached } agent { number }
        lines { orderNumber base { amount } rate amount { amount } order { number } } } } }"""
    found = (await graph.data(query, principal=FINANCE))["agent"]
    (statement,) = found.pop("statements")
    assert found == {
        "id": node_id("Agent", "AG-01-01-01"),
        "name": "Rep 01-01-01",
        "tier": 3,
        "status": "ACTIVE",
        "rawStatus": "A",
        "parent": {"number": "AG-01-01"},
    }
    assert statement["lines"][0] == {
        "orderNumber": "SO-117484",
        "base": {"amount": "1397.92"},
        "rate": "5",
        "amount": {"amount": "69.90"},
        "order": {"number": "SO-117484"},
    }
    assert len(statement.pop("lines")) == 4
    assert statement == {
        "number": "CS-01-01-01-103",
        "periodStart": "2026-10-01",
        "periodEnd": "2026-10-31",
        "state": "APPROVED",
        "rawStatus": None,
        "base": {"amount": "3861.08", "currency": "USD"},
        "total": {"amount": "193.06"},
        "refs": [{"system": "erp"}],
        "freshness": {"source": "erp", "cached": False},
        "agent": {"number": "AG-01-01-01"},
    }


@shared
async def test_unknown_state_keeps_the_sources_own_value(graph: Graph):
    query = '{ commissionStatement(by: {number: "CS-02-04-06-103"}) { state rawStatus } }'
    found = await graph.data(query, principal=FINANCE)
    assert found == {"commissionStatement": {"state": "UNKNOWN", "rawStatus": "DISPUTED"}}


@shared
@pytest.mark.parametrize(
    ("principal", "visible"),
    [
        (REGION, {"AG-01-01", "AG-01-01-03"}),
        (FINANCE, {"AG-01", "AG-01-01", "AG-01-02", "AG-01-01-03", "AG-01-02-03", "AG-02"}),
        (signed(Role.AGENT, agents=["AG-01"]), {"AG-01", "AG-01-01", "AG-01-02", "AG-01-01-03", "AG-01-02-03"}),
        (signed(Role.AGENT), set()),
        (signed(Role.AGENT, "AG-01-01"), set()),
    ],
    ids=["region", "finance", "agency", "no agents", "agents named as customers"],
)
async def test_agent_sees_its_own_and_those_below_only(graph: Graph, principal: dict[str, str], visible: set[str]):
    for number in ("AG-01", "AG-01-01", "AG-01-02", "AG-01-01-03", "AG-01-02-03", "AG-02"):
        statement = f"CS-{number[3:]}-103"
        agent = await graph.data(AGENT_BY, {"by": {"number": number}}, principal=principal)
        by_id = await graph.data(AGENT_BY, {"by": {"id": node_id("Agent", number)}}, principal=principal)
        found = await graph.data(STATEMENT_BY, {"by": {"number": statement}}, principal=principal)
        node = await graph.data(
            "query($id: ID!) { node(id: $id) { id } }",
            {"id": node_id("CommissionStatement", statement)},
            principal=principal,
        )
        shown = {
            agent["agent"] is not None,
            by_id["agent"] is not None,
            found["commissionStatement"] is not None,
            node["node"] is not None,
        }
        assert shown == {number in visible}, number


@shared
async def test_edges_leave_out_what_is_above(graph: Graph):
    query = """{ agent(by: {number: "AG-01-01"}) { parent { number } subAgents { number parent { number }
      statements(first: 100) { agent { number } } } statements(first: 100) { number } } }"""
    found = (await graph.data(query, principal=REGION))["agent"]
    assert found["parent"] is None
    assert [row["number"] for row in found["subAgents"]] == [f"AG-01-01-0{rep}" for rep in range(1, 7)]
    assert {row["parent"]["number"] for row in found["subAgents"]} == {"AG-01-01"}
    assert [len(row["statements"]) for row in found["subAgents"]] == [4] * 6
    assert [row["number"] for row in found["statements"]] == [f"CS-01-01-{last}" for last in (104, 103, 102, 101)]


@shared
async def test_foreign_agent_looks_exactly_like_a_missing_one(graph: Graph):
    for foreign, missing in (("AG-01", "AG-77"), ("AG-01-02", "AG-01-77"), ("AG-02", "AG-88")):
        assert await graph.ask(AGENT_BY, {"by": {"number": foreign}}, principal=REGION) == await graph.ask(
            AGENT_BY, {"by": {"number": missing}}, principal=REGION
        )


@shared
async def test_agent_does_not_see_the_order_behind_a_line(graph: Graph):
    query = """{ commissionStatement(by: {number: "CS-01-01-01-103"}) { lines { orderNumber order { number } } } }"""
    answer = await graph.ask(query, principal=REGION)
    lines = answer["data"]["commissionStatement"]["lines"]
    assert [line["order"] for line in lines] == [None] * 4
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"FORBIDDEN"}


@shared
@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.AGENT, Role.FINANCE}])
async def test_nobody_else_sees_commissions(graph: Graph, role: Role):
    principal = signed(role, "CUST-0001", agents=["AG-01"])
    answer = await graph.ask(AGENT_BY, {"by": {"number": "AG-01"}}, principal=principal)
    assert answer["data"] == {"agent": None}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["FORBIDDEN"]


SELECTED = """query($ids: [ID!]!) { nodes(ids: $ids) { ... on Agent { number parent { number } subAgents { number }
  statements(first: 4) { number agent { name } lines { rate } } } } }"""


@pytest.mark.parametrize("engine", ["plan", "reference"])
async def test_as_many_calls_for_fifty_agents_as_for_one(dated_sandbox: Sandbox, engine: Any):
    async with gateway(dated_sandbox, engine=engine, sources={"erp": {"options": ERP}}) as graph:
        counts = []
        for numbers in (REPS[:1], [*REPS, "AG-01", "AG-02"]):
            await graph.forget()
            ids = [node_id("Agent", number) for number in numbers]
            found = (await graph.data(SELECTED, {"ids": ids}, principal=FINANCE))["nodes"]
            assert [row["number"] for row in found] == numbers
            assert {len(row["statements"]) for row in found} == {4}
            counts.append((await graph.requests())["erp"])
        assert len(numbers) == 50
        assert counts == [CALLS, CALLS]


ERP = {"serves": list(PORTS["erp"]), "batch": False}
CALLS = 4
"""Agents, agents below, statements, and the agents that statements and parents name."""


@shared
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ('{ agent(by: {number: ""}) { number } }', "INVALID_INPUT"),
        (f'{{ agent(by: {{number: "{"x" * 257}"}}) {{ number }} }}', "INVALID_INPUT"),
        (f'{{ agent(by: {{id: "{node_id("Customer", "AG-01")}"}}) {{ number }} }}', "INVALID_ID"),
        (f'{{ commissionStatement(by: {{id: "{node_id("Agent", "AG-01")}"}}) {{ number }} }}', "INVALID_ID"),
        ('{ agent(by: {number: "AG-01"}) { statements(first: 0) { number } } }', "INVALID_PAGE_SIZE"),
        ('{ agent(by: {number: "AG-01"}) { statements(first: 101) { number } } }', "INVALID_PAGE_SIZE"),
        (
            '{ agent(by: {number: "AG-01"}) {statements(first: 1, since: "2026-11-01", until: "2026-10-01") { id } } }',
            "INVALID_INPUT",
        ),
    ],
)
async def test_bad_input_is_refused(graph: Graph, query: str, code: str):
    answer = await graph.ask(query, principal=FINANCE)
    assert [error["extensions"]["code"] for error in answer["errors"]] == [code]


async def test_without_a_source_commissions_are_not_supported(dated_sandbox: Sandbox):
    domains = SANDBOX_DOMAINS.model_copy(update={"commissions": None})
    async with gateway(dated_sandbox, domains=domains) as graph:
        answer = await graph.ask('{ agent(by: {number: "AG-01"}) { number } }', principal=FINANCE)
        assert answer["data"] == {"agent": None}
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["NOT_SUPPORTED"]


@pytest.mark.parametrize(
    ("customers", "agents", "accepted"),
    [(("*",), ["AG-01"], True), (("CUST-1*",), [], True), (("CUST-1*",), ["AG-01"], False), (("*",), "AG-01", False)],
    ids=["any issuer", "bound, none", "bound to accounts", "no list"],
)
def test_agents_come_from_the_token_of_an_issuer_that_may_name_them(
    customers: tuple[str, ...], agents: Any, accepted: bool
):
    issuer = Issuer("https://idp", "api", frozenset({"RS256"}), StaticKeySet([]), ClaimNames(), frozenset(Role),
                    customers, None)  # fmt: skip
    claims = {"sub": "a", "exp": 1, "roles": ["agent"], "agents": agents}
    if accepted:
        assert principal_of(claims, issuer).agents == frozenset(agents)
    else:
        with pytest.raises(Unauthenticated):
            principal_of(claims, issuer)


def test_freshness_contracts_are_declared():
    declared = contracts_of(build_schema()._schema).types
    assert (declared["Agent"], declared["CommissionStatement"]) == (AGENT, COMMISSION)
