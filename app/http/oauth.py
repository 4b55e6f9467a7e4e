"""OAuth 2.0 for machines: client credentials with a secret or a signed assertion (RFC 6749, RFC 7523)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, cast
from urllib.parse import urlencode, urlsplit

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from app.errors import SourceMalformed, SourceRejected
from app.http.call import SIGN_IN
from app.http.errors import error_for_status
from app.http.request import OutgoingRequest, printable
from app.http.response import HTTPResponse
from app.http.sign_in import Send, SessionSignIn

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_SECONDS = 300
DEFAULT_LIFETIME = 300.0
"""Assumed of a token whose response names no `expires_in`, in seconds."""
RENEWAL_MARGIN = 60.0
"""A token is renewed so many seconds before it expires, or at nine tenths of a shorter lifetime."""
MIN_TOKEN_AGE = 10.0
"""A token that is refused within so many seconds after it was issued is not replaced: another would be refused too."""

Algorithm = Literal["RS256", "PS256", "ES256"]


class TokenResponse(msgspec.Struct, frozen=True):
    """A successful response of a token endpoint."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: float = DEFAULT_LIFETIME


class ErrorResponse(msgspec.Struct, frozen=True):
    """An error response of a token endpoint. Its description may repeat what was sent, and is not read."""

    error: str = ""


class ClientAuthentication(Protocol):
    """How a client authenticates to a token endpoint."""

    def form(self) -> Mapping[str, str]:
        """The parameters of a token request that identify the client."""
        ...


class ClientSecret:
    """A client with a secret, sent in the body."""

    def __init__(self, client_id: str, secret: str) -> None:
        self._form = {"client_id": client_id, "client_secret": secret}

    def form(self) -> Mapping[str, str]:
        """See `ClientAuthentication`."""
        return self._form


class ClientAssertion:
    """A client that signs a JWT with its private key, a PEM. `key_id` and `thumbprint` (SHA-256, base64url) name the
    key or its certificate where the endpoint needs it. Raises ValueError for a key that does not fit the algorithm."""

    def __init__(
        self,
        client_id: str,
        private_key: str,
        *,
        audience: str,
        algorithm: Algorithm = "RS256",
        key_id: str | None = None,
        thumbprint: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client_id = client_id
        self._audience = audience
        self._algorithm = algorithm
        self._header = {"alg": algorithm, "typ": "JWT"}
        self._header |= {"kid": key_id} if key_id else {}
        self._header |= {"x5t#S256": thumbprint} if thumbprint else {}
        self._clock = clock
        kind = ECKey if algorithm == "ES256" else RSAKey
        try:
            self._key: ECKey | RSAKey = kind.import_key(private_key)
            self.form()
        except (JoseError, ValueError, TypeError):
            raise ValueError(f"not a private key in PEM for {algorithm}") from None

    def form(self) -> Mapping[str, str]:
        """See `ClientAuthentication`. Each assertion is used once."""
        now = int(self._clock())
        claims = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": self._audience,
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + ASSERTION_SECONDS,
        }
        assertion = jwt.encode(self._header, claims, self._key, algorithms=[self._algorithm])
        return {
            "client_id": self._client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }


class OAuthSignIn(SessionSignIn):
    """Bearer tokens by client credentials, from a token endpoint on any host.

    Tokens are renewed shortly before they expire, and once where the source answers 401; one renewal runs at a time.
    Raises ValueError for a URL that is none.
    """

    def __init__(
        self,
        source: str,
        token_url: str,
        client: ClientAuthentication,
        *,
        scope: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(source)
        url = urlsplit(token_url)
        if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
            raise ValueError("not the http(s) URL of a token endpoint")
        self.base_url: str | None = f"{url.scheme}://{url.netloc}"
        self._path = url.path or "/"
        self._client = client
        self._parameters = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        self._clock = clock
        self._issued_at = self._renew_at = 0.0

    def headers(self, path: str) -> Mapping[str, str] | None:
        """See `SignIn`."""
        if self._session is not None and self._clock() >= self._renew_at:
            self._session = None
        return self._session

    def is_unauthorized(self, request: OutgoingRequest, response: HTTPResponse) -> bool:
        """See `SignIn`."""
        return response.status == 401

    async def authorize(self, send: Send, rejected: Mapping[str, str] | None) -> None:
        """See `SignIn`."""
        if rejected is not None and rejected is self._session and self._clock() - self._issued_at < MIN_TOKEN_AGE:
            raise SourceRejected(self.source, status=401, detail="a token was refused right after it was issued")
        await super().authorize(send, rejected)

    def expire(self) -> None:
        """Discard the token, because a request inside another one was refused; a token that was just issued stays."""
        if self._clock() - self._issued_at >= MIN_TOKEN_AGE:
            self._session = None

    def login(self) -> OutgoingRequest:
        """See `SessionSignIn`."""
        return OutgoingRequest(
            method="POST",
            path=self._path,
            content=urlencode({**self._parameters, **self._client.form()}).encode(),
            headers={"content-type": "application/x-www-form-urlencoded"},
            call=SIGN_IN,
        )

    def session_headers(self, response: HTTPResponse) -> Mapping[str, str]:
        """See `SessionSignIn`. Raises SourceError; the response's own text is never part of it."""
        if response.status == 429 or response.status >= 500:
            raise error_for_status(self.source, "the token endpoint", response.status, response.headers, b"")
        if response.status != 200:
            detail = f"the token endpoint answered {response.status}: {_error_code(response)}"
            raise SourceRejected(self.source, status=401, detail=detail)
        token = response.decode(TokenResponse)
        if token.token_type.lower() != "bearer" or token.expires_in <= 0:
            raise SourceMalformed(self.source, detail="the token endpoint returned no bearer token with a lifetime")
        try:
            session = {"authorization": f"Bearer {printable(token.access_token)}"}
        except ValueError:
            raise SourceMalformed(self.source, detail="the token is not printable ASCII") from None
        self._issued_at = self._clock()
        self._renew_at = self._issued_at + max(token.expires_in * 0.9, token.expires_in - RENEWAL_MARGIN)
        return session


def _error_code(response: HTTPResponse) -> str:
    """The standard code in an error response (RFC 6749, 5.2), without what an endpoint adds to it."""
    try:
        code = cast("ErrorResponse", response.decode(ErrorResponse)).error
    except SourceMalformed:
        return "no OAuth error"
    return code if code.isascii() and code.replace("_", "").isalpha() and len(code) <= 50 else "no OAuth error"
