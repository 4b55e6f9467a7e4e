"""Documents before a server sees them: manifests, the checks of publishing, and what a new schema would break."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema

from app.auth.principal import Role
from app.gateway.documents.publishing.breaking_changes import (
    broken_documents,
    deprecated_in,
    removed_early,
    undated_deprecations,
)
from app.gateway.documents.publishing.manifests import UnreadableManifest, read_documents
from app.gateway.documents.stores.document_store import DocumentState, document_id
from app.sandbox import Sandbox
from app.settings import DocumentSettings
from tests.support.gateway import DOCUMENTS, gateway, signed
from tests.support.stored import stored

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).resolve().parents[2]
GOOD = "query Good($c: CustomerKey!) {\n  customer(by: $c) {\n    number\n    name\n  }\n}\n"
DEAR = """
query Dear($n: Int!) {
  customer(by: {number: "C"}) {
    orders(first: $n) { edges { node { lines { contractPrice { unitPrice { amount } } } } } }
  }
}
"""


async def cli(folder: Path, *arguments: str | Path) -> tuple[int | None, str, str]:
    """The command line in a folder of its own: exit code, output, complaints."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from app.cli import main; main()"
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", program),
        *map(str, arguments),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await running.communicate()
    return running.returncode, out.decode(), err.decode()


async def kept(folder: Path) -> list[dict[str, Any]]:
    code, out, err = await cli(folder, "documents", "list", "--json")
    assert code == 0, err
    return json.loads(out)


def file(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2), encoding="utf-8")
    return path


def apollo(*operations: Any, **changed: Any) -> dict[str, Any]:
    return {"format": "apollo-persisted-query-manifest", "version": 1, "operations": [*operations], **changed}


SHA, SHA1 = document_id(GOOD).removeprefix("sha256:"), hashlib.sha1(GOOD.encode()).hexdigest()
MD5 = hashlib.md5(GOOD.encode()).hexdigest()


@pytest.mark.parametrize(
    ("name", "content", "alias"),
    [
        ("good.graphql", GOOD, None),
        ("manifest.json", apollo({"id": SHA, "name": "Good", "type": "query", "body": GOOD}), None),
        ("manifest.json", apollo({"id": "good-1", "name": "Good", "type": "query", "body": GOOD}), "good-1"),
        ("persisted.json", {MD5: GOOD}, MD5),
        ("persisted-documents.json", {SHA1: GOOD}, SHA1),
        ("persisted-documents.json", {f"sha256:{SHA}": GOOD}, None),
    ],
    ids=["file", "apollo", "apollo own id", "relay", "codegen", "codegen sha256"],
)
def test_documents_are_read_from_what_tools_write(tmp_path: Path, name: str, content: Any, alias: str | None):
    (found,) = read_documents([file(tmp_path, name, content)])
    assert (found.text, found.alias) == (GOOD, alias)


