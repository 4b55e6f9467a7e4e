"""Three deployments with rights of their own, and what each role then gets of each field, derived from the table that
was written by hand: every cell that is not named here stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.auth.policy import Scope
from app.auth.principal import AnyRole, Role
from app.schema import build_schema, policy_of
from app.schema.declare.policy import collect_declarations
from app.settings import MaskSettings, PolicySettings, RoleSettings, ScopeSettings
from tests.support.policy_table import ACCOUNTS, CELLS, OF_ACCOUNTS, Cell, reach

Cells = dict[str, dict[str, Cell]]

SCOPES: Mapping[str, frozenset[Scope]] = {
    ".".join(key): frozenset(rule.scopes) for key, rule in policy_of(build_schema()).fields.items()
}

DECLARED = {".".join(key): one for key, one in collect_declarations(build_schema()._schema).fields.items()}


@dataclass(frozen=True, slots=True)
class Deployment:
    """A policy and its cells; `own` are its roles."""

    policy: PolicySettings
    cells: Cells
    own: frozenset[str] = field(default_factory=frozenset)

    @property
    def roles(self) -> list[AnyRole]:
        """All of its roles."""
        return list(self.policy.known_roles.values())

    @property
    def granted(self) -> dict[str, frozenset[str]]:
        """The roles that see each field."""
        return {key: frozenset(role for role, one in row.items() if one is not None) for key, row in self.cells.items()}


def _with(scope: Scope) -> list[str]:
    return [name for name, scopes in SCOPES.items() if scope in scopes]


def _reach_of(name: str, own: str) -> str:
    """What a role that is bound to accounts reaches of a field."""
    bound = name.partition(".")[0] in ACCOUNTS or name in OF_ACCOUNTS
    return own if bound else reach(name, Role.BUYER if own == "own" else Role.CSR)


def _changed(*changes: Callable[[Cells], None]) -> Cells:
    cells = copy.deepcopy(CELLS)
    for change in changes:
        change(cells)
    return cells


def _open(scope: Scope, role: str, rows: Callable[[str], str]) -> Callable[[Cells], None]:
    def change(cells: Cells) -> None:
        for name in _with(scope):
            cells[name][role] = {"rows": rows(name), "mask": None}

    return change


def _close(scope: Scope, role: str) -> Callable[[Cells], None]:
    def change(cells: Cells) -> None:
        for name in _with(scope):
            cells[name][role] = None

    return change


def _mask(name: str, mask: str | None, *roles: str) -> Callable[[Cells], None]:
    def change(cells: Cells) -> None:
        for role in roles:
            cell = cells[name][role]
            assert cell is not None
            cells[name][role] = {**cell, "mask": mask}

    return change


def _like(role: str, other: str) -> Callable[[Cells], None]:
    def change(cells: Cells) -> None:
        for row in cells.values():
            row[role] = copy.copy(row[other])

    return change


def _with_scopes(role: str, scopes: set[Scope], rows: Callable[[str], str]) -> Callable[[Cells], None]:
    def change(cells: Cells) -> None:
        for name, row in cells.items():
            declared = DECLARED[name]
            mask = None if declared.mask is None or declared.unmasked_for in scopes else declared.mask.value
            row[role] = {"rows": rows(name), "mask": mask} if SCOPES[name] <= scopes else None

    return change


REPS_SEE_COST = Deployment(
    PolicySettings(
        scopes={"COST": ScopeSettings(add=("sales_rep",)), "PRICES": ScopeSettings(remove=("partner",))},
        masks={
            "ProofOfDelivery.signedBy": MaskSettings(mask="NONE"),
            "Customer.salesRep": MaskSettings(mask="INITIALS", whole="STAFF"),
        },
    ),
    _changed(
        _open(Scope.COST, "sales_rep", lambda _: "all"),
        _close(Scope.PRICES, "partner"),
        _mask("ProofOfDelivery.signedBy", None, "sales_rep", "operations"),
        _mask("Customer.salesRep", "INITIALS", "buyer", "buyer_admin", "partner"),
    ),
)
"""Scopes widened and narrowed, a mask taken away and one added."""

BRANCHES = Deployment(
    PolicySettings(
        roles={
            "branch_manager": RoleSettings(
                description="Leads a branch.", reach="assigned", like=Role.SALES_REP, scopes=("COST", "MARGIN")
            ),
            "showroom": RoleSettings(
                description="Counter staff of a showroom.",
                reach="all",
                scopes=("STAFF", "CUSTOMERS", "ORDERS", "PRICES", "STOCK_BREAKDOWN"),
            ),
        }
    ),
    _changed(
        _like("branch_manager", "sales_rep"),
        _open(Scope.COST, "branch_manager", lambda name: _reach_of(name, "assigned")),
        _open(Scope.MARGIN, "branch_manager", lambda name: _reach_of(name, "assigned")),
        _with_scopes(
            "showroom",
            {Scope.EVERYONE, Scope.STAFF, Scope.CUSTOMERS, Scope.ORDERS, Scope.PRICES, Scope.STOCK_BREAKDOWN},
            lambda _: "all",
        ),
    ),
    frozenset({"branch_manager", "showroom"}),
)
"""Two roles of its own: one for assigned accounts, one for all rows."""

NARROW = Deployment(
    PolicySettings(
        roles={
            "site_buyer": RoleSettings(
                description="Buyer of a site, without prices.", reach="own", scopes=("CUSTOMERS", "ORDERS", "SHIPMENTS")
            )
        },
        scopes={
            "STOCK_BREAKDOWN": ScopeSettings(remove=("operations",)),
            "INVOICES": ScopeSettings(remove=("csr",)),
            "RETURNS": ScopeSettings(add=("partner",)),
            "MARGIN": ScopeSettings(add=("csr_lead",)),
        },
    ),
    _changed(
        _close(Scope.STOCK_BREAKDOWN, "operations"),
        _close(Scope.INVOICES, "csr"),
        _open(Scope.RETURNS, "partner", lambda _: "partner"),
        lambda cells: cells["Return.credit"].update(partner=None),  # It needs INVOICE_TOTALS too.
        _open(Scope.MARGIN, "csr_lead", lambda _: "all"),
        _with_scopes(
            "site_buyer",
            {Scope.EVERYONE, Scope.CUSTOMERS, Scope.ORDERS, Scope.SHIPMENTS},
            lambda name: _reach_of(name, "own"),
        ),
    ),
    frozenset({"site_buyer"}),
)
"""Scopes narrowed, others widened, and a customer's role that sees less than a buyer."""

DEPLOYMENTS = {"reps_see_cost": REPS_SEE_COST, "branches": BRANCHES, "narrow": NARROW}
