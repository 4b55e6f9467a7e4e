"""Checks that all numbers of a decoded response are finite: msgspec decodes "NaN" and "Infinity" as a Decimal.

For each type one expression is written, such as `all(map(f1, v))` with f1 being `v.net.is_finite() and f2(v.tax)`,
which looks only where a Decimal can be. To search the text for the words costs three times as much, and misses those
with escapes or underscores in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from msgspec import inspect

Check = Callable[[Any], bool]

_Fields = inspect.StructType | inspect.DataclassType | inspect.NamedTupleType


def finite_check(into: Any) -> Check | None:
    """The check whether a value of this type holds finite numbers only; None for a type without Decimals."""
    checks = _Checks()
    text = checks.text(inspect.type_info(into), "v")
    return None if text is None else checks.function(text)


class _Checks:
    """The functions that the expressions of one type call, by name."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {}
        self._structs: dict[type, str] = {}
        self._count = 0

    def function(self, text: str) -> Check:
        """An expression as a function of `v`. It consists of names of fields, and of nothing from outside."""
        return eval(f"lambda v: {text}", self._names)  # noqa: S307

    def text(self, info: inspect.Type, value: str) -> str | None:
        """The expression that is true if all numbers in `value`, an expression of this type, are finite."""
        match info:
            case inspect.Metadata(type=inner):
                return self.text(inner, value)
            case inspect.DecimalType():
                return f"{value}.is_finite()"
            case inspect.StructType() | inspect.DataclassType() | inspect.NamedTupleType():
                return self._struct(info, value)
            case inspect.UnionType(types=types):
                return self._union(types, value)
            case inspect.TupleType(item_types=items):
                return _all(self.text(item, f"{value}[{index}]") for index, item in enumerate(items))
            case inspect.TypedDictType(fields=fields):
                return _all(self._entry(field.encode_name, field.type, value) for field in fields)
            case inspect.DictType(key_type=key, value_type=inner):
                return _all((self._each(key, value), self._each(inner, f"{value}.values()")))
            case inspect.CollectionType(item_type=item):
                return self._each(item, value)
        return None

    def _struct(self, info: _Fields, value: str) -> str | None:
        if info.cls in self._structs:
            return f"{self._structs[info.cls]}({value})"
        name = self._structs[info.cls] = self._name(lambda _: True)
        texts = [text for field in info.fields if (text := self.text(field.type, f"v.{field.name}"))]
        if not texts:
            return None
        self._names[name] = self.function(" and ".join(texts))
        return f"{name}({value})"

    def _union(self, types: Iterable[inspect.Type], value: str) -> str | None:
        by_class = {_class_of(info): self.function(text) for info in types if (text := self.text(info, "v"))}
        if not by_class:
            return None
        classes = self._name(by_class)
        if len(by_class) > 1:
            always = self._name(lambda _: True)
            return f"{classes}.get((t := {value}).__class__, {always})(t)"
        ((kind, check),) = by_class.items()
        only = "t.is_finite()" if kind is Decimal else f"{self._name(check)}(t)"
        return f"((t := {value}).__class__ is not {self._name(kind)} or {only})"

    def _entry(self, key: str, info: inspect.Type, value: str) -> str | None:
        text = self.text(info, f"{value}[{key!r}]")
        return text and f"({key!r} not in {value} or {text})"

    def _each(self, info: inspect.Type, values: str) -> str | None:
        text = self.text(info, "v")
        return text and f"all(map({self._name(self.function(text))}, {values}))"

    def _name(self, meaning: Any) -> str:
        self._count += 1
        name = f"f{self._count}"
        self._names[name] = meaning
        return name


def _all(texts: Iterable[str | None]) -> str | None:
    return " and ".join(text for text in texts if text) or None


def _class_of(info: inspect.Type) -> type:
    match info:
        case inspect.Metadata(type=inner):
            return _class_of(inner)
        case inspect.StructType() | inspect.DataclassType() | inspect.NamedTupleType():
            return getattr(info.cls, "__origin__", info.cls)
    kinds: dict[type[inspect.Type], type] = {
        inspect.DecimalType: Decimal,
        inspect.ListType: list,
        inspect.SetType: set,
        inspect.FrozenSetType: frozenset,
        inspect.TupleType: tuple,
        inspect.VarTupleType: tuple,
    }
    return kinds.get(type(info), dict)