def test_folder_gives_its_graphql_files_alone(tmp_path: Path):
    file(tmp_path, "b/two.gql", "{ two }")
    file(tmp_path, "one.graphql", "{ one }")
    file(tmp_path, "persisted.json", {MD5: GOOD})
    assert [found.text for found in read_documents([tmp_path])] == ["{ two }", "{ one }"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("m.json", "{\n  broken", "m.json:2: is neither .graphql nor JSON"),
        ("m.json", [GOOD], "m.json:1: is not a manifest"),
        ("m.json", apollo(version=2), "m.json:1: is of another format"),
        ("m.json", apollo(operations={}), "m.json:1: is of another format"),
        ("m.json", apollo({"id": SHA}), "m.json:1: has an entry without"),
        ("m.json", apollo("x"), "m.json:1: has an entry without"),
        ("m.json", {MD5: 7}, "m.json:1: has an entry without"),
        ("m.json", {"a": GOOD, "b c": GOOD}, "m.json:3: 'b c' cannot be the id of a document"),
        ("m.json", {SHA: "{ other }"}, f"m.json:2: {SHA} is not the SHA-256 of its text"),
        ("m.json", {f"sha256:{'0' * 64}": GOOD}, "is not the SHA-256 of its text"),
        ("m.json", "[" * 100_000, "m.json:1: is neither"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_invalid_manifest_is_reported_with_its_line(tmp_path: Path, name: str, content: Any, told: str):
    with pytest.raises(UnreadableManifest) as caught:
        read_documents([file(tmp_path, name, content)])
    assert told in str(caught.value)


async def test_document_is_added_published_listed_and_retired(tmp_path: Path):
    file(tmp_path, "docs/good.graphql", GOOD)
    contact = ("--contact", "edi@acme.example.com", "--app-version", "1.0")
    assert await cli(tmp_path, "documents", "add", "docs", "--client", "acme", *contact) == (
        0,
        "kept: 1 of acme, 1 of them drafts\n",
        "",
    )
    assert [(one["state"], one["cost"]) for one in await kept(tmp_path)] == [("draft", None)]
    code, out, _ = await cli(tmp_path, "documents", "publish", "--client", "acme")
    assert (code, out) == (0, f"published: {document_id(GOOD)}  Good  cost 11\n")
    (one,) = await kept(tmp_path)
    expected = {"client": "acme", "version": "1.0", "state": "published", "cost": 11, "roles": ["partner"]}
    assert expected.items() <= one.items()
    assert one["operations"] == ["Good"]
    code, out, _ = await cli(
        tmp_path, "documents", "retire", "--client", "acme", "--id", SHA[:12], "--on", "2031-05-01"
    )
    assert (code, out) == (0, f"retired from 2031-05-01: {document_id(GOOD)}  Good\n")
    assert [(one["state"], one["retires"]) for one in await kept(tmp_path)] == [("retired", "2031-05-01")]
    code, out, _ = await cli(tmp_path, "documents", "publish", "--client", "acme", "--id", document_id(GOOD))
    assert code == 0
    assert [(one["state"], one["retires"]) for one in await kept(tmp_path)] == [("published", None)]
    code, out, _ = await cli(tmp_path, "documents", "list")
    assert out.splitlines()[1].split() == [
        *("acme", "1.0", "published", "11", "Good", "edi@acme.example.com"),
        document_id(GOOD),
    ]


async def test_invalid_document_is_refused_with_its_position(tmp_path: Path):
    file(tmp_path, "docs/a.graphql", GOOD)
    file(tmp_path, "docs/b.graphql", "query B {\n  nothing\n}")
    code, out, err = await cli(tmp_path, "documents", "add", "docs", "--client", "acme")
    assert (code, out) == (1, "")
    assert err.startswith("docs/b.graphql:2:3: Cannot query field 'nothing' on type 'Query'.")
    assert await kept(tmp_path) == []


async def test_document_of_a_manifest_that_is_not_valid_is_refused_with_its_line(tmp_path: Path):
    file(tmp_path, "persisted.json", {MD5: GOOD, "b": "{ nothing }"})
    code, _, err = await cli(tmp_path, "documents", "add", "persisted.json", "--client", "acme")
    assert code == 1
    assert err.startswith("persisted.json:3 in the document:1:3: Cannot query field 'nothing'")


async def test_field_beyond_the_clients_rights_keeps_all_from_being_published(tmp_path: Path):
    file(tmp_path, "docs/a.graphql", GOOD)
    file(
        tmp_path,
        "docs/b.graphql",
        'query B {\n  order(by: {number: "SO-1"}) {\n    number\n    totals { margin { amount } }\n  }\n}',
    )
    assert (await cli(tmp_path, "documents", "add", "docs", "--client", "acme"))[0] == 0
    code, out, err = await cli(tmp_path, "documents", "publish", "--client", "acme")
    assert (code, out) == (1, "")
    id_ = document_id((tmp_path / "docs/b.graphql").read_text())[:19]
    assert err == (
        f"acme B ({id_}):4:14: OrderTotals.margin is not for partner; leave it out\n"
        "Nothing was published. Publish others by --id, or remove a draft: ./run documents remove\n"
    )
    assert {one["state"] for one in await kept(tmp_path)} == {"draft"}
    assert (await cli(tmp_path, "documents", "add", "docs", "--client", "books", "--role", "finance"))[0] == 0
    assert (await cli(tmp_path, "documents", "publish", "--client", "books"))[0] == 0


async def test_removed_draft_no_longer_keeps_others_from_being_published(tmp_path: Path):
    file(tmp_path, "docs/a.graphql", GOOD)
    bad = file(tmp_path, "docs/b.graphql", 'query B { order(by: {number: "SO-1"}) { totals { margin { amount } } } }')
    assert (await cli(tmp_path, "documents", "add", "docs", "--client", "acme"))[0] == 0
    assert (await cli(tmp_path, "documents", "publish", "--client", "acme"))[0] == 1
    id_ = document_id(bad.read_text())
    done = await cli(tmp_path, "documents", "remove", "--client", "acme", "--id", id_[:19])
    assert done == (0, f"removed: {id_}  B\n", "")
    assert (await cli(tmp_path, "documents", "publish", "--client", "acme"))[0] == 0
    code, _, err = await cli(tmp_path, "documents", "remove", "--client", "acme", "--id", document_id(GOOD))
    assert (code, "has no such draft as" in err) == (2, True)
    assert [one["state"] for one in await kept(tmp_path)] == ["published"]


async def test_document_beyond_the_clients_cost_is_not_published(tmp_path: Path):
    file(tmp_path, "dear.graphql", DEAR)
    file(tmp_path, "tradegraph.toml", "[limits]\nmax_cost = 5000\n[limits.clients.acme]\nmax_cost = 200\n")
    for client in ("acme", "bolt"):
        assert (await cli(tmp_path, "documents", "add", "dear.graphql", "--client", client))[0] == 0
    code, _, err = await cli(tmp_path, "documents", "publish", "--client", "acme")
    assert code == 1
    assert "exceeds the client's limit of 200 at page size 100" in err
    assert (await cli(tmp_path, "documents", "publish", "--client", "bolt"))[0] == 0
    costs = {one["client"]: one["cost"] for one in await kept(tmp_path)}
    assert costs["acme"] is None
    assert 200 < costs["bolt"] <= 5000


CATALOGUE = "items(first: $first%s) { nodes { sku name relations { type } } }"
WHOLE = "query Whole($first: Int!) { " + CATALOGUE % "" + " }"


@pytest.mark.parametrize(
    "text",
    [
        "query Paged($first: Int!, $after: String) { " + CATALOGUE % ", after: $after" + " }",
        "query Paged($first: Int!, $after: String!) { " + CATALOGUE % ", after: $after" + " }",
        "query Paged($first: Int!) { " + CATALOGUE % ', after: "made up"' + " }",
        "query Paged($first: Int!, $on: Boolean! = false) { "
        + (CATALOGUE % "").replace("relations", "relations @include(if: $on)")
        + " }",
        "query Paged($first: Int!, $off: Boolean! = true) { "
        + (CATALOGUE % "").replace("relations", "relations @skip(if: $off)")
        + " }",
    ],
)
async def test_cost_of_a_published_document_is_that_of_a_whole_page_with_all_its_fields(tmp_path: Path, text: str):
    file(tmp_path, "docs/whole.graphql", WHOLE)
    file(tmp_path, "docs/paged.graphql", text)
    assert (await cli(tmp_path, "documents", "add", "docs", "--client", "books", "--role", "csr"))[0] == 0
    code, _, err = await cli(tmp_path, "documents", "publish", "--client", "books")
    assert (code, err) == (0, "")
    costs = {one["operations"][0]: one["cost"] for one in await kept(tmp_path)}
    assert costs == {"Whole": 121, "Paged": 121}


async def test_document_that_no_sample_can_run_is_not_published(tmp_path: Path):
    file(tmp_path, "docs/odd.graphql", "query Odd { items(first: 101) { nodes { sku } } }")
    assert (await cli(tmp_path, "documents", "add", "docs", "--client", "books", "--role", "csr"))[0] == 0
    code, _, err = await cli(tmp_path, "documents", "publish", "--client", "books")
    assert code == 1
    assert "first must be between 0 and 100, not 101." in err


async def test_alias_of_another_text_is_refused(tmp_path: Path):
    assert (await cli(tmp_path, "documents", "add", file(tmp_path, "1.json", {"a": GOOD}), "--client", "acme"))[0] == 0
    other = file(tmp_path, "2.json", {"a": GOOD.replace("name", "status")})
    code, _, err = await cli(tmp_path, "documents", "add", other, "--client", "acme")
    assert code == 1
    assert "2.json:2: a is the id of another document of this client" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("add", "nowhere.graphql", "--client", "acme"), "nowhere.graphql: cannot be read"),
        (("add", ".", "--client", "acme"), ".: has no .graphql files"),
        (("add", ".", "--client", "a b"), "--client = 'a b': must be the client"),
        (("add", ".", "--client", "acme", "--role", "king"), "--role = 'king': choose from"),
        (("publish", "--client", "acme"), "--client = 'acme': has no drafts"),
        (("publish", "--client", "acme", "--id", "x"), "--client = 'acme': has no such document as x"),
        (("retire", "--client", "acme"), "name documents by --id, or --app-version"),
        (("retire", "--client", "acme", "--id", "x", "--on", "soon"), "--on = 'soon': is not a date"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
async def test_command_that_cannot_be_done_says_why(tmp_path: Path, arguments: tuple[str, ...], told: str):
    code, out, err = await cli(tmp_path, "documents", *arguments)
    assert code in {1, 2}
    assert out == ""
    assert told in err
    assert "Traceback" not in err


async def test_running_gateway_answers_what_was_published_beside_it(dated_sandbox: Sandbox, tmp_path: Path):
    """From the command line to a real answer, and back to a refusal."""
    principal = signed(Role.PARTNER, "CUST-0001")
    data_dir = tmp_path / ".tradegraph"
    text = (DOCUMENTS / "order_tracking.graphql").read_text()
    body = {"documentId": document_id(text), "variables": {"order": {"number": "SO-100001"}}}
    async with gateway(dated_sandbox, data_dir=data_dir, documents=DocumentSettings()) as graph:

        async def status() -> tuple[int, str | None]:
            headers = {**principal, "accept": "application/graphql-response+json"}
            response = await graph.client.post("/graphql", json=body, headers=headers)
            errors = response.json().get("errors")
            return response.status_code, errors and errors[0]["extensions"]["code"]

        assert await status() == (404, "DOCUMENT_NOT_FOUND")
        done = await cli(tmp_path, "documents", "add", DOCUMENTS / "order_tracking.graphql", "--client", "a-partner")
        assert done[0] == 0
        assert (await cli(tmp_path, "documents", "publish", "--client", "a-partner"))[0] == 0
        await until(status, (200, None))
        yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
        retire = (
            "documents",
            "retire",
            "--client",
            "a-partner",
            "--id",
            document_id(text),
            "--on",
            min(yesterday, "2026-11-20"),
        )
        assert (await cli(tmp_path, *retire))[0] == 0
        await until(status, (410, "DOCUMENT_RETIRED"))


async def until(ask: Any, wanted: Any) -> None:
    """Ask until the answer is what it should become: within five seconds."""
    async with asyncio.timeout(120):
        while await ask() != wanted:
            await asyncio.sleep(0)


OLD = """
type Query { order(id: ID, old: Int @deprecated(reason: "Removal: 2027-01-01")): Order  kind: Kind }
type Order {
  id: ID!
  number: String!
  total: Int
  gone: Int @deprecated(reason: "Use total. Removal: 2026-11-01.")
  going: Int @deprecated(reason: "Use total. Removal: 2027-06-01.")
}
enum Kind { A B @deprecated(reason: "Removal: 2026-01-01") C }
"""
TODAY = date(2026, 11, 21)


def without(text: str, *parts: str) -> str:
    for part in parts:
        assert part in text
        text = text.replace(part, "")
    return text


GONE = '  gone: Int @deprecated(reason: "Use total. Removal: 2026-11-01.")\n'
GOING = '  going: Int @deprecated(reason: "Use total. Removal: 2027-06-01.")\n'


def test_removal_after_the_promised_day_is_allowed():
    new = without(OLD, GONE, '  B @deprecated(reason: "Removal: 2026-01-01")'.strip() + " ")
    assert removed_early(build_schema(OLD), build_schema(new), TODAY) == []


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (GOING, "Field Order.going was removed. It was promised until 2027-06-01."),
        ("  total: Int\n", "Field Order.total was removed. It was not deprecated with a date of removal."),
        (
            ', old: Int @deprecated(reason: "Removal: 2027-01-01")',
            "Argument Query.order(old:) was removed. It was promised until 2027-01-01.",
        ),
        (" C }", "Enum value Kind.C was removed. It was not deprecated with a date of removal."),
    ],
)
def test_removal_before_the_promised_day_is_refused(part: str, told: str):
    new = without(OLD, part) + ("}" if part == " C }" else "")
    assert removed_early(build_schema(OLD), build_schema(new), TODAY) == [told]


