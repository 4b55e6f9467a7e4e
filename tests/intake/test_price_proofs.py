"""Proofs of quoted prices: made with a contract price, and checked when a line is ordered by it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr, ValidationError

from app.errors import (
    ConfigurationError,
    PriceProofExpired,
    PriceProofInvalid,
)
from app.intake.price_proofs import LONGEST_PROOF, PriceProofs, ProvenPrice, make_price_proofs
from app.sandbox import Sandbox
from app.settings import IntakeSettings, PriceChangePolicy, PriceChangeRule, ProofSettings, Settings
from app.sources.prices import ContractPrice, PriceReason
from app.sources.values import Freshness, Money
from tests.intake.test_submit import counts, line, order, settled
from tests.support.gateway import BUYER, CSR, NOON, OTHER_BUYER, Graph, gateway

OLD, NEW = SecretStr("the old key of the tests, which is long enough"), SecretStr("the new key of the tests, long too")
PROOFS = ProofSettings(keys={"k1": OLD})
DAY = timedelta(days=1)

PRICE = """query Price($sku: String!, $customer: CustomerKey!, $quantity: Decimal!, $uom: String) {
  itemsBySku(skus: [$sku]) {
    uoms { code numerator denominator }
    contractPrice(customer: $customer, quantity: $quantity, uom: $uom) {
      proof uom unitPrice { amount } breaks { minimum } quotedAt
    }
  }
}"""
SUBMIT = """mutation Submit($input: SubmitOrderInput!) { submitOrder(input: $input) {
  intake {
    id state acknowledgement checks { kind result lineNumber message }
    lines { lineNumber quoted { amount currency } quotedUnit current { amount } priceUnit priceComparison }
  }
  problems { code lineNumber path }
} }"""
ORDERED = "query ($id: ID!) { node(id: $id) { ... on OrderIntake { lines { ordered { amount currency } } } } }"


def price(**given: Any) -> ContractPrice:
    return ContractPrice(
        **{
            "customer": "CUST-0001",
            "sku": "SKU-0001",
            "uom": "EA",
            "quantity": Decimal(12),
            "unit_price": Money(amount=Decimal("12.3456"), currency="USD"),
            "authority": "erp",
            "quoted_at": NOON,
            "reason": PriceReason(rule="CONTRACT", contract="C-10001"),
            "freshness": Freshness(source="erp", as_of=NOON),
            **given,
        }
    )


def proven(proofs: PriceProofs, text: str | None, at: datetime = NOON, tenant: str = "default") -> Any:
    assert text is not None
    return proofs.verify(tenant, text, at)


# A proof


def test_proof_states_the_price_in_a_short_text():
    proofs = PriceProofs(PROOFS)
    text = proofs.prove("default", price(valid_to=date(2026, 12, 31)))
    assert proven(proofs, text) == ProvenPrice(
        customer="CUST-0001", sku="SKU-0001", uom="EA", quantity=Decimal(12), amount=Decimal("12.3456"),
        price_unit=Decimal(1), currency="USD", authority="erp", quoted_at=int(NOON.timestamp()),
        valid_to=date(2026, 12, 31).toordinal(), reason="CONTRACT/C-10001",
    )  # fmt: skip
    assert text is not None
    assert len(text) <= 160


def test_any_other_character_of_a_proof_makes_it_invalid():
    proofs = PriceProofs(PROOFS)
    text = proofs.prove("default", price()) or ""
    for position, character in enumerate(text):
        changed = f"{text[:position]}{'A' if character != 'A' else 'B'}{text[position + 1 :]}"
        assert proven(proofs, changed) is PriceProofInvalid, position


@pytest.mark.parametrize(
    "text", ["", ".", "k1", "k1.", "k1.A", "k1.AAAA", "k1.é", "k1.\0", "k1." + "A" * LONGEST_PROOF]
)
def test_text_that_is_no_proof_is_invalid(text: str):
    assert proven(PriceProofs(PROOFS), text) is PriceProofInvalid


def test_proof_signed_by_another_key_under_the_same_id_is_invalid():
    forged = PriceProofs(ProofSettings(keys={"k1": NEW})).prove("default", price())
    assert proven(PriceProofs(PROOFS), forged) is PriceProofInvalid


def test_proof_of_another_tenant_is_invalid():
    proofs = PriceProofs(PROOFS)
    assert proven(proofs, proofs.prove("other", price())) is PriceProofInvalid


def test_keys_rotate():
    old = PriceProofs(PROOFS).prove("default", price())
    both = PriceProofs(ProofSettings(keys={"k1": OLD, "k2": NEW}, signing_key="k2"))
    new = both.prove("default", price()) or ""
    assert new.startswith("k2.")
    assert isinstance(proven(both, old), ProvenPrice)
    assert isinstance(proven(both, new), ProvenPrice)
    assert proven(PriceProofs(ProofSettings(keys={"k2": NEW})), old) is PriceProofInvalid


@pytest.mark.parametrize(
    ("valid_to", "at", "expired"),
    [
        (None, NOON + 7 * DAY - timedelta(seconds=1), False),
        (None, NOON + 7 * DAY, True),
        (NOON.date(), NOON.replace(hour=23, minute=59), False),
        (NOON.date(), (NOON + DAY).replace(hour=0, minute=0), True),
    ],
)
def test_proof_expires_with_its_lifetime_and_its_price(valid_to: date | None, at: datetime, expired: bool):
    proofs = PriceProofs(PROOFS)
    found = proven(proofs, proofs.prove("default", price(valid_to=valid_to)), at)
    assert (found is PriceProofExpired) is expired


@pytest.mark.parametrize("days", [{"valid_from": date(2999, 1, 1)}, {"valid_to": date(1999, 1, 1)}])
def test_price_of_another_day_has_no_proof(days: Mapping[str, date]):
    assert PriceProofs(PROOFS).prove("default", price(**days)) is None


def test_without_a_key_there_is_no_proof():
    assert PriceProofs(ProofSettings()).prove("default", price()) is None


def test_wrong_keys_are_refused():
    with pytest.raises(ValidationError, match="too short"):
        ProofSettings(keys={"k1": SecretStr("short")})
    with pytest.raises(ValidationError, match="name the one that signs"):
        ProofSettings(keys={"k1": OLD, "k2": NEW})
    with pytest.raises(ValidationError, match="none of keys"):
        ProofSettings(keys={"k1": OLD}, signing_key="k3")
    demo = IntakeSettings(proofs=ProofSettings(keys={"demo": OLD}))
    with pytest.raises(ConfigurationError):
        make_price_proofs(Settings(intake=demo))
    assert make_price_proofs(Settings(intake=demo, demo=True)).prove("default", price())
    assert OLD.get_secret_value() not in repr(make_price_proofs(Settings(intake=demo, demo=True)))


# Orders


def intake_settings(policy: PriceChangePolicy = PriceChangePolicy.HOLD, *rules: PriceChangeRule) -> IntakeSettings:
    return IntakeSettings(proofs=ProofSettings(keys={"k1": OLD}, on_change=policy, changes=rules))


@pytest.fixture
async def selling(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    async with selling_by(dated_sandbox, intake_settings()) as graph:
        yield graph


@asynccontextmanager
async def selling_by(sandbox: Sandbox, intake: IntakeSettings) -> AsyncIterator[Graph]:
    """A gateway that proves prices; changed prices and created orders are removed at its end."""
    async with gateway(sandbox, intake=intake) as graph:
        await graph.backends["erp"].delete("/sandbox/submitted-orders")
        try:
            yield graph
        finally:
            await graph.repair()
            await graph.backends["erp"].delete("/sandbox/submitted-orders")


async def quote(graph: Graph, principal: Any = BUYER, **given: Any) -> dict[str, Any]:
    """The contract price of 12 pieces of an item."""
    variables = {"sku": "SKU-0001", "customer": {"number": "CUST-0001"}, "quantity": "12", **given}
    return (await graph.data(PRICE, variables, principal=principal))["itemsBySku"][0]["contractPrice"]


async def submit(graph: Graph, *lines: dict[str, Any], key: str = "key-1", principal: Any = BUYER) -> dict[str, Any]:
    return (await graph.data(SUBMIT, {"input": order(key, lines=list(lines))}, principal=principal))["submitOrder"]


async def change_price(graph: Graph, percent: str, sku: str = "SKU-0001") -> None:
    body = {"sku": sku, "percent": percent}
    (await graph.backends["erp"].post("/sandbox/prices/CUST-0001", json=body)).raise_for_status()


def codes(payload: Mapping[str, Any]) -> list[tuple[str, int]]:
    return [(one["code"], one["lineNumber"]) for one in payload["problems"]]


async def test_order_at_the_proven_price_is_posted_at_it(selling: Graph):
    shown = await quote(selling)
    payload = await submit(selling, line(1, proof=shown["proof"]), line(2, "SKU-0002", "6"))
    assert (payload["intake"]["acknowledgement"], payload["problems"]) == ("ACCEPTED", [])
    first, second = payload["intake"]["lines"]
    assert first == {
        "lineNumber": 1, "quoted": {"amount": shown["unitPrice"]["amount"], "currency": "USD"}, "quotedUnit": "1",
        "current": {"amount": shown["unitPrice"]["amount"]}, "priceUnit": "1", "priceComparison": "EQUAL",
    }  # fmt: skip
    assert (second["priceComparison"], second["quoted"]["amount"]) == (None, second["current"]["amount"])
    await settled(selling, payload["intake"]["id"], "POSTED")
    ordered = (await selling.data(ORDERED, {"id": payload["intake"]["id"]}, principal=BUYER))["node"]["lines"]
    assert ordered[0] == {"ordered": {"amount": shown["unitPrice"]["amount"], "currency": "USD"}}
    assert ordered[1]["ordered"]["amount"] == second["current"]["amount"]


async def test_proof_of_the_price_in_another_unit_is_for_lines_in_that_unit(selling: Graph):
    items = await selling.data(PRICE, {"sku": "SKU-0001", "customer": {"number": "CUST-0001"}, "quantity": "1"})
    codes_of = [one["code"] for one in items["itemsBySku"][0]["uoms"]]
    other = next(code for code in codes_of if code != items["itemsBySku"][0]["contractPrice"]["uom"])
    shown = await quote(selling, quantity="1", uom=other)
    wrong = await submit(selling, line(1, quantity="12", proof=shown["proof"]))
    assert codes(wrong) == [("PRICE_PROOF_MISMATCH", 1)]
    right = await submit(selling, line(1, quantity="1", uom=other, proof=shown["proof"]), key="key-2")
    assert (codes(right), right["intake"]["lines"][0]["priceComparison"]) == ([], "EQUAL")


async def test_proof_is_for_its_quantity_break(selling: Graph):
    shown = await quote(selling, quantity="1")
    above = max(Decimal(step["minimum"]) for step in shown["breaks"])
    assert above > 1
    wrong = await submit(selling, line(1, quantity=str(above), proof=shown["proof"]))
    assert codes(wrong) == [("PRICE_PROOF_MISMATCH", 1)]
    assert (wrong["intake"]["state"], wrong["intake"]["lines"][0]["priceComparison"]) == ("REJECTED", None)
    top = await quote(selling, quantity=str(above))
    within = await submit(selling, line(1, quantity=str(above * 2), proof=top["proof"]), key="key-2")
    assert (codes(within), within["intake"]["lines"][0]["priceComparison"]) == ([], "EQUAL")


async def test_wrong_proofs_are_problems_by_line(selling: Graph):
    own = await quote(selling)
    foreign = await quote(selling, principal=OTHER_BUYER, customer={"number": "CUST-0002"})
    other_item = await quote(selling, sku="SKU-0002")
    old = PriceProofs(PROOFS).prove("default", price(quoted_at=NOON - 8 * DAY, uom=own["uom"]))
    forged = PriceProofs(ProofSettings(keys={"k1": NEW})).prove("default", price(uom=own["uom"]))
    cheaper = own["proof"][:-1] + ("A" if own["proof"][-1] != "A" else "B")
    payload = await submit(
        selling,
        line(1, proof=own["proof"]),
        line(2, proof=foreign["proof"]),
        line(3, proof=other_item["proof"]),
        line(4, proof=old),
        line(5, proof=forged),
        line(6, proof=cheaper),
        line(7, proof="x" * 100_000),
    )
    assert codes(payload) == [
        ("PRICE_PROOF_FOREIGN", 2),
        ("PRICE_PROOF_MISMATCH", 3),
        ("PRICE_PROOF_EXPIRED", 4),
        ("PRICE_PROOF_INVALID", 5),
        ("PRICE_PROOF_INVALID", 6),
        ("PRICE_PROOF_INVALID", 7),
    ]
    assert {tuple(one["path"]) for one in payload["problems"]} == {("input", "lines")}
    assert payload["intake"]["state"] == "REJECTED"
    assert (await counts(selling))["orders"] == 0


@pytest.mark.parametrize(
    ("policy", "percent", "state", "problems", "result"),
    [
        (PriceChangePolicy.HOLD, "5", "HELD", [("PRICE_CHANGED", 1)], "HIGHER"),
        (PriceChangePolicy.HOLD, "-5", "HELD", [("PRICE_CHANGED", 1)], "LOWER"),
        (PriceChangePolicy.REJECT, "5", "REJECTED", [("PRICE_CHANGED", 1)], "HIGHER"),
        (PriceChangePolicy.REJECT, "-5", "REJECTED", [("PRICE_CHANGED", 1)], "LOWER"),
        (PriceChangePolicy.ACCEPT_IF_LOWER, "5", "HELD", [("PRICE_CHANGED", 1)], "HIGHER"),
        (PriceChangePolicy.ACCEPT_IF_LOWER, "-5", "POSTED", [], "LOWER"),
    ],
)
async def test_changed_contract_is_treated_by_the_policy(
    dated_sandbox: Sandbox, policy: PriceChangePolicy, percent: str, state: str, problems: list[Any], result: str
):
    async with selling_by(dated_sandbox, intake_settings(policy)) as selling:
        shown = await quote(selling)
        await change_price(selling, percent)
        payload = await submit(selling, line(1, proof=shown["proof"]))
        assert (codes(payload), payload["intake"]["lines"][0]["priceComparison"]) == (problems, result)
        assert payload["intake"]["lines"][0]["quoted"]["amount"] == shown["unitPrice"]["amount"]
        now = await quote(selling)
        assert payload["intake"]["lines"][0]["current"]["amount"] == now["unitPrice"]["amount"]
        assert now["unitPrice"]["amount"] != shown["unitPrice"]["amount"]
        await settled(selling, payload["intake"]["id"], state)
        ordered = (await selling.data(ORDERED, {"id": payload["intake"]["id"]}, principal=BUYER))["node"]["lines"]
        expected = {"amount": now["unitPrice"]["amount"], "currency": "USD"} if state == "POSTED" else None
        assert ordered == [{"ordered": expected}]


async def test_policy_is_set_by_client_and_channel(dated_sandbox: Sandbox):
    rules = (
        PriceChangeRule(channel="EDI", policy=PriceChangePolicy.HOLD),
        PriceChangeRule(client="nobody", policy=PriceChangePolicy.HOLD),
        PriceChangeRule(channel="API", policy=PriceChangePolicy.ACCEPT_IF_LOWER),
    )
    async with selling_by(dated_sandbox, intake_settings(PriceChangePolicy.REJECT, *rules)) as selling:
        shown = await quote(selling)
        await change_price(selling, "-1")
        assert codes(await submit(selling, line(1, proof=shown["proof"]))) == []


async def test_forged_proof_is_refused_and_a_right_one_waits_while_the_source_is_away(selling: Graph):
    shown = await quote(selling)
    await selling.turn("erp", resource="prices", errorRate=1.0, errorKind="500")
    answer = await selling.ask(SUBMIT, {"input": order(lines=[line(1, proof="k1.AAAA")])}, principal=BUYER)
    assert codes(answer["data"]["submitOrder"]) == [("PRICE_PROOF_INVALID", 1)]
    answer = await selling.ask(
        SUBMIT, {"input": order("key-2", lines=[line(1, proof=shown["proof"])])}, principal=BUYER
    )
    intake = answer["data"]["submitOrder"]["intake"]
    assert (intake["state"], intake["lines"][0]["priceComparison"]) == ("RECEIVED", None)
    assert intake["lines"][0]["quoted"]["amount"] == shown["unitPrice"]["amount"]
    await selling.repair()
    await settled(selling, intake["id"], "POSTED")


async def test_proof_is_part_of_what_a_key_stands_for(selling: Graph):
    proof = (await quote(selling))["proof"]
    first = await submit(selling, line(1, proof=proof))
    again = await submit(selling, line(1, proof=proof))
    other = await submit(selling, line(1))
    assert (again["intake"]["id"], [one["code"] for one in other["problems"]]) == (
        first["intake"]["id"],
        ["KEY_REUSED"],
    )


async def test_proven_prices_are_counted_once_by_result(selling: Graph):
    def counted(text: str) -> dict[str, float]:
        start = 'tradegraph_proven_prices_total{channel="API",result="'
        lines = (one.removeprefix(start) for one in text.splitlines() if one.startswith(start))
        return {one.partition('"')[0]: float(one.rpartition(" ")[2]) for one in lines}

    before = counted(await selling.metrics())
    shown, other = await quote(selling), await quote(selling, sku="SKU-0002")
    await change_price(selling, "5", "SKU-0002")
    lines = [
        line(1, proof=shown["proof"]), line(2, "SKU-0002", proof=other["proof"]), line(3, proof="k1.AAAA"), line(4),
    ]  # fmt: skip
    await submit(selling, *lines)
    await submit(selling, *lines)
    after = counted(await selling.metrics())
    assert {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)} == {
        "equal": 1, "higher": 1, "refused": 1,
    }  # fmt: skip


async def test_ordered_prices_of_many_intakes_cost_one_call(selling: Graph):
    async def calls() -> int:
        await selling.forget()
        query = "{ orderIntakes(first: 20) { nodes { lines { ordered { amount } } } } }"
        nodes = (await selling.data(query, principal=CSR))["orderIntakes"]["nodes"]
        assert all(one["ordered"] for node in nodes for one in node["lines"])
        return (await selling.requests())["erp"]

    ids = []
    for number in range(6):
        payload = await submit(selling, line(1), line(2, "SKU-0002"), key=f"many-{number}", principal=CSR)
        ids.append(payload["intake"]["id"])
        await settled(selling, ids[-1], "POSTED", principal=CSR)
        if number == 0:
            assert await calls() == 1
    assert await calls() == 1


def test_payload_cannot_be_read_as_another_price():
    """The signature covers every byte: a payload with another amount needs the key."""
    text = PriceProofs(PROOFS).prove("default", price()) or ""
    data = base64.urlsafe_b64decode(text[3:] + "=" * (-len(text[3:]) % 4))
    cheap = msgspec.structs.replace(msgspec.msgpack.decode(data[:-32], type=ProvenPrice), amount=Decimal("0.01"))
    other = base64.urlsafe_b64encode(msgspec.msgpack.encode(cheap) + data[-32:]).rstrip(b"=").decode()
    assert proven(PriceProofs(PROOFS), f"k1.{other}", datetime.now(UTC)) is PriceProofInvalid
