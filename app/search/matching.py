"""From the words of a query to ranked sets of documents.

Each part of a query (what stands between two spaces) matches documents in several ways; each way has a *penalty*: 0 for
the very word in the name, more for other fields, words that only begin with it, codes that contain it, typos. The
penalty of a document is the sum over all parts, so a ranking is a list of sets by penalty, computed for all documents
at once. Documents of one penalty stand in the order of their numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_

from app.search.analysis import code_of, deletions, is_number, number_of, one_typo_apart, takes_typos, words_of
from app.search.documents import ATTRIBUTE, CONTACT, DESCRIPTION, EMAIL, NAME, phone_term
from app.search.stores.store import CodeMatch, Snapshot
from app.sources.search import SearchField

MAX_PARTS = 16
"""Parts of a query that are matched."""

MAX_MISSING = 2
"""Parts of a query that a document need not match, where no document matches more."""

FIELDS: tuple[tuple[str, int, SearchField | None], ...] = (
    (NAME, 0, None),
    (ATTRIBUTE, 1, SearchField.ATTRIBUTES),
    (CONTACT, 1, SearchField.CONTACTS),
    (EMAIL, 1, SearchField.CONTACT_DETAILS),
    (DESCRIPTION, 3, SearchField.DESCRIPTION),
)
"""Fields with the penalty of a word found there, and by what they are hidden."""

PREFIX, SPLIT, TYPO, PART = 2, 1, 4, 5
CODE_PREFIX, CODE_PART = 1, 4
MISSING = 20
"""Penalties: a word that only begins with the given one, two words written as one, one typo, a part of a word; the
beginning of a code, a part of one; a part of the query that a document does not match at all."""

Level = tuple[int, int]
"""A penalty and the documents that have it."""


@dataclass(slots=True)
class Alternative:
    """A way to match one word of a query: all of these words, each in any field."""

    words: tuple[str, ...]
    penalty: int


class SearchScope:
    """What of an index a query may match: the documents of `base`, in the fields that are not hidden."""

    def __init__(self, base: int, hidden: Collection[SearchField] = ()) -> None:
        self.base = base
        self.fields = tuple((prefix, penalty) for prefix, penalty, name in FIELDS if name not in hidden)
        self.codes = SearchField.CODES not in hidden
        self.phones = SearchField.CONTACT_DETAILS not in hidden

    async def has(self, alternatives: Sequence[Alternative], snapshot: Snapshot) -> bool:
        """Whether a document matches one of the alternatives."""
        words = [word for one in alternatives for word in one.words]
        sets = await snapshot.bitmaps([prefix + word for word in words for prefix, _ in self.fields])
        return any(self._all_of(one.words, sets) for one in alternatives)

    def _all_of(self, words: Sequence[str], sets: Mapping[str, int]) -> int:
        documents = self.base
        for word in words:
            documents &= reduce(or_, (sets.get(prefix + word, 0) for prefix, _ in self.fields))
        return documents


@dataclass(slots=True)
class QueryPart:
    """What stands between two spaces: all its words, each in one of the fields, or its code."""

    fields: Sequence[tuple[str, int]]
    words: list[list[Alternative]] = field(default_factory=list)
    codes: list[Level] = field(default_factory=list)


async def parse(text: str, snapshot: Snapshot, scope: SearchScope) -> list[QueryPart]:
    """The parts of a query as this index understands them. A word that is only in documents or fields beyond the scope
    is as unknown as one that no document has."""
    groups = _groups(text)[:MAX_PARTS]
    expansions = await snapshot.expand(list(dict.fromkeys(word for _, words in groups for word in words)))
    parts: list[QueryPart] = []
    for given, words in groups:
        part = QueryPart(scope.fields, codes=await _codes(given, snapshot, scope))
        for word in words:
            found = expansions[word]
            alternatives = [Alternative((word,), 0)] if found.known else []
            number = number_of(word)
            if number is not None:
                alternatives.append(Alternative((number,), PREFIX))
            if not is_number(word) and number is None and len(word) > 1:
                alternatives += [Alternative((one,), PREFIX) for one in found.prefixed]
            if not part.codes and not await scope.has(alternatives, snapshot):
                alternatives = await _guesses(word, snapshot, scope)
            part.words.append(alternatives)
        if not part.codes and not all(part.words):
            part.codes = await _part_of_code(given, snapshot, scope)
        parts.append(part)
    return parts


def _groups(text: str) -> list[tuple[str, list[str]]]:
    """What stands between spaces with its words. A number and a unit with a space between are one."""
    words = words_of(text)
    groups: list[tuple[str, list[str]]] = []
    for given in text.split():
        own = words_of(given)
        matched = [word for word in own if word in words]
        if len(matched) == len(own):
            if own:
                groups.append((given, own))
            for word in own:
                words.remove(word)
        else:
            groups.append((given, matched))
            for word in matched:
                words.remove(word)
    groups = [(given, own) for given, own in groups if own]
    return groups + [(word, [word]) for word in words]


async def _codes(given: str, snapshot: Snapshot, scope: SearchScope) -> list[Level]:
    """Documents with a code that is or begins with what was given."""
    code = code_of(given)
    if len(code) < 3 or not any(one.isdigit() for one in code):
        return []
    whole = await _whole_codes(code, snapshot, scope)
    if whole or not scope.codes:
        return [(0, whole)] if whole else []
    found = _set(await snapshot.codes(code, CodeMatch.PREFIX, scope.base))
    return [(CODE_PREFIX, found)] if found else []


async def _whole_codes(code: str, snapshot: Snapshot, scope: SearchScope) -> int:
    """Documents with this code or phone number."""
    documents = _set(await snapshot.codes(code, CodeMatch.WHOLE, scope.base)) if scope.codes else 0
    if scope.phones:
        phone = phone_term(code)
        documents |= (await snapshot.bitmaps([phone])).get(phone, 0)
    return documents & scope.base


async def _part_of_code(given: str, snapshot: Snapshot, scope: SearchScope) -> list[Level]:
    """Documents with a code that contains what was given. Whole GTINs are not looked for in others."""
    code = code_of(given)
    if len(code) < 4 or not any(one.isdigit() for one in code) or (code.isdigit() and len(code) > 7):
        return []
    found = _set(await snapshot.codes(code, CodeMatch.PART, scope.base)) if scope.codes else 0
    return [(CODE_PART, found)] if found else []


async def coded(text: str | None, snapshot: Snapshot, scope: SearchScope) -> int:
    """Documents with a code that is the whole text, written with spaces."""
    parts = (text or "").split()
    code = code_of(text or "")
    if not 2 <= len(parts) <= 5 or len(code) < 4 or not any(one.isdigit() for one in code):
        return 0
    return await _whole_codes(code, snapshot, scope)


def _set(numbers: Sequence[int]) -> int:
    documents = 0
    for number in numbers:
        documents |= 1 << number
    return documents


async def _guesses(word: str, snapshot: Snapshot, scope: SearchScope) -> list[Alternative]:
    """What a word may be meant for that no document has: two words in one, a typo, a part of a word."""
    if not takes_typos(word):
        return []
    splits = [(word[:at], word[at:]) for at in range(2, len(word) - 1)]
    known = await snapshot.known([half for split in splits for half in split])
    found = [Alternative(split, SPLIT) for split in splits if known.issuperset(split)]
    if await scope.has(found, snapshot):
        return found
    candidates = await snapshot.with_form([word, *deletions(word)])
    found = [Alternative((one,), TYPO) for one in candidates if one_typo_apart(word, one)]
    if await scope.has(found, snapshot):
        return found
    found = [Alternative((one,), PART) for one in await snapshot.containing(word)]
    return found if await scope.has(found, snapshot) else []


def terms_of(parts: Sequence[QueryPart]) -> Iterator[str]:
    """The terms whose documents `levels_of` needs."""
    for part in parts:
        for alternatives in part.words:
            for alternative in alternatives:
                for word in alternative.words:
                    for prefix, _ in part.fields:
                        yield prefix + word


def levels_of(part: QueryPart, sets: Mapping[str, int], base: int) -> list[Level]:
    """The documents of a part among `base` by penalty, each in its best level."""
    levels = [(0, base)] if part.words else []
    for alternatives in part.words:
        levels = add_levels(levels, _word_levels(part, alternatives, sets, base))
    by_penalty: dict[int, int] = {}
    for penalty, documents in (*levels, *part.codes):
        by_penalty[penalty] = by_penalty.get(penalty, 0) | (documents & base)
    return _best_of(by_penalty)


def _word_levels(
    part: QueryPart, alternatives: Sequence[Alternative], sets: Mapping[str, int], base: int
) -> list[Level]:
    by_penalty: dict[int, int] = {}
    for alternative in alternatives:
        levels: list[Level] = [(alternative.penalty, base)]
        for word in alternative.words:
            fields = [(more, documents) for prefix, more in part.fields if (documents := sets.get(prefix + word, 0))]
            levels = add_levels(levels, fields)
        for penalty, documents in levels:
            by_penalty[penalty] = by_penalty.get(penalty, 0) | documents
    return _best_of(by_penalty)


def add_levels(first: Sequence[Level], second: Sequence[Level]) -> list[Level]:
    """The documents in both, by the sum of their penalties."""
    by_penalty: dict[int, int] = {}
    for penalty, documents in first:
        for more, others in second:
            both = documents & others
            if both:
                by_penalty[penalty + more] = by_penalty.get(penalty + more, 0) | both
    return _best_of(by_penalty)


def _best_of(by_penalty: Mapping[int, int]) -> list[Level]:
    levels: list[Level] = []
    seen = 0
    for penalty in sorted(by_penalty):
        documents = by_penalty[penalty]
        new = without(documents, seen)
        if new:
            levels.append((penalty, new))
            seen |= new
    return levels


def rank(parts: Sequence[QueryPart], sets: Mapping[str, int], base: int, most_missing: int) -> list[Level]:
    """The documents that match all parts; where there are none, those that match all but one, and so on."""
    each = [levels_of(part, sets, base) for part in parts]
    for missing in range(min(len(parts), most_missing + 1)):
        ranked = _all_but(each, base, missing)
        if ranked or len(parts) < 2:
            return ranked
    return []


def _all_but(each: Sequence[Sequence[Level]], base: int, missing: int) -> list[Level]:
    """Documents that do not match at most so many of the parts."""
    states: list[list[Level]] = [[(0, base)], *([] for _ in range(missing))]
    for levels in each:
        states = [
            _merge(add_levels(states[skipped], levels), states[skipped - 1] if skipped else [])
            for skipped in range(missing + 1)
        ]
    return states[missing]


def _merge(matched: Sequence[Level], skipped: Sequence[Level]) -> list[Level]:
    by_penalty: dict[int, int] = dict(matched)
    for penalty, documents in skipped:
        by_penalty[penalty + MISSING] = by_penalty.get(penalty + MISSING, 0) | documents
    return _best_of(by_penalty)


def without(documents: int, others: int) -> int:
    """The documents that are not among others. The complement of a set would take as long as three intersections."""
    return documents ^ (documents & others)


def union(levels: Sequence[Level]) -> int:
    """All documents of a ranking."""
    documents = 0
    for _, documents_of_term in levels:
        documents |= documents_of_term
    return documents
