"""Rights by configuration: three deployments cell by cell on both engines, and what would open a hole."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

import pytest

from app.auth.demo import issue_demo_token
from app.auth.principal import AnyRole, Role, RowReach, row_reach
from app.errors import ConfigurationError
from app.sandbox import Sandbox
from app.schema import build_schema, policy_of, print_schema
from app.settings import PolicySettings, Settings, load
from tests.support.deployments import BRANCHES, DEPLOYMENTS, NARROW
from tests.support.gateway import AUTH, Graph, gateway
from tests.support.policy_table import CELLS
from tests.support.policy_walk import ACCOUNTS, DOMAINS, OWN_AGENT, UNSERVED, cells_of, walk

ENGINES = ["plan", "reference"]


def header(role: AnyRole) -> dict[str, str]:
    """A credential for the role, with the accounts that it needs."""
    bound = row_reach(role) is not RowReach.ALL
    agents = [OWN_AGENT] if role == Role.AGENT else []
    customers = ACCOUNTS if bound and not agents else ()
    token = issue_demo_token(
        AUTH, roles=[role], subject=f"a-{role.value}", customers=customers, agents=agents, ttl=86_400
    )
    return {"authorization": f"Bearer {token}"}


class PostTransport:
    """GraphQL by POST, as any role of a deployment."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    async def ask(self, query: str, role: AnyRole) -> dict[str, Any]:
        return await self._graph.ask(query, principal=header(role))


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_nothing_opens_but_what_a_deployment_says(name: str) -> None:
    deployment = DEPLOYMENTS[name]
    assert cells_of(policy_of(build_schema(Settings(policy=deployment.policy)))) == deployment.cells
    assert deployment.cells != CELLS


def test_deployments_leave_the_gateway_as_it_comes_alone() -> None:
    before = print_schema()
    for deployment in DEPLOYMENTS.values():
        build_schema(Settings(policy=deployment.policy))
    assert print_schema() == before
    assert cells_of(policy_of(build_schema())) == CELLS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
async def test_deployment_answers_or_refuses_every_field_by_its_cells(
    dated_sandbox: Sandbox, engine: Literal["plan", "reference"], name: str, record_property: Any
) -> None:
    deployment = DEPLOYMENTS[name]
    schema = build_schema(Settings(policy=deployment.policy))._schema
    async with gateway(dated_sandbox, engine=engine, policy=deployment.policy, domains=DOMAINS) as graph:
        asked = PostTransport(graph)
        found = await asyncio.gather(*(walk(asked, role, schema, deployment.granted) for role in deployment.roles))
    assert [wrong for one in found for wrong in one.wrong] == []
    served = {key for key in CELLS if key.partition(".")[0] not in UNSERVED}
    assert all(set(one.cells) == served for one in found)
    record_property("cells", sum(len(one.cells) for one in found))
    seen = dict(zip(deployment.roles, found, strict=True))
    for role, one in seen.items():
        cell = deployment.cells["ProofOfDelivery.signedBy"][role]
        if cell is not None:
            whole = cell["mask"] is None
            assert one.values["ProofOfDelivery.signedBy"] == {"Receiving 6" if whole else "R. 6."}


@pytest.mark.parametrize("engine", ENGINES)
async def test_custom_roles_see_their_rows_only(dated_sandbox: Sandbox, engine: Literal["plan", "reference"]) -> None:
    query = """{
      me { roles }
      mine: customer(by: {number: "CUST-0001"}) { number }
      foreign: customer(by: {number: "CUST-0002"}) { number }
      customers(first: 100) { nodes { number } totalCount }
      item(by: {sku: "SKU-0001"}) { cost { unitCost { amount } } }
    }"""
    manager, showroom = (BRANCHES.policy.known_roles[name] for name in ("branch_manager", "showroom"))
    async with gateway(dated_sandbox, engine=engine, policy=BRANCHES.policy) as graph:
        bound = await graph.ask(query, principal=header(manager))
        every = await graph.ask(query, principal=header(showroom))
    assert "errors" not in bound
    assert bound["data"]["me"] == {"roles": ["BRANCH_MANAGER"]}
    assert bound["data"]["mine"] == {"number": "CUST-0001"}
    assert bound["data"]["foreign"] is None
    assert [one["number"] for one in bound["data"]["customers"]["nodes"]] == list(ACCOUNTS)
    assert bound["data"]["item"]["cost"] is not None
    assert every["data"]["me"] == {"roles": ["SHOWROOM"]}
    assert every["data"]["foreign"] == {"number": "CUST-0002"}
    assert len(every["data"]["customers"]["nodes"]) > 2
    assert every["data"]["item"]["cost"] is None
    assert [(one["path"], one["extensions"]["code"]) for one in every["errors"]] == [(["item", "cost"], "FORBIDDEN")]


