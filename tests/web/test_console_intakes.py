"""The console's order queue: who sees which orders, decisions of two operators, reconciliation, and the page itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.auth.principal import Role
from app.cli.demo import SANDBOX_DOMAINS
from app.intake.records import IntakeLine, IntakeState, OrderIntake
from app.intake.stores import connect_intakes
from app.sandbox import Sandbox
from app.settings import Settings
from app.sources.node_ids import key_of
from tests.intake.test_submit import counts, order, submit
from tests.support.accessibility import barriers
from tests.support.browser import Page, browsing
from tests.support.gateway import CSR, NOON, OPERATIONS, Graph, gateway, signed
from tests.support.intakes import content, intake
from tests.web.test_console import CUT

ADMIN = signed(Role.ADMIN)
OTHER_OPERATOR = signed(Role.OPERATIONS, subject="another-operator")


@pytest.fixture
async def ordering(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    async with gateway(dated_sandbox) as running:
        await running.backends["erp"].delete("/sandbox/submitted-orders")
        try:
            yield running
        finally:
            await running.repair()
            await running.backends["erp"].delete("/sandbox/submitted-orders")


async def queue(graph: Graph, principal: dict[str, str] = OPERATIONS, **query: Any) -> dict[str, Any]:
    answer = await graph.client.get("/console/intakes", headers=principal, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def decide(
    graph: Graph, one: dict[str, Any], decision: str, principal: dict[str, str] = OPERATIONS
) -> httpx.Response:
    body = {"version": one["version"], "decision": decision}
    return await graph.client.post(f"/console/intakes/{one['id']}", headers=principal, json=body)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errors"][0]["extensions"]["code"]


async def stored(graph: Graph, *intakes: OrderIntake) -> None:
    """Put intakes into the gateway's own store."""
    store = connect_intakes(Settings(data_dir=graph.data_dir))
    for one in intakes:
        await store.submit(one, guard_po=0)
    await store.close()


def failed(customer: str = "CUST-0001", **given: Any) -> OrderIntake:
    """An order that was given up though nothing of it was sent."""
    known = content(lines=(IntakeLine(line_number=1, sku="SKU-0001", quantity=Decimal(12)),))
    return intake(
        state=IntakeState.FAILED, cause="SOURCE_TIMEOUT", customer=customer, content=known, attempts=5, **given
    )


async def settled(graph: Graph, id: str, *states: str) -> dict[str, Any]:
    """The order once it is in one of these states."""
    while True:
        found = {one["id"]: one for one in (await queue(graph, first="100"))["intakes"]}
        if id in found and found[id]["state"] in states:
            return found[id]
        await asyncio.sleep(0.01)


# Who


@pytest.mark.parametrize(
    "role", [role for role in Role if role not in {Role.OPERATIONS, Role.CSR, Role.CSR_LEAD}], ids=str
)
async def test_roles_without_the_scope_see_and_do_nothing(ordering: Graph, role: Role):
    one = failed()
    await stored(ordering, one)
    principal = signed(role, "CUST-0001")
    assert code_of(await ordering.client.get("/console/intakes", headers=principal)) == (403, "FORBIDDEN")
    assert code_of(await decide(ordering, {"id": one.id, "version": 1}, "RETRY", principal)) == (403, "FORBIDDEN")
    started = await ordering.client.post("/console/reconciliations", headers=principal, json={})
    assert code_of(started) == (403, "FORBIDDEN")
    assert (await queue(ordering))["intakes"][0]["state"] == "FAILED"


@pytest.mark.parametrize("principal", [OPERATIONS, CSR, signed(Role.CSR_LEAD)], ids=["operations", "csr", "csr_lead"])
async def test_roles_with_the_scope_see_the_queue(ordering: Graph, principal: dict[str, str]):
    await stored(ordering, failed())
    answer = await ordering.client.get("/console/intakes", headers=principal)
    assert (answer.status_code, answer.headers["cache-control"], len(answer.json()["intakes"])) == (200, "no-store", 1)