def test_deprecation_needs_a_day():
    schema = build_schema(
        """type Query { a: Int @deprecated b(x: Int @deprecated(reason: "Removal: 2027-13-01")): Int
                        c: Int @deprecated(reason: "Removal: 2027-12-01") }
           enum E { X @deprecated(reason: "soon") Y } input I { f: Int @deprecated(reason: "Removal: tomorrow") }"""
    )
    assert undated_deprecations(schema) == ["E.X", "I.f", "Query.a", "Query.b(x:)"]


def test_documents_that_a_change_breaks_are_named():
    texts = {
        "removed": "query R { order { gone } }",
        "retyped": "query T { order { number } }",
        "argument": "query A { order(old: 1) { id } }",
        "fine": "query F { order { id total } }",
    }
    documents = [stored("acme", text, operations=(name,)) for name, text in texts.items()]
    new = build_schema(
        without(OLD, GONE, ', old: Int @deprecated(reason: "Removal: 2027-01-01")').replace("String!", "String")
    )
    broken = {one.document.operations[0]: one.reasons for one in broken_documents(documents, new, build_schema(OLD))}
    assert broken == {
        "removed": ("1:19 Cannot query field 'gone' on type 'Order'. Did you mean 'going'?",),
        "retyped": ("Field Order.number changed type from String! to String.",),
        "argument": ("1:17 Unknown argument 'old' on field 'Query.order'. Did you mean 'id'?",),
    }


