"""What must hold, said once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tests.attacks.attacker import Reply

INTERNALS = re.compile(
    r'Traceback|File "|\.py\b|site-packages|uvicorn|starlette|strawberry|graphql-core|httpx|python/|sqlite|'
    r"127\.0\.0\.1|sandbox|did you mean",
    re.IGNORECASE,
)
"""What no answer may tell: code, libraries, addresses of backends, names that could have been meant."""


def refused(reply: Reply, *codes: str) -> None:
    """Nothing was read: no data, and one of these codes for each error."""
    assert not anything(reply.body.get("data")), reply.text[:500]
    assert reply.codes, reply.text[:500]
    assert set(reply.codes) <= set(codes), f"{reply.codes[:5]} instead of {codes}: {reply.text[:300]}"
    reveals_nothing(reply)


def refused_everywhere(replies: dict[str, Reply], *codes: str) -> None:
    """The same for every transport."""
    for reply in replies.values():
        refused(reply, *codes)


def reveals_nothing(reply: Reply) -> None:
    """No innards in it."""
    found = INTERNALS.search(reply.text)
    assert found is None, f"{found}: {reply.text[:500]}"


def unauthenticated(reply: Reply) -> None:
    """The credential opened nothing, and the answer does not say what was wrong with it. A WebSocket closes with 4403."""
    if reply.text == "{}":
        assert reply.status == 4403, reply.status
    else:
        assert (reply.status, reply.codes) == (401, ["UNAUTHENTICATED"]), reply.text[:500]
        assert "data" not in reply.body


def anything(value: Any) -> bool:
    """Whether there is anything but nulls and emptiness."""
    if isinstance(value, dict):
        return any(anything(inner) for inner in value.values())
    if isinstance(value, list):
        return any(anything(inner) for inner in value)
    return value is not None


def only_these(found: Iterable[Any], *wanted: Any) -> None:
    """Exactly these, in any order."""
    assert sorted(found, key=repr) == sorted(wanted, key=repr)