async def test_request_without_a_token_in_its_header_decides_nothing(ordering: Graph):
    """A browser sends no `Authorization` header of its own to another site, and the gateway reads no cookie."""
    one = failed()
    await stored(ordering, one)
    path, body = f"/console/intakes/{one.id}", {"version": 1, "decision": "RETRY"}
    token = OPERATIONS["authorization"].removeprefix("Bearer ")
    forged = {"cookie": f"token={token}", "origin": "https://elsewhere.example"}
    for headers in ({}, {"cookie": f"token={token}; authorization={token}"}, forged):
        answer = await ordering.client.post(path, headers=headers, json=body)
        assert answer.status_code in (401, 403)
    form = await ordering.client.post(path, headers=OPERATIONS, data={"version": "1", "decision": "RETRY"})
    assert code_of(form) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert (await queue(ordering))["intakes"][0]["version"] == 1


async def test_orders_of_another_tenant_are_neither_returned_nor_counted(ordering: Graph):
    foreign = failed(tenant="acme")
    await stored(ordering, foreign, failed())
    found = await queue(ordering)
    assert [one["id"] for one in found["intakes"] if one["id"] == foreign.id] == []
    assert [(one["state"], one["count"]) for one in found["queue"]] == [("FAILED", 1)]
    assert code_of(await decide(ordering, {"id": foreign.id, "version": 1}, "RETRY")) == (404, "NOT_FOUND")


# Reads


async def test_queue_is_listed_by_state_with_age_cause_and_actions(ordering: Graph):
    at = NOON.timestamp() - 90
    await stored(
        ordering, failed(at=at), failed("CUST-0002", at=at + 30, sent_at=at), intake(state=IntakeState.HELD, at=at)
    )
    found = await queue(ordering)
    assert [(one["state"], one["count"], one["oldestSeconds"]) for one in found["queue"]] == [
        ("FAILED", 2, 90.0), ("HELD", 1, 90.0),
    ]  # fmt: skip
    held, sent, unsent = found["intakes"]
    assert (unsent["cause"], unsent["attempts"], unsent["customer"]) == ("SOURCE_TIMEOUT", 5, "CUST-0001")
    # What may have been sent is retried first: the source may have the order.
    assert [one["actions"] for one in (unsent, sent, held)] == [["RETRY", "CANCEL"], ["RETRY"], ["RELEASE", "CANCEL"]]
    assert [one["source"] for one in found["posting"]] == ["erp"]
    assert found["reconciliation"]["finishedAt"] is None


async def test_orders_are_filtered_and_paged(ordering: Graph):
    ones = [failed(f"CUST-{1 + number % 2:04d}") for number in range(7)]
    held = intake(state=IntakeState.HELD)
    await stored(ordering, *ones, held)
    assert [one["id"] for one in (await queue(ordering, state="HELD"))["intakes"]] == [held.id]
    assert len((await queue(ordering, state=["HELD", "FAILED"]))["intakes"]) == 8
    pages, before = [], {}
    while True:
        page = await queue(ordering, state="FAILED", customer="CUST-0001", first=2, **before)
        pages.append([one["id"] for one in page["intakes"]])
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    own = [one.id for one in reversed(ones) if one.customer == "CUST-0001"]
    assert pages == [own[:2], own[2:]]


@pytest.mark.parametrize(
    "query",
    [{"state": "LOST"}, {"first": "0"}, {"first": "101"}, {"first": "x"}, {"before": "x"}, {"before": "-1"},
     {"before": str(2**70)}, {"customer": "a\x00b"}, {"customer": "x" * 300}],
)  # fmt: skip
async def test_bad_query_is_refused(ordering: Graph, query: dict[str, str]):
    answer = await ordering.client.get("/console/intakes", headers=OPERATIONS, params=query)
    assert code_of(answer) == (400, "INVALID_INPUT")


# Decisions


async def test_retry_posts_the_order_once(ordering: Graph):
    one = failed()
    await stored(ordering, one)
    (shown,) = (await queue(ordering))["intakes"]
    assert (await decide(ordering, shown, "RETRY")).json()["state"] == "POSTING"
    posted = await settled(ordering, one.id, "POSTED")
    assert (posted["cause"], posted["actions"], posted["orderNumber"] is not None) == (None, [], True)
    assert await counts(ordering) == {"keys": 1, "orders": 1, "doubled": []}


