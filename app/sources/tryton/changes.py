"""What changed in Tryton, by the times at which records were made and last written: it has no feed.

Records that were deleted leave nothing behind. A transaction that commits late may bring times already passed;
reconciliation has to read further back. A record that changes again shows up again, at its new time.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.sources.changes import ChangeKind, ChangeSet, FeedChange
from app.sources.tryton.client import Domain, TrytonClient
from app.sources.tryton.codes import OrderCodes
from app.sources.tryton.reference import CodeRow
from app.sources.tryton.wire import Moment, Row, moment, tagged_moment

START = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_CURSOR = 4000


class StampedRow(Row, kw_only=True):
    """When a record was made and last written."""

    create_date: Moment | None = None
    write_date: Moment | None = None


class CodedRow(StampedRow, kw_only=True):
    """A record that goes by its code."""

    code: str | None = None


class VariantRow(CodedRow, kw_only=True):
    """A product; what all variants share is written on the template."""

    template: StampedRow


class MovedRow(StampedRow, kw_only=True):
    """A move of a product."""

    product: CodeRow


class SoldRow(StampedRow, kw_only=True):
    """A sale."""

    number: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeStream:
    """The records of a kind in the order of one of their times."""

    kind: ChangeKind
    model: str
    row: type[StampedRow]
    time: str

    @property
    def name(self) -> str:
        return f"{self.kind}.{self.time}"

    def at(self, row: StampedRow) -> datetime | None:
        stamped = row.template if isinstance(row, VariantRow) and self.time.startswith("template.") else row
        return moment(stamped.write_date if self.time.endswith("write_date") else stamped.create_date)


STREAMS = (
    ChangeStream(ChangeKind.CUSTOMER, "party.party", CodedRow, "create_date"),
    ChangeStream(ChangeKind.CUSTOMER, "party.party", CodedRow, "write_date"),
    ChangeStream(ChangeKind.ITEM, "product.product", VariantRow, "create_date"),
    ChangeStream(ChangeKind.ITEM, "product.product", VariantRow, "write_date"),
    ChangeStream(ChangeKind.ITEM, "product.product", VariantRow, "template.write_date"),
    ChangeStream(ChangeKind.ORDER, "sale.sale", SoldRow, "create_date"),
    ChangeStream(ChangeKind.ORDER, "sale.sale", SoldRow, "write_date"),
    ChangeStream(ChangeKind.RETURN, "sale.sale", StampedRow, "create_date"),
    ChangeStream(ChangeKind.RETURN, "sale.sale", StampedRow, "write_date"),
    ChangeStream(ChangeKind.SHIPMENT, "stock.shipment.out", StampedRow, "create_date"),
    ChangeStream(ChangeKind.SHIPMENT, "stock.shipment.out", StampedRow, "write_date"),
    ChangeStream(ChangeKind.INVOICE, "account.invoice", StampedRow, "create_date"),
    ChangeStream(ChangeKind.INVOICE, "account.invoice", StampedRow, "write_date"),
    ChangeStream(ChangeKind.STOCK, "stock.move", MovedRow, "create_date"),
    ChangeStream(ChangeKind.STOCK, "stock.move", MovedRow, "write_date"),
)


class StreamPosition(msgspec.Struct, frozen=True):
    """How far a stream was read: all before `at`, and of `at` itself up to `id`."""

    at: datetime
    id: int = 0


class TrytonChanges:
    """Changed customers, items, orders, returns, shipments, invoices and stock, in the order of time."""

    def __init__(self, client: TrytonClient, codes: OrderCodes, like: str) -> None:
        self._client = client
        self._codes = codes
        self._like = like

    async def since(
        self,
        principal: Principal,
        kinds: frozenset[ChangeKind],
        cursor: str | None,
        limit: int = 500,
    ) -> ChangeSet:
        """See `Changes.since`. Kinds that Tryton cannot tell of are left out; one that the cursor did not have starts
        now."""
        positions = _parsed(cursor)
        streams = [stream for stream in STREAMS if stream.kind in kinds]
        read = [stream for stream in streams if stream.name in positions]
        found, starts = await asyncio.gather(
            asyncio.gather(*(self._rows_after(stream, positions[stream.name], limit + 1) for stream in read)),
            asyncio.gather(*(self._newest(stream) for stream in streams if stream.name not in positions)),
        )
        merged = sorted(
            (at, stream_index, row.id, row)
            for stream_index, (stream, rows) in enumerate(zip(read, found, strict=True))
            for row in rows
            if (at := stream.at(row)) is not None
        )
        for at, stream_index, id, _ in merged[:limit]:
            positions[read[stream_index].name] = StreamPosition(at, id)
        positions |= dict(starts)
        changes = (self._change(read[stream_index].kind, row, at) for at, stream_index, _, row in merged[:limit])
        return ChangeSet(
            changes=tuple(change for change in changes if change is not None),
            cursor=_written(positions),
            more=len(merged) > limit,
        )

    async def _rows_after(self, stream: ChangeStream, position: StreamPosition, limit: int) -> list[StampedRow]:
        at = tagged_moment(position.at)
        later: Domain = ["OR", [stream.time, ">", at], [[stream.time, "=", at], ["id", ">", position.id]]]
        return await self._read(stream, [later], "ASC", limit)

    async def _newest(self, stream: ChangeStream) -> tuple[str, StreamPosition]:
        rows = await self._read(stream, [[stream.time, "!=", None]], "DESC", 1)
        at = stream.at(rows[0]) if rows else None
        return stream.name, StreamPosition(at, rows[0].id) if at is not None else StreamPosition(START)

    async def _read(self, stream: ChangeStream, domain: Domain, direction: str, limit: int) -> list[StampedRow]:
        if stream.kind is ChangeKind.CUSTOMER:
            domain = [*domain, ["code", "like", self._like]]
        if stream.kind is ChangeKind.INVOICE:
            domain = [*domain, ["type", "=", "out"]]
        if stream.kind is ChangeKind.RETURN:
            domain = [*domain, ["origin", "like", "sale.sale,%"]]
        order = [(stream.time, direction), ("id", direction)]
        context = {"active_test": False}
        call = f"changes.{stream.kind.lower()}"
        return await self._client.search(
            stream.model, domain, stream.row, context=context, order=order, limit=limit, call=call
        )

    def _change(self, kind: ChangeKind, row: StampedRow, at: datetime) -> FeedChange | None:
        if isinstance(row, SoldRow):
            key = self._codes.number(row.id, row.reference, row.number)
        elif isinstance(row, MovedRow):
            key = row.product.code
        elif isinstance(row, CodedRow):
            key = row.code
        else:
            key = str(row.id)
        return FeedChange(kind=kind, key=key, at=at) if key else None


def _written(positions: dict[str, StreamPosition]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(positions)).decode()


def _parsed(cursor: str | None) -> dict[str, StreamPosition]:
    if cursor is None:
        return {}
    try:
        if len(cursor) > LONGEST_CURSOR:
            raise InvalidCursor
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        return msgspec.json.decode(raw, type=dict[str, StreamPosition])
    except (binascii.Error, UnicodeEncodeError, msgspec.DecodeError):
        raise InvalidCursor from None
