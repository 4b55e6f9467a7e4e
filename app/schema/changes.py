"""What an app syncs by: changes since a cursor."""

from __future__ import annotations

from datetime import datetime

import strawberry

from app.auth.policy import Rows, Scope
from app.events.log import LossReason
from app.resolvers import changes as change_edges
from app.resolvers import snapshot as snapshot_edges
from app.resolvers.changes import ChangeOutcome
from app.schema.base import Node, bound_to, field
from app.schema.declare.edges import edge
from app.schema.declare.enums import enum
from app.schema.declare.scalars import Cursor
from app.sources.changes import ChangeKind
from app.sources.freshness_contracts import CALLER

enum(
    ChangeKind,
    "Kind of the changed object.",
    CUSTOMER="A customer's master data.",
    ITEM="An item's master data or content.",
    STOCK="The stock of an item; the node is the item.",
    PRICE="The contract prices of a customer may no longer be valid; the node is the customer.",
    CREDIT="The credit of a customer; the node is the customer.",
    CONTACT="The contacts of a customer; the node is the customer.",
    ORDER="An order.",
    SHIPMENT="A shipment.",
    INVOICE="An invoice or credit memo.",
    QUOTE="A quote.",
    RETURN="A return.",
    INTAKE="A submitted order.",
)
enum(
    LossReason,
    "Why events are no longer in the event log.",
    EXPIRED="They were older than the retention.",
    TOO_MANY="More events came than the retention allows.",
    TOO_LARGE="The events were larger than the retention allows.",
    OTHER_LOG="The cursor belongs to a log that no longer exists.",
    RESTORED="The log was restored from a backup older than the cursor.",
)
enum(
    ChangeOutcome,
    "Outcome of a change for the caller.",
    UPSERTED="Created or changed: replace the stored copy.",
    DELETED="Deleted: delete the stored copy.",
    REVOKED="The caller has lost access: delete the stored copy and its dependent objects.",
    GRANTED="The customer was assigned to the caller: download its objects.",
)


@bound_to(change_edges.Change, requires=Scope.EVERYONE, rows=Rows.ACCOUNTS, volatility=CALLER)
@strawberry.type(description="A changed object.")
class Change:
    node_id: strawberry.ID = field("Id of the object, for `node`.", name="id")
    kind: ChangeKind | None = field("Kind of the change; null for other objects passed as `holding`.")
    at: datetime = field("When the change was recorded.")
    outcome = edge(change_edges.outcomes, returns=ChangeOutcome, description="Outcome of the change for the caller.")
    node = edge(
        change_edges.subjects,
        returns=Node | None,
        description="The current object; null if it is deleted, revoked or cannot be read.",
    )


@bound_to(change_edges.ChangesLost, requires=Scope.EVERYONE)
@strawberry.type(description="Changes were removed from the log before they were read: discard all stored objects, "
                 "read them again, and continue from the page's cursor.")  # fmt: skip
class ChangesLost:
    reason: LossReason = field("The reason for the loss.")


@bound_to(change_edges.ChangesPage, requires=Scope.EVERYONE, rows=Rows.ACCOUNTS, volatility=CALLER)
@strawberry.type(description="Changes in their order. Keep the cursor once all of them are applied, and not before.")
class ChangesPage:
    changes: list[Change] = field("The changes, each object of a kind once.")
    cursor: Cursor = field("Pass it as `since`, or as `after` of a subscription, to continue.")
    has_more: bool = field("Whether more changes are available now.")
    resync: list[ChangeKind] = field(
        "Kinds of which every object may have changed, because a source restarted its change feed: download their "
        "objects again."
    )
    lost: ChangesLost | None = field("Set if changes were removed from the log before they were read.")


@bound_to(snapshot_edges.SnapshotPage, requires=Scope.EVERYONE, rows=Rows.ACCOUNTS, volatility=CALLER)
@strawberry.type(description="Objects of one kind, in a stable order. Keep the cursor once the page is stored.")
class SnapshotPage:
    nodes = edge(snapshot_edges.nodes, returns=list[Node] | None, description="The objects.")
    cursor: Cursor = field("Pass it as `after` to get the next page.")
    has_more: bool = field("Whether pages follow; a page may be empty and have others after it.")
    since: Cursor = field("Pass it to `changes` as `since` once no page follows: what changed during the download.")
