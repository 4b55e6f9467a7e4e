"""Routes: which source is the master of a customer; and reads of several sources at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from app.telemetry import without_stack

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Routes:
    """The master of a domain and the rules, first match wins: customers whose number matches a pattern live on that
    source, all others on `master`. If they are `exclusive`, no source has rows of another one's customers."""

    master: str
    rules: tuple[tuple[str, str], ...] = ()
    exclusive: bool = False

    def source_of(self, customer: str | None) -> str:
        """The name of the source that is master for this customer."""
        if customer is not None:
            for pattern, source in self.rules:
                if fnmatchcase(customer, pattern):
                    return source
        return self.master

    @property
    def sources(self) -> list[str]:
        """All masters, the default one first."""
        return list(dict.fromkeys([self.master, *(source for _, source in self.rules)]))

    def split(self, keys: Iterable[K], customer_of: Callable[[K], str | None]) -> dict[str, list[K]]:
        """The keys by the source of their customer."""
        groups: dict[str, list[K]] = {}
        for key in keys:
            groups.setdefault(self.source_of(customer_of(key)), []).append(key)
        return groups


async def gather_sources(
    reads: Mapping[str, Awaitable[Any]],
) -> tuple[dict[str, Any], dict[str, Exception]]:
    """What the sources answered and how the others failed, by name, in the order of `reads`."""
    answers = await asyncio.gather(*reads.values(), return_exceptions=True)
    found: dict[str, Any] = {}
    failed: dict[str, Exception] = {}
    for name, answer in zip(reads, answers, strict=True):
        if not isinstance(answer, BaseException):
            found[name] = answer
        elif isinstance(answer, Exception):
            failed[name] = without_stack(answer)
        else:
            raise answer
    return found, failed