@pytest.mark.parametrize("decisions", [("RETRY", "RETRY"), ("RETRY", "CANCEL"), ("CANCEL", "CANCEL")])
async def test_of_two_operators_at_once_one_decides(ordering: Graph, decisions: tuple[str, str]):
    one = failed()
    await stored(ordering, one)
    (shown,) = (await queue(ordering))["intakes"]
    answers = await asyncio.gather(
        *(decide(ordering, shown, each, principal)
          for each, principal in zip(decisions, (OPERATIONS, OTHER_OPERATOR), strict=True))
    )  # fmt: skip
    refused = [code_of(answer)[1] for answer in answers if answer.status_code != 200]
    assert len(refused) == 1
    assert refused[0] in ("VERSION_CONFLICT", "INTAKE_BUSY")
    done = await settled(ordering, one.id, "POSTED", "CANCELLED")
    assert (await counts(ordering))["orders"] == (1 if done["state"] == "POSTED" else 0)


async def test_held_order_is_released_and_cancelled(ordering: Graph):
    first = await submit(ordering, order("a", customerPo="4711"))
    held = [(await submit(ordering, order(key, customerPo="4711")))["intake"] for key in ("b", "c")]
    assert [one["state"] for one in held] == ["HELD", "HELD"]
    cancelled, released = (await queue(ordering, state="HELD"))["intakes"]
    assert [one["code"] for one in released["problems"]] == ["DUPLICATE_PO"]
    assert (await decide(ordering, released, "RELEASE")).json()["state"] == "POSTING"
    assert (await decide(ordering, cancelled, "CANCEL")).json()["state"] == "CANCELLED"
    assert code_of(await decide(ordering, cancelled, "CANCEL")) == (409, "VERSION_CONFLICT")
    again = {**cancelled, "version": 2}
    assert code_of(await decide(ordering, again, "RETRY")) == (409, "INVALID_TRANSITION")
    await settled(ordering, released["id"], "POSTED")
    assert first["intake"]["state"] == "POSTING"


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"\xff", b'{"version": 1}', b'{"version": "1", "decision": "RETRY"}',
     b'{"version": 1, "decision": "APPROVE"}', b'{"version": 1, "decision": "DELETE"}',
     b'{"version": 1, "decision": "RETRY", "state": "POSTED"}',
     b'{"version": 1, "decision": "RETRY", "note": "a\\u0000"}',
     b'{"version": 1e30, "decision": "RETRY"}'],
)  # fmt: skip
async def test_bad_decision_is_refused(ordering: Graph, body: bytes):
    one = failed()
    await stored(ordering, one)
    headers = {**OPERATIONS, "content-type": "application/json"}
    answer = await ordering.client.post(f"/console/intakes/{one.id}", headers=headers, content=body)
    assert code_of(answer) == (400, "INVALID_INPUT")
    large = await ordering.client.post(f"/console/intakes/{one.id}", headers=headers, content=b" " * 10_000)
    assert code_of(large) == (413, "PAYLOAD_TOO_LARGE")
    assert (await queue(ordering))["intakes"][0]["version"] == 1


async def test_decisions_are_audited_and_reads_are_not(ordering: Graph):
    one = failed()
    await stored(ordering, one)
    (shown,) = (await queue(ordering))["intakes"]
    await decide(ordering, shown, "CANCEL")
    events = """{ auditEvents(first: 10, filter: {client: "a-operations"}) {
        nodes { transport operation kind subject outcome commands } } }"""
    while not (found := (await ordering.data(events, principal=ADMIN))["auditEvents"]["nodes"]):
        await asyncio.sleep(0.01)
    assert found == [
        {"transport": "console", "operation": "console CANCEL", "kind": "mutation", "subject": "a-operations",
         "outcome": "OK", "commands": [f"intake_decided {one.key} {one.id} CANCELLED"]},
    ]  # fmt: skip


async def test_gateway_that_takes_no_orders_says_so(dated_sandbox: Sandbox):
    orders = SANDBOX_DOMAINS.orders.model_copy(update={"write": None})
    async with gateway(dated_sandbox, domains=SANDBOX_DOMAINS.model_copy(update={"orders": orders})) as graph:
        answer = await graph.client.get("/console/intakes", headers=OPERATIONS)
        assert code_of(answer)[1] == "NOT_SUPPORTED"


# Reconciliation


async def reconciled(graph: Graph) -> dict[str, Any]:
    """The result once no reconciliation runs."""
    while (found := (await queue(graph))["reconciliation"])["running"] or found["finishedAt"] is None:
        await asyncio.sleep(0.01)
    return found


