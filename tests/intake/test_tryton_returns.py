"""Returns in Tryton: one for each key, whatever fails between the wizard and the reduction to what is returned."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from app.auth.principal import SYSTEM
from app.errors import SourceError
from app.sources.billing import ReturnCondition, ReturnCreditState, ReturnReason, ReturnShipmentState
from app.sources.return_writer import (
    NewReturn,
    NewReturnLine,
    ReturnDecision,
    ReturnDecisionKind,
    ReturnNotAccepted,
    ReturnRefusal,
    ReturnWriter,
)
from app.sources.source import Source
from app.sources.tryton.calls import DECLARATION
from tests.contract.tryton_case import connect_to
from tests.upstreams.tryton import NOW
from tests.upstreams.tryton_returns import ReturnedSales, returned_sales
from tests.upstreams.tryton_sales import user_error, user_warning

EXECUTE = "wizard.sale.return_sale.execute"
LOST = ["reset before", "truncated", "HTML", "503"]


@pytest.fixture
async def sales() -> AsyncIterator[ReturnedSales]:
    async with returned_sales() as upstream:
        yield upstream


@pytest.fixture
async def source(sales: ReturnedSales) -> AsyncIterator[Source]:
    connected = connect_to(sales.proxy.url, lambda: NOW, confirm_warnings=("credit_limit_amount",))
    yield connected
    await connected.aclose()


@pytest.fixture
def writer(source: Source) -> ReturnWriter:
    assert source.return_writer is not None
    return source.return_writer


def wanted(order: int, number: int = 2, quantity: str = "2", **given: Any) -> NewReturn:
    line = NewReturnLine(
        number=number,
        quantity=Decimal(quantity),
        reason=ReturnReason.DAMAGED,
        condition=ReturnCondition.OPENED,
        note="Cracked",
    )
    return NewReturn(**{
        "key": "k", "customer": "CUST-1", "order_id": str(order), "order_number": str(order), "channel": "API",
        "requested_by": "anna", "note": "Two\ncartons", "lines": (line,), **given,
    })  # fmt: skip


def decision(id: str, version: int, kind: ReturnDecisionKind, note: str | None = None) -> ReturnDecision:
    return ReturnDecision(id=id, version=version, kind=kind, decided_by="clerk", note=note)


async def version(source: Source, id: str) -> int:
    found = (await source.billing.returns_by_id(SYSTEM, [id]))[id].version  # pyright: ignore[reportAttributeAccessIssue]
    assert found is not None
    return found


async def test_return_has_the_returned_lines_and_its_own_key(
    source: Source, writer: ReturnWriter, sales: ReturnedSales
):
    order = sales.deliver(5, 3, 1)
    written = await writer.request(SYSTEM, wanted(order))
    [made] = sales.returns(order)
    assert (made["state"], made["reference"], made["description"]) == ("draft", "k", None)
    assert sales.called == ["wizard.sale.return_sale.create", EXECUTE, "write"]
    assert await writer.find(SYSTEM, ["k", "other", "", "PO 1"]) == {"k": written}
    [found] = (await source.billing.returns(SYSTEM, [str(order), "nobody"]))[str(order)]
    assert (found.id, found.number, found.order, found.customer) == (
        written.id, f"draft-{written.id}", str(order), "CUST-1",
    )  # fmt: skip
    assert (found.requested_by, found.note, found.message, found.reason) == ("anna", "Two\ncartons", None, "DAMAGED")
    assert (found.shipment_state, found.credit_state) == (ReturnShipmentState.REQUESTED, ReturnCreditState.NONE)
    [line] = found.lines
    assert (line.line_number, line.sku, line.quantity, line.uom) == (2, "SKU-2", Decimal(2), "EA")
    assert (line.reason, line.condition, line.note) == (ReturnReason.DAMAGED, ReturnCondition.OPENED, "Cracked")
    assert await source.billing.returns_by_id(SYSTEM, [written.id, str(order), "x"]) == {written.id: found}  # pyright: ignore[reportAttributeAccessIssue]


async def test_return_is_read_by_its_number_and_as_a_draft_by_its_id(
    source: Source, writer: ReturnWriter, sales: ReturnedSales
):
    order = sales.deliver(5, 3)
    written = await writer.request(SYSTEM, wanted(order))

    async def read(*numbers: str) -> Any:
        return await source.billing.returns_by_number(SYSTEM, numbers)  # pyright: ignore[reportAttributeAccessIssue]

    draft = f"draft-{written.id}"
    found = await read(draft, str(order), "draft-x", "", "nobody")
    assert {number: one.id for number, one in found.items()} == {draft: written.id}
    await writer.decide(SYSTEM, decision(written.id, await version(source, written.id), ReturnDecisionKind.APPROVE))
    number = sales.sales[int(written.id)]["number"]
    found = await read(number, draft)
    assert [(key, one.id, one.order, one.shipment_state) for key, one in found.items()] == [
        (number, written.id, str(order), ReturnShipmentState.APPROVED)
    ]
    sales.deliver(-5, state="draft", reference=None, origin=f"sale.sale,{order}", number="unfinished")
    assert await read("unfinished") == {}


@pytest.mark.parametrize("fault", LOST)
@pytest.mark.parametrize("step", [EXECUTE, "write"])
async def test_interrupted_request_is_completed_and_not_repeated(
    source: Source, writer: ReturnWriter, sales: ReturnedSales, step: str, fault: str
):
    order = sales.deliver(5, 3)
    sales.spoiled[step] = fault
    with pytest.raises(SourceError) as lost:
        await writer.request(SYSTEM, wanted(order))
    assert lost.value.sent
    found = await writer.find(SYSTEM, ["k"])
    assert (await source.billing.returns(SYSTEM, [str(order)]) == {}) == (step == EXECUTE)
    if step == EXECUTE:
        assert found == {}
        found = {"k": await writer.request(SYSTEM, wanted(order))}
    [made] = sales.returns(order)
    assert (found["k"].id, made["reference"], len(made["lines"])) == (str(made["id"]), "k", 1)
    assert sales.called.count(EXECUTE) == 1


async def test_drafts_of_other_users_are_not_completed(writer: ReturnWriter, sales: ReturnedSales):
    order = sales.deliver(5, 3)
    sales.deliver(-5, state="draft", reference=None, origin=f"sale.sale,{order}", **{"create_uid.login": "clerk"})
    await writer.request(SYSTEM, wanted(order))
    assert [one["reference"] for one in sales.returns(order)] == [None, "k"]


async def test_order_is_still_one_order_while_its_return_has_the_same_key(source: Source, sales: ReturnedSales):
    """The wizard copies the field that has the order's key."""
    order = sales.deliver(5, 3)
    sales.spoiled[EXECUTE] = "reset before"
    assert source.return_writer is not None
    assert source.order_writer is not None
    with pytest.raises(SourceError):
        await source.return_writer.request(SYSTEM, wanted(order))
    assert [one["description"] for one in sales.returns(order)] == ["key of the order"]
    found = await source.order_writer.find(SYSTEM, ["key of the order"])
    assert [one.id for one in found["key of the order"]] == [str(order)]


