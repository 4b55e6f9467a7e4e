"""Keys as oracles: nobody finds a row by a value that is hidden or masked for them, whether the row exists or not.

The keys are read from the schema, so that a new one is not forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from graphql import GraphQLInputObjectType

from app.auth.principal import Role
from app.sandbox import Sandbox
from app.schema import build_schema
from app.settings import MaskSettings, PolicySettings
from tests.support.gateway import CSR, OPERATIONS, Graph, gateway, signed
from tests.support.policy_table import MASKED, ROLES

pytestmark = pytest.mark.shared_gateway

TYPES = build_schema()._schema.type_map
OWN = ("CUST-0001",)
BUYER = signed(Role.BUYER, *OWN)

KEYS: dict[str, tuple[str, str, Any, Any]] = {
    "ShipmentKey.trackingNumber": ("Shipment.trackingNumber", "shipment", "1ZSB001000401", "1ZSB991000401"),
    "OrderKey.number": ("Order.number", "order", "SO-100040", "SO-199940"),
    "OrderKey.customerPo": (
        "Order.customerPo",
        "order",
        {"customer": {"number": "CUST-0001"}, "number": "PO-0001-00040"},
        {"customer": {"number": "CUST-0001"}, "number": "PO-0001-99940"},
    ),
    "ItemKey.gtin": ("Item.gtin", "item", "4099000000017", "4099000000010"),
    "ItemKey.customerPart": (
        "Item.customerPartNumber",
        "item",
        {"customer": {"number": "CUST-0001"}, "number": "C01-0007"},
        {"customer": {"number": "CUST-0001"}, "number": "C01-9999"},
    ),
    "QuoteKey.number": ("Quote.number", "quote", "QU-2001", "QU-9999"),
    "ReturnKey.number": ("Return.number", "return", "RMA-16356", "RMA-99999"),
}
"""Each key by a value that the graph shows: the field that shows it, the root field, a value, and an unknown one."""

IDENTITIES = {
    "CustomerKey.number": "its id in the graph contains it",
    "ItemKey.sku": "its id in the graph contains it",
    "AgentKey.number": "its id in the graph contains it",
    "CommissionStatementKey.number": "its id in the graph contains it",
    "OrderIntakeKey.key": "the caller's client chose it",
}
"""Keys that tell nothing else than an id does, which no mask covers."""


def test_every_key_is_in_one_of_the_tables():
    inputs = [kind for name, kind in TYPES.items() if name.endswith("Key") and isinstance(kind, GraphQLInputObjectType)]
    found = {f"{kind.name}.{name}" for kind in inputs if kind.is_one_of for name in kind.fields}
    assert {key for key in found if key.partition(".")[2] not in {"id", "ref"}} == set(KEYS) | set(IDENTITIES)


def query(key: str) -> str:
    name = key.partition(".")[0]
    root = KEYS[key][1]
    return f"query($by: {name}!) {{ {root}(by: $by) {{ __typename }} }}"


async def codes_and_rows(graph: Graph, key: str, value: Any, principal: Mapping[str, str]) -> tuple[list[str], Any]:
    by = {key.partition(".")[2]: value}
    answer = await graph.ask(query(key), {"by": by}, principal=principal)
    return [error["extensions"]["code"] for error in answer.get("errors", ())], answer["data"][KEYS[key][1]]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("key", KEYS)
async def test_a_role_finds_rows_by_what_it_sees_whole_and_by_nothing_else(graph: Graph, key: str, role: Role):
    shown, root, known, unknown = KEYS[key]
    bound = () if role in {Role.CSR, Role.CSR_LEAD, Role.FINANCE, Role.OPERATIONS, Role.ADMIN} else OWN
    principal = signed(role, *bound, agents=("01-01",) if role is Role.AGENT else ())
    sees = ROLES[f"Query.{root}"] & ROLES[shown] - (MASKED[shown][1] if shown in MASKED else frozenset())
    if isinstance(known, dict):
        sees &= ROLES["Query.customer"]  # The key names a customer too.
    codes, row = await codes_and_rows(graph, key, known, principal)
    assert (codes, row is not None) == (([], True) if role in sees else (["FORBIDDEN"], False))
    assert await codes_and_rows(graph, key, unknown, principal) == ([] if role in sees else ["FORBIDDEN"], None)


async def test_operations_confirm_no_tracking_number_and_read_no_backend(graph: Graph):
    text = "query($number: String) { shipment(by: {trackingNumber: $number}) { id trackingNumber } }"
    assert (await graph.data(text, {"number": "1ZSB001000401"}, principal=CSR))["shipment"] is not None
    await graph.forget()
    answers = [await graph.ask(text, {"number": n}, principal=OPERATIONS) for n in ("1ZSB001000401", "1ZSB991000401")]
    assert [answer["errors"][0]["message"] for answer in answers] == [
        "Your role may not use 'trackingNumber': it does not see Shipment.trackingNumber whole."
    ] * 2
    assert [answer["data"] for answer in answers] == [{"shipment": None}] * 2
    assert sum((await graph.requests()).values()) == 0


async def test_operations_find_the_parcel_by_its_order_and_by_ref(graph: Graph):
    text = """{ shipment(by: {ref: {system: "logistics", id: "shp-000025"}}) { trackingNumber }
      order(by: {number: "SO-100040"}) { shipments { trackingNumber } } }"""
    found = await graph.data(text, principal=OPERATIONS)
    assert found["shipment"] == {"trackingNumber": "****0401"}
    assert {"trackingNumber": "****0401"} in found["order"]["shipments"]


async def test_a_customer_finds_its_own_parcel_by_the_number_on_it_and_no_other(graph: Graph):
    text = "query($number: String) { shipment(by: {trackingNumber: $number}) { trackingNumber } }"
    own = await graph.data(text, {"number": "1ZSB001000401"}, principal=BUYER)
    assert own == {"shipment": {"trackingNumber": "1ZSB001000401"}}
    foreign = await graph.data(text, {"number": "1ZSB001198601"}, principal=BUYER)
    assert foreign == {"shipment": None}


async def test_masks_of_a_deployment_close_its_keys(dated_sandbox: Sandbox):
    shown = {KEYS[key][0] for key in KEYS}
    masks = {field: MaskSettings(mask="LAST4", whole="STAFF") for field in sorted(shown)}
    async with gateway(dated_sandbox, policy=PolicySettings(masks=masks)) as graph:
        for key, (_, _, known, unknown) in KEYS.items():
            assert (await codes_and_rows(graph, key, known, CSR))[0] == [], key
            await graph.forget()
            for value in (known, unknown):
                assert await codes_and_rows(graph, key, value, BUYER) == (["FORBIDDEN"], None), key
            assert sum((await graph.requests()).values()) == 0, key
