"""What an operation may cost and a client may spend: exact figures, refusals, and what goes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, cast

import httpx
import pytest
import strawberry

from app.auth.demo import issue_demo_token
from app.auth.principal import Principal, Role
from app.execution.engine import Request
from app.execution.reference import ReferenceEngine
from app.gateway.admission.caller_limits import CallerLimits, caller_key
from app.gateway.admission.cost import Cost
from app.gateway.admission.cost_estimator import CostEstimator
from app.gateway.explain.explainer import Explainer
from app.sandbox import Sandbox
from app.settings import Budget, BudgetSettings, CostLimits, LimitSettings
from tests.support.consumers import VARIABLES
from tests.support.gateway import AUTH, BUYER, CSR, Graph, document, gateway, signed

PARTNER = signed(Role.PARTNER, "CUST-0001")
ONE = '{ customer(by: {number: "CUST-0001"}) { name } }'
"""One request for one key: 11 units."""

NESTED = "query ($a: Int!, $b: Int!) { customers(first: $a) { nodes { orders(first: $b) { nodes { number } } } } }"
SLOW = {"restore_rate": 0.001}
JSON = {"accept": "application/json"}
RESPONSE = {"accept": "application/graphql-response+json"}


def limits(**settings: Any) -> dict[str, Any]:
    return {"limits": LimitSettings(**settings)}


def budgets(**settings: Any) -> dict[str, Any]:
    return {"budgets": BudgetSettings(**{"roles": {}, **settings})}


async def sent(graph: Graph, query: str, principal: Mapping[str, str] = CSR, **more: Any) -> httpx.Response:
    headers = {**RESPONSE, **principal}
    return await graph.client.post("/graphql", json={"query": query, **more}, headers=headers)


def only_error(response: httpx.Response) -> dict[str, Any]:
    (error,) = response.json()["errors"]
    return error


@pytest.fixture(params=["plan", "reference"])
async def engines(request: pytest.FixtureRequest, dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """Each engine, with a schema that is not open."""
    async with gateway(
        dated_sandbox, engine=request.param, **limits(introspection=["operations"], max_rows=2_000, max_cost=600)
    ) as running:
        yield running


# What one operation may cost


async def test_pages_within_pages_are_refused_before_anything_is_asked(engines: Graph) -> None:
    await engines.forget()
    response = await sent(engines, NESTED, variables={"a": 100, "b": 100})
    assert response.status_code == 400
    assert only_error(response) == {
        "message": "Operation rows 10100 exceeds the limit of 2000.",
        "extensions": {"code": "OPERATION_TOO_EXPENSIVE", "limit": {"name": "rows", "max": 2000, "actual": 10100}},
    }
    assert sum((await engines.requests()).values()) == 0


async def test_same_document_with_smaller_pages_runs(engines: Graph) -> None:
    for a, b, status in ((100, 100, 400), (3, 2, 200), (100, 19, 200), (100, 20, 400)):
        response = await sent(engines, NESTED, variables={"a": a, "b": b})
        assert response.status_code == status, (a, b)


async def test_cost_of_the_longest_sales_view_is_beyond_a_smaller_limit(engines: Graph) -> None:
    variables = {**VARIABLES["sales_view"], "orders": 100}
    response = await sent(engines, document("sales_view"), variables=variables)
    assert only_error(response)["extensions"] == {
        "code": "OPERATION_TOO_EXPENSIVE",
        "limit": {"name": "cost", "max": 600, "actual": 2143},
    }


async def test_requests_to_one_source_are_limited_by_its_name(dated_sandbox: Sandbox) -> None:
    async with gateway(dated_sandbox, **limits(max_calls_per_source=1)) as graph:
        response = await sent(graph, document("sales_view"), variables=VARIABLES["sales_view"])
        assert only_error(response)["extensions"]["limit"] == {"name": "calls.erp", "max": 1, "actual": 2}


async def test_measuring_lets_everything_in(dated_sandbox: Sandbox) -> None:
    measured = limits(mode="measure", max_cost=1) | budgets(mode="measure", capacity=20, **SLOW)
    async with gateway(dated_sandbox, **measured) as graph:
        before = await _metric(graph, 'tradegraph_limits_met_total{limit="cost",outcome="measured"}')
        for _ in range(5):
            assert (await sent(graph, ONE)).status_code == 200
        after = await _metric(graph, 'tradegraph_limits_met_total{limit="cost",outcome="measured"}')
        assert after - before == 5


async def test_refusals_are_counted_by_their_limit(dated_sandbox: Sandbox) -> None:
    async with gateway(dated_sandbox, **limits(max_cost=1, max_depth=3)) as graph:
        names = [f'tradegraph_limits_met_total{{limit="{name}",outcome="refused"}}' for name in ("cost", "depth")]
        before = [await _metric(graph, name) for name in names]
        await sent(graph, ONE)
        await sent(graph, "{ me { customers { parent { parent { name } } } } }")
        assert [await _metric(graph, name) for name in names] == [before[0] + 1, before[1] + 1]


async def _metric(graph: Graph, name: str) -> float:
    lines = (await graph.metrics()).splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)


# Who may read the schema


@pytest.mark.parametrize(
    "query", ["{ __schema { queryType { name } } }", '{ a: __type(name: "Query") { name } me { subject } }']
)
async def test_schema_is_read_by_those_who_develop(engines: Graph, query: str) -> None:
    response = await sent(engines, query)
    assert response.status_code == 403
    assert only_error(response)["extensions"] == {"code": "INTROSPECTION_FORBIDDEN"}
    assert "data" not in response.json()
    assert (await sent(engines, query, signed(Role.OPERATIONS))).status_code == 200
    assert (await sent(engines, "{ __typename me { __typename } }")).json()["data"] == {
        "__typename": "Query",
        "me": {"__typename": "Viewer"},
    }


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ custome { name } }", {}),
        ('{ customer(by: {numbr: "1"}) { name } }', {}),
        ('{ customer(bye: {number: "1"}) { name } }', {}),
        ('{ customer(by: {number: "1"}) { nam } }', {}),
        ("query ($by: CustomerKe!) { customer(by: $by) { name } }", {}),
        ("{ me { ... on Custome { name } } }", {}),
        ('{ customer(by: {number: "1"}) { orders(first: 1, orderBy: ORDERED_AT_DES) { totalCount } } }', {}),
        ("query ($by: CustomerKey!) { customer(by: $by) { name } }", {"by": {"numbr": "1"}}),
        (
            'query ($o: OrderSort) { customer(by: {number: "1"}) { orders(first: 1, orderBy: $o) { totalCount } } }',
            {"o": "ORDERED_AT_DES"},
        ),
    ],
)  # fmt: skip
async def test_names_are_suggested_to_those_who_may_read_the_schema_only(
    engines: Graph, query: str, variables: dict[str, Any]
) -> None:
    hidden = (await sent(engines, query, variables=variables)).text
    shown = (await sent(engines, query, signed(Role.OPERATIONS), variables=variables)).text
    assert "Did you mean" not in hidden
    assert variables or hidden == (await sent(engines, "{ nothingAtAll }")).text
    assert "Did you mean" in shown


# Budgets


async def test_partner_gets_cost_and_budget(dated_sandbox: Sandbox) -> None:
    async with gateway(
        dated_sandbox, **budgets(roles={"partner": Budget(capacity=1_000, restore_rate=0.001)})
    ) as graph:
        response = await sent(graph, ONE, PARTNER)
        assert response.json()["extensions"]["cost"] == {
            "requested": 11,
            "actual": 11,
            "remaining": 989,
            "maximum": 1000,
            "restoreRate": 0.001,
        }
        assert response.headers["ratelimit-policy"] == '"budget";q=1000;w=1000000;qu="cost"'
        assert response.headers["ratelimit"] == '"budget";r=989;t=11000'


async def test_other_callers_get_the_cost_on_request(dated_sandbox: Sandbox) -> None:
    async with gateway(dated_sandbox, **budgets(capacity=1_000, **SLOW)) as graph:
        assert "extensions" not in (await sent(graph, ONE)).json()
        answer = (await sent(graph, ONE, extensions={"cost": True})).json()
        assert answer["extensions"]["cost"]["remaining"] == 978


async def test_what_was_not_used_goes_back(dated_sandbox: Sandbox) -> None:
    """An order is taken to have five lines; this customer's have fewer or more, and only what they have is paid."""
    async with gateway(dated_sandbox, **budgets(capacity=1_000, **SLOW)) as graph:
        asked = {"variables": VARIABLES["sales_view"], "extensions": {"cost": True}}
        cost = (await sent(graph, document("sales_view"), **asked)).json()["extensions"]["cost"]
        assert cost["requested"] == 463
        assert cost["actual"] != cost["requested"]
        assert cost["remaining"] == 1_000 - cost["actual"]


