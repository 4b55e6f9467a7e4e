"""The principal: subject, roles, customers, tenant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from app.settings.roles import AnyRole, CustomRole, Role, RowReach

__all__ = [
    "ROW_REACH",
    "STAFF",
    "SYSTEM",
    "UNRESTRICTED",
    "AnyRole",
    "CustomRole",
    "CustomerOwned",
    "Principal",
    "Role",
    "RowReach",
    "is_external",
    "row_reach",
]


class CustomerOwned(Protocol):
    """A row that names its customer."""

    @property
    def customer(self) -> str | None:
        """The customer's number, if one is known."""
        ...


ROW_REACH: Mapping[Role, RowReach] = {
    Role.BUYER: RowReach.OWN,
    Role.BUYER_ADMIN: RowReach.OWN,
    Role.SALES_REP: RowReach.ASSIGNED,
    Role.CSR: RowReach.ALL,
    Role.CSR_LEAD: RowReach.ALL,
    Role.PARTNER: RowReach.PARTNER,
    Role.AGENT: RowReach.BELOW,
    Role.FINANCE: RowReach.ALL,
    Role.OPERATIONS: RowReach.ALL,
    Role.ADMIN: RowReach.ALL,
}
"""Whose rows exist for a role: but for ALL, those of the customers that the credential names; for BELOW, those of the
agents that it names and of all agents below them."""

UNRESTRICTED = frozenset(role for role, reach in ROW_REACH.items() if reach is RowReach.ALL)

STAFF = frozenset({Role.OPERATIONS, Role.ADMIN})
"""Roles who run the gateway: they may see how it does."""

EXTERNAL = frozenset({RowReach.OWN, RowReach.PARTNER, RowReach.BELOW})
"""The reach of roles of customers, partners and agents: everybody but the distributor's own people."""


def row_reach(role: AnyRole) -> RowReach:
    """The rows that exist for a role."""
    return role.reach if isinstance(role, CustomRole) else ROW_REACH[role]


def is_external(role: AnyRole) -> bool:
    """Whether the role is for customers, partners or agents; only approved relations between items exist for them."""
    return row_reach(role) in EXTERNAL


class AssignedAccounts:
    """The customers that a source assigns to a salesperson: one object for all its callers, updated in place. They are
    fresh until `fresh_until` and may be used until `usable_until`, of a monotonic clock; `as_of` is when they were
    read."""

    __slots__ = ("_within", "as_of", "customers", "fresh_until", "source", "usable_until")

    def __init__(self, source: str) -> None:
        self.source = source
        self.customers: frozenset[str] = frozenset()
        self.as_of: datetime | None = None
        self.fresh_until = self.usable_until = 0.0
        self._within: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())

    def update(self, customers: frozenset[str], fresh_until: float, stale_for: float, as_of: datetime) -> None:
        """Set the accounts that were read at `as_of`."""
        if customers != self.customers:
            self.customers = customers
            self._within = (frozenset(), frozenset())
        self.fresh_until, self.usable_until, self.as_of = fresh_until, fresh_until + stale_for, as_of

    def within(self, named: frozenset[str]) -> frozenset[str]:
        """Those of the accounts that are named, too."""
        if self._within[0] is not named:
            self._within = (named, self.customers & named)
        return self._within[1]

    def is_stale(self, now: float) -> bool:
        """Whether they must be read again before they are believed."""
        return now >= self.fresh_until


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `customers` are customer numbers: the caller's own or assigned accounts; `agents` are the
    numbers of the agents that the caller acts for.

    `client` is the application that asks (a partner's machine, an app of our own); documents and budgets are bound to
    it. It is the subject where the credential names no other. `expires_at` is when the credential ends, in seconds
    since 1970: an answer that goes on beyond it needs a new one. The same caller with a renewed credential is equal.
    A source assigns accounts to the caller's `salesperson` number; `accounts` are those that it does, where `customers`
    come of them (`app/auth/accounts.py`). `restricted` callers see rows of their `customers` and `agents` only, and
    with `approved_only` only approved relations between items. Data of sources that belong to another `tenant` does not
    exist for a caller; caches, budgets and shared runs are kept apart by it too. Orders above `spend_limit`, in the
    currency of the account, need an approval.
    """

    subject: str
    roles: frozenset[AnyRole]
    customers: frozenset[str] = frozenset()
    tenant: str = "default"
    client: str = ""
    expires_at: float | None = field(default=None, compare=False)
    agents: frozenset[str] = frozenset()
    salesperson: str = field(default="", compare=False)
    accounts: AssignedAccounts | None = field(default=None, compare=False, repr=False)
    restricted: bool = field(init=False, compare=False)
    approved_only: bool = field(init=False, compare=False)
    claims: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    spend_limit: Decimal | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        # Asked for every row.
        object.__setattr__(self, "restricted", RowReach.ALL not in map(row_reach, self.roles))
        object.__setattr__(self, "approved_only", all(map(is_external, self.roles)))
        if not self.client:
            object.__setattr__(self, "client", self.subject)

    @property
    def has_assigned_accounts(self) -> bool:
        """Whether a role of this caller reaches the accounts that are assigned to it, and none all of them."""
        return self.restricted and RowReach.ASSIGNED in map(row_reach, self.roles)

    @property
    def role_names(self) -> tuple[AnyRole, ...]:
        """The roles, in a fixed order."""
        return tuple(sorted(self.roles))

    def sees(self, customer: str | None) -> bool:
        """Whether rows of this customer exist for the caller. Rows of nobody known exist for the unrestricted only."""
        return not self.restricted or customer in self.customers

    def belongs_to(self, tenant: str | None) -> bool:
        """Whether data of this tenant exists for the caller. Data of no tenant exists for all, and all for SYSTEM."""
        return tenant is None or self.tenant == tenant or self is SYSTEM

    def sees_agent(self, number: str, ancestors: Iterable[str]) -> bool:
        """Whether rows of this agent exist for the caller: of its own agents and of those below them."""
        agents = self.agents
        return not self.restricted or number in agents or any(one in agents for one in ancestors)


SYSTEM = Principal(subject="system", roles=frozenset({Role.ADMIN}))
"""The gateway itself: start-up reads, health checks, reconciliation."""
