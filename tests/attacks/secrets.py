"""Finding secrets in what the gateway says, writes and keeps."""

from __future__ import annotations

import json
import sqlite3

from app.gateway.documents.stores.document_store import document_id
from tests.attacks.attacker import STREAM, TRANSPORTS, Attacker
from tests.attacks.catalog import Attacks, Group
from tests.attacks.target import ORDERS

attacks = Attacks(Group.SECRETS)

PLANTED = "planted-5f1c0a"
"""Stands in whatever is planted, so that one search finds all of it."""


def _copy_log(attacker: Attacker) -> str:
    """All that the gateway has written: its log, and every file in its folder."""
    target = attacker.target
    files = [path for path in target.folder.iterdir() if path.is_file() and path.name not in {"gateway.toml", "log"}]
    return target.log + "".join(path.read_bytes().decode("latin-1") for path in files)


@attacks.attack("credentials in the log", "tokens and keys, by reading what operators read")
async def _(attacker: Attacker) -> None:
    target = attacker.target
    token = target.token("buyer", customers=("CUST-0001",), jti=PLANTED)
    for transport in TRANSPORTS:
        await attacker.over(transport, {"query": "{ me { subject } }"}, f"Bearer {token}")
        await attacker.over(transport, {"query": "{ me { subject } }"}, f"Bearer {token}x")
        await attacker.over(transport, {"documentId": document_id(ORDERS)}, "acme")
        await attacker.over(transport, {"documentId": document_id(ORDERS)}, f"Bearer {target.keys['acme'][:-1]}-")
    kept = _copy_log(attacker)
    assert token.split(".")[2] not in kept
    assert token.split(".")[1] not in kept
    for key in target.keys.values():
        assert key not in kept
        assert key.split("_")[2] not in kept
    assert target.backend_token not in kept


@attacks.attack("a credential in the wrong place", "a password that was typed into another field, from the log")
async def _(attacker: Attacker) -> None:
    token, key = attacker.target.token("buyer"), attacker.target.keys["bolt"]
    secret = f"Bearer {token}"
    await attacker.send(
        "GET",
        params={"query": "{ me { subject } }", "access_token": token, "api_key": key},
        headers=attacker.headers("buyer"),
    )
    await attacker.send("GET", f"/{key}/{token}")
    await attacker.post(
        {"query": "{ me { subject } }"},
        **{
            "x-request-id": token[:60],
            "user-agent": secret,
            "referer": f"https://a.example/?token={token}",
            "x-correlation-id": key,
            "cookie": f"session={token}",
        },
    )
    await attacker.post(
        {
            "query": f'query A {{ item(by: {{sku: "{token[:200]}"}}) {{ sku }} }} #{key}',
            "operationName": "A",
            "extensions": {"token": token},
        }
    )
    await attacker.post({"query": "{ __typename }", "operationName": key})
    await attacker.post({"query": "{ __typename }", "variables": {"password": PLANTED, key: token}})
    await attacker.post({"documentId": key}, "acme")
    kept = _copy_log(attacker)
    assert token.split(".")[2] not in kept
    assert key not in kept


@attacks.attack("values of variables", "what people searched for, from the log and the audit")
async def _(attacker: Attacker) -> None:
    query = "query($s: String) { items(first: 1, filter: {search: $s}) { totalCount } customers(first: 1, filter: {search: $s}) { totalCount } }"
    for transport in TRANSPORTS:
        await attacker.over(transport, {"query": query, "variables": {"s": f"{PLANTED}-{transport}"}})
    await attacker.ask(f'{{ items(first: 1, filter: {{search: "{PLANTED}-text"}}) {{ totalCount }} }}')
    await attacker.ask(f'{{ nothing(search: "{PLANTED}-wrong") }}')
    await attacker.post(f'{{"query": "{PLANTED}-broken'.encode())
    assert PLANTED not in _copy_log(attacker)
    assert PLANTED not in (await attacker.send("GET", "/metrics", headers=attacker.headers("operations"))).text


