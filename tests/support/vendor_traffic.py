"""The requests of a vendor's adapter, compared with the calls that its `uses.json` declares."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

from graphql import DocumentNode, OperationDefinitionNode, parse, print_ast

from app.sources import vendor_calls

RECORDED = Path(__file__).resolve().parents[1] / "upstreams" / "recorded"
SOURCES = Path(vendor_calls.__file__).parent
_FILTERED = re.compile(r"([A-Za-z_][\w/]*)\s+(?:eq|ne|gt|ge|lt|le|in)\b|(?:contains|startswith|endswith)\((\w+),")
_TEXT = re.compile(r"'(?:[^']|'')*'")
_LISTED = re.compile(r"\w+\.(filter|sort)\.")
_OPERATORS = re.compile(r"(?:_and\[\]\.|_or\[\]\.)+|\.\w+(?:\[\])?$")
_NUMBERED = re.compile(r"(^[A-Za-z]+|\$[A-Za-z]+)\d+(?=\W)")


class UndeclaredRequest(AssertionError):
    """A request that no declared call allows."""


@dataclass
class VendorTraffic:
    """What one adapter asks its vendor. `base` is the part of the path before those of the declaration; `used` are the
    names of the declared calls that were seen."""

    folder: ClassVar[Path] = SOURCES

    vendor: str
    base: str = ""
    used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        file = self.folder / self.vendor / "uses.json"
        self.calls: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["calls"]

    @property
    def unused(self) -> set[str]:
        """The declared calls that were not seen."""
        return {call["name"] for call in self.calls} - self.used

    def recorded(self) -> list[dict[str, Any]]:
        """The requests that were recorded of the real system."""
        file = RECORDED / f"{self.vendor}.json"
        return [one["request"] for one in json.loads(file.read_text(encoding="utf-8"))["exchanges"]]

    def check(self, method: str, target: str, body: bytes = b"") -> None:
        """Compare a request, or each request in a JSON batch, with the declaration. Raises UndeclaredRequest."""
        url = urlsplit(target)
        content = json.loads(body) if body and body.lstrip()[:1] in (b"{", b"[") else None
        # A `$skiptoken` is of a link that the server made.
        params = [pair for pair in parse_qsl(url.query, keep_blank_values=True) if pair[0] != "$skiptoken"]
        if url.path.endswith("/$batch") and isinstance(content, dict) and "requests" in content:
            parent = url.path.removesuffix("$batch")
            for inner in content["requests"]:
                self.check(inner["method"], parent + inner["url"], json.dumps(inner.get("body") or {}).encode())
            return
        path = unquote(url.path).removeprefix(self.base)
        reasons = {call["name"]: _difference(call, method, path, params, content) for call in self.calls}
        allowed = [call for call in self.calls if reasons[call["name"]] is None]
        if allowed:
            selected = _selected(dict(params).get("$select", "")) | _selected(dict(params).get("$expand", ""))
            # Of several calls to one path, the one that reads just the selected fields.
            self.used.add(min(allowed, key=lambda call: len(_names(call["reads"]) ^ selected))["name"])
            return
        raise UndeclaredRequest(f"{method} {path} {params} is no declared call: {reasons}")

    def check_model_call(
        self, path: str, *, fields: Sequence[str], filters: Sequence[str], sorts: Sequence[str], sent: Any
    ) -> None:
        """Compare a call of a model's method, as an RPC has it, with the declaration. Raises UndeclaredRequest."""
        parts = {"filters": {*filters}, "sorts": {*sorts}, "sends": set() if sent is None else {*_leaves(sent)}}
        allowed = [
            call
            for call in self.calls
            if call["path"] == path
            and {*fields} <= {*_names(call["reads"]), "id"}
            and all(found <= {*call[part]} for part, found in parts.items())
        ]
        if not allowed:
            raise UndeclaredRequest(f"{path} {fields} {filters} {sorts} {sent} is no declared call")
        used = min(
            allowed,
            key=lambda call: len(_names(call["reads"]) ^ {*fields}) + len({*call["filters"]} ^ parts["filters"]),
        )
        self.used.add(used["name"])


