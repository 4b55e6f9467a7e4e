"""Payloads of an endpoint: its subscription document, run for one event as for a subscriber on a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import orjson

from app.auth.accounts import AccountDirectory
from app.auth.principal import AnyRole
from app.errors import RequestError, TradegraphError
from app.events.filters import EventFilter, FanoutEvent, FanoutGap, FanoutItem, Subject
from app.events.log import ChangeEvent, EventPage, LoggedEvent, LossReason
from app.execution.engine import Operation, Request, RequestRefused
from app.gateway.response import Response
from app.gateway.service import GraphQLService
from app.webhooks.outbound.endpoint_worker import DisableEndpoint, RetryLater
from app.webhooks.outbound.endpoints import Delivery, Endpoint

LASTING = frozenset({"FORBIDDEN", "NOT_SUPPORTED", "INVALID_INPUT", "INVALID_ID", "INVALID_PAGE_SIZE"})
"""Codes of fields that will be as wrong the next time; of any other it is worth to wait."""

LOST = "updates.lost"


class PayloadRenderer:
    """The payloads of one endpoint. Its document's stream defines the filter and makes the events. Accounts that a
    source assigns to the endpoint's client are looked up each time."""

    def __init__(
        self,
        endpoint: Endpoint,
        service: GraphQLService,
        roles: Mapping[str, AnyRole],
        accounts: AccountDirectory | None = None,
    ) -> None:
        self._principal = self._named = endpoint.principal(roles)
        self._accounts = accounts
        self._request = Request(document_id=endpoint.document, variables=dict(endpoint.variables))
        self._service = service
        self._feed: SingleEventFeed | None = None
        self._lock = asyncio.Lock()

    async def matches(self, events: Sequence[ChangeEvent]) -> Sequence[bool]:
        if not events:
            return ()
        async with self._lock:
            feed, _ = await self._open()
        return [feed.filter.matches(_entry(event, "")) for event in events]

    async def render(self, delivery: Delivery) -> bytes | None:
        async with self._lock:
            feed, operation = await self._open()
            item = _item(delivery)
            if not feed.filter.matches(item):
                return None
            event = await _translate_errors(feed.event(item))
        answer = await self._service.respond_to_event(operation, self._principal, event)
        _check(answer)
        return orjson.dumps({**_envelope(delivery), **answer.body}, option=orjson.OPT_UTC_Z)

    async def _open(self) -> tuple[SingleEventFeed, Operation]:
        """The stream, and the operation as it may run now: a document can be retired at any time."""
        if self._accounts is not None:
            self._principal = await _translate_errors(self._accounts.resolve(self._named))
        operation = await _translate_errors(self._service.subscription(self._request, self._principal))
        feed = self._feed = self._feed or await _translate_errors(self._start_stream(operation))
        return feed, operation

    async def _start_stream(self, operation: Operation) -> SingleEventFeed:
        feed = SingleEventFeed()
        feed.events = self._service.stream(operation, self._principal, feed)
        await feed.event(_gap("", "", LossReason.EXPIRED))  # The stream reads its arguments for its first event.
        return feed


class SingleEventFeed:
    """A fan-out with one subscriber, which receives one item at a time."""

    filter: EventFilter
    events: AsyncGenerator[Any, None]

    def __init__(self) -> None:
        self._item: FanoutItem | None = None

    async def event(self, item: FanoutItem) -> Any:
        """The stream's event for an item."""
        self._item = item
        return await anext(self.events)

    async def subscribe(
        self, filter: EventFilter, after: str | None = None, limit: int | None = None
    ) -> SingleEventFeed:
        self.filter = filter
        return self

    async def next(self) -> FanoutItem:
        item, self._item = self._item, None
        if item is None:
            raise DisableEndpoint("its document gives no event for an update")
        return item

    async def next_batch(self) -> list[FanoutItem]:
        raise DisableEndpoint("its document waits for hints of stock, which are not delivered")

    def close(self) -> None:
        """See `Subscriber.close`."""


async def _translate_errors(work: Any) -> Any:
    try:
        return await work
    except RequestRefused as refused:
        raise DisableEndpoint(f"its document cannot be run: {refused.errors[0].message}") from refused
    except RequestError as error:
        raise DisableEndpoint(f"its document cannot be run: {error.code}: {error.message}") from error
    except TradegraphError as error:
        raise RetryLater(error.code) from error


def _check(answer: Response) -> None:
    """Raises RetryLater for field errors that may pass, DisableEndpoint for a document that cannot run."""
    errors: list[Mapping[str, Any]] = answer.body.get("errors") or []
    codes = [error.get("extensions", {}).get("code", "INTERNAL") for error in errors]
    passing = next((code for code in codes if code not in LASTING), None)
    if passing is not None:
        raise RetryLater(passing)
    if "data" not in answer.body:
        raise DisableEndpoint(f"its document cannot be run: {codes[0] if codes else answer.status}")


def _item(delivery: Delivery) -> FanoutItem:
    if delivery.update is not None:
        return _entry(delivery.update, delivery.cursor)
    gap = delivery.gap
    if gap is None:
        raise DisableEndpoint("a delivery of it says nothing")
    return _gap(gap.start, gap.end, LossReason(gap.reason))


def _gap(start: str, end: str, reason: LossReason) -> FanoutGap:
    return FanoutGap(start, EventPage(start=end, cursor=end, lost=reason), reason)


def _entry(update: ChangeEvent, cursor: str) -> FanoutEvent:
    return FanoutEvent(LoggedEvent(cursor=cursor, update=update), Subject())  # A subject of its own: nothing is shared.


def _envelope(delivery: Delivery) -> dict[str, Any]:
    if delivery.update is None:
        return {"type": LOST, "timestamp": delivery.first_at}
    kind = delivery.update.kind.lower()
    return {"type": f"{kind}.updated", "timestamp": delivery.update.recorded_at, "cursor": delivery.cursor}
