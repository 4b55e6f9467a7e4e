"""What can be made to go wrong in the sandbox: delay, errors and rate limits, by resource; and what it counts."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

ErrorKind = Literal["500", "html", "truncated", "wrong_types", "hang", "reset"]
ANY = "*"
LOG_LENGTH = 5000


class FaultRule(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """How a resource misbehaves. `resource` is a path's noun ("prices"), "batch" for whole batch requests, or "*"
    for every read that has no knob of its own. `rate_limit` is in reads a second; `seed` decides which reads fail."""

    resource: str = ANY
    delay_ms: float = 0
    error_rate: float = 0.0
    error_kind: ErrorKind = "500"
    rate_limit: float | None = None
    seed: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """What is to happen to one read."""

    delay: float = 0.0
    error: ErrorKind | Literal["429"] | None = None


class FaultInjector:
    """The knobs that are set. The n-th read of a resource meets the same fate every time."""

    def __init__(self) -> None:
        self._rules: dict[str, tuple[FaultRule, random.Random]] = {}
        self._recent: dict[str, deque[float]] = {}

    def set(self, rule: FaultRule) -> None:
        """Turn one; what was set for the resource before is gone."""
        self._rules[rule.resource] = rule, random.Random(f"{rule.seed}:{rule.resource}")
        self._recent.pop(rule.resource, None)

    def clear(self) -> None:
        """Back to normal."""
        self._rules.clear()
        self._recent.clear()

    def all(self) -> list[FaultRule]:
        """Those that are set, by resource."""
        return [rule for _, (rule, _) in sorted(self._rules.items())]

    def verdict(self, resource: str) -> Verdict:
        """What happens to the next read of a resource."""
        if not self._rules:
            return Verdict()
        found = self._rules.get(resource) or (self._rules.get(ANY) if resource != "batch" else None)
        if found is None:
            return Verdict()
        rule, rng = found
        if rule.rate_limit is not None and not self._admit(resource, rule.rate_limit):
            return Verdict(error="429")
        fails = rule.error_rate > 0 and rng.random() < rule.error_rate
        return Verdict(delay=rule.delay_ms / 1000, error=rule.error_kind if fails else None)

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
        """Count an HTTP request."""
        self._http += 1

    def read(self, entry: Mapping[str, Any]) -> None:
        """Note a read: by itself or a batch's part."""
        self._log.append(dict(entry))
        self._reads[entry["resource"]] += 1
        if entry.get("fault"):
            self._faults[entry["fault"]] += 1

    def entries(self, limit: int) -> list[dict[str, Any]]:
        """The newest reads, oldest of them first."""
        return list(self._log)[-limit:] if limit > 0 else []

    def counters(self) -> dict[str, Any]:
        """HTTP requests, reads by resource, faults by kind."""
        return {"requests": self._http, "reads": dict(self._reads), "faults": dict(self._faults)}

    def clear(self) -> None:
        """Forget all."""
        self._log.clear()
        self._http = 0
        self._reads.clear()
        self._faults.clear()