async def test_more_than_was_ordered_is_refused_before_anything_is_created(writer: ReturnWriter, sales: ReturnedSales):
    order = sales.deliver(5, 3)
    for number, quantity in ((2, "3.5"), (3, "1")):
        with pytest.raises(ReturnNotAccepted) as refused:
            await writer.request(SYSTEM, wanted(order, number, quantity))
        assert (refused.value.refusal, refused.value.lines) == (ReturnRefusal.QUANTITY, (number,))
    assert (sales.returns(order), sales.called) == ([], [])


async def test_return_is_approved_warnings_confirmed(source: Source, writer: ReturnWriter, sales: ReturnedSales):
    order = sales.deliver(5, 3)
    id = (await writer.request(SYSTEM, wanted(order))).id
    sales.refusals["confirm"] = user_warning("credit_limit_amount")
    await writer.decide(SYSTEM, decision(id, await version(source, id), ReturnDecisionKind.APPROVE))
    assert sales.called[-4:] == ["quote", "confirm", "res.user.warning.skip", "confirm"]
    found = (await source.billing.returns_by_id(SYSTEM, [id]))[id]  # pyright: ignore[reportAttributeAccessIssue]
    assert (found.shipment_state, found.credit_state) == (ReturnShipmentState.APPROVED, ReturnCreditState.PENDING)
    received = {"id": 1, "state": "received", "effective_date": {"__class__": "date", "year": 2026, "month": 11,
                                                                 "day": 24}}  # fmt: skip
    sales.sales[int(id)] |= {"shipment_returns": [received], "invoices": [{"id": 9, "state": "draft", "number": None}]}
    found = (await source.billing.returns_by_id(SYSTEM, [id]))[id]  # pyright: ignore[reportAttributeAccessIssue]
    assert (found.shipment_state.value, str(found.received_on), found.credit_state.value, found.credit_memo_id) == (
        "RECEIVED", "2026-11-24", "PENDING", None,
    )  # fmt: skip
    sales.sales[int(id)]["invoices"] = [{"id": 9, "state": "posted", "number": "CN-7"}]
    found = (await source.billing.returns_by_id(SYSTEM, [id]))[id]  # pyright: ignore[reportAttributeAccessIssue]
    assert (found.credit_state.value, found.credit_memo, found.credit_memo_id) == ("CREDITED", "CN-7", "9")
    assert sales.tryton.traffic is not None
    written = {call.name for call in DECLARATION.calls if call.port == "return_writer"}
    assert written & sales.tryton.traffic.unused == set()


