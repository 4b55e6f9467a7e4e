"""What has changed and who asked what, in the world of the differential tests."""

from __future__ import annotations

from app.audit.records import AuditEntry, AuditQuery, NumberedEntry
from app.errors import InvalidCursor
from app.events.log import ChangeEvent, EventPage, LoggedEvent, LossReason
from app.sources.changes import ChangeKind
from app.sources.node_ids import node_id
from tests.differential.keys import CUSTOMERS, NOW, SKUS


class Updates:
    """What has changed: shipments and orders of both systems and stock, some of them gone. Cursors are numbers."""

    def __init__(self) -> None:
        things = [(ChangeKind.SHIPMENT, "Shipment", source, at) for source in ("erp", "carrier") for at in "0123"]
        things += [(ChangeKind.ORDER, "Order", source, at) for source in ("erp", "erp2") for at in "0123"]
        made = [
            (kind, source, at, node_id(type_, source, at), CUSTOMERS[int(at)]) for kind, type_, source, at in things
        ]
        made += [(ChangeKind.STOCK, "erp", sku, node_id("Item", sku), None) for sku in (*SKUS, "GONE")]
        self._entries = tuple(
            LoggedEvent(
                cursor=str(number),
                update=ChangeEvent(
                    kind=kind,
                    source=source,
                    key=key,
                    node_id=id,
                    recorded_at=NOW,
                    customer=customer,
                    was="CUST-1" if number % 5 == 0 else None,
                    deleted=number % 7 == 0,
                ),
            )
            for number, (kind, source, key, id, customer) in enumerate(made, 1)
        )

    async def end(self) -> str:
        return str(len(self._entries))

    async def read(self, after: str, limit: int = 500) -> EventPage:
        if not after.isdecimal():
            raise InvalidCursor
        if int(after) > len(self._entries):
            return EventPage(
                entries=self._entries[:limit], start=after, cursor=await self.end(), lost=LossReason.OTHER_LOG
            )
        found = self._entries[int(after) :][:limit]
        return EventPage(entries=found, start=after, cursor=found[-1].cursor if found else after)


class Ledger:
    """Who asked what, three times."""

    def page(self, query: AuditQuery, most: int, before: int | None = None) -> list[NumberedEntry]:
        entries = [
            AuditEntry(
                at=NOW.timestamp() + at,
                request_id=f"r{at}",
                client="app",
                subject="b",
                rows={"Item": at} if at else None,
            )
            for at in range(3)
        ]
        numbered = [NumberedEntry(at + 1, entry) for at, entry in enumerate(entries)]
        return [one for one in reversed(numbered) if before is None or one.number < before][:most]
