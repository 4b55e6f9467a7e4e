"""Where a credential stands in a request: an HTTP header, or the first message of a WebSocket.

Both become the same text, the value of an Authorization header, so that every transport asks the same authenticator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from app.auth.principal import Principal
from app.errors import Unauthenticated

SEVERAL = "Send one credential, in one Authorization header."


class Authenticator(Protocol):
    """Turns a credential, as `Bearer ...`, into who asks."""

    async def authenticate(self, authorization: str | None) -> Principal:
        """The bearer of this credential; None where none was sent. Raises Unauthenticated, or
        AuthenticationUnavailable where credentials cannot be checked now."""
        ...


def from_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The credential of an HTTP request, from ASGI's headers: `Authorization`, or `X-API-Key` for an API key. Two of
    them mean nothing certain: what a proxy has looked at need not be what is read here."""
    found = [(name, value) for name, value in headers if name in {b"authorization", b"x-api-key"}]
    if not found:
        return None
    if len(found) > 1:
        raise Unauthenticated(SEVERAL, detail=f"{len(found)} headers with credentials")
    name, value = found[0]
    text = value.decode("latin-1")
    return text if name == b"authorization" else f"Bearer {text}"


def from_connection_init(payload: object) -> str | None:
    """The credential in the payload of `connection_init`: `authorization` in it, or in its `headers`, in any case."""
    if not isinstance(payload, Mapping):
        return None
    inner = payload.get("headers")
    found = [*_authorizations(payload), *(_authorizations(inner) if isinstance(inner, Mapping) else ())]
    if not found:
        return None
    if len(found) > 1:
        raise Unauthenticated(SEVERAL, detail=f"{len(found)} credentials in connection_init")
    if not isinstance(found[0], str):
        raise Unauthenticated(detail="the credential in connection_init is no text")
    return found[0]


def holds_credential(payload: object) -> bool:
    """Whether there is a credential in a message's payload, right or wrong."""
    if not isinstance(payload, Mapping):
        return False
    inner = payload.get("headers")
    return bool(_authorizations(payload) or (isinstance(inner, Mapping) and _authorizations(inner)))


def _authorizations(payload: Mapping[Any, Any]) -> list[Any]:
    return [value for name, value in payload.items() if isinstance(name, str) and name.lower() == "authorization"]


def bearer(authorization: str | None) -> str:
    """What stands after `Bearer`."""
    if authorization is None:
        raise Unauthenticated
    scheme, _, credential = authorization.partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential:
        raise Unauthenticated
    return credential
