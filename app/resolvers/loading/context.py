"""The context of an operation: the caller, the sources, the operation's own loaders, and what it selects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from app.auth.policy import Permissions
from app.auth.principal import Principal
from app.resolvers.loading.field_dependencies import required_attributes
from app.resolvers.loading.loaders import Loaders
from app.sources.field_mask import field_mask

if TYPE_CHECKING:
    from app.audit.records import AuditPages
    from app.auth.link_signing import LinkSigner
    from app.events.fanout import EventFanout
    from app.events.log import EventReader
    from app.intake.commands import IntakeCommands
    from app.intake.price_proofs import PriceProofs
    from app.sources.source import Sources


@dataclass(slots=True)
class Context:
    """Made for each operation, and for each event of a subscription.

    `permissions` are the caller's, from the policy table. `selection` names, per GraphQL type, every field that the
    operation selects anywhere; it lets a port include in one call what would otherwise cost a second one. `edges` holds
    the level loader of each edge and arguments. `event` is the event whose selection runs. `feed` fans out events to
    streams; `events` is the event log, `ledger` the audit log and `intake` the commands of order intake.
    `link_signer` signs links to documents, `price_proofs` makes proofs of prices.
    """

    principal: Principal
    permissions: Permissions
    sources: Sources
    now: datetime
    selection: Mapping[str, frozenset[str]] = field(default_factory=dict)
    edges: dict[Any, Any] = field(default_factory=dict)
    event: Any = None
    events: EventReader | None = None
    ledger: AuditPages | None = None
    feed: EventFanout | None = None
    intake: IntakeCommands | None = None
    link_signer: LinkSigner | None = None
    price_proofs: PriceProofs | None = None
    loaders: Loaders = field(init=False)

    def __post_init__(self) -> None:
        self.loaders = self._make_loaders()

    def renew_loaders(self) -> None:
        """Forget what was read: a write may have changed it."""
        self.loaders.close()
        self.edges.clear()
        self.loaders = self._make_loaders()

    def _make_loaders(self) -> Loaders:
        return Loaders(self.principal, self.sources, with_credit=self.selects("Customer", "creditStatus"))

    @property
    def today(self) -> date:
        """The day of the operation, in UTC."""
        return self.now.date()

    def selects(self, type_name: str, field_name: str) -> bool:
        """Whether the operation selects this field of this type anywhere, and the caller may see it."""
        selected = field_name in self.selection.get(type_name, frozenset())
        return selected and not self.permissions.refuses(type_name, field_name)

    @contextmanager
    def execution_scope(self) -> Iterator[None]:
        """While the operation runs, sources may omit attributes of records that it does not need.

        At its end, also when it is cancelled, pending reads are stopped: they are shared by all who wait for them, so
        that the end of one waiter does not stop them."""
        joins = bool(self.sources.shipment_views)
        token = field_mask.set(
            required_attributes(self.selection, self.permissions, joins_shipments=joins) if self.selection else None
        )
        try:
            yield
        finally:
            field_mask.reset(token)
            self.loaders.close()
