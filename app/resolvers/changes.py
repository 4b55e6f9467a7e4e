"""`changes(since:)`: what an app needs to synchronize its copy of the graph."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.auth.principal import Principal
from app.errors import Forbidden, InvalidInput, InvalidPageSize, NotSupported
from app.events.log import ChangeEvent, EventReader, LossReason
from app.resolvers import nodes
from app.resolvers.loading.context import Context
from app.resolvers.loading.paging import MAX_PAGE_SIZE
from app.sources.changes import EVERY_KEY, ChangeKind
from app.sources.node_ids import parse_node_id

SCAN = 500
MOST_SCANNED = 10_000
"""Updates of the log that one page looks through: of a busy log, few may be a caller's."""


class ChangeOutcome(StrEnum):
    """The outcome of a change, for the caller."""

    UPSERTED = "UPSERTED"
    DELETED = "DELETED"
    REVOKED = "REVOKED"
    GRANTED = "GRANTED"


TYPES = {
    ChangeKind.SHIPMENT: "Shipment",
    ChangeKind.ORDER: "Order",
    ChangeKind.INVOICE: "Invoice",
    ChangeKind.QUOTE: "Quote",
    ChangeKind.RETURN: "Return",
    ChangeKind.INTAKE: "OrderIntake",
    ChangeKind.STOCK: "Item",
    ChangeKind.ITEM: "Item",
    ChangeKind.CUSTOMER: "Customer",
    ChangeKind.CREDIT: "CreditStatus",
    ChangeKind.PRICE: "ContractPrice",
    ChangeKind.CONTACT: "Contact",
}
"""The type of which a caller must be allowed to see objects to learn of changes of a kind."""

SUBJECTS = {
    "Shipment": ChangeKind.SHIPMENT,
    "Order": ChangeKind.ORDER,
    "Invoice": ChangeKind.INVOICE,
    "Quote": ChangeKind.QUOTE,
    "Return": ChangeKind.RETURN,
    "OrderIntake": ChangeKind.INTAKE,
    "Item": ChangeKind.ITEM,
    "Customer": ChangeKind.CUSTOMER,
}
"""The kind of an object by its type."""

UNOWNED_KINDS = frozenset({ChangeKind.STOCK, ChangeKind.ITEM})
"""Kinds whose subjects belong to no customer."""


@dataclass(frozen=True, slots=True)
class Change:
    """A changed subject, or one that the caller may no longer see; nothing of its content. `ended` is an outcome that
    is known without a read; only a granted subject still has content."""

    kind: ChangeKind | None
    node_id: str
    at: datetime
    ended: ChangeOutcome | None = None


@dataclass(frozen=True, slots=True)
class ChangesLost:
    """Changes after the requested cursor were trimmed."""

    reason: LossReason


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """Changes in order, and the cursor to go on from. Of the kinds in `resync` every object may have changed."""

    changes: tuple[Change, ...]
    cursor: str
    has_more: bool
    resync: tuple[ChangeKind, ...] = ()
    lost: ChangesLost | None = None


async def changes(
    ctx: Context,
    first: int,
    since: str | None = None,
    kinds: Sequence[ChangeKind] | None = None,
    holding: Sequence[str] | None = None,
) -> ChangesPage:
    """Root: a page of changes. Several changes of one subject in a page are one, the last."""
    if not 1 <= first <= MAX_PAGE_SIZE:
        raise InvalidPageSize(f"first must be between 1 and {MAX_PAGE_SIZE}, not {first}.")
    if ctx.events is None:
        raise NotSupported("Changes are not served here.")
    open_kinds = _open_kinds(ctx, kinds)
    revoked = await _revoked(ctx, holding or ())
    if since is None:
        return ChangesPage(revoked, await ctx.events.end(), has_more=False)
    found = await _page(ctx.events, ctx.principal, open_kinds, since, first)
    if ctx.feed is not None:
        await ctx.feed.caught_up(found.cursor)  # Until then, cached records may be older than their changes.
    return replace(found, changes=(*revoked, *found.changes))


