"""Cursors of lists: Shopify's own, marked so that one which the gateway did not return is refused before it is sent."""

from __future__ import annotations

import re

from app.errors import InvalidCursor

_MARK = "after:"
_FORM = re.compile(r"[A-Za-z0-9+/=_-]{1,1000}")


def tradegraph_cursor(cursor: str) -> str:
    """The cursor that stands for a row."""
    return _MARK + cursor


def shopify_cursor(after: str | None) -> str | None:
    """Shopify's cursor in one of ours. Raises InvalidCursor."""
    if after is None:
        return None
    if not after.startswith(_MARK) or not _FORM.fullmatch(after.removeprefix(_MARK)):
        raise InvalidCursor
    return after.removeprefix(_MARK)
