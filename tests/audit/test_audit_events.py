"""`auditEvents`: who asked what, for the platform's people alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from app.audit.records import AuditEntry
from app.audit.store import FILE, SQLiteAuditWriter
from app.auth.principal import UNRESTRICTED, Role
from app.sandbox import Sandbox
from app.settings import AuditSettings
from tests.support.gateway import Graph, gateway, signed

ADMIN = signed(Role.ADMIN)
EVENTS = """query Events($first: Int!, $after: String, $filter: AuditFilter) {
  auditEvents(first: $first, after: $after, filter: $filter) {
    nodes { client subject code forbidden rows { type count } cost at }
    pageInfo { hasNextPage endCursor }
  }
}"""
AT = time.time() // 1 - 3600
"""An hour ago, in whole seconds: what is too old is not kept."""


def written(at: float) -> str:
    """A moment as the graph writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def kept(graph: Graph, *entries: AuditEntry) -> None:
    trail = SQLiteAuditWriter(graph.data_dir / FILE)
    trail.start()
    for entry in entries:
        trail.record(entry)
    trail.stop()


def entry(number: int, client: str = "acme", **changed: Any) -> AuditEntry:
    return AuditEntry(at=AT + number, request_id=f"r{number}", client=client, subject=f"{client}-{number}", **changed)


async def told(graph: Graph, **variables: Any) -> list[str]:
    """The subjects of all pages."""
    found, after = [], None
    while True:
        page = (await graph.data(EVENTS, {"first": 2, "after": after, **variables}, principal=ADMIN))["auditEvents"]
        found += [one["subject"] for one in page["nodes"] if not one["subject"].startswith("a-")]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


async def test_entries_are_paged_and_chosen(graph: Graph):
    kept(graph, *(entry(number) for number in range(3)), entry(3, "globex", code="FORBIDDEN"))
    assert await told(graph) == ["globex-3", "acme-2", "acme-1", "acme-0"]
    assert await told(graph, filter={"client": "acme"}) == ["acme-2", "acme-1", "acme-0"]
    assert await told(graph, filter={"subject": "acme-1"}) == ["acme-1"]
    assert await told(graph, filter={"code": "FORBIDDEN"}) == ["globex-3"]
    assert await told(graph, filter={"since": written(AT + 1), "until": written(AT + 2)}) == ["acme-1"]


async def test_entry_as_it_is_shown(graph: Graph):
    kept(graph, entry(0, forbidden=("order.margin",), rows={"Order": 3}, cost=12.5))
    found = await graph.data(EVENTS, {"first": 1, "filter": {"client": "acme"}}, principal=ADMIN)
    assert found["auditEvents"]["nodes"] == [
        {
            "client": "acme",
            "subject": "acme-0",
            "code": None,
            "forbidden": ["order.margin"],
            "rows": [{"type": "Order", "count": 3}],
            "cost": "12.5",
            "at": written(AT),
        }
    ]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
async def test_nobody_else_reads_the_audit(graph: Graph, role: Role):
    principal = signed(role) if role in UNRESTRICTED else signed(role, "CUST-0001")
    answer = await graph.ask("{ auditEvents(first: 1) { nodes { client } } }", principal=principal)
    assert answer["data"] == {"auditEvents": None}
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    ("variables", "code"),
    [({"first": -1}, "INVALID_PAGE_SIZE"), ({"first": 1, "after": "x"}, "INVALID_CURSOR")],
)
async def test_page_that_is_none_is_refused(graph: Graph, variables: dict[str, Any], code: str):
    assert (await graph.ask(EVENTS, variables, principal=ADMIN))["errors"][0]["extensions"]["code"] == code


async def test_missing_audit_log_is_reported(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox, audit=AuditSettings(enabled=False)) as graph:
        answer = await graph.ask(EVENTS, {"first": 1}, principal=ADMIN)
    assert answer["errors"][0]["extensions"]["code"] == "NOT_SUPPORTED"