async def test_role_of_another_deployment_is_not_accepted(dated_sandbox: Sandbox) -> None:
    role = BRANCHES.policy.known_roles["showroom"]
    async with gateway(dated_sandbox, policy=NARROW.policy) as graph:
        response = await graph.client.post("/graphql", json={"query": "{ me { subject } }"}, headers=header(role))
    assert response.status_code == 401


def refusal(policy: dict[str, Any]) -> str:
    """Why a deployment does not start."""
    with pytest.raises(ConfigurationError) as refused:
        build_schema(Settings(policy=PolicySettings.model_validate(policy)))
    return refused.value.message


def own(**changed: Any) -> dict[str, Any]:
    return {"roles": {"kiosk": {"description": "A kiosk.", "reach": "own", **changed}}}


HOLES = {
    "cost for everybody": (
        {"scopes": {"COST": {"add": [role.value for role in Role]}}},
        (
            "policy.scopes.COST.add = 'agent': would open COST to agent: COST is for the distributor's own people, "
            "and agent is for a customer, partner or agent; leave it out"
        ),
    ),
    "cost for all by a star": (
        {"scopes": {"COST": {"add": ["*"]}}},
        (
            "policy.scopes.COST.add = '*': is not a role; known here: admin, agent, buyer, buyer_admin, csr, csr_lead, "
            "finance, operations, partner, sales_rep"
        ),
    ),
    "margin for a customer's role": (
        own(scopes=["MARGIN"]),
        (
            "policy.roles.kiosk.scopes = ['MARGIN']: would open MARGIN to kiosk: MARGIN is for the distributor's "
            "own people, and kiosk is for a customer, partner or agent; leave it out"
        ),
    ),
    "staff by likeness": (
        own(like="csr"),
        (
            "policy.roles.kiosk.like = 'csr': would open STAFF to kiosk: STAFF is for the distributor's own people, "
            "and kiosk is for a customer, partner or agent; leave it out"
        ),
    ),
    "rows of all accounts": (
        {"scopes": {"AUDIT": {"add": ["sales_rep"]}}},
        (
            "policy.scopes.AUDIT.add = 'sales_rep': would open AUDIT to sales_rep: AUDIT shows rows of all "
            "accounts, and sales_rep reaches those of its own accounts only; leave it out"
        ),
    ),
    "a type that its readers may not see": (
        {"scopes": {"ORDERS": {"remove": ["csr"]}}},
        (
            "policy.scopes.ORDERS.remove = 'csr': would open a hole: with SHIPMENTS Shipment.order leads csr to "
            "what requires ORDERS; give csr ORDERS too, or take SHIPMENTS from it"
        ),
    ),
    "a type that is not for those who are added": (
        {"scopes": {"SHIPMENTS": {"add": ["admin"]}}},
        (
            "policy.scopes.SHIPMENTS.add = 'admin': would open a hole: with SHIPMENTS Shipment.order leads admin to "
            "what requires ORDERS; give admin ORDERS too, or take SHIPMENTS from it"
        ),
    ),
    "a type that a custom role may not see": (
        own(scopes=["SHIPMENTS"]),
        (
            "policy.roles.kiosk.scopes = ['SHIPMENTS']: would open a hole: with SHIPMENTS Shipment.order leads "
            "kiosk to what requires ORDERS; give kiosk ORDERS too, or take SHIPMENTS from it"
        ),
    ),
    "nobody left out of what is for everyone": (
        {"scopes": {"EVERYONE": {"remove": ["buyer"]}}},
        "policy.scopes.EVERYONE = ('buyer',): every role belongs to EVERYONE; leave it out",
    ),
    "unknown scope": (
        {"scopes": {"PRISES": {"add": ["csr"]}}},
        "policy.scopes.PRISES = 'PRISES': is not a scope; did you mean 'PRICES'?",
    ),
    "added and removed": (
        {"scopes": {"COST": {"add": ["csr"], "remove": ["csr"]}}},
        "policy.scopes.COST.add = 'csr': is removed as well; name it once",
    ),
    "custom role in a scope": (
        own(scopes=["CUSTOMERS", "ORDERS"]) | {"scopes": {"COST": {"add": ["kiosk"]}}},
        "policy.scopes.COST.add = 'kiosk': is a role of [policy.roles]; name the scope in its own `scopes`",
    ),
    "unknown scope of a role": (
        own(scopes=["ORDER"]),
        "policy.roles.kiosk.scopes = 'ORDER': is not a scope; did you mean 'ORDERS'?",
    ),
    "mask of an object": (
        {"masks": {"Item.cost": {"mask": "HIDDEN", "whole": "COST"}}},
        "policy.masks.\"Item.cost\" = 'ItemCost': has a mask, and masks are for a single String",
    ),
    "mask that cannot be null": (
        {"masks": {"Customer.name": {"mask": "HIDDEN", "whole": "STAFF"}}},
        "policy.masks.\"Customer.name\" = 'String!': is hidden from some, and cannot be null",
    ),
    "mask of an unknown field": (
        {"masks": {"Shipment.trackingNumbr": {"mask": "NONE"}}},
        (
            "policy.masks.\"Shipment.trackingNumbr\" = 'NONE': is not a field of the schema; did you mean "
            "'Shipment.trackingNumber'?"
        ),
    ),
    "mask that nobody sees through": (
        {"masks": {"Shipment.trackingNumber": {"mask": "LAST4"}}},
        'policy.masks."Shipment.trackingNumber".whole = None: is required: the scope whose roles see the whole value',
    ),
}