async def test_reconciliation_is_started_and_its_result_is_stored(ordering: Graph):
    payload = await submit(ordering, order())
    await settled(ordering, key_of(payload["intake"]["id"], "OrderIntake"), "POSTED")
    await stored(ordering, intake(state=IntakeState.POSTED, customer="CUST-0002", order_id="1", order_number="SO-1"))
    started = await ordering.client.post("/console/reconciliations", headers=OPERATIONS, json={"days": 366})
    assert started.status_code == 202
    found = await reconciled(ordering)
    assert (found["compared"], found["doubled"], found["missing"], found["failure"]) == (2, 0, 1, None)
    assert [(one["kind"], one["customer"], one["orders"]) for one in found["keys"]] == [("missing", "CUST-0002", [])]


async def test_reconciliation_with_a_source_that_fails_proves_nothing(ordering: Graph):
    await stored(ordering, intake(state=IntakeState.POSTED, order_id="1", order_number="SO-1"))
    await ordering.turn("erp", resource="order-submissions", errorRate=1.0, errorKind="500")
    await ordering.client.post("/console/reconciliations", headers=OPERATIONS, json={"days": 366})
    found = await reconciled(ordering)
    assert (found["compared"], found["failure"]) == (0, "SOURCE_UNAVAILABLE")


@pytest.mark.parametrize("days", [0, -1, 367, 1e300, "7"])
async def test_bad_period_is_refused(ordering: Graph, days: Any):
    answer = await ordering.client.post("/console/reconciliations", headers=OPERATIONS, json={"days": days})
    assert code_of(answer) == (400, "INVALID_INPUT")


# The page


async def opened(page: Page, graph: Graph, principal: dict[str, str] = OPERATIONS, query: str = "") -> None:
    token = principal["authorization"].removeprefix("Bearer ")
    await page.open(f"{graph.client.base_url}/console/intakes.html{query}#token={token}")


def row(one: OrderIntake) -> str:
    return f"document.querySelector('[data-intake=\"{one.id}\"]')"


WIDE = """[...document.querySelectorAll('body *')]
    .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
    .filter((one) => !one.closest('.scroll'))
    .map((one) => one.outerHTML.slice(0, 200))
    .concat(document.documentElement.scrollWidth > document.documentElement.clientWidth ? ['the page scrolls'] : [])"""


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_click_on_retry_leads_to_one_order(ordering: Graph):
    one = failed()
    await stored(ordering, one, failed("CUST-0002"))
    async with browsing() as page:
        await opened(page, ordering)
        text = await page.until(f"{row(one)}?.innerText")
        assert "The system of record did not answer in time." in text
        assert "Failed" in text
        # A double click is one decision.
        await page.run(
            f"(() => {{ const retry = {row(one)}.querySelector('button.primary'); retry.click(); retry.click(); }})()"
        )
        await page.until(f"{row(one)} === null")
        assert (await page.run("document.querySelector('#message').innerText")) == (
            f"PO {one.customer_po} of CUST-0001: Posting."
        )
        await page.run("(() => { const state = document.querySelector('#state'); state.value = 'posted'; "
                       "state.dispatchEvent(new Event('change')); })()")  # fmt: skip
        await page.until(f"{row(one)}?.dataset.state === 'POSTED'")
        assert page.foreign() == []
        assert page.problems == []
    assert await counts(ordering) == {"keys": 1, "orders": 1, "doubled": []}


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_two_operators_who_click_at_once_post_one_order_and_one_gets_a_conflict(ordering: Graph):
    one = failed()
    await stored(ordering, one)
    async with browsing() as here, browsing() as there:
        for page, principal in ((here, OPERATIONS), (there, OTHER_OPERATOR)):
            await opened(page, ordering, principal)
            await page.until(row(one))
        await asyncio.gather(
            *(page.run(f"{row(one)}.querySelector('button.primary').click()") for page in (here, there))
        )
        said = [await page.until("document.querySelector('#message')?.innerText") for page in (here, there)]
        assert sorted("Posting" in text for text in said) == [False, True]
        await settled(ordering, one.id, "POSTED")
    assert await counts(ordering) == {"keys": 1, "orders": 1, "doubled": []}


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_order_is_cancelled_by_keyboard_after_a_confirmation(ordering: Graph):
    one = failed()
    await stored(ordering, one)
    async with browsing() as page:
        await opened(page, ordering)
        await page.until(row(one))
        await tab_to(page, f"#cancel-{one.id}")
        await page.key(" ", 32)
        await page.until(f"{row(one)}.innerText.includes('Confirm cancel')")
        assert (await queue(ordering))["intakes"][0]["state"] == "FAILED"
        assert await page.run("document.activeElement.id") == f"cancel-{one.id}"
        await page.key(" ", 32)
        await page.until(f"{row(one)} === null")
        await page.until("document.activeElement.id === 'orders-title'")
    assert (await queue(ordering))["intakes"][0]["state"] == "CANCELLED"
    assert await counts(ordering) == {"keys": 0, "orders": 0, "doubled": []}


