"""What the reads of every port must do, whatever the source: checks for the contract tests and `./run contract test`.

A check raises Nonconformance, which says what the read did instead.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from app.errors import InvalidCursor
from app.sources.values import Page, PageRequest

KeyedCall = Callable[[Sequence[Any]], Awaitable[Mapping[Any, Any]]]
PageCall = Callable[[PageRequest], Awaitable[Page[Any]]]

HOSTILE = (
    "",
    " ",
    "../../etc/passwd",
    "a/b?c=d&e=f#g",
    "%2e%2e%2f%00",
    "' OR '1'='1",
    '"}]} --',
    "nul\0inside",
    "\U0001f529",
    "%",
    "*",
    "x" * 10_000,
)
"""Texts that are nobody's key."""

WRONG_CURSORS = ("garbage", "", "-1", "\U0001f529", "e30", "x" * 5000, "WyJ4Il0")
"""Cursors that no system made."""

_VOLATILE = {"freshness", "asOf", "checkedAt", "quotedAt", "proofId"}
_MAX_LISTED = 5


class Nonconformance(AssertionError):
    """A read does not do what its port's contract says."""


def require(condition: bool, problem: str) -> None:
    """Raise Nonconformance with the problem unless the condition holds."""
    if not condition:
        raise Nonconformance(problem)


def require_keys(found: Collection[Any], expected: Collection[Any], problem: str) -> None:
    """Require exactly these keys; the message lists the first that differ."""
    lacking, extra = [key for key in expected if key not in found], [key for key in found if key not in expected]
    differences = [*(f"lacks {key!r:.80}" for key in lacking), *(f"has {key!r:.80}" for key in extra)]
    require(not differences, f"{problem}: {', '.join(differences[:_MAX_LISTED])}")


def stable(value: object) -> object:
    """A record as plain data without the times of reading."""
    return _without_times(msgspec.to_builtins(_plain(value), str_keys=True))


def _plain(value: object) -> object:
    return {repr(key): inner for key, inner in value.items()} if isinstance(value, Mapping) else value


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(inner) for key, inner in value.items() if key not in _VOLATILE}
    if isinstance(value, (list, tuple)):
        return [_without_times(inner) for inner in value]
    return value


async def read_all(read: KeyedCall, known: Collection[Any]) -> Mapping[Any, Any]:
    """The rows of keys that the source is known to hold, every one: what a check may loop over."""
    require(len(known) > 0, "no known keys")
    found = await read(list(known))
    require_keys(found, known, "a read of known keys")
    return found


async def check_reads_by_keys(read: KeyedCall, known: Sequence[Any], unknown: Any) -> None:
    """Unknown keys are absent, order and repetition do not matter, and no keys find nothing."""
    found = await read([*known, unknown])
    require_keys(found, known, "a read of known keys and an unknown one")
    again = await read([unknown, *reversed(known), *known])
    require(
        stable(again) == stable({key: found[key] for key in known}),
        "the same keys in another order, repeated, find other rows",
    )
    require_keys(await read([known[0]]), [known[0]], "a read of one key")
    require_keys(await read([unknown]), [], "a read of an unknown key")
    require_keys(await read([]), [], "a read of no keys")


async def check_hostile_keys(read: KeyedCall, key: Any, hostile: Sequence[Any] = HOSTILE) -> None:
    """Hostile texts are unknown keys and do no harm to their neighbours."""
    require_keys(await read([hostile[0], key, *hostile[1:]]), [key], "a read of a known key among hostile texts")


async def check_pages(call: PageCall, key_of: Callable[[Any], str], *, size: int, most: int = 200) -> list[str]:
    """All pages of a list together: no row lost, none twice, and a cursor for each. Returns the keys in order."""
    keys: list[str] = []
    after: str | None = None
    for _ in range(most // size + 2):
        page = await call(PageRequest(first=size, after=after))
        check_page(page, size, has_previous=after is not None)
        keys += [key_of(row) for row in page.rows]
        if not page.has_next:
            break
        require(len(page.rows) == size, f"a page before the last has {len(page.rows)} rows of {size}")
        after = page.cursors[-1]
    else:
        raise Nonconformance("the list does not end")
    require(len(keys) == len(set(keys)), "a row is on two pages")
    return keys


def check_page(page: Page[Any], size: int, *, has_previous: bool) -> None:
    """A page has a cursor for each row, no more rows than were read, and says whether there are rows before it."""
    rows, cursors = len(page.rows), len(page.cursors)
    require(rows == cursors, f"a page of {rows} rows has {cursors} cursors")
    require(rows <= size, f"a page of {size} has {rows} rows")
    require(page.has_previous is has_previous, f"hasPrevious is {page.has_previous} where it must be {has_previous}")


async def check_cursors(call: PageCall) -> None:
    """A cursor from the middle goes on after its row; one that the source did not make is refused."""
    whole = await call(PageRequest(first=3))
    rest = await call(PageRequest(first=2, after=whole.cursors[0]))
    require(stable(list(rest.rows)) == stable(list(whole.rows[1:])), "a cursor does not continue after its row")
    for cursor in WRONG_CURSORS:
        try:
            await call(PageRequest(first=2, after=cursor))
        except InvalidCursor:
            continue
        raise Nonconformance(f"the cursor {cursor!r:.40}, which the source did not make, is accepted")


async def check_total(call: PageCall, total: int | None) -> None:
    """The total is returned on request; without a request it is that total or null."""
    counted = (await call(PageRequest(first=1, count=True))).total
    require(counted == total, f"total is {counted} where it must be {total}")
    plain = (await call(PageRequest(first=1))).total
    require(plain in {None, total}, f"total is {plain} without a request, {total} with one")