def _difference(
    call: Mapping[str, Any], method: str, path: str, params: Sequence[tuple[str, str]], content: Any
) -> str | None:
    """Why a request is not this call; None if it is."""
    if "topic" in call:
        return "a webhook"
    if "document" in call:
        if not isinstance(content, dict) or not _is_part(content.get("query") or "{ __typename }", call["document"]):
            return "another document"
        variables = [_unnumbered(path) for path in _leaves(content.get("variables") or {})]
        listed = {path: found[1] for path in variables if (found := _LISTED.match(path))}
        filters = {
            _OPERATORS.sub("", path.partition(".filter.")[2]) for path, kind in listed.items() if kind == "filter"
        }
        sorts = {path.partition(".sort.")[2] for path, kind in listed.items() if kind == "sort"}
        return (
            _surplus("filter", filters, call["filters"])
            or _surplus("sort", sorts, call["sorts"])
            or _surplus("variable", {*variables} - {*listed}, map(_unnumbered, call["sends"]))
        )
    if call.get("method", "GET") != method or not _is_path(call["path"], path):
        return "another method or path"
    query = dict(params)
    reads = _names(call["reads"])
    return (
        _surplus("parameter", query, call["params"])
        or _surplus("filter", _filtered(query.get("$filter", "")), call["filters"])
        or _surplus("sort", (one.split()[0] for one in query.get("$orderby", "").split(",") if one), call["sorts"])
        or _surplus("selected", _selected(query.get("$select", "")), reads)
        or _surplus("expanded", _selected(query.get("$expand", "")), reads)
        or _surplus("sent", _leaves(content if content is not None else {}), call["sends"])
    )


def _names(reads: Sequence[str]) -> set[str]:
    """The names of fields, and of what holds them."""
    return {part for one in reads for part in re.split(r"[.\[\]]+", one) if part}


def _surplus(what: str, found: Any, declared: Any) -> str | None:
    surplus = sorted(set(found) - set(declared))
    return f"{what} {', '.join(surplus)} is not declared" if surplus else None


def _is_path(template: str, path: str) -> bool:
    pattern = "".join("[^/]+" if part == "{}" else re.escape(part) for part in re.split(r"(\{\})", template))
    return re.fullmatch(pattern, path) is not None


def _filtered(expression: str) -> set[str]:
    return {found for pair in _FILTERED.findall(_TEXT.sub("''", expression)) for found in pair if found}


def _selected(text: str) -> set[str]:
    """The names in `$select` or `$expand`, nested options included."""
    return {name for name in re.findall(r"\$?\w+", text) if not name.startswith("$")}


def _leaves(value: Any, path: str = "") -> Iterator[str]:
    """The paths of the scalars of a JSON value, as `uses.json` writes them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, f"{path}[]" if path else "")
    else:
        yield path


def _is_part(document: str, declared: str) -> bool:
    """Whether a document is the declared one, but for root fields that it leaves out, and for repetitions of a root
    field with numbered aliases and variables."""
    return _other_parts(document) == _other_parts(declared) and _root_fields(document) <= _root_fields(declared)


@cache
def _root_fields(document: str) -> frozenset[str]:
    return frozenset(
        _NUMBERED.sub(r"\1#", _squeezed(print_ast(field)))
        for field in _operation(parse(document)).selection_set.selections
    )


@cache
def _other_parts(document: str) -> tuple[str, str | None, frozenset[str]]:
    """Kind and name of the operation, and the fragments."""
    parsed = parse(document)
    operation = _operation(parsed)
    fragments = [one for one in parsed.definitions if one is not operation]
    name = operation.name.value if operation.name else None
    return operation.operation.value, name, frozenset(_squeezed(print_ast(one)) for one in fragments)


def _operation(document: DocumentNode) -> OperationDefinitionNode:
    return next(one for one in document.definitions if isinstance(one, OperationDefinitionNode))


def _unnumbered(path: str) -> str:
    """The path of a variable, without the number of its name."""
    name, dot, rest = path.partition(".")
    return name.rstrip("0123456789") + dot + rest


def _squeezed(document: str) -> str:
    return " ".join(document.split())
