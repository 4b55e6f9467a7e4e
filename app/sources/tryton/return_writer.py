"""Returns in: Tryton's wizard makes a return of a whole sale, which is then reduced to what is returned.

The wizard knows no key. The second call writes the key as the return's reference; of an order, the caller sends one
request at a time, so that a draft without a reference is what an interrupted request has left, and is completed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.settings.resilience import ORDER_SUBMISSIONS
from app.sources.order_writer import before_creation
from app.sources.return_writer import (
    NewReturn,
    ReturnDecision,
    ReturnDecisionKind,
    ReturnNotAccepted,
    ReturnRefusal,
    WrittenReturn,
)
from app.sources.tryton.client import TrytonClient, TrytonRefusal, record_ids, usable
from app.sources.tryton.options import Options
from app.sources.tryton.returns import CANCELLED, REJECTED, REQUESTED_BY, SALE, ReturnSaleRow, describe, origin_of
from app.sources.tryton.shipments import line_numbers
from app.sources.tryton.wire import Row

T = TypeVar("T")

CALL: Final = ORDER_SUBMISSIONS
WIZARD: Final = "wizard.sale.return_sale"
APPROVAL: Mapping[str, Sequence[str]] = {"draft": ("quote", "confirm"), "quotation": ("confirm",)}
CANCELLATION: Mapping[str, Sequence[str]] = {
    "draft": ("cancel",),
    "quotation": ("cancel",),
    "confirmed": ("draft", "cancel"),
}
"""The buttons to press in a state."""


class DeliveredLineRow(Row, kw_only=True):
    """A line of the sale that goods come back of."""

    type: str
    quantity: Decimal | None = None


class ReturnableSaleRow(Row, kw_only=True):
    """The sale that goods come back of."""

    lines: list[DeliveredLineRow] = []


class Opened(msgspec.Struct):
    """What the wizard opens."""

    res_id: list[int]


class WizardAnswer(msgspec.Struct):
    """The answer of the wizard: actions, each with its data."""

    actions: list[tuple[msgspec.Raw, Opened]]


class TrytonReturnWriter:
    """The writer of one database."""

    def __init__(self, client: TrytonClient, options: Options, max_seconds: float) -> None:
        self._client = client
        self._options = options
        self.max_seconds = max_seconds

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, WrittenReturn]:
        rows = await self._client.search_keys(
            SALE,
            usable(keys),
            lambda chunk: [["reference", "in", chunk], ["company", "=", self._options.company]],
            ReturnSaleRow,
            call=f"{CALL}.by_key",
        )
        found: dict[str, WrittenReturn] = {}
        for row in rows:
            if row.reference is not None and row.reference in keys and origin_of(row) is not None:
                found.setdefault(row.reference, WrittenReturn(id=str(row.id)))
        return found

    async def request(self, principal: Principal, given: NewReturn) -> WrittenReturn:
        with before_creation():
            sale = await self._sale(given.order_id)
            _check_quantities(given, sale)
            row = await self._interrupted_draft(sale.id)
        id = await self._create(sale.id) if row is None else row.id
        if row is None:
            row = await self._read(id)
        if row is None:
            raise SourceMalformed(self._client.source, detail=f"return {id} was created and cannot be read")
        await self._write(id, self._values(given, sale, row))
        return WrittenReturn(id=str(id))

    async def decide(self, principal: Principal, decision: ReturnDecision) -> None:
        ids = record_ids([decision.id])
        with before_creation():
            row = await self._read(ids[0]) if ids else None
        if row is None or origin_of(row) is None:
            raise ReturnNotAccepted(ReturnRefusal.NOT_OPEN, detail="there is no such return")
        if row.version != decision.version:
            raise ReturnNotAccepted(ReturnRefusal.VERSION_CONFLICT, detail=f"version {row.version}")
        buttons = (APPROVAL if decision.kind is ReturnDecisionKind.APPROVE else CANCELLATION).get(row.state)
        if buttons is None:
            kind = ReturnRefusal.RULE if row.state == "processing" else ReturnRefusal.NOT_OPEN
            raise ReturnNotAccepted(kind, detail=f"return {row.id} is {row.state}")
        if decision.kind is not ReturnDecisionKind.APPROVE:
            beginning = REJECTED if decision.kind is ReturnDecisionKind.REJECT else CANCELLED
            reason = " ".join((decision.note or "").split())
            comment = "\n".join([*(row.comment or "").splitlines(), f"{beginning}{reason}"])
            await self._write(row.id, {"comment": comment})
        for button in buttons:
            await self._call(f"model.{SALE}.{button}", [[row.id]], object)

    # The return

    async def _sale(self, id: str) -> ReturnableSaleRow:
        ids = record_ids([id])
        rows = await self._client.search(
            SALE, [["id", "in", ids]], ReturnableSaleRow, limit=1, call=f"{CALL}.returned_order"
        )
        if not rows:
            raise ReturnNotAccepted(ReturnRefusal.RULE, detail=f"there is no sale {id}")
        return rows[0]

    async def _interrupted_draft(self, sale: int) -> ReturnSaleRow | None:
        """A draft that an interrupted request of ours has left."""
        rows = await self._client.search(
            SALE,
            [["origin", "=", f"{SALE},{sale}"], ["state", "=", "draft"], ["reference", "=", None],
             ["create_uid.login", "=", self._client.login]],
            ReturnSaleRow,
            order=[("id", "ASC")],
            limit=1,
            call=f"{CALL}.begun_return",
        )  # fmt: skip
        return rows[0] if rows else None

    async def _create(self, sale: int) -> int:
        """The id of a draft return of a whole sale."""
        with before_creation():
            began = await self._call(f"{WIZARD}.create", [], tuple[int, str, str])
        context = {"active_id": sale, "active_ids": [sale], "active_model": SALE}
        answer = await self._call(
            f"{WIZARD}.execute", [began[0], {"start": {}}, "return_"], WizardAnswer, context=context
        )
        ids = [id for _, opened in answer.actions for id in opened.res_id]
        if len(ids) != 1:
            raise SourceMalformed(self._client.source, detail=f"the wizard made {len(ids)} returns")
        return ids[0]

    def _values(self, given: NewReturn, sale: ReturnableSaleRow, row: ReturnSaleRow) -> dict[str, object]:
        """The values that make the draft this return. Its lines are those of the sale, in the same order."""
        numbers = sorted(line_numbers(sale.lines).values())
        copies = [line.id for line in row.lines if line.type == "line"]
        if len(copies) != len(numbers):
            raise SourceMalformed(self._client.source, detail=f"return {row.id} has other lines than its sale")
        returned = {line.number: line for line in given.lines}
        changes: list[object] = []
        others = [line.id for line in row.lines if line.type != "line"]
        for number, copy in zip(numbers, copies, strict=True):
            line = returned.get(number)
            if line is None:
                others.append(copy)
                continue
            values = {"quantity": -float(line.quantity), "sequence": number,
                      "note": describe(line.reason, line.condition, line.note)}  # fmt: skip
            changes.append(["write", [copy], values])
        if others:
            changes.append(["delete", others])
        comment = f"{REQUESTED_BY}{given.requested_by}" + (f"\n{given.note}" if given.note else "")
        return {
            self._options.order_key_field: None,
            "quotation_validity": None,
            "reference": given.key,
            "comment": comment,
            "lines": changes,
        }

    async def _read(self, id: int) -> ReturnSaleRow | None:
        rows = await self._client.search(SALE, [["id", "=", id]], ReturnSaleRow, limit=1, call=f"{CALL}.return")
        return rows[0] if rows else None

    async def _write(self, id: int, values: Mapping[str, object]) -> None:
        await self._call(f"model.{SALE}.write", [[id], values], object)

    async def _call(
        self, method: str, params: Sequence[object], into: type[T], context: Mapping[str, object] | None = None
    ) -> T:
        """The answer. Raises ReturnNotAccepted for a rule of Tryton's."""
        call = f"{CALL}.{method.rpartition('.')[2]}"
        answer = await self._client.write_confirming(
            method, params, into, call=call, confirm=self._options.confirm_warnings, context=context
        )
        if isinstance(answer, TrytonRefusal):
            raise ReturnNotAccepted(ReturnRefusal.RULE, detail=answer.message)
        return answer


def _check_quantities(given: NewReturn, sale: ReturnableSaleRow) -> None:
    numbers = line_numbers(sale.lines)
    ordered = {numbers[line.id]: line.quantity or Decimal(0) for line in sale.lines if line.id in numbers}
    over = [line.number for line in given.lines if line.quantity > ordered.get(line.number, 0)]
    if over:
        raise ReturnNotAccepted(ReturnRefusal.QUANTITY, lines=over)
