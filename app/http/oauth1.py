"""OAuth 1.0a with HMAC-SHA256 (RFC 5849): each request is signed by itself, as token-based authentication needs it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, quote, urlsplit

from app.http.request import printable


class OAuth1Signer:
    """Signs requests with a consumer's and a token's secrets; no login comes first. `realm` is the vendor's account.

    Raises ValueError for keys that no header can carry, without repeating them.
    """

    def __init__(
        self,
        consumer_key: str,
        consumer_secret: str,
        token: str,
        token_secret: str,
        *,
        realm: str | None = None,
        clock: Callable[[], float] = time.time,
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._consumer_key, self._token, self._realm = printable(consumer_key), printable(token), realm
        self._key = f"{_quoted(consumer_secret)}&{_quoted(token_secret)}".encode()
        self._clock = clock
        self._nonce = nonce

    def sign(self, method: str, url: str) -> Mapping[str, str]:
        """The header for one request. A body that is a form is not part of the signature: none is sent."""
        parameters = {
            "oauth_consumer_key": self._consumer_key,
            "oauth_nonce": self._nonce(),
            "oauth_signature_method": "HMAC-SHA256",
            "oauth_timestamp": str(int(self._clock())),
            "oauth_token": self._token,
            "oauth_version": "1.0",
        }
        base = signature_base(method, url, parameters)
        digest = hmac.new(self._key, base.encode(), hashlib.sha256).digest()
        parameters["oauth_signature"] = base64.b64encode(digest).decode()
        realm = {} if self._realm is None else {"realm": self._realm}
        pairs = ", ".join(f'{name}="{_quoted(value)}"' for name, value in {**realm, **parameters}.items())
        return {"authorization": f"OAuth {pairs}"}


def signature_base(method: str, url: str, parameters: Mapping[str, str]) -> str:
    """The signature base string (RFC 5849, 3.4.1): method, base string URI and normalized parameters."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = (parts.hostname or "") + ("" if parts.port in {None, default} else f":{parts.port}")
    pairs = [*parse_qsl(parts.query, keep_blank_values=True), *parameters.items()]
    normalized = "&".join(f"{name}={value}" for name, value in sorted((_quoted(a), _quoted(b)) for a, b in pairs))
    return "&".join(map(_quoted, (method.upper(), f"{parts.scheme}://{host}{parts.path or '/'}", normalized)))


def _quoted(text: str) -> str:
    return quote(text, safe="~")