async def test_missing_customer_costs_what_was_asked_for_it(dated_sandbox: Sandbox) -> None:
    async with gateway(dated_sandbox, **budgets(capacity=1_000, **SLOW)) as graph:
        variables = {**VARIABLES["sales_view"], "customer": {"number": "CUST-9999"}}
        asked = {"variables": variables, "extensions": {"cost": True}}
        cost = (await sent(graph, document("sales_view"), **asked)).json()["extensions"]["cost"]
        assert (cost["requested"], cost["remaining"]) == (463, 1_000 - cost["actual"])
        assert cost["actual"] <= 13


async def test_used_up_budget_is_429_with_the_time_to_wait(dated_sandbox: Sandbox) -> None:
    async with gateway(dated_sandbox, **budgets(capacity=25, restore_rate=0.5)) as graph:
        assert [(await sent(graph, ONE)).status_code for _ in range(2)] == [200, 200]
        for accept in (JSON, RESPONSE):
            response = await sent(graph, ONE, {**CSR, **accept})
            assert response.status_code == 429
            assert 10 <= int(response.headers["retry-after"]) <= 16
            assert response.headers["ratelimit-policy"] == '"budget";q=25;w=50;qu="cost"'
            extensions = only_error(response)["extensions"]
            limit = extensions["limit"]
            assert (extensions["code"], limit["name"], limit["max"]) == ("RATE_LIMITED", "budget", 25)
            assert 0 <= limit["remaining"] < limit["actual"] <= 25
        assert (await sent(graph, ONE, signed(Role.ADMIN))).status_code == 200


