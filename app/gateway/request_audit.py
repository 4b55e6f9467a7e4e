"""What remains of a request once it is answered: its audit entry, and what its log line says of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from app.audit.records import AuditEntry
from app.auth.principal import Principal, Role
from app.gateway.service import Response
from app.settings import AuditSettings
from app.telemetry import RequestScope, log, request_done

MAX_FORBIDDEN = 20
"""Fields that one entry names as forbidden."""

MAX_ERRORS = 500
"""Errors of one answer that are looked at for them."""


class RequestAuditor:
    """Makes an entry of each answered request. Cheap, since every request pays for it: no walk through an answer."""

    def __init__(self, settings: AuditSettings, append: Callable[[AuditEntry], None]) -> None:
        self._settings = settings
        self._append = append

    def record(
        self, scope: RequestScope, status: int, outcome: str, body: Mapping[str, Any], seconds: float
    ) -> AuditEntry:
        """Keep what happened. `body` is the answer, which is only asked for its errors and its cost."""
        who: Any = scope.who or _NOBODY
        errors = body.get("errors")
        cost = body.get("extensions", _NOTHING).get("cost", _NOTHING).get("actual")
        entry = AuditEntry(
            at=time.time(),
            request_id=scope.request_id,
            transport=scope.transport,
            client=who.client,
            subject=who.subject,
            tenant=who.tenant,
            roles=_names(who.roles),
            document=scope.document,
            operation=scope.operation,
            kind=scope.kind,
            status=status,
            outcome=outcome,
            code=_code_of(body),
            forbidden=tuple(sorted(set(_forbidden(errors)))[:MAX_FORBIDDEN]) if errors else (),
            rows=scope.rows,
            variables=scope.variables if self._settings.variables == "names" else (),
            cost=cost,
            backend_calls=len(scope.calls),
            milliseconds=round(seconds * 1000, 1),
        )
        self._append(entry)
        return entry

    def log_fields(self, entry: AuditEntry) -> dict[str, Any]:
        """What the request's log line says beside its status and time."""
        if not self._settings.log:
            return {}
        about = {"client": entry.client, "subject": entry.subject, "document": entry.document, "kind": entry.kind}
        if entry.rows:
            about["rows"] = entry.rows
        if entry.forbidden:
            about["forbidden"] = entry.forbidden
        return about


def finish_request(
    auditor: RequestAuditor | None, scope: RequestScope, response: Response, outcome: str, started: float
) -> None:
    """Count, log and keep an operation that has ended. `started` is of `time.perf_counter()`."""
    seconds = time.perf_counter() - started
    scope.status, scope.outcome, scope.code = response.status, outcome, _code_of(response.body)
    refused = outcome == "failed" and response.status < 500
    request_done(scope.operation, "refused" if refused else outcome, seconds)
    about: dict[str, Any] = {}
    if auditor is not None:
        entry = auditor.record(scope, response.status, outcome, response.body, seconds)
        about = auditor.log_fields(entry)
    milliseconds, calls = round(seconds * 1000, 1), len(scope.calls)
    log.info(
        "request", status=response.status, outcome=outcome, milliseconds=milliseconds, backend_calls=calls, **about
    )


_NOBODY = Principal(subject="", roles=frozenset(), tenant="")
_NOTHING: Mapping[str, Any] = {}


@lru_cache(maxsize=1000)
def _names(roles: frozenset[Role]) -> tuple[str, ...]:
    return tuple(sorted(role.value for role in roles))


def _code_of(body: Mapping[str, Any]) -> str | None:
    """The code under which an operation failed as a whole."""
    errors = body.get("errors")
    return None if not errors or "data" in body else errors[0].get("extensions", _NOTHING).get("code")


def _forbidden(errors: list[Mapping[str, Any]]) -> Iterator[str]:
    for error in errors[:MAX_ERRORS]:
        if error.get("extensions", _NOTHING).get("code") == "FORBIDDEN" and "path" in error:
            yield ".".join(part for part in error["path"] if isinstance(part, str))
