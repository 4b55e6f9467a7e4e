"""Numbers that are none do not get through, wherever in an answer they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Generic, NamedTuple, TypedDict, TypeVar

import msgspec
import pytest

from app.errors import SourceMalformed
from app.http.finite_decimals import finite_check
from app.http.response import HTTPResponse

T = TypeVar("T")


class Money(msgspec.Struct):
    amount: Decimal
    currency: str = "EUR"


class Tax(msgspec.Struct, tag="tax"):
    rate: Decimal


class Note(msgspec.Struct, tag="note"):
    text: str


class Tree(msgspec.Struct):
    value: Decimal | None = None
    below: list[Tree] = []


class Plain(msgspec.Struct):
    name: str
    below: list[Plain] = []
    more: dict[str, Any] = {}


class Page(msgspec.Struct, Generic[T]):
    rows: tuple[T, ...]


class Pair(NamedTuple):
    one: Decimal
    two: Decimal | int


class Entry(TypedDict, total=False):
    price: Decimal


class Wide(msgspec.Struct, rename="camel"):
    net_total: Money
    tax_total: Money | None = None
    either: Tax | Note | None = None


def decoded(body: str, into: Any) -> Any:
    return HTTPResponse("erp", 200, {}, body.encode()).decode(into)


WRONG = ["NaN", "sNaN", "-nan123", "Infinity", "-inf", " NaN ", "N_aN", "\\u004eaN", "\\u0049nf"]


@pytest.mark.parametrize("text", WRONG)
def test_text_that_is_no_finite_number_is_malformed(text):
    with pytest.raises(SourceMalformed):
        decoded(f'{{"amount":"{text}"}}', Money)
    assert decoded(f'{{"amount":"1","currency":"{text}"}}', Money).amount == 1


@pytest.mark.parametrize(
    ("into", "body"),
    [
        (Decimal, "#"),
        (Decimal | None, "#"),
        (Decimal | Note, "#"),
        (Annotated[Decimal, msgspec.Meta(description="x")], "#"),
        (list[Decimal], '["1",#]'),
        (set[Decimal], '["1",#]'),
        (frozenset[Decimal], '["1",#]'),
        (tuple[Decimal, ...], '["1",#]'),
        (tuple[str, Decimal | None, Decimal], '["1","1",#]'),
        (Sequence[Money], '[{"amount":"1"},{"amount":#}]'),
        (dict[str, Decimal], '{"a":"1","b":#}'),
        (Mapping[str, Money], '{"b":{"amount":#}}'),
        (dict[Decimal, int], "{#:1}"),
        (Tree, '{"below":[{"below":[{"value":#}]}]}'),
        (list[Tree | None], '[null,{"value":#}]'),
        (Page[Money], '{"rows":[{"amount":#}]}'),
        (Page[Money] | None, '{"rows":[{"amount":#}]}'),
        (Pair, '["1",#]'),
        (list[Pair], "[[#,1]]"),
        (Entry, '{"price":#}'),
        (Wide, '{"netTotal":{"amount":"1"},"taxTotal":{"amount":#}}'),
        (Wide, '{"netTotal":{"amount":#}}'),
        (Wide, '{"netTotal":{"amount":"1"},"either":{"type":"tax","rate":#}}'),
        (Tax | Note, '{"type":"tax","rate":#}'),
        (tuple[Decimal | None, tuple[Decimal | None, Decimal | None] | None], '["1",["1",#]]'),
    ],
    ids=str,
)
def test_every_position_is_checked(into, body):
    decoded(body.replace("#", '"1.50"'), into)
    for text in ("NaN", "-Infinity"):
        with pytest.raises(SourceMalformed) as caught:
            decoded(body.replace("#", f'"{text}"'), into)
        assert "not finite" in (caught.value.detail or "")


@pytest.mark.parametrize(
    ("into", "body"),
    [
        (Wide, '{"netTotal":{"amount":1.5},"either":{"type":"note","text":"NaN"}}'),
        (Tree, '{"below":[{},{"value":null}]}'),
        (Entry, "{}"),
        (Decimal | None, "null"),
    ],
)
def test_what_is_left_out_passes(into, body):
    decoded(body, into)


@pytest.mark.parametrize("into", [str, list[Note], dict[str, Any], msgspec.Raw, Any, Note | None, Page[Note]])
def test_type_without_numbers_costs_nothing(into):
    assert finite_check(into) is None


def test_type_that_holds_itself_and_no_numbers_passes():
    decoded('{"name":"NaN","below":[{"name":"y"}]}', Plain)