async def test_operation_that_no_full_budget_holds_is_not_worth_waiting_for(dated_sandbox: Sandbox) -> None:
    async with gateway(dated_sandbox, **budgets(capacity=10)) as graph:
        response = await sent(graph, ONE)
        assert response.status_code == 400
        assert only_error(response)["extensions"]["limit"] == {"name": "budget", "max": 10, "actual": 11}


async def test_many_tokens_of_a_partner_are_one_budget(dated_sandbox: Sandbox) -> None:
    about: dict[str, Any] = {"roles": [Role.PARTNER], "subject": "acme", "customers": ["CUST-0001"]}
    tokens = [{"authorization": f"Bearer {issue_demo_token(AUTH, ttl=ttl, **about)}"} for ttl in range(100, 110)]
    async with gateway(dated_sandbox, **budgets(capacity=55, **SLOW)) as graph:
        statuses = [(await sent(graph, ONE, token)).status_code for token in tokens]
        assert statuses == [200] * 5 + [429] * 5


async def test_many_clients_at_once_pay_for_themselves_exactly(dated_sandbox: Sandbox) -> None:
    callers = [
        {"authorization": "Bearer " + issue_demo_token(AUTH, roles=[Role.CSR], subject=f"agent-{number}")}
        for number in range(20)
    ]
    async with gateway(dated_sandbox, **budgets(capacity=33, **SLOW)) as graph:
        responses = await asyncio.gather(*(sent(graph, ONE, principal) for principal in callers for _ in range(5)))
        statuses = [response.status_code for response in responses]
        for number in range(20):
            assert sorted(statuses[number * 5 : number * 5 + 5]) == [200, 200, 200, 429, 429]


async def test_operations_at_the_same_time_are_capped(dated_sandbox: Sandbox) -> None:
    async with gateway(dated_sandbox, **budgets(max_concurrent=3)) as graph:
        await graph.turn("erp", delayMs=3_000)
        held = [asyncio.create_task(sent(graph, ONE)) for _ in range(3)]
        async with asyncio.timeout(120):  # until their requests are there
            while (await graph.requests())["erp"] < 3:
                pass
        assert [(await sent(graph, ONE)).status_code for _ in range(5)] == [429] * 5
        assert [response.status_code for response in await asyncio.gather(*held)] == [200] * 3
        await graph.turn("erp")
        assert (await sent(graph, ONE)).status_code == 200


