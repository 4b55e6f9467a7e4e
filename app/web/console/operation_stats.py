"""Statistics of recent operations of this worker: latency, backend calls, missing fields."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cachetools import LRUCache
from graphql import ExecutionResult, GraphQLError

from app.auth.principal import Principal
from app.errors import SourceError
from app.execution.document.cache import Document
from app.execution.engine import Engine, Operation, Request
from app.sources.freshness_contracts import freshness_tracker
from app.telemetry import current

MAX_OPERATIONS = 200
"""Maximum number of operations; the one that ran longest ago is evicted first."""

SAMPLES = 100
"""Latencies of a document from which percentiles are computed."""

MAX_MISSING = 20
"""Maximum number of missing fields listed for a document."""

MAX_ERRORS = 100
"""Maximum number of errors of a response searched for missing fields."""

RECENT = 60.0
"""Seconds for which a missing field counts as current."""


@dataclass(frozen=True, slots=True)
class MissingField:
    """A field missing from responses, the source that failed to provide it, and the error code. Without a path the
    response held a stale cached value instead."""

    path: str
    source: str
    code: str


@dataclass(slots=True)
class OperationStats:
    """One operation of one document. `last` and `principal` are those of its last run, from which its plan is
    explained; neither variables nor names are shown to anybody."""

    document: str
    operation: str | None
    kind: str
    last: Operation
    principal: Principal
    runs: int = 0
    failed: int = 0
    at: float = 0.0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    calls: int = 0
    sources: set[str] = field(default_factory=set)
    lost: dict[MissingField, float] = field(default_factory=dict)

    def quantile(self, share: float) -> float:
        """A quantile of the latency of recent runs, in seconds."""
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]

    def lost_lately(self, now: float) -> list[MissingField]:
        """The fields missing in recent responses."""
        return sorted((one for one, at in self.lost.items() if now - at < RECENT), key=lambda one: (one.path, one.code))


class ObservedEngine:
    """An engine that records statistics of what it runs."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._operations: LRUCache[tuple[str, str | None], OperationStats] = LRUCache(maxsize=MAX_OPERATIONS)
        self.clock = clock

    def document(self, text: str, *, suggest: bool = False) -> Document:
        return self._engine.document(text, suggest=suggest)

    def prepare(self, request: Request) -> Operation:
        return self._engine.prepare(request)

    async def execute(self, operation: Operation, context: Any) -> ExecutionResult:
        """See `Engine.execute`. What is cancelled leaves no note."""
        began = self.clock()
        result = await self._engine.execute(operation, context)
        self._note(operation, context.principal, self.clock() - began, result.errors)
        return result

    def operations(self) -> list[OperationStats]:
        """Recent operations, by 99th percentile, slowest first."""
        return sorted(self._operations.values(), key=lambda one: one.quantile(0.99), reverse=True)

    def find(self, document: str, operation: str | None) -> OperationStats | None:
        return self._operations.get((document, operation))

    def _note(
        self, operation: Operation, principal: Principal, seconds: float, errors: list[GraphQLError] | None
    ) -> None:
        running = current()
        document = running.document or ""
        one = self._operations.get((document, operation.name))
        if one is None:
            one = OperationStats(document, operation.name, operation.kind.value, operation, principal)
            self._operations[document, operation.name] = one
        one.last, one.principal, one.at = operation, principal, self.clock()
        one.runs += 1
        one.seconds.append(seconds)
        one.calls = len(running.calls)
        one.sources.update(source for source, _ in running.calls)
        if errors:
            one.failed += 1
            one.sources.update(lost.source for lost in _lost(errors))
        for lost in [*_lost(errors or []), *_stale()]:
            one.lost.pop(lost, None)
            if len(one.lost) >= MAX_MISSING:
                one.lost.pop(next(iter(one.lost)))
            one.lost[lost] = one.at


def _lost(errors: list[GraphQLError]) -> Iterator[MissingField]:
    for error in errors[:MAX_ERRORS]:
        cause = error.original_error
        if isinstance(cause, SourceError):
            path = ".".join(step for step in error.path or () if isinstance(step, str))
            yield MissingField(path, cause.source, cause.code)


def _stale() -> Iterator[MissingField]:
    served = freshness_tracker.get()
    for source, seen in served.seen.items() if served is not None else ():
        if seen.degraded:
            yield MissingField("", source, "STALE")
