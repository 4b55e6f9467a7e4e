"""Contacts of parties, made of contact mechanisms.

Tryton keeps phone numbers and e-mail addresses one by one, each with the name of a person or department, or with none:
those of one name and postal address are one contact. It has no roles; relations to people are of another module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from app.auth.principal import Principal
from app.sources.contacts import Contact
from app.sources.tryton.client import TrytonClient, usable
from app.sources.tryton.wire import Row
from app.sources.values import Freshness, Ref

MECHANISM = "party.contact_mechanism"
READ = ("phone", "mobile", "email")
"""The types of mechanisms that a contact has."""


class ContactPartyRow(Row, kw_only=True):
    """The party of a mechanism."""

    code: str | None = None
    name: str | None = None


class MechanismRow(Row, kw_only=True):
    """`party.contact_mechanism`; inactive ones are left out by Tryton."""

    type: str
    value: str | None = None
    name: str | None = None
    sequence: int | None = None
    address: int | None = None
    party: ContactPartyRow


class TrytonContacts:
    """Contacts of the ERP: one call for each hundred customers."""

    def __init__(self, name: str, client: TrytonClient, like: str, clock: Callable[[], datetime]) -> None:
        self._name = name
        self._client = client
        self._like = like
        self._clock = clock

    async def by_customer(self, principal: Principal, customers: Sequence[str]) -> Mapping[str, tuple[Contact, ...]]:
        """Contacts in the order that Tryton's users gave their mechanisms; the first one is primary."""
        now = self._clock()
        rows = await self._client.search_keys(
            MECHANISM,
            usable(customers),
            lambda chunk: [["party.code", "in", chunk], ["party.code", "like", self._like], ["type", "in", READ]],
            MechanismRow,
            call="contacts",
        )
        grouped: dict[str, dict[tuple[str, int | None], list[MechanismRow]]] = {}
        for row in sorted(rows, key=_order):
            group = (row.name or row.party.name or "", row.address)
            grouped.setdefault(row.party.code or "", {}).setdefault(group, []).append(row)
        return {
            customer: tuple(
                self._contact(customer, name, mechanisms, now, is_primary=position == 0)
                for position, ((name, _), mechanisms) in enumerate(groups.items())
            )
            for customer, groups in grouped.items()
        }

    def _contact(
        self, customer: str, name: str, mechanisms: Sequence[MechanismRow], now: datetime, *, is_primary: bool
    ) -> Contact:
        first = mechanisms[0]
        values: dict[str, str] = {}
        for row in mechanisms:
            if row.value:
                values.setdefault(row.type, row.value)
        return Contact(
            id=str(first.id),
            customer=customer,
            name=name or customer,
            phone=values.get("phone"),
            mobile=values.get("mobile"),
            email=values.get("email"),
            is_primary=is_primary,
            location=str(first.address) if first.address is not None else None,
            refs=(Ref(system=self._name, id=str(first.id)),),
            freshness=Freshness(source=self._name, as_of=now),
        )


def _order(row: MechanismRow) -> tuple[bool, int, int]:
    return (row.sequence is not None, row.sequence or 0, row.id)