def _open_kinds(ctx: Context, kinds: Sequence[ChangeKind] | None) -> frozenset[ChangeKind]:
    is_open = [kind for kind, type_ in TYPES.items() if ctx.permissions.allows_type(type_)]
    closed = set(kinds or ()) - set(is_open)
    if closed:
        raise Forbidden(f"Your role may not see changes of {', '.join(sorted(closed))}.")
    return frozenset(is_open if kinds is None else kinds)


async def _page(
    log: EventReader, principal: Principal, kinds: frozenset[ChangeKind], since: str, first: int
) -> ChangesPage:
    cursor, scanned = since, 0
    found: dict[tuple[str, str, bool], Change] = {}
    resync: set[ChangeKind] = set()
    while True:
        page = await log.read(cursor, SCAN)
        if page.lost is not None:
            # The copy is to be made anew. What changes while it is, comes after this cursor.
            return ChangesPage((), await log.end(), has_more=False, lost=ChangesLost(page.lost))
        for entry in page.entries:
            update = entry.update
            is_open = update.kind in kinds and principal.belongs_to(update.tenant)
            change = _change(update, principal) if is_open and update.key != EVERY_KEY else None
            subject = update.kind, update.node_id, update.assigned_to is None
            if change is not None and subject not in found and len(found) == first:
                return ChangesPage(tuple(found.values()), cursor, has_more=True, resync=tuple(sorted(resync)))
            cursor = entry.cursor
            if change is not None:
                found.pop(subject, None)
                found[subject] = change
            elif is_open and update.key == EVERY_KEY:
                resync.add(update.kind)
        scanned += len(page.entries)
        if len(page.entries) < SCAN or scanned >= MOST_SCANNED:
            has_more = len(page.entries) == SCAN
            return ChangesPage(tuple(found.values()), page.cursor, has_more=has_more, resync=tuple(sorted(resync)))


def _change(update: ChangeEvent, principal: Principal) -> Change | None:
    if update.assigned_to is not None:
        if principal.accounts is None or update.assigned_to != principal.salesperson:
            return None
        outcome = ChangeOutcome.GRANTED if principal.sees(update.customer) else ChangeOutcome.REVOKED
        return Change(update.kind, update.node_id, update.recorded_at, outcome)
    ended = ChangeOutcome.DELETED if update.deleted else None
    if not (update.kind in UNOWNED_KINDS or principal.sees(update.customer)):
        if not _was_seen(update, principal):
            return None
        ended = ChangeOutcome.REVOKED
    return Change(update.kind, update.node_id, update.recorded_at, ended)


def _was_seen(update: ChangeEvent, principal: Principal) -> bool:
    return update.was is not None and principal.sees(update.was)


async def _revoked(ctx: Context, holding: Sequence[str]) -> tuple[Change, ...]:
    """Those of the ids that a caller holds which do not exist for it any more; one that cannot be read now is kept."""
    if len(holding) > nodes.LARGEST_ID_LIST:
        raise InvalidInput(f"holding may name at most {nodes.LARGEST_ID_LIST} ids, not {len(holding)}.")
    for id in holding:
        parse_node_id(id)
    found = await nodes.nodes(ctx, holding)
    revoked_ids = [id for id, one in zip(holding, found, strict=True) if one is None or isinstance(one, Forbidden)]
    return tuple(Change(SUBJECTS.get(parse_node_id(id)[0]), id, ctx.now, ChangeOutcome.REVOKED) for id in revoked_ids)


async def subjects(rows: Sequence[Change], ctx: Context) -> list[Any]:
    """Edge: the changed subjects as they are now; None if they no longer exist for the caller."""

    async def subject(row: Change) -> Any:
        if row.ended not in (None, ChangeOutcome.GRANTED):
            return None
        return await nodes.node(ctx, row.node_id)

    return await asyncio.gather(*map(subject, rows), return_exceptions=True)


async def outcomes(rows: Sequence[Change], ctx: Context) -> list[ChangeOutcome]:
    """Edge: the outcomes. A subject that cannot be read now counts as upserted: its own field reports the failure."""
    found = await subjects(rows, ctx)
    return [
        row.ended or (ChangeOutcome.REVOKED if one is None else ChangeOutcome.UPSERTED)
        for row, one in zip(rows, found, strict=True)
    ]