async def test_refused_variables_cost_nothing(dated_sandbox: Sandbox) -> None:
    async with gateway(dated_sandbox, **budgets(capacity=100, **SLOW)) as graph:
        query = "query ($by: CustomerKey!) { customer(by: $by) { name } }"
        for _ in range(30):
            assert (await sent(graph, query, variables={"by": {"number": 1}})).status_code == 400
        asked = {"variables": {"by": {"number": "CUST-0001"}}, "extensions": {"cost": True}}
        assert (await sent(graph, query, **asked)).json()["extensions"]["cost"]["remaining"] == 89


async def test_cost_of_a_cheap_value_is_not_taken_for_an_expensive_one(dated_sandbox: Sandbox) -> None:
    """A customer that is not the caller's asks nothing; the next one with a document of the same shape does."""
    async with gateway(dated_sandbox, **budgets(capacity=1_000, **SLOW)) as graph:
        query = "query ($by: CustomerKey!) { customer(by: $by) { name } }"
        for number, actual in (("CUST-0002", 1), ("CUST-0001", 11)):
            asked = {"variables": {"by": {"number": number}}, "extensions": {"cost": True}}
            cost = (await sent(graph, query, BUYER, **asked)).json()["extensions"]["cost"]
            assert (cost["requested"], cost["actual"]) == (11, actual)


async def test_ids_of_different_types_cost_differently(dated_sandbox: Sandbox) -> None:
    async with gateway(dated_sandbox) as graph:
        found = await graph.data('{ customer(by: {number: "CUST-0001"}) { id } item(by: {sku: "SKU-0001"}) { id } }')
        query = "query ($id: ID!) { node(id: $id) { id ... on Customer { orders(first: 5) { nodes { number } } } } }"
        costs = []
        for kind in ("item", "customer", "item"):
            answer = await sent(graph, query, variables={"id": found[kind]["id"]}, extensions={"cost": True})
            costs.append(answer.json()["extensions"]["cost"]["requested"])
        assert costs[0] == costs[2] < costs[1]


# Which rules hold


def test_client_comes_before_roles_and_the_widest_role_counts() -> None:
    book = CallerLimits(
        LimitSettings(
            max_cost=100,
            roles={Role.PARTNER: CostLimits(max_cost=50), Role.CSR: CostLimits(max_rows=7)},
            clients={"acme": CostLimits(max_cost=10)},
        ),
        BudgetSettings(capacity=500, roles={Role.PARTNER: Budget(capacity=900)}),
    )

    def rules(client: str, *roles: Role) -> tuple[int, int, int]:
        found = book.of(Principal(subject="x", client=client, roles=frozenset(roles)))
        return found.max_cost, found.max_rows, found.bucket.capacity

    assert rules("other", Role.PARTNER) == (50, 20_000, 900)
    assert rules("other", Role.CSR) == (100, 7, 500)
    assert rules("other", Role.CSR, Role.PARTNER) == (100, 20_000, 900)
    assert rules("acme", Role.CSR, Role.PARTNER) == (10, 20_000, 900)


def test_partner_is_its_client_and_people_are_themselves() -> None:
    def key(role: Role, subject: str, tenant: str = "t") -> str:
        return caller_key(Principal(subject=subject, client="app", tenant=tenant, roles=frozenset({role})))

    assert key(Role.PARTNER, "a") == key(Role.PARTNER, "b")
    assert key(Role.BUYER, "a") != key(Role.BUYER, "b")
    assert key(Role.PARTNER, "a") != key(Role.PARTNER, "a", tenant="u")


# Mutations


@strawberry.type
class Commands:
    ran: ClassVar[list[str]] = []

    @strawberry.mutation(metadata={"cost": 25})
    def place_order(self) -> str:
        self.ran.append("place_order")
        return "placed"

    @strawberry.mutation
    def add_note(self) -> str:
        self.ran.append("add_note")
        return "added"


@strawberry.type
class Nothing:
    nothing: str = "nothing"


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ("mutation { placeOrder }", 25),
        ("mutation { addNote }", 10),
        ("mutation { a: placeOrder b: placeOrder ...More __typename } fragment More on Commands { addNote }", 60),
    ],
)
async def test_mutation_is_priced_by_what_its_root_fields_declare_and_never_run_for_it(text: str, cost: int) -> None:
    schema = strawberry.Schema(Nothing, Commands)._schema
    engine = ReferenceEngine(schema)
    estimator = CostEstimator(cast("Explainer", None), schema, ())
    principal = Principal("a", frozenset({Role.CSR}))
    assert await estimator.of(engine.prepare(Request(text)), principal) == Cost(cost, {}, 0)
    assert Commands.ran == []
