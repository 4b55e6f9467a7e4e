"""The policy table: who may see which field, of which rows, and how much of its value.

A *scope* is a named audience; the schema names scopes where it declares its types
and fields (`app/schema/declare/policy.py`).
Here is who belongs to which, and what follows from it for a caller. Whatever is not granted is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from app.auth.principal import AnyRole, Role, RowReach, is_external, row_reach
from app.errors import Forbidden

Key = tuple[str, str]
"""The name of a type, and of one of its fields."""

MaskFunction = Callable[[str | None], str | None]


class Scope(StrEnum):
    """A named audience. Types and fields require one."""

    EVERYONE = "EVERYONE"
    STAFF = "STAFF"
    CUSTOMERS = "CUSTOMERS"
    CREDIT_AMOUNTS = "CREDIT_AMOUNTS"
    TAX_NUMBERS = "TAX_NUMBERS"
    PRICES = "PRICES"
    COST = "COST"
    STOCK_BREAKDOWN = "STOCK_BREAKDOWN"
    ORDERS = "ORDERS"
    ORDERS_WRITE = "ORDERS_WRITE"
    APPROVE = "APPROVE"
    INTAKE_ADMIN = "INTAKE_ADMIN"
    QUOTES = "QUOTES"
    QUOTES_WRITE = "QUOTES_WRITE"
    MARGIN = "MARGIN"
    SHIPMENTS = "SHIPMENTS"
    TRACKING = "TRACKING"
    SIGNATURES = "SIGNATURES"
    INVOICES = "INVOICES"
    INVOICE_TOTALS = "INVOICE_TOTALS"
    RETURNS = "RETURNS"
    RETURNS_WRITE = "RETURNS_WRITE"
    COMMISSIONS = "COMMISSIONS"
    RECEIVABLES = "RECEIVABLES"
    CONTACT_DETAILS = "CONTACT_DETAILS"
    SOURCES = "SOURCES"
    AUDIT = "AUDIT"


_OWN = frozenset({Role.BUYER, Role.BUYER_ADMIN, Role.PARTNER})
"""Those whose own business it is: a customer's people and machines."""
_AGENT = frozenset({Role.AGENT})
_SERVICE = frozenset({Role.CSR, Role.CSR_LEAD})
_REP, _FINANCE, _OPERATIONS = frozenset({Role.SALES_REP}), frozenset({Role.FINANCE}), frozenset({Role.OPERATIONS})

Audiences = Mapping[Scope, frozenset[AnyRole]]
"""The roles that belong to each scope of a deployment."""

AUDIENCES: Audiences = {
    Scope.EVERYONE: frozenset(Role),
    Scope.STAFF: frozenset(Role) - _OWN - _AGENT,
    Scope.CUSTOMERS: _OWN | _REP | _SERVICE | _FINANCE,
    Scope.CREDIT_AMOUNTS: frozenset({Role.BUYER_ADMIN}) | _REP | _SERVICE | _FINANCE,
    Scope.TAX_NUMBERS: _FINANCE,
    Scope.PRICES: _OWN | _REP | _SERVICE | _FINANCE,
    Scope.COST: _FINANCE | {Role.CSR_LEAD},
    Scope.STOCK_BREAKDOWN: _REP | _SERVICE | _OPERATIONS,
    Scope.ORDERS: _OWN | _REP | _SERVICE | _FINANCE | _OPERATIONS,
    Scope.ORDERS_WRITE: _OWN | _REP | _SERVICE,
    Scope.APPROVE: frozenset({Role.BUYER_ADMIN, Role.CSR_LEAD}),
    Scope.INTAKE_ADMIN: _SERVICE | _OPERATIONS,
    Scope.QUOTES: _OWN | _REP | _SERVICE | _FINANCE,
    Scope.QUOTES_WRITE: _OWN | _REP | _SERVICE,
    Scope.MARGIN: _FINANCE,
    Scope.SHIPMENTS: _OWN | _REP | _SERVICE | _OPERATIONS,
    Scope.TRACKING: _OWN | _REP | _SERVICE,
    Scope.SIGNATURES: _OWN | _SERVICE,
    Scope.INVOICES: frozenset({Role.BUYER_ADMIN}) | _SERVICE | _FINANCE,
    Scope.INVOICE_TOTALS: frozenset({Role.BUYER_ADMIN}) | _REP | _SERVICE | _FINANCE,
    Scope.RETURNS: frozenset({Role.BUYER, Role.BUYER_ADMIN}) | _SERVICE | _FINANCE | _OPERATIONS,
    Scope.RETURNS_WRITE: frozenset({Role.BUYER, Role.BUYER_ADMIN}) | _SERVICE,
    Scope.COMMISSIONS: _AGENT | _FINANCE,
    Scope.CONTACT_DETAILS: frozenset({Role.BUYER_ADMIN}) | _REP | _SERVICE | _FINANCE,
    Scope.RECEIVABLES: frozenset({Role.BUYER_ADMIN}) | _REP | _SERVICE | _FINANCE,
    Scope.SOURCES: _OPERATIONS | {Role.ADMIN},
    Scope.AUDIT: frozenset({Role.ADMIN}),
}
"""Who belongs to a scope. Widening one here shows in `schema.graphql` and in docs/policy-matrix.md."""