async def tab_to(page: Page, selector: str) -> None:
    for _ in range(60):
        if await page.run(f"document.activeElement.matches('{selector}')"):
            return
        await page.key("Tab", 9)
    raise AssertionError(f"{selector} is not reached by Tab")


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_operator_without_the_scope_is_refused_and_stays_signed_in(ordering: Graph):
    await stored(ordering, failed())
    async with browsing() as page:
        await opened(page, ordering, ADMIN)
        text = await page.until("document.querySelector('#failure')?.innerText")
        assert text == "The order queue is for roles with the scope INTAKE_ADMIN."
        assert await page.run("document.querySelector('#content').hidden") is True
        assert await page.run("document.querySelector('#orders').childElementCount") == 0
        await page.run("document.querySelector('nav.pages a').click()")
        await page.until("document.querySelector('#sources .source')")
        assert await barriers(page) == []


@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_page_fits_desktop_and_phone_without_cut_tables(ordering: Graph, theme: str):
    long = failed("CUST-0002", customer_po="PO-2026-11-30-WAREHOUSE-EAST-0000000000000000000000000000001")
    await stored(ordering, failed(), long, intake(state=IntakeState.HELD), failed())
    await stored(ordering, intake(state=IntakeState.POSTED, customer="CUST-0002", order_id="1", order_number="SO-1"))
    await ordering.client.post("/console/reconciliations", headers=OPERATIONS, json={"days": 366})
    await reconciled(ordering)
    async with browsing() as page:
        await page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        for width in (1280, 390):
            await page.resize(width, 844)
            await opened(page, ordering, query=f"?width={width}")
            await page.until("document.querySelectorAll('#orders-table tbody tr').length === 4")
            await page.until("document.querySelector('#discrepancies')")
            assert await page.run(WIDE) == []
            assert await page.run(CUT) == []
            assert await barriers(page) == []


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_pages_and_filters_are_shown(ordering: Graph):
    ones = [failed(f"CUST-{1 + number % 2:04d}") for number in range(30)]
    await stored(ordering, *ones)
    async with browsing() as page:
        await opened(page, ordering)
        await page.until("document.querySelectorAll('#orders-table tbody tr').length === 25")
        await page.run("document.querySelector('#older').click()")
        await page.until("document.querySelectorAll('#orders-table tbody tr').length === 5")
        assert await page.run("document.querySelector('#older').disabled") is True
        await page.run("document.querySelector('#newer').click()")
        await page.until("document.querySelectorAll('#orders-table tbody tr').length === 25")
        await page.run("document.querySelector('#customer').focus()")
        await page.type("CUST-0002")
        await page.run("document.querySelector('#filter').requestSubmit()")
        await page.until("document.querySelectorAll('#orders-table tbody tr').length === 15")
        assert await page.run("location.search") == "?state=attention&customer=CUST-0002"


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_reconciliation_is_started_by_a_click(ordering: Graph):
    await stored(ordering, intake(state=IntakeState.POSTED, customer="CUST-0002", order_id="1", order_number="SO-1"))
    async with browsing() as page:
        await opened(page, ordering)
        await page.until("document.querySelector('#reconciliation')?.innerText.includes('There is no result yet.')")
        await page.run("document.querySelector('#days').value = '30'")
        await page.run("document.querySelector('#reconcile').requestSubmit()")
        await page.until(
            "document.querySelector('#reconciliation [data-running=false]')?.innerText.includes('compared')"
        )
