"""When a backend fails: its own fields are null with a coded error, everything else is right and in time."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.sandbox import Sandbox, start_sandbox
from tests.support.consumers import VARIABLES
from tests.support.gateway import BUYER_ADMIN, TODAY, Graph, document, gateway

DEADLINE = 60.0
LATEST = 20.0
"""Seconds within which a whole answer comes where something fails."""
PATIENT = 30.0
"""The machine that runs the tests has other things to do; only a backend that is slow is not waited for so long."""

QUERY = """{
  customer(by: {number: "CUST-0001"}) { number creditStatus { state } }
  item(by: {sku: "SKU-0001"}) { sku description contractPrice(customer: {number: "CUST-0001"}) { unitPrice { amount } }
    availability { atp freshness { degraded reason } } }
  order(by: {number: "SO-100040"}) { number status statusBySource { system } refs { system }
    shipments { status } invoices { number } }
  warehouses { code }
}"""
UNREACHABLE = "The source '{}' cannot be reached at the moment; try again shortly."
MESSAGES = {
    "SOURCE_UNAVAILABLE": UNREACHABLE,
    "SOURCE_TIMEOUT": "The source '{}' did not answer in time; try again shortly.",
    "SOURCE_THROTTLED": "The source '{}' takes no more requests at the moment; try again shortly.",
    "SOURCE_MALFORMED": "The source '{}' sent an answer that cannot be read; the operators have been told.",
}
NO_IDS = "{} did not answer: its ids of orders are not included."
REASON = "{} did not answer: what is promised or counted there is not included."


@asynccontextmanager
async def waiting(sandbox: Sandbox, **seconds: float) -> AsyncIterator[Graph]:
    """A gateway that waits so long for the backends that are named."""
    patience = {name: {"timeout": seconds.get(name, PATIENT)} for name in sandbox.urls}
    async with gateway(sandbox, request_timeout=DEADLINE, sources=patience) as running:
        yield running


@pytest.fixture
async def graph(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """A gateway that waits for its backends."""
    async with waiting(dated_sandbox) as running:
        yield running


def closed_port() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


async def timely(graph: Graph, query: str = QUERY, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The answer, which came within the deadline and holds nothing of what a backend said."""
    started = time.monotonic()
    response = await graph.client.post(
        "/graphql", json={"query": query, "variables": variables or {}}, headers=BUYER_ADMIN, timeout=30
    )
    assert time.monotonic() - started < LATEST
    assert response.status_code == 200
    told = response.text.lower()
    for word in ("maintenance", "told to fail", "doctype", "traceback", "127.0.0.1", "/v1/", "unexpected", "errno"):
        assert word not in told
    return response.json()


