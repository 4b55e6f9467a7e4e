"""Shipments by id, order code and tracking number.

Karrio filters by lists of ids, but by one reference or tracking number only, and finds whatever contains it. So many
keys are asked for as aliases of one document, whose text depends on the number of keys alone, and every row
that comes back is compared whole.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache

import msgspec

from app import telemetry
from app.auth.principal import Principal
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.karrio.client import KarrioClient, chunks, sendable
from app.sources.karrio.options import KarrioOptions
from app.sources.karrio.shipment_records import SHIPMENT_PARTS, KarrioShipmentMapping, WireShipment
from app.sources.shipments import Shipment

BY_ID = (
    "query ByID($filter: ShipmentFilter!) { shipments(filter: $filter) { edges { node { ...ShipmentParts } } } }\n"
    + SHIPMENT_PARTS
)
SHIPMENTS = "shipments(filter: $f{}) {{ page_info {{ has_next_page }} edges {{ node {{ ...ShipmentParts }} }} }}"
TRACKERS = """trackers(filter: $f{}) {{
    page_info {{ has_next_page }} edges {{ node {{ shipment {{ ...ShipmentParts }} }} }}
  }}"""

FIRST_PAGE = 25
NEXT_PAGE = 500
MAX_ROUNDS = 5
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class WirePageInfo(msgspec.Struct, frozen=True):
    """Whether there are more."""

    has_next_page: bool = False


class WireEdge(msgspec.Struct, frozen=True):
    """A shipment of a list."""

    node: WireShipment


class WireConnection(msgspec.Struct, frozen=True):
    """A list of shipments."""

    edges: tuple[WireEdge, ...]
    page_info: WirePageInfo = WirePageInfo()

    @property
    def shipments(self) -> tuple[WireShipment, ...]:
        return tuple(edge.node for edge in self.edges)


class Tracked(msgspec.Struct, frozen=True):
    """A tracker; one that was made without a shipment has none."""

    shipment: WireShipment | None = None


class TrackerEdge(msgspec.Struct, frozen=True):
    """A tracker of a list."""

    node: Tracked


class TrackerConnection(msgspec.Struct, frozen=True):
    """A list of trackers."""

    edges: tuple[TrackerEdge, ...]
    page_info: WirePageInfo = WirePageInfo()

    @property
    def shipments(self) -> tuple[WireShipment, ...]:
        return tuple(edge.node.shipment for edge in self.edges if edge.node.shipment)


class ByID(msgspec.Struct, frozen=True):
    """The answer to BY_ID."""

    shipments: WireConnection


@lru_cache(maxsize=256)
def document_for(field: str, kind: str, count: int) -> str:
    """The document that reads SHIPMENTS or TRACKERS for so many keys, by aliases `a0` and on, variables `f0` and on."""
    variables = ", ".join(f"$f{index}: {kind}!" for index in range(count))
    aliases = "\n  ".join(f"a{index}: " + field.format(index) for index in range(count))
    return f"query ByKeys({variables}) {{\n  {aliases}\n}}\n{SHIPMENT_PARTS}"


class KarrioShipments:
    """Shipments from Karrio. What was archived there does not exist any more."""

    def __init__(
        self,
        client: KarrioClient,
        options: KarrioOptions,
        clock: Callable[[], datetime],
        fields: SourceFields = NO_FIELDS,
    ) -> None:
        self._client = client
        self._clock = clock
        self._order_field = options.order_field
        self._mapping = KarrioShipmentMapping(client.name, options, fields)

    async def by_id(self, principal: Principal, ids: Sequence[str]) -> Mapping[str, Shipment]:
        """See `Shipments.by_id`; a hundred in a call."""
        requested = [key for key in dict.fromkeys(ids) if _ID.fullmatch(key)]
        found: dict[str, WireShipment] = {}
        for chunk in chunks(requested):
            variables = {"filter": {"id": chunk, "first": len(chunk)}}
            answer = await self._client.run(BY_ID, variables, into=ByID, call="shipments.by_id")
            found.update((wire.id, wire) for wire in answer.shipments.shipments)
        now = self._clock()
        return {key: self._mapping.shipment(found[key], now) for key in requested if key in found}

    async def by_order(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, tuple[Shipment, ...]]:
        """See `Shipments.by_order`; a hundred in a call."""
        requested = sendable(numbers)
        found: defaultdict[str, dict[str, WireShipment]] = defaultdict(dict)
        for wire in await self._matches(requested, self._order_field, "shipments.by_order"):
            order = self._mapping.order_of(wire)
            if order is not None:
                found[order][wire.id] = wire
        now = self._clock()
        return {
            number: tuple(
                self._mapping.shipment(wire, now)
                for wire in sorted(found[number].values(), key=lambda wire: (wire.created_at, wire.id))
            )
            for number in requested
            if number in found
        }

    async def by_tracking_number(self, principal: Principal, numbers: Sequence[str]) -> Mapping[str, Shipment]:
        """See `Shipments.by_tracking_number`: a call for a hundred, and one more for numbers that have no tracker,
        such as those of cancelled labels. Where a number was used again, the live and newest shipment."""
        requested = sendable(numbers)
        found: dict[str, WireShipment] = {}
        for search in ("tracking_number", "keyword"):
            missing = [number for number in requested if number not in found]
            for wire in await self._matches(missing, search, "shipments.by_tracking_number"):
                number = wire.tracking_number or ""
                if number not in found or _rank(wire) > _rank(found[number]):
                    found[number] = wire
        now = self._clock()
        return {number: self._mapping.shipment(found[number], now) for number in requested if number in found}

    async def _matches(self, keys: Sequence[str], search: str, call: str) -> list[WireShipment]:
        """Everything that contains one of the keys. More than a page of that is rare: it takes a fragment of a key."""
        by_tracker = search == "tracking_number"
        field, kind = (TRACKERS, "TrackerFilter") if by_tracker else (SHIPMENTS, "ShipmentFilter")
        into = dict[str, TrackerConnection] if by_tracker else dict[str, WireConnection]
        found: list[WireShipment] = []
        for chunk in chunks(keys):
            left, offset, first = list(chunk), 0, FIRST_PAGE
            for _ in range(MAX_ROUNDS):
                filters = [{search: key, "first": first, "offset": offset} for key in left]
                document = document_for(field, kind, len(left))
                variables = {f"f{index}": one for index, one in enumerate(filters)}
                answer: Mapping[str, WireConnection | TrackerConnection] = await self._client.run(
                    document, variables, into=into, call=call
                )
                for connection in answer.values():
                    found += connection.shipments
                left = [key for index, key in enumerate(left) if answer[f"a{index}"].page_info.has_next_page]
                if not left:
                    break
                offset, first = offset + first, NEXT_PAGE
            else:
                telemetry.log.warning("key_matches_too_much", source=self._client.name, call=call, keys=len(left))
        return found


def _rank(wire: WireShipment) -> tuple[bool, datetime]:
    return (wire.status != "cancelled", wire.created_at)
