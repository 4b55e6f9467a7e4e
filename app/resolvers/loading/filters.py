"""Arguments of lists, checked before a source is called."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.errors import InvalidInput
from app.resolvers.loading.context import Context
from app.resolvers.loading.keys import CustomerKey, customer_number, validate_key
from app.sources.lists import DateRange

MAX_TEXT_LENGTH = 100
MAX_CUSTOMERS = 500


def valid_range(days: DateRange | None, name: str) -> DateRange | None:
    """The range, None if it is open at both ends. Raises InvalidInput if it ends before it begins."""
    if days is None or (days.since is None and days.until is None):
        return None
    if days.since is not None and days.until is not None and days.since > days.until:
        raise InvalidInput(f"{name}: since must not be after until.")
    return days


def valid_text(text: str | None) -> str | None:
    """The searched text. Raises InvalidInput if it is too long or has control characters."""
    if text is None or not text.strip():
        return None
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidInput(f"text must have at most {MAX_TEXT_LENGTH} characters, not {len(text)}.")
    return validate_key(text.strip(), "text")


def valid_code(value: str | None, what: str) -> str | None:
    """A code or number that a filter names. Raises InvalidInput."""
    return None if value is None else validate_key(value, what)


async def customer_numbers(keys: Sequence[CustomerKey] | None, ctx: Context) -> tuple[str, ...] | None:
    """The numbers of the customers that a list is limited to; None for all. Raises InvalidInput."""
    if keys is None:
        return None
    if not 1 <= len(keys) <= MAX_CUSTOMERS:
        raise InvalidInput(f"customers must name 1 to {MAX_CUSTOMERS} customers, not {len(keys)}.")
    found = await asyncio.gather(*(customer_number(key, ctx) for key in keys))
    return tuple(sorted({number for number in found if number is not None}))
