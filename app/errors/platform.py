"""The gateway itself cannot do its part."""

from __future__ import annotations

from app.errors.base import TradegraphError


class DeadlineExceeded(TradegraphError):
    """The request's own time limit ended before this part was read."""

    code = "DEADLINE_EXCEEDED"
    http_status = 504
    default = "The request's time limit ended before this was read. Ask for less, or try again."


class AuthenticationUnavailable(TradegraphError):
    """Credentials cannot be checked now: nothing is said about this one."""

    code = "AUTHENTICATION_UNAVAILABLE"
    http_status = 503
    default = "Credentials cannot be checked at the moment. Keep yours and try again in some seconds."


class StoreUnavailable(TradegraphError):
    """What the gateway itself keeps cannot be read or written at the moment."""

    code = "STORE_UNAVAILABLE"
    http_status = 503
    default = "The gateway cannot look this up at the moment; try again shortly."


class NotSupported(TradegraphError):
    """No configured source can answer this."""

    code = "NOT_SUPPORTED"
    default = "None of the connected systems can answer this."


class ConfigurationError(TradegraphError):
    """A setting is missing or wrong: names the key, the value and the cure."""

    code = "CONFIGURATION"

    def __init__(self, key: str, value: object, cure: str) -> None:
        super().__init__(f"{key} = {value!r}: {cure}")
        self.key = key
