"""Contacts of customers."""

from __future__ import annotations

import strawberry

from app.auth.policy import Mask, Rows, Scope
from app.schema.base import Freshness, Ref, bound_to, field
from app.schema.declare.enums import enum
from app.sources import contacts as records
from app.sources.contacts import ContactRole
from app.sources.freshness_contracts import CONTACT

enum(
    ContactRole,
    "What a contact is responsible for.",
    PURCHASING="Purchasing.",
    ACCOUNTS_PAYABLE="Payment of invoices.",
    RECEIVING="Receipt of goods.",
    MANAGEMENT="Management.",
    OTHER="Another responsibility; see `rawRole`.",
    UNKNOWN="The source has a role that the gateway does not know; see `rawRole`.",
)


@bound_to(records.Contact, requires=Scope.CUSTOMERS, rows=Rows.ACCOUNTS, volatility=CONTACT)
@strawberry.type(description="A person or department of a customer.")
class Contact:
    id: strawberry.ID = field("The contact's id within its source.")
    name: str = field("Name of the contact.")
    role: ContactRole | None = field("What the contact is responsible for; null if the source does not report it.")
    raw_role: str | None = field("The source's own role or job title.")
    phone: str | None = field("Phone number.", mask=Mask.LAST4, unmasked_for=Scope.CONTACT_DETAILS)
    mobile: str | None = field("Mobile phone number.", mask=Mask.LAST4, unmasked_for=Scope.CONTACT_DETAILS)
    email: str | None = field("Email address.", mask=Mask.HIDDEN, unmasked_for=Scope.CONTACT_DETAILS)
    is_primary: bool = field("Whether it is the customer's main contact.")
    location: str | None = field("Id of the customer's location that the contact belongs to.", name="locationId")
    refs: list[Ref] = field("Its ids in the connected systems.")
    freshness: Freshness = field("The source of the data and its age.")