def faults(answer: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Code and source of each error, by its path."""
    found = {}
    for error in answer.get("errors", ()):
        code, source = error["extensions"]["code"], error["extensions"]["source"]
        assert error["message"] == MESSAGES[code].format(source)
        assert re.fullmatch("[0-9a-f]{32}", error["extensions"]["errorId"])
        found[".".join(map(str, error["path"]))] = (code, source)
    return found


WHOLE = {
    "customer": {"number": "CUST-0001", "creditStatus": {"state": "OK"}},
    "item": {
        "sku": "SKU-0001",
        "description": "Kestrel Hex bolt M4 x 12 8.8 zinc plated: thread M4, length 12, material 8.8 zinc plated. "
        "Fasteners for industrial use.",
        "contractPrice": {"unitPrice": {"amount": "0.0598"}},
        "availability": [
            {"atp": atp, "freshness": {"degraded": False, "reason": None}} for atp in ("4020", "86", "1259")
        ],
    },
    "order": {
        "number": "SO-100040",
        "status": "PARTIALLY_SHIPPED",
        "statusBySource": [{"system": "erp"}, {"system": "commerce"}],
        "refs": [{"system": "erp"}, {"system": "commerce"}],
        "shipments": [{"status": "DELIVERED"}, {"status": "IN_TRANSIT"}],
        "invoices": [{"number": "INV-800040"}],
    },
    "warehouses": [{"code": "WH-CENTRAL"}, {"code": "WH-EAST"}, {"code": "WH-WEST"}],
}


def without_commerce() -> dict[str, Any]:
    """The answer when the shop fails: no content, no second status, and what it reserved is not deducted."""
    reason = REASON.format("commerce")
    places = [{"atp": atp, "freshness": {"degraded": True, "reason": reason}} for atp in ("4022", "86", "1259")]
    return WHOLE | {
        "item": WHOLE["item"] | {"description": None, "availability": places},
        "order": WHOLE["order"] | {"statusBySource": None, "refs": [{"system": "erp"}]},
    }


def without_logistics() -> dict[str, Any]:
    """The answer when logistics fails: no shipments, and the ERP's own count of the goods that lie with the 3PL."""
    reason = REASON.format("logistics")
    places = [{"atp": atp, "freshness": {"degraded": True, "reason": reason}} for atp in ("4020", "86", "1259")]
    return WHOLE | {
        "item": WHOLE["item"] | {"availability": places},
        "order": WHOLE["order"] | {"shipments": None},
    }


def without_erp() -> dict[str, Any]:
    """The answer when the ERP fails: it is the master of all that is asked for, but the warehouses are known."""
    return dict.fromkeys(WHOLE) | {"warehouses": WHOLE["warehouses"]}


LOST = {
    "commerce": (without_commerce, ["item.description", "order.statusBySource"]),
    "logistics": (without_logistics, ["order.shipments"]),
    "erp": (without_erp, ["customer", "item", "order"]),
}
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "500": ({"errorRate": 1, "errorKind": "500"}, "SOURCE_UNAVAILABLE"),
    "HTML": ({"errorRate": 1, "errorKind": "html"}, "SOURCE_MALFORMED"),
    "truncated": ({"errorRate": 1, "errorKind": "truncated"}, "SOURCE_MALFORMED"),
    "wrong types": ({"errorRate": 1, "errorKind": "wrong_types"}, "SOURCE_MALFORMED"),
    "reset": ({"errorRate": 1, "errorKind": "reset"}, "SOURCE_UNAVAILABLE"),
    "hang": ({"errorRate": 1, "errorKind": "hang"}, "SOURCE_TIMEOUT"),
    "slow": ({"delayMs": 30_000}, "SOURCE_TIMEOUT"),
    "429": ({"rateLimit": 0}, "SOURCE_THROTTLED"),
}
"""The sandbox's knob for each kind of failure, and the code it becomes."""


async def test_answer_is_whole_when_nothing_fails(graph: Graph):
    assert await timely(graph) == {"data": WHOLE}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("system", LOST)
async def test_failing_system_costs_its_own_fields(dated_sandbox: Sandbox, system: str, kind: str):
    knob, code = KINDS[kind]
    lost, paths = LOST[system]
    async with waiting(dated_sandbox, **{system: 0.5 if code == "SOURCE_TIMEOUT" else PATIENT}) as graph:
        await graph.turn(system, **knob)
        await graph.turn(system, resource="batch", **knob)
        answer = await timely(graph)
    assert answer["data"] == lost()
    assert faults(answer) == dict.fromkeys(paths, (code, system))


@pytest.mark.parametrize("system", LOST)
async def test_system_that_refuses_connections_costs_its_own_fields(dated_sandbox: Sandbox, system: str):
    nowhere = {system: {"base_url": closed_port()}}
    async with gateway(dated_sandbox, request_timeout=DEADLINE, sources=nowhere) as graph:
        answer = await timely(graph)
    lost, paths = LOST[system]
    never_read = {"warehouses": None} if system == "erp" else {}
    assert answer["data"] == lost() | never_read
    assert faults(answer) == dict.fromkeys([*paths, *never_read], ("SOURCE_UNAVAILABLE", system))


async def test_backends_that_stop_and_come_back(dated_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory):
    """Kept connections die with their server; the gateway says so at once and recovers by itself."""
    async with AsyncExitStack() as stack:
        folder = tmp_path_factory.mktemp("stopped")
        mortal = stack.enter_context(start_sandbox(folder, today=TODAY))
        ports = [int(url.rpartition(":")[2]) for url in mortal.urls.values()]
        async with gateway(
            dated_sandbox, sources={name: {"base_url": url} for name, url in mortal.urls.items()}
        ) as graph:
            assert await timely(graph) == {"data": WHOLE}
            mortal.stop()
            answer = await timely(graph)
            assert answer["data"] == without_erp()
            assert set(faults(answer).values()) == {("SOURCE_UNAVAILABLE", "erp")}
            stack.enter_context(start_sandbox(folder, ports, today=TODAY))
            assert await timely(graph) == {"data": WHOLE}


