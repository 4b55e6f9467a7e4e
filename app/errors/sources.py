"""A backend did not answer as it must."""

from __future__ import annotations

from app.errors.base import TradegraphError


class SourceError(TradegraphError):
    """A backend did not answer as it must. `source` is the configured name, never an address; `retry_after` is in how
    many seconds it may, if that is known. `sent` is False if no byte of the request was sent."""

    code = "SOURCE_ERROR"
    says = "did not answer as expected"
    retryable = False
    sent = True

    def __init__(self, source: str, *, retry_after: float | None = None, detail: str | None = None) -> None:
        super().__init__(f"The source '{source}' {self.says}.", detail=detail)
        self.source = source
        self.retry_after = retry_after


class SourceUnavailable(SourceError):
    """Connection refused, reset or impossible; 502, 503 and 504; an unexpected 500; or it failed so often that it is
    left alone for a moment."""

    code = "SOURCE_UNAVAILABLE"
    says = "cannot be reached at the moment; try again shortly"
    retryable = True


class SourceTimeout(SourceError):
    """No complete answer within the source's time limit."""

    code = "SOURCE_TIMEOUT"
    says = "did not answer in time; try again shortly"
    retryable = True


class SourceThrottled(SourceError):
    """429, or the source's own bound of calls is reached."""

    code = "SOURCE_THROTTLED"
    says = "takes no more requests at the moment; try again shortly"
    retryable = True


class SourceRejected(SourceError):
    """A 4xx: our request or our credentials are wrong. `status` is the HTTP status."""

    code = "SOURCE_REJECTED"
    says = "refused the gateway's request; the operators have been told"

    def __init__(self, source: str, *, status: int, detail: str | None = None) -> None:
        super().__init__(source, detail=detail)
        self.status = status


class SourceHostKeyChanged(SourceError):
    """The server's host key is not the pinned one. Nothing was sent."""

    code = "SOURCE_HOST_KEY_CHANGED"
    says = "could not be identified; the operators have been told"
    sent = False


class SourceUntrusted(SourceError):
    """The server's certificate is not signed by a trusted authority or not for its host, or the server does not
    encrypt. No credential was sent."""

    code = "SOURCE_UNTRUSTED"
    says = "could not be identified; the operators have been told"
    sent = False


class SourceMalformed(SourceError):
    """The answer is not JSON, not of the documented shape, or too large."""

    code = "SOURCE_MALFORMED"
    says = "sent an answer that cannot be read; the operators have been told"
