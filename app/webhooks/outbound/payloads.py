"""What an endpoint is told: its subscription document, run for one update as for a subscriber on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import orjson

from app.errors import RequestError, TradegraphError
from app.events.fanout import Entry, Gap, Interest, Item, Thing
from app.events.log import Loss, Page, Recorded, Update
from app.execution.engine import Operation, Request, RequestRefused
from app.gateway.service import GraphQLService, Response
from app.webhooks.outbound.endpoint_worker import NotNow, Over
from app.webhooks.outbound.subscriptions import Delivery, Endpoint

LASTING = frozenset({"FORBIDDEN", "NOT_SUPPORTED", "INVALID_INPUT", "INVALID_ID", "INVALID_PAGE_SIZE"})
"""Codes of fields that will be as wrong the next time; of any other it is worth to wait."""

LOST = "updates.lost"


class Letters:
    """What one endpoint is told. The stream of its document says which updates it wants, and makes events of them."""

    def __init__(self, endpoint: Endpoint, service: GraphQLService) -> None:
        self._who = endpoint.who
        self._request = Request(document_id=endpoint.document, variables=dict(endpoint.variables))
        self._service = service
        self._hand: _Hand | None = None
        self._turn = asyncio.Lock()

    async def wants(self, update: Update) -> bool:
        """See `courier.Letters.wants`."""
        async with self._turn:
            hand, _ = await self._opened()
        return hand.interest.wants(_entry(update, ""))

    async def written(self, delivery: Delivery) -> bytes | None:
        """See `courier.Letters.written`."""
        async with self._turn:
            hand, operation = await self._opened()
            item = _item(delivery)
            if not hand.interest.wants(item):
                return None
            event = await _told(hand.event(item))
        answer = await self._service.respond_to_event(operation, self._who, event)
        _check(answer)
        return orjson.dumps({**_about(delivery), **answer.body}, option=orjson.OPT_UTC_Z)

    async def _opened(self) -> tuple[_Hand, Operation]:
        """The stream, and the operation as it may be run now: a document can be retired at any time."""
        operation = await _told(self._service.subscription(self._request, self._who))
        hand = self._hand = self._hand or await _told(self._begun(operation))
        return hand, operation

    async def _begun(self, operation: Operation) -> _Hand:
        hand = _Hand()
        hand.events = self._service.stream(operation, self._who, hand)
        await hand.event(_gap("", "", Loss.EXPIRED))  # To nobody: for its first event the stream reads its arguments.
        return hand


class _Hand:
    """A feed with one subscriber, which gets what it is handed."""

    interest: Interest
    events: AsyncGenerator[Any, None]

    def __init__(self) -> None:
        self._item: Item | None = None

    async def event(self, item: Item) -> Any:
        """The stream's event of something."""
        self._item = item
        return await anext(self.events)

    async def subscribe(self, interest: Interest, after: str | None = None, most: int | None = None) -> _Hand:
        """See `Feed.subscribe`."""
        self.interest = interest
        return self

    async def next(self) -> Item:
        """See `Subscriber.next`."""
        item, self._item = self._item, None
        if item is None:
            raise Over("its document gives no event for an update")
        return item

    async def some(self) -> list[Item]:
        """See `Subscriber.some`."""
        raise Over("its document waits for hints of stock, which are not delivered")

    def close(self) -> None:
        """See `Subscriber.close`."""


async def _told(work: Any) -> Any:
    """What goes wrong before there is an answer, in a courier's terms."""
    try:
        return await work
    except RequestRefused as refused:
        raise Over(f"its document cannot be run: {refused.errors[0].message}") from refused
    except RequestError as error:
        raise Over(f"its document cannot be run: {error.code}: {error.message}") from error
    except TradegraphError as error:
        raise NotNow(error.code) from error


def _check(answer: Response) -> None:
    """Raises NotNow where something could not be read that can be read later."""
    errors: list[Mapping[str, Any]] = answer.body.get("errors") or []
    codes = [error.get("extensions", {}).get("code", "INTERNAL") for error in errors]
    passing = next((code for code in codes if code not in LASTING), None)
    if passing is not None:
        raise NotNow(passing)
    if "data" not in answer.body:
        raise Over(f"its document cannot be run: {codes[0] if codes else answer.status}")


def _item(delivery: Delivery) -> Item:
    if delivery.update is not None:
        return _entry(delivery.update, delivery.cursor)
    gap = delivery.gap
    if gap is None:
        raise Over("a delivery of it says nothing")
    return _gap(gap.start, gap.end, Loss(gap.reason))


def _gap(start: str, end: str, reason: Loss) -> Gap:
    return Gap(start, Page(start=end, cursor=end, lost=reason))


def _entry(update: Update, cursor: str) -> Entry:
    return Entry(Recorded(cursor=cursor, update=update), Thing())  # Shared with nobody: it is read when it is sent.


def _about(delivery: Delivery) -> dict[str, Any]:
    """What Standard Webhooks asks of every body: a type and a time."""
    if delivery.update is None:
        return {"type": LOST, "timestamp": delivery.first_at}
    kind = delivery.update.kind.lower()
    return {"type": f"{kind}.updated", "timestamp": delivery.update.recorded_at, "cursor": delivery.cursor}
