"""Shopify's search syntax, as much of it as the adapter uses: fields, comparators, quotes, AND, OR and parentheses
(https://shopify.dev/docs/api/usage/search-syntax). Values are compared without regard to case, as Shopify does."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Predicate = Callable[[Any], bool]
Terms = Mapping[str, Callable[[Any], Any]]
"""What a row has under the name of a search term; "" is the text that a term without a name is looked for in."""

_TOKEN = re.compile(r"""\s*(?:(\()|(\))|(AND|OR)\b|(?:(\w+):(<=|>=|<|>)?)?("(?:[^"\\]|\\.)*"|'[^']*'|[^\s()"']+))""")


class UnknownTerm(Exception):
    """A search by something that these rows cannot be searched by. Shopify would ignore it."""


def search(text: str | None, terms: Terms) -> Predicate:
    """Whether a row fits a search."""
    if not text:
        return lambda _: True
    tokens = list(_tokens(text))
    predicate, rest = _any(tokens, terms)
    assert rest == [], f"left over of the search {text!r}: {rest}"
    return predicate


def _tokens(text: str) -> list[re.Match[str]]:
    found, at = [], 0
    while text[at:].strip():
        token = _TOKEN.match(text, at)
        assert token is not None, f"no search: {text[at:]!r}"
        found.append(token)
        at = token.end()
    return found


def _any(tokens: list[re.Match[str]], terms: Terms) -> tuple[Predicate, list[re.Match[str]]]:
    first, rest = _all(tokens, terms)
    if rest and rest[0][3] == "OR":
        second, rest = _any(rest[1:], terms)
        return (lambda row: first(row) or second(row)), rest
    return first, rest


def _all(tokens: list[re.Match[str]], terms: Terms) -> tuple[Predicate, list[re.Match[str]]]:
    first, rest = _one(tokens, terms)
    if rest and not rest[0][2] and rest[0][3] != "OR":
        second, rest = _all(rest[1:] if rest[0][3] else rest, terms)
        return (lambda row: first(row) and second(row)), rest
    return first, rest


def _one(tokens: list[re.Match[str]], terms: Terms) -> tuple[Predicate, list[re.Match[str]]]:
    token, *rest = tokens
    if token[1]:
        inner, rest = _any(rest, terms)
        assert rest[0][2], "a parenthesis is not closed"
        return inner, rest[1:]
    name, comparator, value = token[4] or "", token[5] or "", _value(token[6])
    if name not in terms:
        raise UnknownTerm(name)
    read = terms[name]
    if not name:
        return (lambda row: value.lower() in str(read(row)).lower()), rest
    return (lambda row: _compare(read(row), comparator, value)), rest


def _value(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[0] in "\"'" else text


def _compare(found: Any, comparator: str, value: str) -> bool:
    if isinstance(found, (list, tuple)):
        return any(_compare(one, comparator, value) for one in found)
    if value == "*":
        return bool(found)
    have, wanted = str(found or "").lower(), value.lower()
    return {
        "": have == wanted,
        ">=": have >= wanted,
        "<=": have <= wanted,
        ">": have > wanted,
        "<": have < wanted,
    }[comparator]
