"""The class of a caller, which decides whose calls go first when a source is at its concurrency limit."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from cachetools import LRUCache

from app.auth.principal import AnyRole, CustomRole, Principal, Role, is_external

if TYPE_CHECKING:
    from app.settings import CallerSettings

CLASS_OF_ROLE: dict[Role, str] = {
    Role.SALES_REP: "rep",
    Role.CSR: "rep",
    Role.CSR_LEAD: "rep",
    Role.FINANCE: "rep",
    Role.BUYER: "portal",
    Role.BUYER_ADMIN: "portal",
    Role.PARTNER: "partner",
    Role.AGENT: "portal",
    Role.OPERATIONS: "rep",
    Role.ADMIN: "rep",
}
"""People who serve customers go before customers who look, and those before machines."""

INTERNAL = "checkout"
"""The class of the gateway's own calls, such as health checks: few, and they concern every caller."""


class CallerClassifier:
    """Classifies callers: by their client where the settings name it, else by their role."""

    def __init__(self, settings: CallerSettings) -> None:
        self.weights: dict[str, int] = {**settings.weights}
        self._clients = tuple(settings.clients.items())
        self._known: LRUCache[tuple[str, frozenset[AnyRole]], str] = LRUCache(maxsize=10_000)

    def classify(self, principal: object) -> str:
        """The class of the operation's principal; INTERNAL without one."""
        if not isinstance(principal, Principal):
            return INTERNAL
        key = principal.client, principal.roles
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._decide(principal)
        return found

    def _decide(self, principal: Principal) -> str:
        for pattern, named in self._clients:
            if fnmatchcase(principal.client, pattern):
                return named
        classes = {_class_of(role) for role in principal.roles} or {"sync"}
        return max(classes, key=lambda one: self.weights[one])


def _class_of(role: AnyRole) -> str:
    if isinstance(role, CustomRole):
        return "portal" if is_external(role) else "rep"
    return CLASS_OF_ROLE[role]
