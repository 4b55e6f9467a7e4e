"""The gateway itself cannot do its part."""

from __future__ import annotations

from app.errors.base import TradegraphError


class DeadlineExceeded(TradegraphError):
    """The request's own time limit ended before this part was read. `sent` is False if no byte of a request to a source
    was sent."""

    code = "DEADLINE_EXCEEDED"
    sent = True
    http_status = 504
    default = "The request deadline passed before this field was read. Request less data, or retry."


class AuthenticationUnavailable(TradegraphError):
    """Credentials cannot be checked now: nothing is said about this one."""

    code = "AUTHENTICATION_UNAVAILABLE"
    http_status = 503
    default = "Credentials cannot be verified at the moment. Keep your credential and retry in a few seconds."


class AccountsUnavailable(TradegraphError):
    """The source that assigns accounts does not answer: the caller's rows are unknown, so none are returned."""

    code = "ACCOUNTS_UNAVAILABLE"
    http_status = 503
    default = "The system that assigns your accounts does not answer. Keep your credential and retry in a few seconds."


class StoreUnavailable(TradegraphError):
    """What the gateway itself keeps cannot be read or written at the moment."""

    code = "STORE_UNAVAILABLE"
    http_status = 503
    default = "A store of the gateway is unavailable. Retry shortly."


class SearchIndexNotReady(TradegraphError):
    """The search index has not been built for the first time yet."""

    code = "SEARCH_INDEX_NOT_READY"
    http_status = 503
    default = "The search index is being built. Retry in a minute, or list items without facets."


class NotSupported(TradegraphError):
    """No configured source can answer this."""

    code = "NOT_SUPPORTED"
    default = "Not available from any connected source."


class ConfigurationError(TradegraphError):
    """A setting is missing or wrong: names the key, the value and the cure."""

    code = "CONFIGURATION"

    def __init__(self, key: str, value: object, cure: str) -> None:
        super().__init__(f"{key} = {value!r}: {cure}")
        self.key = key