def test_deprecated_fields_in_use_are_reported_with_their_removal_date():
    document = stored("acme", "{ order { going total } }")
    assert deprecated_in(document, build_schema(OLD)) == {"Order.going": date(2027, 6, 1)}


async def test_schema_check_names_document_client_and_contact(tmp_path: Path):
    """An older schema had a field that today's has not, and a document that uses it."""
    from app.gateway.documents.stores import connect_documents
    from app.settings import Settings
    from tests.support.stored import keep

    old = (
        (ROOT / "schema.graphql")
        .read_text()
        .replace("type Customer implements", "type Extra { a: Int }\n\ntype Customer implements", 1)
    )
    old = old.replace("type Query {", "type Query {\n  extra: Extra", 1)
    broken, fine = "query Extra { extra { a } }", GOOD
    store = connect_documents(Settings(data_dir=tmp_path / ".tradegraph"))
    await keep(
        store,
        stored("acme", broken, operations=("Extra",), contact="edi@acme.example.com", version="1.0"),
        stored("acme", fine),
        stored("bolt", broken, state=DocumentState.RETIRED, retires=date(2020, 1, 1)),
    )
    await store.close()
    old_file = file(tmp_path, "old.graphql", old)
    code, out, err = await cli(tmp_path, "schema", "check", "--against", "documents", "--from", old_file)
    assert code == 1
    assert err.splitlines() == [
        f"breaks Extra ({document_id(broken)[:19]}) of acme 1.0, contact: edi@acme.example.com",
        "    1:15 Cannot query field 'extra' on type 'Query'.",
        "too early: Field Query.extra was removed. It was not deprecated with a date of removal.",
    ]
    assert "not compatible: Field Query.extra was removed." in out
    code, _, err = await cli(tmp_path, "documents", "check")
    assert code == 1
    assert "acme Extra" in err
    store = connect_documents(Settings(data_dir=tmp_path / ".tradegraph"))
    await keep(store, stored("acme", broken, state=DocumentState.DRAFT, version="1.0"))
    await store.close()
    assert await cli(tmp_path, "schema", "check", "--against", "documents") == (
        0,
        "1 documents are compatible\n",
        "",
    )
