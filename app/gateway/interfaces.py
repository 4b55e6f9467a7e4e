"""What the service asks of document resolution and admission control, and their defaults."""

from __future__ import annotations

from typing import Protocol

from app.auth.principal import Principal
from app.errors import RequestError
from app.execution.engine import Operation, Request
from app.gateway.response import CostReport
from app.telemetry import RequestScope


class DocumentResolver(Protocol):
    """Resolves the text of a request."""

    async def find(self, request: Request, principal: Principal) -> Request:
        """The request with its document resolved. Raises RequestError for what the caller may not send."""
        ...


class OperationPermit(Protocol):
    """The admission of one operation."""

    async def settle(self, scope: RequestScope) -> CostReport:
        """Called exactly once, whether the operation ended, failed or was cancelled; `scope.calls` are its backend
        calls."""
        ...

    async def charge_event(self, scope: RequestScope) -> None:
        """Called for each event of a subscription, after its response."""
        ...


class AdmissionControl(Protocol):
    """Admits operations within their limits and budgets."""

    def allows_suggestions(self, principal: Principal) -> bool:
        """Whether errors may suggest names of the schema."""
        ...

    async def admit(self, operation: Operation, principal: Principal) -> OperationPermit:
        """Admit it. Raises LimitExceeded for an operation above its limits or beyond the budget."""
        ...


class UntrustedDocuments:
    """Resolves documents that are sent as text, and no others."""

    async def find(self, request: Request, principal: Principal) -> Request:
        """The request itself."""
        if not request.query.strip():
            raise RequestError("'query' is required and must be a string.")
        return request


class UnlimitedAdmission:
    """Admits every operation."""

    def allows_suggestions(self, principal: Principal) -> bool:
        """Never."""
        return False

    async def admit(self, operation: Operation, principal: Principal) -> UnlimitedAdmission:
        """Always."""
        return self

    async def settle(self, scope: RequestScope) -> CostReport:
        """Reports no cost."""
        return CostReport()

    async def charge_event(self, scope: RequestScope) -> None:
        """Charges nothing."""
