"""The audiences of a deployment: those of the gateway, as `[policy]` changes them.

Whatever would open a hole is refused with the key, the value, the reason and the cure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from app.auth.policy import AUDIENCES, INTERNAL, UNBOUND, Audiences, Scope
from app.auth.principal import AnyRole, CustomRole, Role, RowReach, is_external, row_reach
from app.errors import ConfigurationError
from app.settings import PolicySettings, RoleSettings
from app.settings.suggestions import did_you_mean


def configured_audiences(settings: PolicySettings) -> Audiences:
    """The roles of each scope. Raises ConfigurationError for unknown names and for what would open a hole."""
    known = settings.known_roles
    found: dict[Scope, set[AnyRole]] = {scope: set(roles) for scope, roles in AUDIENCES.items()}
    for name, change in settings.scopes.items():
        key = f"policy.scopes.{name}"
        scope = scope_named(name, key)
        if scope is Scope.EVERYONE:
            raise ConfigurationError(key, change.add + change.remove, "every role belongs to EVERYONE; leave it out")
        added = _roles(change.add, f"{key}.add", known)
        removed = _roles(change.remove, f"{key}.remove", known)
        if added & removed:
            raise ConfigurationError(f"{key}.add", min(added & removed).value, "is removed as well; name it once")
        found[scope] = (found[scope] | added) - removed
    for name, role in settings.roles.items():
        for scope in _scopes_of_role(name, role, found):
            found[scope].add(known[name])
    _check_holes(settings, found)
    return {scope: frozenset(roles) for scope, roles in found.items()}


def scope_named(name: str, key: str) -> Scope:
    """The scope of that name. Raises ConfigurationError."""
    if name not in Scope.__members__:
        raise ConfigurationError(key, name, f"is not a scope; {did_you_mean(name, Scope.__members__)}")
    return Scope[name]


def _roles(names: Iterable[str], key: str, known: Mapping[str, AnyRole]) -> set[AnyRole]:
    found: set[AnyRole] = set()
    for name in names:
        role = known.get(name)
        if role is None:
            raise ConfigurationError(key, name, f"is not a role; {did_you_mean(name, known)}")
        if isinstance(role, CustomRole):
            raise ConfigurationError(key, name, "is a role of [policy.roles]; name the scope in its own `scopes`")
        found.add(role)
    return found


def _scopes_of_role(name: str, role: RoleSettings, found: Mapping[Scope, Collection[AnyRole]]) -> Iterator[Scope]:
    yield Scope.EVERYONE
    yield from (scope for scope, roles in found.items() if role.like in roles)
    yield from (scope_named(scope, f"policy.roles.{name}.scopes") for scope in role.scopes)


def _check_holes(settings: PolicySettings, found: Mapping[Scope, Collection[AnyRole]]) -> None:
    """Refuse scopes that are not for everybody's rows, or not for other companies."""
    for scope in (one for one in Scope if one in INTERNAL | UNBOUND):
        for role in sorted(found[scope]):
            if scope in INTERNAL and is_external(role):
                cure = f"{scope} is for the distributor's own people, and {role} is for a customer, partner or agent"
            elif scope in UNBOUND and row_reach(role) is not RowReach.ALL:
                cure = f"{scope} shows rows of all accounts, and {role} reaches those of its own accounts only"
            else:
                continue
            key, value = granting_key(settings, role, scope)
            raise ConfigurationError(key, value, f"would open {scope} to {role}: {cure}; leave it out")


def granting_key(settings: PolicySettings, role: AnyRole, scope: Scope) -> tuple[str, object]:
    """The key by which a role has a scope, or lacks it, and its value."""
    own = settings.roles.get(role)
    if own is not None:
        if scope.name in own.scopes or own.like is None:
            return f"policy.roles.{role}.scopes", list(own.scopes)
        return f"policy.roles.{role}.like", own.like.value
    change = settings.scopes.get(scope.name)
    if change is not None and role in change.remove:
        return f"policy.scopes.{scope}.remove", role.value if isinstance(role, Role) else role
    return f"policy.scopes.{scope}.add", role.value if isinstance(role, Role) else role
