"""Fault injection: delay, errors and rate limits by resource, and counters."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

ErrorKind = Literal["500", "html", "truncated", "wrong_types", "hang", "reset", "refuse", "hold"]

BEFORE_WRITE = frozenset({"429", "500", "refuse", "hold"})
"""Faults that keep a write from being done; after the others it is done, and its response is lost."""

ANY = "*"
LOG_LENGTH = 5000


class FaultRule(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """A fault of a resource. `resource` is a path's noun ("prices"), a whole path after its version
    ("return-submissions/request"), "batch" for whole batch requests, or "*" for every read without a rule. `rate_limit`
    is in reads per second; `seed` decides which reads fail. "refuse" and "hold" answer as a rule of the business does.
    With `ignore_keys` a second create of a key makes a second order."""

    resource: str = ANY
    delay_ms: float = 0
    error_rate: float = 0.0
    error_kind: ErrorKind = "500"
    rate_limit: float | None = None
    seed: int = 0
    ignore_keys: bool = False


class InjectedFault(msgspec.Struct, frozen=True):
    """The fault of one read."""

    delay: float = 0.0
    error: ErrorKind | Literal["429"] | None = None


class FaultInjector:
    """The active rules. The n-th read of a resource always has the same outcome."""

    def __init__(self) -> None:
        self._rules: dict[str, tuple[FaultRule, random.Random]] = {}
        self._recent: dict[str, deque[float]] = {}

    def set(self, rule: FaultRule) -> None:
        """Set the rule of a resource, replacing the one before."""
        self._rules[rule.resource] = rule, random.Random(f"{rule.seed}:{rule.resource}")
        self._recent.pop(rule.resource, None)

    def clear(self) -> None:
        self._rules.clear()
        self._recent.clear()

    def all(self) -> list[FaultRule]:
        return [rule for _, (rule, _) in sorted(self._rules.items())]

    def ignores_keys(self, resource: str) -> bool:
        """Whether creates of a resource ignore their keys."""
        found = self._rules.get(resource)
        return found is not None and found[0].ignore_keys

    def fault(self, resource: str, path: str = "") -> InjectedFault:
        """The fault of the next read of a resource, by its path."""
        if not self._rules:
            return InjectedFault()
        found = (
            self._rules.get(path.removeprefix("/v1/"))
            or self._rules.get(resource)
            or (self._rules.get(ANY) if resource != "batch" else None)
        )
        if found is None:
            return InjectedFault()
        rule, rng = found
        if rule.rate_limit is not None and not self._admit(resource, rule.rate_limit):
            return InjectedFault(error="429")
        fails = rule.error_rate > 0 and rng.random() < rule.error_rate
        return InjectedFault(delay=rule.delay_ms / 1000, error=rule.error_kind if fails else None)

    def _admit(self, resource: str, limit: float) -> bool:
        recent = self._recent.setdefault(resource, deque())
        moment = time.monotonic()
        while recent and recent[0] <= moment - 1:
            recent.popleft()
        if len(recent) >= limit:
            return False
        recent.append(moment)
        return True


class RequestLog:
    """The request log and the counters of one server."""

    def __init__(self) -> None:
        self._log: deque[dict[str, Any]] = deque(maxlen=LOG_LENGTH)
        self._http = 0
        self._reads: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    def request(self) -> None:
        self._http += 1

    def read(self, entry: Mapping[str, Any]) -> None:
        """Record a read, single or part of a batch."""
        self._log.append(dict(entry))
        self._reads[entry["resource"]] += 1
        if entry.get("fault"):
            self._faults[entry["fault"]] += 1

    def entries(self, limit: int) -> list[dict[str, Any]]:
        return list(self._log)[-limit:] if limit > 0 else []

    def counters(self) -> dict[str, Any]:
        """HTTP requests, reads by resource, faults by kind."""
        return {"requests": self._http, "reads": dict(self._reads), "faults": dict(self._faults)}

    def clear(self) -> None:
        self._log.clear()
        self._http = 0
        self._reads.clear()
        self._faults.clear()
