"""Roles of a deployment in every place that knows roles: keys, streams, endpoints, documents, limits, explanations."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.auth.api_keys import APIKeyAuthenticator, KeyRecord, digest_of, new_key
from app.auth.principal import AnyRole, CustomRole, Principal, RowReach
from app.auth.stores.sqlite_keys import FILE, SQLiteKeys
from app.cli.demo import SANDBOX_DOMAINS, sandbox_sources
from app.errors import Unauthenticated
from app.execution.plan.engine import PlanEngine
from app.gateway.admission.caller_limits import CallerLimits
from app.gateway.documents.publishing.checks import DocumentChecker
from app.gateway.documents.stores.document_store import StoredDocument, document_id
from app.gateway.explain.explainer import explain_document
from app.http.resilience.caller_classes import CallerClassifier
from app.sandbox import Sandbox
from app.schema import build_schema
from app.settings import BudgetSettings, CallerSettings, CostLimits, LimitSettings, Settings
from app.settings.roles import BUILT_IN_ROLES
from tests.auth.test_policy_configuration import header
from tests.support.deployments import BRANCHES, NARROW
from tests.support.endpoints import endpoint
from tests.support.gateway import gateway
from tests.support.streams import OURS, first_by_events, first_by_socket, log_of, shipment_of

NOWHERE: dict[str, str] = dict.fromkeys(("erp", "commerce", "logistics"), "http://127.0.0.1:1")
SETTINGS = Settings(sources=sandbox_sources(NOWHERE, "none"), domains=SANDBOX_DOMAINS, policy=BRANCHES.policy)
MARGIN = '{ order(by: {number: "SO-100040"}) { totals { margin { amount } } } }'
MANAGER, SHOWROOM = (BRANCHES.policy.known_roles[name] for name in ("branch_manager", "showroom"))


async def authenticated(roles: dict[str, AnyRole], folder: Path) -> Principal:
    """Who a key of the role `branch_manager` is in a deployment with these roles."""
    store = SQLiteKeys(folder / FILE)
    key_id, key = new_key()
    record = KeyRecord(
        id=key_id,
        digest=digest_of(key),
        client="acme",
        role="branch_manager",
        customers=frozenset({"CUST-0001"}),
        created_at=0.0,
    )
    await store.add(record, now=0.0)
    keys = APIKeyAuthenticator(store, roles=roles)
    try:
        return await keys.authenticate(f"Bearer {key}")
    finally:
        await keys.aclose()
        await store.close()


async def test_api_key_of_a_custom_role(tmp_path: Path) -> None:
    principal = await authenticated(dict(BRANCHES.policy.known_roles), tmp_path)
    assert (principal.roles, principal.customers, principal.restricted) == ({"branch_manager"}, {"CUST-0001"}, True)
    assert principal.approved_only is False


@pytest.mark.parametrize("reach", [None, RowReach.ALL])
async def test_api_key_opens_nothing_once_its_role_is_removed_or_sees_all_rows(
    reach: RowReach | None, tmp_path: Path
) -> None:
    roles = dict(BUILT_IN_ROLES)
    if reach is not None:
        roles["branch_manager"] = CustomRole("branch_manager", reach)
    with pytest.raises(Unauthenticated):
        await authenticated(roles, tmp_path)


def test_endpoint_is_read_as_its_custom_role() -> None:
    one = endpoint(roles=("branch_manager",))
    assert one.principal(BRANCHES.policy.known_roles).roles == {"branch_manager"}
    assert one.principal(NARROW.policy.known_roles).roles == frozenset()


@pytest.mark.parametrize("transport", [first_by_events, first_by_socket])
async def test_streams_follow_the_policy_of_the_deployment(dated_sandbox: Sandbox, transport: Any) -> None:
    selected = "__typename ... on ShipmentUpdate { shipment { trackingNumber } }"
    query = f"subscription($after: Cursor) {{ shipmentUpdates(after: $after) {{ {selected} }} }}"
    site_buyer = NARROW.policy.known_roles["site_buyer"]
    for policy, role, number in ((BRANCHES, MANAGER, OURS), (NARROW, site_buyer, f"****{OURS[-4:]}")):
        async with gateway(dated_sandbox, policy=policy.policy) as graph, log_of(graph) as log:
            start = await log.events.end()
            await log.record(await shipment_of(graph))
            answer = await transport(graph, log, header(role), query, start)
            assert answer["data"]["shipmentUpdates"]["shipment"] == {"trackingNumber": number}
            if policy is BRANCHES:
                refused = await transport(graph, log, header(SHOWROOM), query, start)
                assert [one["extensions"]["code"] for one in refused["errors"]] == ["FORBIDDEN"]


@pytest.mark.parametrize(("role", "problems"), [
    ("branch_manager", []),
    ("showroom", ["OrderTotals.margin is not for showroom; leave it out"]),
    ("site_buyer", ["site_buyer is not a role of this deployment; add the document with another"]),
])  # fmt: skip
async def test_published_documents_are_checked_by_the_policy_of_the_deployment(role: str, problems: list[str]) -> None:
    text = f"query Margin {MARGIN}"
    document = StoredDocument(
        id=document_id(text), client="acme", text=text, roles=(role,), created=datetime(2026, 11, 21, tzinfo=UTC)
    )
    async with DocumentChecker(SETTINGS) as checker:
        checked = await checker.check(document)
    assert [one.message for one in checked.problems] == problems


def test_explanation_names_what_the_deployment_refuses() -> None:
    for role, refused in ((MANAGER, ()), (SHOWROOM, ("OrderTotals.margin",))):
        found = explain_document(SETTINGS, MARGIN, {}, Principal("x", frozenset({role}), frozenset({"CUST-0001"})))
        assert found.refused == refused


def test_custom_roles_have_limits_and_priorities() -> None:
    limits = CallerLimits(
        LimitSettings(introspection=("showroom",), roles={"showroom": CostLimits(max_cost=7)}),
        BudgetSettings(show=("branch_manager",)),
    )
    manager, showroom = (Principal(role, frozenset({role})) for role in (MANAGER, SHOWROOM))
    assert (limits.of(showroom).max_cost, limits.of(showroom).may_introspect, limits.of(showroom).shows_cost) == (
        7,
        True,
        False,
    )
    assert (limits.of(manager).may_introspect, limits.of(manager).shows_cost) == (False, True)
    classifier = CallerClassifier(CallerSettings())
    site_buyer = NARROW.policy.known_roles["site_buyer"]
    assert [classifier.classify(one) for one in (manager, showroom)] == ["rep", "rep"]
    assert classifier.classify(Principal("b", frozenset({site_buyer}))) == "portal"


def test_roles_of_two_deployments_share_no_plans_or_schemas() -> None:
    one, other = (build_schema(Settings(policy=deployment.policy)) for deployment in (BRANCHES, NARROW))
    assert one is build_schema(SETTINGS)
    assert one._schema is not other._schema
    assert one is not build_schema()
    assert PlanEngine(one._schema).document("{ me { roles } }").operations.keys() == {None}
