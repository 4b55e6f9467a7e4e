"""What changed, by `write_date`: Odoo has no feed, and records that were deleted leave nothing behind.

Odoo orders by a time's fractions of a second and sends whole seconds, so a second is read whole, by id, before the next
one: a cursor holds, for each stream, a second and the last id in it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.sources.changes import ChangeKind, ChangeSet, FeedChange
from app.sources.odoo.client import ALL, LARGEST_ID, Domain, OdooClient
from app.sources.odoo.documents import products_of
from app.sources.odoo.rows import (
    ChangedOrderRow,
    ChangedPartnerRow,
    ChangedProductRow,
    ChangedStockRow,
    OdooChangedRow,
)
from app.sources.odoo.shipments import OUTGOING

SECOND = timedelta(seconds=1)
START = datetime(1970, 1, 1)  # noqa: DTZ001 - Odoo's times have no zone
LONGEST_CURSOR = 4000


@dataclass(frozen=True, slots=True)
class OdooChangeStream:
    """The records of a model, by their `write_date`."""

    name: str
    kind: ChangeKind
    model: str
    row: type[OdooChangedRow]
    domain: tuple[object, ...] = ()


STREAMS = (
    OdooChangeStream("customers", ChangeKind.CUSTOMER, "res.partner", ChangedPartnerRow, (["ref", "!=", False],)),
    OdooChangeStream("items", ChangeKind.ITEM, "product.product", ChangedProductRow),
    OdooChangeStream("templates", ChangeKind.ITEM, "product.template", ChangedProductRow),
    OdooChangeStream("orders", ChangeKind.ORDER, "sale.order", ChangedOrderRow),
    OdooChangeStream("shipments", ChangeKind.SHIPMENT, "stock.picking", OdooChangedRow, (OUTGOING,)),
    OdooChangeStream(
        "invoices",
        ChangeKind.INVOICE,
        "account.invoice",
        OdooChangedRow,
        (["type", "in", ["out_invoice", "out_refund"]],),
    ),
    OdooChangeStream("quants", ChangeKind.STOCK, "stock.quant", ChangedStockRow),
    OdooChangeStream("moves", ChangeKind.STOCK, "stock.move", ChangedStockRow),
)


class OdooStreamPosition(msgspec.Struct, frozen=True):
    """How far a stream was read: all before the second `at`, and of `at` itself up to `id`."""

    at: datetime
    id: int = 0


class OdooChanges:
    """Changed customers, items, orders, shipments, invoices and stock, oldest first: a call for each stream."""

    def __init__(self, client: OdooClient, ref_like: str) -> None:
        self._client = client
        self._like = ref_like

    async def since(
        self, principal: Principal, kinds: frozenset[ChangeKind], cursor: str | None, limit: int = 500
    ) -> ChangeSet:
        """See `Changes.since`. A kind that the cursor did not have starts now."""
        positions = _parsed(cursor)
        streams = [stream for stream in STREAMS if stream.kind in kinds]
        read = [stream for stream in streams if stream.name in positions]
        found, starts = await asyncio.gather(
            asyncio.gather(*(self._after_position(stream, positions[stream.name], limit + 1) for stream in read)),
            asyncio.gather(*(self._newest(stream) for stream in streams if stream.name not in positions)),
        )
        # What is after the second up to which another stream was read waits for it.
        ends = [end for _, end in found if end is not None]
        merged = sorted(
            (row.write_date, place, row.id, row)
            for place, (rows, _) in enumerate(found)
            for row in rows
            if not ends or row.write_date <= min(ends)
        )
        for at, place, id, _ in merged[:limit]:
            positions[read[place].name] = OdooStreamPosition(at, id)
        positions |= dict(starts)
        return ChangeSet(
            changes=await self._changes([(read[place], row) for _, place, _, row in merged[:limit]]),
            cursor=_written(positions),
            more=len(merged) > limit or bool(ends),
        )

    async def _after_position(
        self, stream: OdooChangeStream, position: OdooStreamPosition, limit: int
    ) -> tuple[list[OdooChangedRow], datetime | None]:
        """Rows after a position by second and id; and the second up to which they are whole, if there may be more."""
        following = _text(position.at + SECOND)
        window: Domain = [
            "|",
            ["write_date", ">=", following],
            "&",
            ["write_date", ">=", _text(position.at)],
            ["id", ">", position.id],
        ]
        rows = await self._read(stream, window, "write_date, id", limit)
        if len(rows) < limit:
            return sorted(rows, key=_sort_position), None
        last = rows[-1].write_date
        whole = [row for row in rows if row.write_date < last]
        if whole:
            return sorted(whole, key=_sort_position), whole[-1].write_date
        second: Domain = [["write_date", ">=", _text(last)], ["write_date", "<", _text(last + SECOND)]]
        after = [["id", ">", position.id]] if last == position.at else []
        return await self._read(stream, [*second, *after], "id", limit), last

    async def _newest(self, stream: OdooChangeStream) -> tuple[str, OdooStreamPosition]:
        rows = await self._read(stream, [], "write_date desc, id desc", 1)
        return stream.name, OdooStreamPosition(rows[0].write_date, LARGEST_ID) if rows else OdooStreamPosition(START)

    async def _read(self, stream: OdooChangeStream, window: Domain, order: str, limit: int) -> list[OdooChangedRow]:
        domain: Domain = [*stream.domain, *window]
        if stream.kind is ChangeKind.CUSTOMER:
            domain = [["ref", "=like", self._like], *domain]
        context = ALL if stream.kind in (ChangeKind.CUSTOMER, ChangeKind.ITEM) else None
        return await self._client.search(
            stream.model, stream.row, domain, order=order, limit=limit, context=context, call=f"changes.{stream.name}"
        )

    async def _changes(self, rows: Sequence[tuple[OdooChangeStream, OdooChangedRow]]) -> tuple[FeedChange, ...]:
        moved = [row.product_id for _, row in rows if isinstance(row, ChangedStockRow)]
        skus = await products_of(self._client, moved, "changes.stock")
        keyed = ((stream.kind, _key(row, skus), row.write_date) for stream, row in rows)
        return tuple(
            FeedChange(kind=kind, key=key, at=at.replace(tzinfo=UTC)) for kind, key, at in keyed if key is not None
        )


def _key(row: OdooChangedRow, skus: Mapping[int, str | None]) -> str | None:
    if isinstance(row, ChangedPartnerRow):
        return row.ref
    if isinstance(row, ChangedProductRow):
        return row.default_code
    if isinstance(row, ChangedOrderRow):
        return row.name
    if isinstance(row, ChangedStockRow):
        return skus.get(row.product_id[0])
    return str(row.id)


def _sort_position(row: OdooChangedRow) -> tuple[datetime, int]:
    return row.write_date, row.id


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _written(positions: Mapping[str, OdooStreamPosition]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(positions)).decode()


def _parsed(cursor: str | None) -> dict[str, OdooStreamPosition]:
    if cursor is None:
        return {}
    try:
        if len(cursor) > LONGEST_CURSOR:
            raise InvalidCursor
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        positions = msgspec.json.decode(raw, type=dict[str, OdooStreamPosition])
    except (binascii.Error, UnicodeEncodeError, msgspec.DecodeError):
        raise InvalidCursor from None
    if any(one.at.tzinfo is not None or one.at.year > 9998 for one in positions.values()):
        raise InvalidCursor
    return positions
