"""What changed in Karrio, by its log of events: newest first, and with no filter by time that works, so that pages are
read until an event that is known.

Karrio tries each webhook once and gives up on one after six failures in a row. Where the settings say which webhook is
ours, it is enabled again in passing.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from app.auth.principal import Principal
from app.errors import InvalidCursor
from app.sources.changes import ChangeKind, ChangeSet, FeedChange
from app.sources.karrio.client import KarrioClient
from app.sources.karrio.shipments import WirePageInfo
from app.sources.karrio.webhooks import TrackerSubject
from app.sources.values import Timestamp
from app.telemetry import log

TYPES = (
    "tracker_created",
    "tracker_updated",
    "shipment_purchased",
    "shipment_cancelled",
    "shipment_fulfilled",
    "shipment_out_for_delivery",
    "shipment_needs_attention",
    "shipment_delivery_failed",
)
EVENTS = """query Events($events: EventFilter!, $ours: WebhookFilter!, $look: Boolean!) {
  events(filter: $events) { page_info { has_next_page } edges { node { id created_at data } } }
  webhooks(filter: $ours) @include(if: $look) { edges { node { id url enabled_events } } }
}"""
ENABLE = """mutation Enable($input: UpdateWebhookMutationInput!) {
  update_webhook(input: $input) { webhook { id disabled } }
}"""

PAGE = 50
MOST_PAGES = 40
START = datetime(1970, 1, 1, tzinfo=UTC)


class FeedEvent(msgspec.Struct, frozen=True):
    """An entry of the log."""

    id: str
    created_at: Timestamp
    data: TrackerSubject | None = None


class EventEdge(msgspec.Struct, frozen=True):
    """An entry in a list."""

    node: FeedEvent


class FeedEvents(msgspec.Struct, frozen=True):
    """A page of the log."""

    edges: tuple[EventEdge, ...]
    page_info: WirePageInfo = WirePageInfo()


class Webhook(msgspec.Struct, frozen=True):
    """A webhook that Karrio has disabled."""

    id: str
    url: str | None = None
    enabled_events: tuple[str, ...] = ()


class WebhookEdge(msgspec.Struct, frozen=True):
    """A webhook in a list."""

    node: Webhook


class WebhookList(msgspec.Struct, frozen=True):
    """Webhooks whose address contains ours."""

    edges: tuple[WebhookEdge, ...] = ()


class FeedRead(msgspec.Struct, frozen=True):
    """The answer to EVENTS."""

    events: FeedEvents
    webhooks: WebhookList = WebhookList()


class Updated(msgspec.Struct, frozen=True):
    """The answer to ENABLE; what is in it does not matter."""

    update_webhook: object = None


class KarrioChanges:
    """Changed shipments, by tracking number, in the order of Karrio's log. `webhook_url` is the address of our webhook
    as Karrio has it."""

    def __init__(self, client: KarrioClient, webhook_url: str | None) -> None:
        self._client = client
        self._webhook_url = webhook_url

    async def since(
        self, principal: Principal, kinds: frozenset[ChangeKind], cursor: str | None, limit: int = 500
    ) -> ChangeSet:
        """See `Changes.since`. Karrio tells of shipments only. A place that is too far back is InvalidCursor."""
        known = None if cursor is None else _parsed(cursor)
        if ChangeKind.SHIPMENT not in kinds:
            return ChangeSet(cursor=cursor or _written(START, ""))
        if known is None:
            newest = await self._page(0, 1)
            return ChangeSet(cursor=_written(newest[0][0].created_at, newest[0][0].id) if newest[0] else _EMPTY)
        found = await self._newer(*known)
        page = found[:limit]
        cursor_after = _written(page[-1].created_at, page[-1].id) if page else _written(*known)
        changes = tuple(change for event in page if (change := _change(event)) is not None)
        return ChangeSet(changes=changes, cursor=cursor_after, more=len(found) > limit)

    async def _newer(self, at: datetime, id: str) -> list[FeedEvent]:
        """All events after a known one, oldest first. New ones come in front, so pages may overlap, but leave nothing
        out."""
        found: dict[str, FeedEvent] = {}
        for page in range(MOST_PAGES):
            events, more = await self._page(page * PAGE, PAGE)
            for event in events:
                if event.id == id or event.created_at < at:
                    return list(reversed(found.values()))
                found[event.id] = event
            if not more:
                return list(reversed(found.values()))
        raise InvalidCursor

    async def _page(self, offset: int, first: int) -> tuple[list[FeedEvent], bool]:
        look = self._webhook_url is not None and offset == 0
        variables = {
            "events": {"type": TYPES, "first": first, "offset": offset},
            "ours": {"url": self._webhook_url or "", "disabled": True},
            "look": look,
        }
        answer = await self._client.run(EVENTS, variables, into=FeedRead, call="changes.events")
        for edge in answer.webhooks.edges:
            if edge.node.url == self._webhook_url:
                await self._enable(edge.node)
        return [edge.node for edge in answer.events.edges], answer.events.page_info.has_next_page

    async def _enable(self, webhook: Webhook) -> None:
        log.warning("webhook_was_disabled", source=self._client.name, webhook=webhook.id)
        # Karrio wants the list of events with every change.
        variables = {"input": {"id": webhook.id, "enabled_events": webhook.enabled_events, "disabled": False}}
        await self._client.run(ENABLE, variables, into=Updated, call="changes.enable_webhook")


def _change(event: FeedEvent) -> FeedChange | None:
    subject = event.data
    if subject is None or not subject.tracking_number:
        return None
    return FeedChange(
        kind=ChangeKind.SHIPMENT,
        key=subject.tracking_number,
        at=event.created_at,
        id=event.id,
        raw_code=subject.status,
    )


def _written(at: datetime, id: str) -> str:
    return f"{at.isoformat()}|{id}"


def _parsed(cursor: str) -> tuple[datetime, str]:
    moment, separator, id = cursor.partition("|")
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        raise InvalidCursor from None
    if not separator or at.tzinfo is None or len(id) > 64:
        raise InvalidCursor
    return at, id


_EMPTY = _written(START, "")
