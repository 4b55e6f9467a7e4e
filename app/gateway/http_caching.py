"""Cache-Control (RFC 9111) and conditional requests (RFC 9110) for responses to GET."""

from __future__ import annotations

import hashlib

from app.execution.cache_policy import CachePolicy


def cache_control(policy: CachePolicy | None, age: int, *, degraded: bool, within: float | None) -> str:
    """How long an answer may be kept: what its contracts leave of its age, and no longer than its client's `@fresh`."""
    if policy is None or degraded:
        return "private, no-cache"
    most = policy.max_age if within is None else min(policy.max_age, int(within))
    left = most - age
    if left <= 0:
        return "private, no-cache"
    return f"{'public' if policy.public else 'private'}, max-age={left}"


def entity_tag(media_type: str, body: bytes) -> str:
    """The tag of exactly these bytes."""
    return f'"{hashlib.sha256(media_type.encode() + body).hexdigest()[:32]}"'


def if_none_match(header: bytes | None, tag: str) -> bool:
    """Whether `If-None-Match` names the tag, weakly compared."""
    if header is None:
        return False
    return any(one.strip().removeprefix("W/") in {tag, "*"} for one in header.decode("latin-1").split(","))
