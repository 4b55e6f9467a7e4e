"""Running what was not published, or what was published for somebody else."""

from __future__ import annotations

import hashlib

from app.gateway.documents.stores.document_store import document_id
from tests.attacks.attacker import TRANSPORTS, Attacker, Reply
from tests.attacks.catalog import Attacks, Group
from tests.attacks.expect import refused, refused_everywhere
from tests.attacks.target import CHEAP, DRAFT, ITEMS, ORDERS, OTHER_CUSTOMER, RETIRED

attacks = Attacks(Group.DOCUMENTS)

FREE = "{ me { subject } }"


def _hashed(text: str, **more: object) -> dict[str, object]:
    return {
        "extensions": {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}},
        **more,
    }


def _told(replies: dict[str, Reply], code: str, *statuses: int) -> None:
    for transport, reply in replies.items():
        refused(reply, code)
        # What is wrong with an operation is told by an event, in a stream that is well.
        expected = tuple(200 if status == 400 else status for status in statuses) if transport == "sse" else statuses
        assert transport == "websocket" or reply.status in expected, (transport, reply.status)


@attacks.attack("a partner's own text", "any document, by any transport")
async def _(attacker: Attacker) -> None:
    _told(await attacker.everywhere({"query": FREE}, "acme"), "TRUSTED_DOCUMENT_REQUIRED", 403)
    _told(await attacker.everywhere({"query": ORDERS}, "acme"), "TRUSTED_DOCUMENT_REQUIRED", 403)


@attacks.attack("a partner's own text by a token", "any document, by the other kind of credential")
async def _(attacker: Attacker) -> None:
    token = f"Bearer {attacker.target.token('partner', 'buyer', customers=('CUST-0001',), azp='acme')}"
    _told(await attacker.everywhere({"query": FREE}, token), "TRUSTED_DOCUMENT_REQUIRED", 403)


@attacks.attack("a trusted id over another text", "one's own document under a good name")
async def _(attacker: Attacker) -> None:
    payload = {"documentId": document_id(ORDERS), "query": FREE}
    _told(await attacker.everywhere(payload, "acme"), "DOCUMENT_MISMATCH", 400)
    for changed in (ORDERS + " ", ORDERS.replace("0001", "0002"), "#" + ORDERS):
        refused_everywhere(
            await attacker.everywhere({"documentId": document_id(ORDERS), "query": changed}, "acme"),
            "DOCUMENT_MISMATCH",
        )


@attacks.attack("the hash of another text", "one's own document, by Apollo's protocol")
async def _(attacker: Attacker) -> None:
    _told(await attacker.everywhere(_hashed(ORDERS, query=FREE), "acme"), "DOCUMENT_MISMATCH", 400)


@attacks.attack("another partner's document", "what was published for the other")
async def _(attacker: Attacker) -> None:
    _told(await attacker.everywhere({"documentId": document_id(OTHER_CUSTOMER)}, "acme"), "DOCUMENT_NOT_FOUND", 404)
    for principal in ("bolt", "thrifty"):
        _told(await attacker.everywhere({"documentId": document_id(ITEMS)}, principal), "DOCUMENT_NOT_FOUND", 404)


@attacks.attack("another partner's rows by one's own document", "the other's customer")
async def _(attacker: Attacker) -> None:
    for transport in TRANSPORTS:
        mine = await attacker.over(transport, {"documentId": document_id(ORDERS)}, "acme")
        assert mine.data["customer"]["number"] == "CUST-0001"
        theirs = await attacker.over(
            transport, {"documentId": document_id(OTHER_CUSTOMER), "variables": {"by": "CUST-0001"}}, "bolt"
        )
        assert theirs.data["customer"]["number"] == "CUST-0002"


@attacks.attack("a retired document", "what is no longer answered")
async def _(attacker: Attacker) -> None:
    _told(await attacker.everywhere({"documentId": document_id(RETIRED)}, "acme"), "DOCUMENT_RETIRED", 410)


@attacks.attack("a draft", "what is not answered yet")
async def _(attacker: Attacker) -> None:
    _told(await attacker.everywhere({"documentId": document_id(DRAFT)}, "acme"), "DOCUMENT_NOT_FOUND", 404)


@attacks.attack("a partner that registers", "a document of one's own for later")
async def _(attacker: Attacker) -> None:
    for reply in (await attacker.everywhere(_hashed(FREE, query=FREE), "acme")).values():
        refused(reply, "TRUSTED_DOCUMENT_REQUIRED")
    for reply in (await attacker.everywhere(_hashed(FREE), "acme")).values():
        refused(reply, "PERSISTED_QUERY_NOT_FOUND")


@attacks.attack("a poisoned registration", "one's own text under the hash that others ask for")
async def _(attacker: Attacker) -> None:
    portal = f"Bearer {attacker.target.token('buyer', customers=('CUST-0001',), azp='portal')}"
    good = "query Good { me { subject } }"
    for reply in (await attacker.everywhere(_hashed(good, query=FREE), portal)).values():
        refused(reply, "DOCUMENT_MISMATCH")
    for reply in (await attacker.everywhere(_hashed(good), portal)).values():
        refused(reply, "PERSISTED_QUERY_NOT_FOUND")
    assert (await attacker.post(_hashed(good, query=good), portal)).data == {"me": {"subject": "a-buyer"}}
    assert (await attacker.post(_hashed(good), portal)).data == {"me": {"subject": "a-buyer"}}