INTERNAL = frozenset({Scope.STAFF, Scope.COST, Scope.MARGIN, Scope.INTAKE_ADMIN, Scope.SOURCES, Scope.AUDIT})
"""Scopes that no configuration may open to customers, partners or agents."""

UNBOUND = frozenset({Scope.SOURCES, Scope.AUDIT})
"""Scopes of data about all callers and sources, in which no row belongs to an account: for roles that see all rows."""

PURPOSES: Mapping[Scope, str] = {
    Scope.EVERYONE: "Whoever has a role.",
    Scope.STAFF: "The distributor's own people.",
    Scope.CUSTOMERS: "Customers: master data, locations, terms, the state of credit.",
    Scope.CREDIT_AMOUNTS: "Credit: amounts, and why the state is not OK.",
    Scope.TAX_NUMBERS: "Whole tax registration numbers.",
    Scope.PRICES: "Contract prices.",
    Scope.COST: "Cost of an item.",
    Scope.STOCK_BREAKDOWN: "The quantities that an ATP is composed of.",
    Scope.ORDERS: "Orders and their lines.",
    Scope.ORDERS_WRITE: "Submitting and cancelling orders.",
    Scope.APPROVE: "Approving orders of others, at the tiers of the role.",
    Scope.INTAKE_ADMIN: "Retrying orders that were given up, releasing held ones, and approving returns.",
    Scope.QUOTES: "Quotes and their lines.",
    Scope.QUOTES_WRITE: "Requesting quotes and deciding on them.",
    Scope.MARGIN: "Margin of the distributor.",
    Scope.SHIPMENTS: "Shipments, packages and events.",
    Scope.TRACKING: "Whole tracking numbers, and the carrier's page.",
    Scope.SIGNATURES: "Who signed for goods, and the document.",
    Scope.INVOICES: "Invoices and credit memos, whole.",
    Scope.INVOICE_TOTALS: "Sums of invoices and credit memos.",
    Scope.RETURNS: "Returns.",
    Scope.RETURNS_WRITE: "Requesting and cancelling returns.",
    Scope.CONTACT_DETAILS: "Whole phone numbers and email addresses of contacts.",
    Scope.RECEIVABLES: "Receivables: balance, ageing, open items, statements, payments.",
    Scope.COMMISSIONS: "Agents and their commission statements.",
    Scope.SOURCES: "How the connected systems are.",
    Scope.AUDIT: "Who asked what.",
}


class Rows(StrEnum):
    """Which rows of a type exist for a caller; `app/sources/pipeline/row_scope.py` removes the others."""

    ALL = "ALL"
    ACCOUNTS = "ACCOUNTS"
    AGENTS = "AGENTS"
    APPROVED = "APPROVED"

    def reach(self, role: AnyRole) -> RowReach:
        if self in BOUND:
            return row_reach(role)
        return RowReach.APPROVED if self is Rows.APPROVED and is_external(role) else RowReach.ALL


BOUND = frozenset({Rows.ACCOUNTS, Rows.AGENTS})
"""Row rules under which a restricted caller sees the rows of its own accounts or agents only."""


class Mask(StrEnum):
    """How a value is masked."""

    LAST4 = "LAST4"
    INITIALS = "INITIALS"
    HIDDEN = "HIDDEN"


def last4(value: str | None) -> str | None:
    """The last four characters, of values with at least eight; never so much that the rest could be guessed."""
    return value and ("****" + value[-4:] if len(value) >= 8 else "****")


def initials(value: str | None) -> str | None:
    """Only the first letter of each word."""
    return value and " ".join(f"{word[0]}." for word in value.split())


def hidden(_: str | None) -> None:
    """Nothing."""


MASKS: Mapping[Mask, MaskFunction] = {Mask.LAST4: last4, Mask.INITIALS: initials, Mask.HIDDEN: hidden}


