"""Fetches JSON of an identity provider over verified HTTPS, within limits of size and time; no redirects.

Fetches are rare, so each uses a client of its own and leaves no connection open.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx

MAX_BYTES = 256 * 1024
TIMEOUT = 5.0

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?(\d{1,9})")


class FetchFailed(Exception):
    """The document could not be fetched; the text is for the log."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document, and its `max-age` in seconds; None if the response has none."""

    content: Any
    max_age: float | None


def is_secure(url: str) -> bool:
    """Whether the URL is https or of the loopback interface."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)))


def is_http_url(url: str) -> bool:
    """Whether this is an http(s) URL without credentials, query or fragment."""
    try:
        parts = urlsplit(url)
        plain = not (parts.username or parts.password or parts.query or parts.fragment) and parts.port != 0
    except ValueError:
        return False
    return plain and parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", url)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Fetcher:
    """Fetches JSON. `anywhere` allows plain http to other machines, for demos."""

    def __init__(self, *, anywhere: bool = False, timeout: float = TIMEOUT, max_bytes: int = MAX_BYTES) -> None:
        self._anywhere = anywhere
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._tls: ssl.SSLContext | None = None

    async def read(self, url: str) -> Fetched:
        """The document at this URL. Raises FetchFailed."""
        if not (is_secure(url) or (self._anywhere and is_http_url(url))):
            raise FetchFailed(f"{url}: is not https")
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._read(url, self._tls)
        except TimeoutError:
            raise FetchFailed(f"{url}: no answer within {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise FetchFailed(f"{url}: {type(error).__name__}: {error}") from None

    async def _read(self, url: str, tls: ssl.SSLContext) -> Fetched:
        # Unpacked content could be a thousand times as long as what was sent: it is asked for as it is.
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "tradegraph"}
        async with (
            httpx.AsyncClient(verify=tls, trust_env=False, timeout=None) as client,  # noqa: S113
            client.stream("GET", url, headers=headers) as response,
        ):
            if response.status_code != 200:
                raise FetchFailed(f"{url}: answered {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise FetchFailed(f"{url}: the response is compressed, which was not requested")
            body = b""
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._max_bytes:
                    raise FetchFailed(f"{url}: longer than {self._max_bytes} bytes")
        return Fetched(_parsed(url, body), _max_age(response.headers))


def _parsed(url: str, body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FetchFailed(f"{url}: is not JSON ({type(error).__name__})") from None


def _max_age(headers: httpx.Headers) -> float | None:
    control = headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return 0.0
    found = _MAX_AGE.search(control)
    if found is None:
        return None
    age = headers.get("age", "0")
    return max(0.0, float(found[1]) - (float(age[:9]) if age.isascii() and age.isdigit() else 0.0))
