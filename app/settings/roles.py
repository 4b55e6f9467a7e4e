"""Roles of callers, which settings name too."""

from __future__ import annotations

from enum import StrEnum


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
