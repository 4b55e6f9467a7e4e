"""Order intake: `[intake]`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from app.settings.approvals import ApprovalSettings
from app.settings.proofs import ProofSettings
from app.settings.section import Section

Channel = Annotated[str, Field(min_length=1, max_length=64)]


class IntakeSettings(Section):
    """Order intake: in `intake.sqlite` under `data_dir`, or in PostgreSQL. Records are deleted after `keep_days`.

    `check_timeout` limits the checks before acceptance, of which `checks` are made. A purchase order number that the
    customer has used within `duplicate_po_days` holds an order. `concurrency` orders are posted at once to each source,
    by each worker. `channels` are the channels of orders by the client that submits them; others come by `API`. A claim
    ends after `lease` seconds, which must be longer than a source's time limit. An order is given up after `attempts`
    requests, or after `patience` seconds.
    """

    store: Literal["sqlite", "postgres"] = "sqlite"
    keep_days: float = Field(default=400.0, gt=0, le=3660)
    check_timeout: float = Field(default=2.0, ge=0.05, le=60)
    checks: tuple[Literal["customer", "ship_to", "item", "unit", "price", "credit", "availability"], ...] = (
        "customer",
        "ship_to",
        "item",
        "unit",
        "price",
        "credit",
        "availability",
    )
    duplicate_po_days: float = Field(default=30.0, ge=0, le=3660)
    concurrency: int = Field(default=16, ge=1, le=1000)
    lease: float = Field(default=30.0, ge=0.5, le=3600)
    attempts: int = Field(default=20, ge=1, le=10_000)
    patience: float = Field(default=3 * 86_400.0, gt=0)
    max_lines: int = Field(default=1000, ge=1, le=100_000)
    channels: dict[str, Channel] = {}
    proofs: ProofSettings = ProofSettings()
    approvals: ApprovalSettings = ApprovalSettings()

    @model_validator(mode="after")
    def _checks_what_approvals_need(self) -> Self:
        if self.approvals.tiers and not {"item", "price"} <= set(self.checks):
            raise ValueError("approvals need the checks item and price")
        return self
