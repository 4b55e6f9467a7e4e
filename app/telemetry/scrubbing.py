"""Redaction of credentials in logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

_NAMES = "authorization|cookie|password|passwd|secret|api[_-]?key|token|credential|private[_-]?key|session[_-]?id"
_SECRET_KEY = re.compile(_NAMES, re.IGNORECASE)
_SECRET_TEXTS = (
    # "password": "x", 'token': 'x', password=x, X-Api-Key: x
    re.compile(rf"""([\w-]*(?:{_NAMES})[\w-]*["']?\s*[:=]\s*)("[^"]*"?|'[^']*'?|[^\s,;&"'}}]+)""", re.IGNORECASE),
    re.compile(r"(\b(?:bearer|basic|token)\s+)([A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE),
    re.compile(r"(://[^/\s:@]*:)([^/\s@]+)(?=@)"),
    # An API key of ours and a JWT, wherever they stand.
    re.compile(r"(\btg_[0-9a-z]{12}_)[0-9A-Za-z]+"),
    re.compile(r"(\beyJ)[\w-]{8,}\.[\w-]+\.[\w-]*"),
    # What signs webhooks, a private key, and all that stands before the @ of an address.
    re.compile(r"(\bwhsec_)[\w+/=-]+"),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(?:(?!-----END).)*", re.DOTALL),
    re.compile(r"(://)[^/\s:@]{6,}(?=@)"),
)
_HIDDEN = "[hidden]"
_MARK = re.compile(r"[:=\s]")
_SIGNS = ("tg_", "eyJ", "whsec_")
"""One of all these stands in whatever the patterns look for; they take long for a long id."""

_KNOWN: set[str] = set()
"""The gateway's own credentials: hidden wherever they stand."""


def register_secrets(credentials: Iterable[str]) -> None:
    """Set the gateway's own credentials, which are redacted everywhere; values under 6 characters are ignored."""
    _KNOWN.clear()
    _KNOWN.update(secret for secret in credentials if len(secret) >= 6)
    redact_cached.cache_clear()


def redact(text: str) -> str:
    """The text with credentials redacted."""
    for known in _KNOWN:
        if known in text:
            text = text.replace(known, _HIDDEN)
    if _MARK.search(text) is None and not any(sign in text for sign in _SIGNS):
        return text
    for pattern in reversed(_SECRET_TEXTS):
        text = pattern.sub(rf"\1{_HIDDEN}", text)
    return text


redact_cached = lru_cache(maxsize=1000)(redact)
"""`redact` for texts that recur, such as the name of a client."""


@lru_cache(maxsize=1000)
def _names_a_secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def redact_value(key: str, value: Any, depth: int = 0) -> Any:
    """The value of a log field with credentials redacted."""
    if _names_a_secret(key) and value is not None:
        return _HIDDEN
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping) and depth < 5:
        return {str(name): redact_value(str(name), inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) and depth < 5:
        return [redact_value("", inner, depth + 1) for inner in value]
    return None if value is None else redact(str(value))