@pytest.mark.parametrize("name", sorted(HOLES))
def test_policy_that_would_open_a_hole_stops_the_start(name: str) -> None:
    policy, message = HOLES[name]
    assert refusal(policy) == message


WRONG = {
    'roles.buyer]\ndescription = "x"\nreach = "own"': "policy.roles.buyer = 'buyer': is a role of the gateway; change "
    "what buyer sees under [policy.scopes]",
    'roles.Boss]\ndescription = "x"\nreach = "own"': "policy.roles.Boss = 'Boss': should be a name in lower case "
    "such as branch_manager, at most 40 characters",
    'roles.boss]\ndescription = "x"\nreach = "partner"': "policy.roles.boss.reach = 'partner': should be 'all', "
    "'assigned' or 'own'",
    'scope.COST]\nadd = ["csr"]': "policy.scope = '{...}': unknown setting; did you mean 'scopes'?",
    'scopes.COST]\n[limits]\nintrospection = ["boss"]': "limits.introspection = 'boss': is not a role; known here: "
    "admin, agent, buyer, buyer_admin, csr, csr_lead, finance, operations, partner, sales_rep",
}


@pytest.mark.parametrize("text", sorted(WRONG))
def test_wrong_settings_are_named_with_key_value_and_cure(text: str, tmp_path: Path) -> None:
    file = tmp_path / "tradegraph.toml"
    file.write_text(f"[policy.{text}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as refused:
        load(file)
    assert refused.value.message == WRONG[text]


def test_sdl_of_a_deployment_names_its_roles_and_masks() -> None:
    printed = print_schema(Settings(policy=BRANCHES.policy))
    assert '  """Leads a branch."""\n  BRANCH_MANAGER\n' in printed
    assert "Margin of the distributor. For FINANCE, BRANCH_MANAGER." in printed
    assert "Of the accounts that their credential names for BRANCH_MANAGER." in printed
    masked = print_schema(Settings(policy=DEPLOYMENTS["reps_see_cost"].policy))
    assert "  salesRep: String @requires(mask: INITIALS, whole: STAFF)\n" in masked
    assert "  signedBy: String\n" in masked
