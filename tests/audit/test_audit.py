"""Who asked what: kept, bounded, asked for, and never in a request's way."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.audit.records import AuditEntry, AuditQuery
from app.audit.store import FILE, SQLiteAuditReader, SQLiteAuditWriter, connect_audit
from app.errors import ConfigurationError
from app.gateway.http import GraphQLEndpoint
from app.gateway.request_audit import RequestAuditor
from app.sandbox import Sandbox
from app.settings import AuditSettings, Settings
from app.telemetry import metrics
from tests.support.gateway import BUYER, REP, document, gateway
from tests.support.graphs import TOKEN, small_graph
from tests.support.serving import serving

ROOT = Path(__file__).resolve().parents[2]
SIGNED = {"authorization": TOKEN}
NOTHING = AuditQuery()
BEGAN = time.time() - 20_000


class Kept(list[AuditEntry]):
    """A trail that is a list."""

    def keep(self, entry: AuditEntry) -> None:
        self.append(entry)


def audited(settings: AuditSettings | None = None) -> tuple[GraphQLEndpoint, Kept]:
    endpoint, kept = small_graph(), Kept()
    endpoint._auditor = RequestAuditor(settings or AuditSettings(), kept.keep)
    return endpoint, kept


async def asked(body: object, headers: dict[str, str] | None = None, **settings: object) -> AuditEntry:
    endpoint, kept = audited(AuditSettings(**settings))  # type: ignore[arg-type]
    async with serving(endpoint) as url, httpx.AsyncClient(base_url=url) as client:
        await client.post("/graphql", json=body, headers=SIGNED if headers is None else headers)
    (entry,) = kept
    return entry


def dropped() -> float:
    return metrics().audit_dropped._value.get()


# What an entry says


async def test_operation_leaves_who_asked_what():
    entry = await asked({"query": "query Greeting { hello }", "variables": {"secret": "hunter2"}})
    assert (entry.client, entry.subject, entry.tenant, entry.roles) == ("buyer", "buyer", "default", ("buyer",))
    assert (entry.operation, entry.kind, entry.transport) == ("Greeting", "query", "http")
    assert entry.document == f"sha256:{hashlib.sha256(b'query Greeting { hello }').hexdigest()}"
    assert (entry.status, entry.outcome, entry.code, entry.forbidden) == (200, "ok", None, ())
    assert entry.variables == ()
    assert "hunter2" not in repr(entry)
    assert entry.milliseconds > 0
    assert abs(entry.at - time.time()) < 60


async def test_names_of_variables_are_recorded_where_settings_say_so():
    entry = await asked({"query": "{ hello }", "variables": {"sku": "hunter2"}}, variables="names")
    assert entry.variables == ("sku",)
    assert "hunter2" not in repr(entry)


@pytest.mark.parametrize(
    ("body", "headers", "status", "code", "client"),
    [
        ({"query": "{ hello }"}, {}, 401, "UNAUTHENTICATED", ""),
        ({"query": "{ nothing }"}, None, 200, "GRAPHQL_VALIDATION_FAILED", "buyer"),
        ({"query": "{"}, None, 200, "GRAPHQL_PARSE_FAILED", "buyer"),
        ({"query": ""}, None, 400, "BAD_REQUEST", "buyer"),
        ([], None, 400, "BAD_REQUEST", "buyer"),
    ],
)
async def test_refused_request_leaves_its_code(body, headers, status: int, code: str, client: str):
    entry = await asked(body, headers)
    assert (entry.status, entry.code, entry.outcome, entry.client) == (status, code, "failed", client)


async def test_forbidden_fields_are_named_by_path():
    entry = await asked({"query": "{ hello a: forbidden forbidden }"})
    assert (entry.code, entry.outcome, entry.forbidden) == (None, "partial", ("a", "forbidden"))


# Over the real graph


async def test_sales_view_leaves_its_rows_by_type_and_a_buyer_his_own(dated_sandbox: Sandbox):
    async with gateway(dated_sandbox) as graph:
        variables = {"customer": {"number": "CUST-0001"}}
        answer = await graph.ask(document("sales_view"), variables, principal=REP)
        await graph.ask('query Mine { customer(by: {number: "CUST-0001"}) { name } }', principal=BUYER)
        await graph.ask('query Other { customer(by: {number: "CUST-0002"}) { name } }', principal=BUYER)
        ledger = SQLiteAuditReader(graph.data_dir / FILE)
        entries = await written(ledger, 3)
    other, mine, view = entries
    orders = answer["data"]["customer"]["orders"]["edges"]
    assert view.rows is not None
    assert view.rows["Customer"] == 1
    assert view.rows["Order"] == len(orders) == 20
    assert view.rows["OrderLine"] == sum(len(edge["node"]["lines"]) for edge in orders)
    assert not [name for name in view.rows if name.endswith(("Connection", "Edge", "PageInfo"))]
    assert (view.subject, view.roles) == ("a-sales_rep", ("sales_rep",))
    assert view.backend_calls > 0
    assert (mine.operation, mine.rows) == ("Mine", {"Customer": 1})
    assert (other.operation, other.rows) == ("Other", None)


async def written(ledger: SQLiteAuditReader, count: int) -> list[AuditEntry]:
    for _ in range(200):
        entries = list(ledger.entries(NOTHING))
        if len(entries) >= count:
            return entries
        await asyncio.sleep(0.02)
    raise AssertionError(f"{len(entries)} of {count} entries")


# The store


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[SQLiteAuditWriter]:
    made = SQLiteAuditWriter(tmp_path / FILE, queue=100)
    made.start()
    yield made
    made.stop()


def entry(number: int, **changes: object) -> AuditEntry:
    plain: dict = {"at": BEGAN + number, "request_id": f"r{number}", "client": f"c{number % 3}", "subject": "s"}
    return AuditEntry(**{**plain, **changes})


def test_entry_comes_back_as_it_was(trail: SQLiteAuditWriter, tmp_path: Path):
    whole = entry(
        1, roles=("csr", "finance"), document="sha256:00", operation="X", kind="query", status=403, outcome="partial",
        code="FORBIDDEN", forbidden=("order.margin",), rows={"Order": 2}, variables=("a",), cost=1.5, backend_calls=3,
        milliseconds=12.5, transport="websocket", tenant="t",
    )  # fmt: skip
    trail.record(whole)
    trail.record(entry(2))
    trail.flush()
    assert list(SQLiteAuditReader(tmp_path / FILE).entries(NOTHING)) == [entry(2), whole]


def test_entries_are_chosen_by_caller_operation_time_and_refusal(trail: SQLiteAuditWriter, tmp_path: Path):
    for number in range(9):
        code = "RATE_LIMITED" if number == 4 else None
        trail.record(entry(number, operation=f"Op{number}", code=code, forbidden=("a",) if number == 7 else ()))
    trail.flush()
    ledger = SQLiteAuditReader(tmp_path / FILE)

    def ids(most: int | None = None, **wanted: object) -> list[str]:
        return [found.request_id for found in ledger.entries(AuditQuery(**wanted), most=most)]  # type: ignore[arg-type]

    assert ids(client="c1") == ["r7", "r4", "r1"]
    assert ids(operation="Op3") == ["r3"]
    assert ids(since=BEGAN + 6) == ["r8", "r7", "r6"]
    assert ids(until=BEGAN + 2) == ["r1", "r0"]
    assert ids(code="RATE_LIMITED") == ["r4"]
    assert ids(refused=True) == ["r7", "r4"]
    assert ids(most=2) == ["r8", "r7"]
    assert ids(client="c1' OR 1=1 --") == []


def test_full_queue_drops_counts_and_logs_entries(tmp_path: Path):
    before = dropped()
    trail = SQLiteAuditWriter(tmp_path / FILE, queue=10)
    for number in range(15):
        trail.record(entry(number))
    trail.start()
    trail.stop()
    assert dropped() == before + 5
    told, *kept = SQLiteAuditReader(tmp_path / FILE).entries(NOTHING)
    assert (told.kind, told.cost) == ("dropped", 5.0)
    assert len(kept) == 10


def test_disk_that_fails_costs_entries_and_no_request(tmp_path: Path):
    before = dropped()
    trail = SQLiteAuditWriter(tmp_path / FILE)
    trail.start()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("ALTER TABLE entries RENAME TO hidden")
    trail.record(entry(1))
    trail.flush()
    assert dropped() == before + 1
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("ALTER TABLE hidden RENAME TO entries")
    trail.record(entry(2))
    trail.stop()
    assert [found.request_id for found in SQLiteAuditReader(tmp_path / FILE).entries(NOTHING)] == ["r2"]


def test_old_entries_go(tmp_path: Path):
    trail = SQLiteAuditWriter(tmp_path / FILE, keep_days=1)
    now = time.time()
    trail.record(entry(1, at=now - 2 * 86400))
    trail.record(entry(2, at=now))
    trail.start()
    trail.stop()
    assert [found.request_id for found in SQLiteAuditReader(tmp_path / FILE).entries(NOTHING)] == ["r2"]


def test_file_keeps_to_its_size(tmp_path: Path):
    trail = SQLiteAuditWriter(tmp_path / FILE, queue=20_000, keep_bytes=500_000)
    for number in range(10_000):
        trail.record(entry(number, document="sha256:" + "0" * 64))
    trail.start()
    trail.stop()
    left = list(SQLiteAuditReader(tmp_path / FILE).entries(NOTHING))
    assert 500 < len(left) < 6000
    assert left[0].request_id == "r9999"


def test_store_is_for_its_owner_only(trail: SQLiteAuditWriter, tmp_path: Path):
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_folder_that_cannot_be_written_stops_the_start(tmp_path: Path):
    (tmp_path / "data").write_text("no folder")
    trail = connect_audit(Settings(data_dir=tmp_path / "data"))
    assert trail is not None
    with pytest.raises(ConfigurationError, match=r"audit\.enabled = false"):
        trail.start()


def test_audit_can_be_switched_off(tmp_path: Path):
    assert connect_audit(Settings(data_dir=tmp_path, audit=AuditSettings(enabled=False))) is None


# The command line


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "app.cli", "audit", *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trail = SQLiteAuditWriter(tmp_path / FILE)
    common = {"client": "edi-1", "subject": "edi-1", "roles": ("partner",), "kind": "query", "operation": "Stock"}
    trail.record(entry(1, **common, at=time.time() - 60, rows={"Item": 3}, document="sha256:00"))
    trail.record(entry(2, **common, at=time.time(), rows={"Item": 2}, code="RATE_LIMITED", status=429))
    trail.record(entry(3, client="=cmd()", subject="eve", at=time.time(), forbidden=("order.margin",)))
    trail.start()
    trail.stop()
    return tmp_path


def test_list_shows_one_line_for_each(folder: Path):
    shown = command("list", "--data-dir", folder, "--client", "edi-1")
    lines = shown.stdout.splitlines()
    assert (shown.returncode, shown.stderr, len(lines)) == (0, "", 3)
    columns = [re.split(r"  +", line) for line in lines]
    assert columns[0] == ["AT", "STATUS", "CALLER", "OPERATION", "TIME", "ROWS", "CODES"]
    assert columns[1][1:] == ["429", "edi-1", "query Stock", "0.0 ms", "Item:2", "RATE_LIMITED"]
    refused = command("list", "--data-dir", folder, "--refused").stdout.splitlines()[1:]
    assert [line.split("  ")[-1] for line in refused] == ["-order.margin", "RATE_LIMITED"]
    none = command("list", "--data-dir", folder, "--client", "nobody")
    assert (none.stdout.split(), none.stderr) == (columns[0], "(none)\n")


def test_export_is_json_by_line_or_csv(folder: Path):
    as_json = [
        json.loads(line) for line in command("export", "--data-dir", folder, "--since", "1h").stdout.splitlines()
    ]
    assert [(found["client"], found["rows"]) for found in as_json][-1] == ("edi-1", {"Item": 3})
    rows = list(csv.DictReader(io.StringIO(command("export", "--csv", "--data-dir", folder).stdout)))
    assert len(rows) == 3
    assert rows[0]["client"] == "'=cmd()"  # no formula in a spreadsheet
    assert (rows[2]["client"], rows[2]["rows"], rows[2]["roles"]) == ("edi-1", "Item:3", "partner")


def test_access_review_joins_callers_and_keys(folder: Path):
    made = [sys.executable, "-m", "app.cli", "keys", "create", "--client", "edi-2", "--customer", "CUST-0001"]
    subprocess.run([*made, "--data-dir", str(folder)], cwd=ROOT, capture_output=True, check=True)
    shown = command("access-review", "--data-dir", folder)
    rows = list(csv.DictReader(io.StringIO(shown.stdout)))
    assert [(row["kind"], row["client"], row["requests"], row["refused"], row["rows"]) for row in rows] == [
        ("caller", "'=cmd()", "1", "0", ""),
        ("caller", "edi-1", "2", "1", "Item:5"),
        ("key", "edi-2", "", "", ""),
    ]
    assert rows[0]["forbidden"] == "order.margin"
    assert (rows[2]["roles"], rows[2]["customers"], rows[2]["last_at"]) == ("partner", "CUST-0001", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--since", "yesterday"], "--since = 'yesterday': should be like 2026-11-01"),
        (["list"], "there is no audit log"),
    ],
)
def test_wrong_usage_is_reported(tmp_path: Path, arguments: list[str], said: str):
    done = command(*arguments, "--data-dir", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
