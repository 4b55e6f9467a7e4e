"""People to talk to at a customer, from the ERP or a CRM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Any, Protocol

from app.auth.principal import Principal
from app.sources.ports import Port, Read, Routing, Shape, same
from app.sources.values import Freshness, Record, Ref


class ContactRole(StrEnum):
    """What a contact is responsible for. UNKNOWN: the source has a role that its adapter does not map."""

    PURCHASING = "PURCHASING"
    ACCOUNTS_PAYABLE = "ACCOUNTS_PAYABLE"
    RECEIVING = "RECEIVING"
    MANAGEMENT = "MANAGEMENT"
    OTHER = "OTHER"
    UNKNOWN = "UNKNOWN"


class Contact(Record):
    """A person or department of a customer. `location` is the id of the customer's location that it belongs to."""

    id: str
    customer: str
    name: str
    role: ContactRole | None = None
    raw_role: str | None = None
    phone: str | None = None
    mobile: str | None = None
    email: str | None = None
    is_primary: bool = False
    location: str | None = None
    refs: tuple[Ref, ...] = ()
    freshness: Freshness


class Contacts(Protocol):
    """Contacts of a source."""

    async def by_customer(self, principal: Principal, customers: Sequence[str]) -> Mapping[str, tuple[Contact, ...]]:
        """Contacts by customer number, primary ones first; absent where there are none."""
        ...


def _simulated(row: Any) -> Contact:
    return Contact(id=row.id, customer=row.customer, name=row.id, freshness=row.freshness)


def _foreign(customer: str, found: Any) -> str | None:
    others = sorted({row.customer for row in found} - {customer})
    return f"contacts of {others[0]} as those of {customer}" if others else None


CONTACTS = Port(
    "contacts",
    Contacts,
    {
        "by_customer": Read(
            record=Contact,
            shape=Shape.ROWS,
            routing=Routing.CUSTOMER,
            key_customer=same,
            row_customer=attrgetter("customer"),
            check=_foreign,
            simulated=_simulated,
            simulated_rows=5,
        )
    },
)
