"""Changes of a deployment to the policy: `[policy]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.settings.roles import BUILT_IN_ROLES, AnyRole, CustomRole, Role, RowReach
from app.settings.section import Section


def _check_name(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{1,39}", name) or name.endswith("_") or "__" in name:
        raise ValueError("should be a name in lower case such as branch_manager, at most 40 characters")
    if name in BUILT_IN_ROLES:
        raise ValueError(f"is a role of the gateway; change what {name} sees under [policy.scopes]")
    return name


RoleName = Annotated[str, AfterValidator(_check_name)]


class RoleSettings(Section):
    """`[policy.roles.NAME]`: a custom role. `reach` is its row scope: the accounts that the credential names for "own"
    (a customer's people) and "assigned" (the distributor's people), every account for "all". It has the scopes of the
    role named by `like`, and `scopes`."""

    description: str = Field(min_length=1, max_length=300)
    reach: Literal["all", "assigned", "own"]
    like: Role | None = None
    scopes: tuple[str, ...] = ()


class ScopeSettings(Section):
    """`[policy.scopes.SCOPE]`: roles that are added to a scope or removed from it."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class MaskSettings(Section):
    """`[policy.masks]`: the mask of a field, and the scope whose roles see the whole value."""

    mask: Literal["LAST4", "INITIALS", "HIDDEN", "NONE"]
    whole: str | None = None


class PolicySettings(Section):
    """`[policy]`: changes of scopes and masks, and custom roles. docs/rights.md explains them."""

    roles: dict[RoleName, RoleSettings] = {}
    scopes: dict[str, ScopeSettings] = {}
    masks: dict[str, MaskSettings] = {}

    @property
    def known_roles(self) -> Mapping[str, AnyRole]:
        """Every role by name: built-in roles first."""
        own = {name: CustomRole(name, RowReach(one.reach)) for name, one in self.roles.items()}
        return {**BUILT_IN_ROLES, **own}
