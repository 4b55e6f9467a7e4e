"""Account assignments: the customers that a system assigns to a salesperson, by person, team or branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from app.auth.principal import Principal
from app.sources.ports import Port, Read
from app.sources.values import Record, Timestamp


class AccountAssignment(Record):
    """The accounts of a salesperson. `customers` are customer numbers, each once."""

    salesperson: str
    customers: tuple[str, ...] = ()
    as_of: Timestamp | None = None


class Accounts(Protocol):
    """Assignments of a source. The gateway reads them for authorization; no field of the graph returns them."""

    async def assigned(self, principal: Principal, salespeople: Sequence[str]) -> Mapping[str, AccountAssignment]:
        """Assignments by salesperson: own accounts, those of its teams and of its branches. Unknown ones are absent."""
        ...


def _problem(salesperson: str, row: AccountAssignment) -> str | None:
    if row.salesperson != salesperson:
        return f"salesperson: expected {salesperson}, got {row.salesperson}"
    return None if all(row.customers) else "customers: an empty number"


ACCOUNTS = Port("accounts", Accounts, {"assigned": Read(record=AccountAssignment, check=_problem)}, metered=False)
