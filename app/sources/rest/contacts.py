"""Contacts over the `rest` contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.auth.principal import Principal
from app.sources.contacts import Contact, ContactRole
from app.sources.rest import account_operations
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper


@dataclass(frozen=True, slots=True)
class RestContacts:
    """The contacts port."""

    client: RESTClient
    mapper: Mapper

    async def by_customer(self, principal: Principal, customers: Sequence[str]) -> Mapping[str, tuple[Contact, ...]]:
        """Contacts by customer number, primary ones first."""
        rows = await self.client.read_keys(
            account_operations.CONTACTS, customers, lambda keys: account_operations.ByCustomer(customers=keys)
        )
        return {key: tuple(self._contact(row) for row in value) for key, value in rows if value}

    def _contact(self, row: Any) -> Contact:
        role = None if row.role is None else self.mapper.status(ContactRole, row.role, "contact.role")
        raw = row.role if row.raw_role is None and role is ContactRole.UNKNOWN else row.raw_role
        return self.mapper.fill(
            Contact,
            row,
            role=role,
            raw_role=raw,
            refs=self.mapper.refs(row),
            freshness=self.mapper.freshness(row.as_of),
        )