@attacks.attack("the words of a failing backend", "its secrets, from errors, log and metrics")
async def _(attacker: Attacker) -> None:
    async with (
        attacker.target.broken("erp", resource="*", errorRate=1.0),
        attacker.target.broken("erp", resource="batch", errorRate=1.0),
    ):
        for transport in TRANSPORTS:
            reply = await attacker.over(transport, {"query": '{ customer(by: {number: "CUST-0001"}) { name } }'})
            assert attacker.target.backend_token not in reply.text
    assert attacker.target.backend_token not in _copy_log(attacker)
    assert (
        attacker.target.backend_token
        not in (await attacker.send("GET", "/metrics", headers=attacker.headers("operations"))).text
    )


@attacks.attack("keys in the store", "API keys, by stealing the file they are kept in")
async def _(attacker: Attacker) -> None:
    folder = attacker.target.folder
    files = b"".join(path.read_bytes() for path in folder.glob("*key*"))
    assert files
    for key in attacker.target.keys.values():
        assert key.encode() not in files
        assert key.split("_")[2].encode() not in files


@attacks.attack("secrets in the audit", "credentials and values, by the right to read who asked what")
async def _(attacker: Attacker) -> None:
    token = attacker.target.token("buyer", customers=("CUST-0001",))
    await attacker.post(
        {
            "query": "query Audited($s: String) { items(first: 1, filter: {search: $s}) { totalCount } }",
            "variables": {"s": PLANTED},
        },
        f"Bearer {token}",
    )
    await attacker.post({"query": "query Audited { me { subject } }"}, f"Bearer {token}", accept=STREAM)
    with sqlite3.connect(f"file:{attacker.target.folder / 'audit.sqlite'}?mode=ro", uri=True) as audit:
        tables = [name for (name,) in audit.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = repr([audit.execute(f"SELECT * FROM {name}").fetchall() for name in tables])
    audit.close()
    assert PLANTED not in rows
    assert token.split(".")[2] not in rows
    assert attacker.target.keys["acme"] not in rows


@attacks.attack("an error that repeats what was sent", "another's values, from a page that shows an error")
async def _(attacker: Attacker) -> None:
    marked = f"<script>{PLANTED}</script>"
    replies = [
        await attacker.post({"query": "query($a: Decimal!) { promise(item: {sku: \"a\"}, quantity: $a) { reason } }", "variables": {"a": marked}}),
        await attacker.post({"query": f'{{ node(id: "{marked}") {{ id }} }}'}),
        await attacker.post(f'{{"query": "{marked}'.encode()),
        await attacker.send("GET", f"/{marked}"),
        await attacker.post({"documentId": marked}, "acme"),
        await attacker.post({"query": "{ me { subject } }"}, f"Bearer {marked}"),
    ]  # fmt: skip
    for reply in replies:
        assert "<script>" not in reply.text or reply.headers["content-type"].startswith("application/")
        assert reply.headers["x-content-type-options"] == "nosniff"


@attacks.attack("the gateway's own settings", "keys and addresses, from every public answer")
async def _(attacker: Attacker) -> None:
    target = attacker.target
    headers = attacker.headers("operations")
    paths = ("/livez", "/readyz", "/metrics", "/nothing")
    answers = [(await attacker.send("GET", path, headers=headers)).text for path in paths]
    answers += [
        json.dumps((await attacker.ask("{ __typename }", principal)).body)
        for principal in ("buyer", "operations", "admin")
    ]
    answers.append(
        (await attacker.post({"query": "{ warehouses { code } }", "extensions": {"explain": True}}, "operations")).text
    )
    for answer in answers:
        assert target.backend_token not in answer
        for url in target.backends.values():
            assert url not in answer
        assert str(target.folder) not in answer


@attacks.attack("explaining with secrets", "credentials of backends, by the right to see what they are asked")
async def _(attacker: Attacker) -> None:
    payload = {
        "query": "query($s: String!) { item(by: {sku: $s}) { name } }",
        "variables": {"s": "SKU-0001"},
        "extensions": {"explain": True},
    }
    for principal in ("operations", "admin"):
        reply = await attacker.post(payload, principal)
        assert "explain" in reply.body["extensions"]
        assert attacker.target.backend_token not in reply.text
        assert "uthorization" not in reply.text
