"""Roles of callers, as settings name them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Self


class RowReach(StrEnum):
    """The rows that exist for a caller."""

    OWN = "own"
    ASSIGNED = "assigned"
    PARTNER = "partner"
    BELOW = "below"
    APPROVED = "approved"
    ALL = "all"


class Role(StrEnum):
    """What a caller is to the distributor."""

    BUYER = "buyer"
    BUYER_ADMIN = "buyer_admin"
    SALES_REP = "sales_rep"
    CSR = "csr"
    CSR_LEAD = "csr_lead"
    PARTNER = "partner"
    AGENT = "agent"
    FINANCE = "finance"
    OPERATIONS = "operations"
    ADMIN = "admin"


class CustomRole(str):
    """A role of `[policy.roles]`: its name, and the rows that exist for it. Equal to its name."""

    __slots__ = ("reach",)

    reach: RowReach

    def __new__(cls, name: str, reach: RowReach) -> Self:
        made = super().__new__(cls, name)
        made.reach = reach
        return made

    @property
    def value(self) -> str:
        """The name, as of a member of `Role`."""
        return str(self)

    _value_ = value


AnyRole = Role | CustomRole

BUILT_IN_ROLES: Mapping[str, AnyRole] = {role.value: role for role in Role}