async def test_one_slow_kind_of_data_costs_that_kind_alone(dated_sandbox: Sandbox):
    """The reads of one batch answer one by one: the price that does not come holds nothing else up."""
    async with waiting(dated_sandbox, erp=1.0) as graph:
        await graph.turn("erp", resource="prices", delayMs=30_000)
        answer = await timely(graph)
    assert answer["data"] == WHOLE | {"item": WHOLE["item"] | {"contractPrice": None}}
    assert faults(answer) == {"item.contractPrice": ("SOURCE_TIMEOUT", "erp")}


async def test_whole_answer_keeps_to_the_deadline_when_a_backend_may_take_longer(dated_sandbox: Sandbox):
    patient = {name: {"timeout": 60} for name in dated_sandbox.urls}
    async with gateway(dated_sandbox, request_timeout=1, sources=patient) as graph:
        await graph.turn("logistics", delayMs=30_000)
        answer = await timely(graph)
    assert answer["data"]["order"]["shipments"] is None
    assert answer["data"]["customer"] == WHOLE["customer"]
    codes = {error["extensions"]["code"] for error in answer["errors"]}
    assert codes <= {"DEADLINE_EXCEEDED", "SOURCE_TIMEOUT"}


async def test_cause_is_in_the_log_under_the_clients_error_id(graph: Graph):
    await graph.turn("logistics", errorRate=1, errorKind="html")
    await graph.turn("logistics", resource="batch", errorRate=1, errorKind="html")
    with capture_logs() as logs:
        answer = await timely(graph)
    (error,) = answer["errors"]
    (line,) = [line for line in logs if line.get("error_id") == error["extensions"]["errorId"]]
    assert (line["log_level"], line["code"], line["path"]) == ("warning", "SOURCE_MALFORMED", "order.shipments")
    assert "<!doctype html>" in line["detail"]


async def test_one_failure_of_many_rows_is_one_call_and_one_error_id(graph: Graph):
    await graph.turn("logistics", errorRate=1)
    await graph.forget()
    answer = await timely(graph, document("sales_view"), VARIABLES["sales_view"])
    lost = [error for error in answer["errors"] if error["path"][-1] == "shipments"]
    assert len(lost) == 20
    assert len({error["extensions"]["errorId"] for error in lost}) == 1
    assert (await graph.requests())["logistics"] <= 2
    orders = [edge["node"] for edge in answer["data"]["customer"]["orders"]["edges"]]
    assert {order["shipments"] for order in orders} == {None}
    assert all(line["availability"][0]["freshness"]["degraded"] for order in orders for line in order["lines"])
    assert all(line["contractPrice"]["unitPrice"] for order in orders for line in order["lines"])


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ('{ item(by: {sku: "SKU-0001"}) { availability { atp } } }', REASON.format("commerce")),
        ('{ order(by: {number: "SO-100040"}) { refs { system } } }', NO_IDS.format("commerce")),
    ],
)
async def test_missing_sources_are_reported_also_without_freshness_selected(graph: Graph, query: str, reason: str):
    whole = await timely(graph, query)
    assert whole.get("extensions", {}).get("freshness") is None
    await graph.turn("commerce", errorRate=1)
    await graph.turn("commerce", resource="batch", errorRate=1)
    answer = await timely(graph, query)
    (told,) = [one for one in answer["extensions"]["freshness"] if one["source"] == "commerce"]
    assert (told["degraded"], told["cached"], told["reason"]) == (True, False, reason)


async def test_unavailable_substitutes_are_reported_as_missing(graph: Graph):
    query = """query($lines: [LineInput!]!) { priceAndAvailability(customer: {number: "CUST-0001"}, lines: $lines) {
        outcome message substitutes { item { sku } } } }"""
    lines = [{"item": {"sku": one}, "quantity": "1"} for one in ("SKU-0001", "SKU-0206")]  # one that is sold no longer
    whole = await timely(graph, query, {"lines": lines})
    sold, unsold = whole["data"]["priceAndAvailability"]
    assert len(sold["substitutes"]) >= 1
    assert unsold["outcome"] == "SUBSTITUTE"
    await graph.forget()
    await graph.turn("erp", resource="relations", errorRate=1)
    answer = await timely(graph, query, {"lines": lines})
    sold, unsold = answer["data"]["priceAndAvailability"]
    assert sold["substitutes"] == unsold["substitutes"] == []
    assert (unsold["outcome"], unsold["message"]) == (
        "UNAVAILABLE",
        "This item is no longer sold; whether there are substitutes cannot be told now.",
    )
    (told,) = [one for one in answer["extensions"]["freshness"] if one["source"] == "erp"]
    assert told["reason"] == "erp returned no related items: substitutes are not included."
    assert told["degraded"] is True
