"""What an attack is: a name, what the attacker wants, and a function that fails if he gets it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from tests.attacks.attacker import Attacker


class Group(StrEnum):
    """The eleven kinds of attacks."""

    INFORMATION = "information"
    DENIAL = "denial"
    CROSS_SITE = "cross-site"
    AUTHENTICATION = "authentication"
    AUTHORIZATION = "authorization"
    DOCUMENTS = "persisted documents"
    BACKENDS = "headers and backends"
    SOCKETS = "sockets"
    INPUT = "bad input"
    BUDGETS = "budgets"
    SECRETS = "secrets"


Run = Callable[[Attacker], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attack:
    """`run` asserts that the attack came to nothing. `watched`: also that nobody else had to wait meanwhile."""

    group: Group
    name: str
    wants: str
    run: Run
    watched: bool = False

    @property
    def id(self) -> str:
        """How it is called everywhere: group and name."""
        return f"{self.group.value}: {self.name}"


class Attacks(list[Attack]):
    """The attacks of one group."""

    def __init__(self, group: Group) -> None:
        super().__init__()
        self._group = group

    def attack(self, name: str, wants: str, *, watched: bool = False) -> Callable[[Run], Run]:
        """Take a function in as an attack."""

        def taken(run: Run) -> Run:
            self.append(Attack(self._group, name, wants, run, watched))
            return run

        return taken