@pytest.mark.parametrize(
    ("kind", "state"), [(ReturnDecisionKind.REJECT, "REFUSED"), (ReturnDecisionKind.CANCEL, "CANCELLED")]
)
async def test_return_is_rejected_or_cancelled_with_its_reason(
    source: Source, writer: ReturnWriter, sales: ReturnedSales, kind: ReturnDecisionKind, state: str
):
    id = (await writer.request(SYSTEM, wanted(sales.deliver(5, 3)))).id
    await writer.decide(SYSTEM, decision(id, await version(source, id), kind, "Too\nlate"))
    found = (await source.billing.returns_by_id(SYSTEM, [id]))[id]  # pyright: ignore[reportAttributeAccessIssue]
    assert (found.shipment_state.value, found.message, found.note, found.requested_by) == (
        state, "Too late", "Two\ncartons", "anna",
    )  # fmt: skip
    with pytest.raises(ReturnNotAccepted) as refused:
        await writer.decide(SYSTEM, decision(id, await version(source, id), kind))
    assert refused.value.refusal is ReturnRefusal.NOT_OPEN


async def test_decisions_that_do_not_apply_are_refused(source: Source, writer: ReturnWriter, sales: ReturnedSales):
    order = sales.deliver(5, 3)
    id = (await writer.request(SYSTEM, wanted(order))).id
    known = await version(source, id)

    async def refusal(id: str, version: int, kind: ReturnDecisionKind) -> ReturnRefusal:
        with pytest.raises(ReturnNotAccepted) as refused:
            await writer.decide(SYSTEM, decision(id, version, kind))
        return refused.value.refusal

    assert await refusal(id, known - 1, ReturnDecisionKind.APPROVE) is ReturnRefusal.VERSION_CONFLICT
    assert await refusal(str(order), 0, ReturnDecisionKind.CANCEL) is ReturnRefusal.NOT_OPEN
    assert await refusal("x", 0, ReturnDecisionKind.CANCEL) is ReturnRefusal.NOT_OPEN
    sales.refusals["quote"] = user_error("The address is missing.")
    assert await refusal(id, known, ReturnDecisionKind.APPROVE) is ReturnRefusal.RULE
    sales.sales[int(id)]["state"] = "processing"
    assert await refusal(id, known, ReturnDecisionKind.CANCEL) is ReturnRefusal.RULE
    assert [one["state"] for one in sales.returns(order)] == ["processing"]