@attacks.attack("a registration of another client", "documents that one did not register")
async def _(attacker: Attacker) -> None:
    portal = f"Bearer {attacker.target.token('buyer', azp='portal')}"
    text = "query Registered { me { roles } }"
    assert "errors" not in (await attacker.post(_hashed(text, query=text), portal)).body
    for principal in ("acme", "buyer"):
        refused(
            await attacker.post(_hashed(text), principal), "PERSISTED_QUERY_NOT_FOUND", "PERSISTED_QUERY_NOT_SUPPORTED"
        )


@attacks.attack("a flood of registrations", "memory, by texts that are kept", watched=True)
async def _(attacker: Attacker) -> None:
    portal = f"Bearer {attacker.target.token('buyer', azp='portal')}"
    for number in range(150):
        text = f"query Q{number} {{ me {{ subject }} }} #" + "x" * 2_000
        await attacker.post(_hashed(text, query=text), portal)
    refused(await attacker.post(_hashed("{ nothing }", query="{ nothing }"), portal), "GRAPHQL_VALIDATION_FAILED")
    refused(await attacker.post(_hashed("{ nothing }"), portal), "PERSISTED_QUERY_NOT_FOUND")


@attacks.attack("an id that leads elsewhere", "a file, a table, another tenant, by what stands in an id")
async def _(attacker: Attacker) -> None:
    ids = (
        "../../etc/passwd",
        "..%2f..",
        "sha256:",
        "sha256:" + "0" * 64,
        "x" * 300,
        "' OR 1=1 --",
        "*",
        "%",
        "sha256:*",
        "\x00",
        "a\r\nb",
        document_id(ORDERS).upper(),
        document_id(ORDERS) + "\x00",
        document_id(ORDERS) + " ",
        "bolt/" + document_id(OTHER_CUSTOMER),
        "bolt:" + document_id(OTHER_CUSTOMER),
        "md5:" + "0" * 32,
        "",
    )
    for text in ids:
        for reply in (await attacker.everywhere({"documentId": text}, "acme")).values():
            refused(reply, "DOCUMENT_NOT_FOUND", "BAD_REQUEST", "TRUSTED_DOCUMENT_REQUIRED")


@attacks.attack("an id that is no text", "a reader that takes other things for none")
async def _(attacker: Attacker) -> None:
    for value in (7, True, [], {}, [document_id(ORDERS)], {"id": document_id(ORDERS)}, 0, False):
        for transport in ("post", "sse", "websocket"):
            refused(await attacker.over(transport, {"documentId": value, "query": FREE}, "acme"), "BAD_REQUEST")
    for value in (
        [],
        "x",
        {"version": 2, "sha256Hash": "0" * 64},
        {"version": 1},
        {"version": True, "sha256Hash": "0" * 64},
        {"version": 1, "sha256Hash": []},
    ):
        refused(await attacker.post({"query": FREE, "extensions": {"persistedQuery": value}}, "acme"), "BAD_REQUEST")


@attacks.attack("two ids at once", "one for the check, one for the run")
async def _(attacker: Attacker) -> None:
    payload = {"documentId": document_id(CHEAP), **_hashed(ORDERS)}
    refused_everywhere(await attacker.everywhere(payload, "acme"), "DOCUMENT_MISMATCH")
    parameters = [("documentId", document_id(CHEAP)), ("documentId", document_id(OTHER_CUSTOMER))]
    refused(await attacker.send("GET", params=parameters, headers=attacker.headers("acme")), "BAD_REQUEST")
    reply = await attacker.send(
        "POST", f"/graphql?documentId={document_id(CHEAP)}", json={"query": FREE}, headers=attacker.headers("acme")
    )
    refused(reply, "TRUSTED_DOCUMENT_REQUIRED")


@attacks.attack("a batch around the rule", "one's own text as the second of two")
async def _(attacker: Attacker) -> None:
    refused(await attacker.post([{"documentId": document_id(CHEAP)}, {"query": FREE}], "acme"), "BAD_REQUEST")


@attacks.attack("the documents that others published", "which there are, from different answers")
async def _(attacker: Attacker) -> None:
    theirs = await attacker.post({"documentId": document_id(OTHER_CUSTOMER)}, "acme")
    nobodys = await attacker.post({"documentId": document_id("{ nobody }")}, "acme")
    draft = await attacker.post({"documentId": document_id(DRAFT)}, "acme")
    assert (theirs.status, theirs.text) == (nobodys.status, nobodys.text) == (draft.status, draft.text)


@attacks.attack("variables beyond a document's", "more rows than were published")
async def _(attacker: Attacker) -> None:
    for count in (101, 10**9, -1, "5", None, [5]):
        refused_everywhere(
            await attacker.everywhere({"documentId": document_id(ITEMS), "variables": {"n": count}}, "acme"),
            "INVALID_PAGE_SIZE",
            "BAD_USER_INPUT",
            "OPERATION_TOO_EXPENSIVE",
        )


@attacks.attack("a trusted answer from a shared cache", "another's answer, kept for everybody")
async def _(attacker: Attacker) -> None:
    reply = await attacker.over("get", {"documentId": document_id(ORDERS)}, "acme")
    assert "private" in reply.headers["cache-control"] or reply.headers["cache-control"] == "no-store"
    assert "Authorization" in reply.headers["vary"]
    assert (await attacker.send("GET", params={"documentId": document_id(ORDERS)})).codes == ["UNAUTHENTICATED"]