@dataclass(frozen=True, slots=True)
class Rule:
    """The effective rule of a field, from its type's declaration and its own. `roles` may see it, in the rows that
    `rows` selects; roles outside `unmasked_for` see it through `mask`."""

    type_name: str
    field_name: str
    scopes: tuple[Scope, ...]
    roles: frozenset[AnyRole]
    rows: Rows = Rows.ALL
    mask: Mask | None = None
    unmasked_for: frozenset[AnyRole] = frozenset()

    def mask_for(self, role: AnyRole) -> Mask | None:
        """The mask for a role; None if the role sees the value."""
        return None if role in self.unmasked_for else self.mask


@dataclass(frozen=True, slots=True, eq=False)
class Permissions:
    """What a caller may see. Callers with equal permissions share one object, and so their plans. `inputs` are the
    input types that the caller may not use."""

    granted: frozenset[Key]
    masks: Mapping[Key, Mask] = field(default_factory=dict)
    types: frozenset[str] = frozenset()
    inputs: frozenset[str] = frozenset()

    def refuses(self, type_name: str, field_name: str) -> bool:
        """Whether the field is refused."""
        return (type_name, field_name) not in self.granted

    def mask(self, type_name: str, field_name: str) -> Mask | None:
        """The mask of the field; None if the value is visible."""
        return self.masks.get((type_name, field_name))

    def reveals(self, type_name: str, field_name: str) -> bool:
        """Whether the caller sees the whole value of the field."""
        return not self.refuses(type_name, field_name) and self.mask(type_name, field_name) is None

    def allows_type(self, type_name: str) -> bool:
        """Whether the caller may see that objects of this type exist."""
        return type_name in self.types


class AllPermissions(Permissions):
    """Everything is visible: for the gateway's own tools, never for a caller."""

    __slots__ = ()

    def refuses(self, type_name: str, field_name: str) -> bool:
        return False

    def allows_type(self, type_name: str) -> bool:
        return True


ALL_PERMISSIONS = AllPermissions(frozenset())


@dataclass(frozen=True, slots=True)
class PolicyTable:
    """The rules of all fields, types and guarded input types of a deployment, and its audiences."""

    fields: Mapping[Key, Rule]
    types: Mapping[str, Rule]
    inputs: Mapping[str, frozenset[AnyRole]] = field(default_factory=dict)
    audiences: Audiences = field(default_factory=lambda: AUDIENCES)
    _by_roles: dict[frozenset[AnyRole], Permissions] = field(default_factory=dict, compare=False, repr=False)
    _by_content: dict[object, Permissions] = field(default_factory=dict, compare=False, repr=False)

    @property
    def roles(self) -> tuple[AnyRole, ...]:
        """Every role: those of the gateway in their order, then those of the deployment by name."""
        return ordered(self.audiences[Scope.EVERYONE])

    def permissions(self, roles: frozenset[AnyRole]) -> Permissions:
        """The permissions of a caller with these roles, cached by roles."""
        known = self._by_roles.get(roles)
        if known is None:
            if not roles:
                raise Forbidden("Your credential names no role, and nothing can be seen without one.")
            made = self._permissions(roles)
            known = self._by_roles[roles] = self._by_content.setdefault(_content(made), made)
        return known

    def _permissions(self, roles: frozenset[AnyRole]) -> Permissions:
        granted = {key: rule for key, rule in self.fields.items() if rule.roles & effective_roles(roles, rule.rows)}
        masks = {
            key: rule.mask
            for key, rule in granted.items()
            if rule.mask and not rule.roles & rule.unmasked_for & effective_roles(roles, rule.rows)
        }
        types = frozenset(name for name, rule in self.types.items() if rule.roles & effective_roles(roles, rule.rows))
        accounts = effective_roles(roles, Rows.ACCOUNTS)
        inputs = frozenset(name for name, admitted in self.inputs.items() if not admitted & accounts)
        return Permissions(frozenset(granted), masks, types, inputs)


def ordered(roles: frozenset[AnyRole]) -> tuple[AnyRole, ...]:
    """The gateway's own roles in their order, then those of the deployment by name."""
    return (*(role for role in Role if role in roles), *sorted(role for role in roles if not isinstance(role, Role)))


def effective_roles(roles: frozenset[AnyRole], rows: Rows) -> frozenset[AnyRole]:
    """The roles that count for rows of a kind. A role that reaches all accounts must not combine with what another role
    grants for own or assigned accounts only."""
    if rows not in BOUND:
        return roles
    unbound = frozenset(role for role in roles if row_reach(role) is RowReach.ALL)
    return unbound or roles


def _content(permissions: Permissions) -> object:
    return permissions.granted, frozenset(permissions.masks.items()), permissions.types, permissions.inputs
