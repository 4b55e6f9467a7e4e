"""What every table of the settings file has in common."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

RoleName = Literal["buyer", "buyer_admin", "sales_rep", "csr", "partner", "finance", "operations", "admin"]


class Section(BaseModel):
    """A table of the settings file; an unknown key in it is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
