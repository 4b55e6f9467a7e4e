"""The audit entry, the metrics and the log line of a finished request."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from app.audit.records import AuditEntry
from app.auth.principal import AnyRole, Principal
from app.gateway.response import Response
from app.settings import AuditSettings
from app.telemetry import RequestScope, log_request, request_done

MAX_FORBIDDEN = 20
"""Fields that one entry names as forbidden."""

MAX_ERRORS = 500
"""Errors of one response that are searched for forbidden fields."""


class RequestAuditor:
    """Appends an audit entry for each finished request. Every request pays for it: no walk through a response."""

    def __init__(self, settings: AuditSettings, append: Callable[[AuditEntry], None]) -> None:
        self._with_variables = settings.variables == "names"
        self._logs = settings.log
        self._append = append

    def record(self, at: float, scope: RequestScope, body: Mapping[str, Any], milliseconds: float) -> dict[str, Any]:
        """Append the entry of a request that ended at `at`; its `body` is read for errors and cost alone. The fields of
        its log line beside status and time."""
        principal: Any = scope.principal or _ANONYMOUS
        errors = body.get("errors")
        cost = body.get("extensions", _EMPTY).get("cost", _EMPTY).get("actual")
        entry = AuditEntry(
            at=at,
            request_id=scope.request_id,
            transport=scope.transport,
            client=principal.client,
            subject=principal.subject,
            tenant=principal.tenant,
            roles=_names(principal.roles),
            document=scope.document,
            operation=scope.operation,
            kind=scope.kind,
            status=scope.status or 0,
            outcome=scope.outcome or "",
            code=scope.code,
            forbidden=tuple(sorted(set(_forbidden(errors)))[:MAX_FORBIDDEN]) if errors else (),
            rows=scope.rows,
            variables=scope.variables if self._with_variables else (),
            commands=tuple(scope.commands),
            cost=cost,
            backend_calls=len(scope.calls),
            milliseconds=milliseconds,
        )
        self._append(entry)
        if not self._logs:
            return {}
        fields = {
            "client": principal.client,
            "subject": principal.subject,
            "document": scope.document,
            "kind": scope.kind,
        }
        if entry.rows:
            fields["rows"] = entry.rows
        if entry.forbidden:
            fields["forbidden"] = entry.forbidden
        return fields


def finish_request(
    auditor: RequestAuditor | None, scope: RequestScope, response: Response, outcome: str, started: float
) -> None:
    """Count, log and audit an operation that has ended. `started` is of `time.perf_counter()`."""
    at, seconds = time.time(), time.perf_counter() - started
    milliseconds, status = round(seconds * 1000, 1), response.status
    scope.status, scope.outcome, scope.code = status, outcome, _code_of(response.body)
    request_done(scope.operation, "refused" if outcome == "failed" and status < 500 else outcome, seconds)
    fields = {"status": status, "outcome": outcome, "milliseconds": milliseconds, "backend_calls": len(scope.calls)}
    if auditor is not None:
        fields.update(auditor.record(at, scope, response.body, milliseconds))
    log_request(at, scope, fields)


_ANONYMOUS = Principal(subject="", roles=frozenset(), tenant="")
_EMPTY: Mapping[str, Any] = {}


@lru_cache(maxsize=1000)
def _names(roles: frozenset[AnyRole]) -> tuple[str, ...]:
    return tuple(sorted(role.value for role in roles))


def _code_of(body: Mapping[str, Any]) -> str | None:
    errors = body.get("errors")
    return None if not errors or "data" in body else errors[0].get("extensions", _EMPTY).get("code")


def _forbidden(errors: list[Mapping[str, Any]]) -> Iterator[str]:
    for error in errors[:MAX_ERRORS]:
        if error.get("extensions", _EMPTY).get("code") == "FORBIDDEN" and "path" in error:
            yield ".".join(part for part in error["path"] if isinstance(part, str))
