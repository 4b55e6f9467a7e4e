"""Extracts credentials from HTTP headers and from a WebSocket's first message, as an Authorization header's value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from app.auth.principal import Principal
from app.errors import Unauthenticated

SEVERAL = "Send one credential, in one Authorization header."


class Authenticator(Protocol):
    """Authenticates a credential, `Bearer ...`."""

    async def authenticate(self, authorization: str | None) -> Principal:
        """The principal of this credential; None if none was sent. Raises Unauthenticated, or AuthenticationUnavailable
        if credentials cannot be verified now."""
        ...


def from_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The credential of an HTTP request: `Authorization`, or `X-API-Key` for an API key. Several are refused: a proxy
    may have checked another one."""
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
        raise Unauthenticated(detail="the credential in connection_init is not a string")
    return found[0]


def holds_credential(payload: object) -> bool:
    """Whether a payload contains a credential, valid or not."""
    if not isinstance(payload, Mapping):
        return False
    inner = payload.get("headers")
    return bool(_authorizations(payload) or (isinstance(inner, Mapping) and _authorizations(inner)))


def _authorizations(payload: Mapping[Any, Any]) -> list[Any]:
    return [value for name, value in payload.items() if isinstance(name, str) and name.lower() == "authorization"]


def bearer(authorization: str | None) -> str:
    """The token after `Bearer`."""
    if authorization is None:
        raise Unauthenticated
    scheme, _, credential = authorization.partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential:
        raise Unauthenticated
    return credential
