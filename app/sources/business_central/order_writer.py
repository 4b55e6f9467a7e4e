"""Orders in: one deep insert of a sales order with its lines, found again by its external document number.

Business Central makes two orders of two equal requests, so the external document number holds the gateway's key. The
customer's own number and the note are lines of comment, which is all that API v2.0 has for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from app.auth.principal import Principal
from app.errors import SourceMalformed
from app.http.response import HTTPResponse
from app.sources.business_central.client import EXTERNAL_NUMBER, APIError, BusinessCentralClient, grouped, sendable
from app.sources.business_central.rows import BCWrittenOrderRow, NewLine, NewSalesOrder
from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted, SimulatedLine, WrittenOrder

CREATED = "created"
COMMENT = 100
"""Characters of a line's description."""


class BusinessCentralOrderWriter:
    """The writer of one company."""

    steps = (CREATED,)
    unique_key = False
    max_seconds = 480.0
    """Business Central gives up an operation after eight minutes."""

    def __init__(self, client: BusinessCentralClient) -> None:
        self._client = client

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        """See `OrderWriter.find`."""
        numbers = sendable(keys, EXTERNAL_NUMBER)
        rows = await self._client.rows(
            "salesOrders", BCWrittenOrderRow, "externalDocumentNumber", numbers, orderby=("number",), call="order.find"
        )
        found = grouped(rows, lambda row: row.external_document_number)
        return {key: tuple(_written(key, row) for row in found[key]) for key in numbers if key in found}

    async def post(self, principal: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        """See `OrderWriter.post`."""
        if found is not None:
            return found
        if len(order.key) > EXTERNAL_NUMBER:
            raise OrderNotAccepted(detail=f"a key of {len(order.key)} characters is longer than {EXTERNAL_NUMBER}")
        answer = await self._client.write("POST", "salesOrders", _sales_order(order), call="order.post")
        if isinstance(answer, APIError):
            raise _not_accepted(answer)
        return _written(order.key, answer.decode(BCWrittenOrderRow))

    async def simulate(self, principal: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        """See `OrderWriter.simulate`: Business Central prices an order only by creating it."""
        return None

    async def cancel(self, principal: Principal, order: WrittenOrder, reason: str) -> None:
        """See `OrderWriter.cancel`: the order is deleted, which Business Central refuses once something shipped."""
        try:
            target = UUID(order.id)
        except ValueError:
            raise SourceMalformed(self._client.source, detail="the id of a written order is no GUID") from None
        answer = await self._client.write("DELETE", f"salesOrders({target})", None, call="order.cancel")
        if isinstance(answer, HTTPResponse) or answer.code == "BadRequest_ResourceNotFound":
            return
        raise _not_accepted(answer)


def _sales_order(order: NewOrder) -> NewSalesOrder:
    currency = next((line.unit_price.currency for line in order.lines if line.unit_price is not None), None)
    optional = {"requested_delivery_date": order.requested_date, "currency_code": currency}
    return NewSalesOrder(
        customer_number=order.customer,
        external_document_number=order.key,
        partial_shipping=order.allow_partial,
        sales_order_lines=(*_comments(order), *map(_line, order.lines)),
        **{name: value for name, value in optional.items() if value is not None},  # type: ignore[arg-type]
    )


def _comments(order: NewOrder) -> Iterator[NewLine]:
    for text in (f"PO {order.customer_po}", order.note or ""):
        for line in text.splitlines():
            for start in range(0, len(line), COMMENT):
                yield NewLine(line_type="Comment", description=line[start : start + COMMENT])


def _line(line: NewOrderLine) -> NewLine:
    if line.unit_price is not None and line.price_unit != 1:
        raise OrderNotAccepted(lines=[line.number], detail="Business Central prices one unit; no price is divided here")
    price = None if line.unit_price is None else line.unit_price.amount
    optional = {"unit_of_measure_code": line.uom, "unit_price": price}
    return NewLine(
        line_type="Item",
        line_object_number=line.sku,
        quantity=line.quantity,
        **{name: value for name, value in optional.items() if value is not None},  # type: ignore[arg-type]
    )


def _written(key: str, row: BCWrittenOrderRow) -> WrittenOrder:
    return WrittenOrder(key=key, id=row.id, number=row.number, step=CREATED)


def _not_accepted(error: APIError) -> OrderNotAccepted:
    message = error.message.partition("CorrelationId:")[0].strip()
    return OrderNotAccepted(detail=f"{error.code}: {message[:500]}")
