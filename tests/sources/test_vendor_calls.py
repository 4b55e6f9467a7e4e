"""Declared calls of vendors: field lists from structs, the printed files, and the comparison with traffic."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from app.cli.sources import vendor_declarations
from app.sources.tryton.calls import DECLARATION as TRYTON
from app.sources.vendor_calls import VendorCall, VendorDeclaration, encode_declaration, field_types
from app.sources.vendure.calls import DECLARATION as VENDURE
from tests.support.vendor_traffic import UndeclaredRequest, VendorTraffic
from tests.upstreams.tryton import check_call, check_read, check_recorded


class Line(msgspec.Struct, rename="camel"):
    """A line of a row."""

    item_no: str
    unit_price: Decimal | None = None


class Row(msgspec.Struct, rename="camel"):
    """A row as a vendor answers it."""

    number: str
    changed_at: datetime
    tags: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()


QUERY = "query Stock($skus: [String!]!) { stock(skus: $skus) { sku } }"
DECLARATION = VendorDeclaration(
    vendor="none",
    artefact="the example",
    artefacts={"example": {"kind": "openapi"}},
    calls=(
        VendorCall(
            name="orders",
            port="orders",
            method="GET",
            path="/orders({})",
            params=("$filter", "$select", "$expand", "$orderby"),
            reads=Row,
            filters=("number",),
            sorts=("changedAt",),
        ),
        VendorCall(name="order.post", port="order_writer", method="POST", path="/orders", sends=Row),
        VendorCall(name="stock", port="stock", document=QUERY, sends=dict[str, str], reads=Row),
    ),
)


def test_fields_come_from_the_structs() -> None:
    assert field_types(Row) == {
        "number": "string",
        "changedAt": "datetime",
        "tags[]": "string",
        "lines[].itemNo": "string",
        "lines[].unitPrice": "decimal",
    }
    call = json.loads(encode_declaration(DECLARATION))["calls"][1]
    assert call["sends"] == ["changedAt", "lines[].itemNo", "lines[].unitPrice", "number", "tags[]"]
    assert (call["method"], call["path"], call["reads"], call["types"]) == ("POST", "/orders", [], {})


def test_printed_files_are_those_of_the_code() -> None:
    for file, declaration in vendor_declarations().items():
        assert file.read_text(encoding="utf-8") == encode_declaration(declaration), "run: ./run sources uses"
        names = [call.name for call in declaration.calls]
        assert len(names) == len(set(names))


@pytest.fixture
def traffic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VendorTraffic:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "uses.json").write_text(encode_declaration(DECLARATION))
    monkeypatch.setattr(VendorTraffic, "folder", tmp_path)
    return VendorTraffic("none", base="/api/v1")


def test_declared_requests_are_taken_and_counted(traffic: VendorTraffic) -> None:
    target = "/api/v1/orders(7)?$filter=number eq 'changedAt gt 1'&$select=number,lines&$orderby=changedAt desc"
    traffic.check("GET", target)
    assert traffic.unused == {"order.post", "stock"}
    traffic.check("POST", "/api/v1/orders", b'{"number": "1", "lines": [{"itemNo": "A"}]}')
    traffic.check("POST", "/graphql", json.dumps({"query": QUERY.replace(" ", "\n "), "variables": {}}).encode())
    assert traffic.unused == set()


def test_requests_in_a_batch_are_compared_one_by_one(traffic: VendorTraffic) -> None:
    inner = [{"id": "1", "method": "GET", "url": "orders(1)"}, {"id": "2", "method": "GET", "url": "orders(1)?$top=1"}]
    traffic.check("POST", "/api/v1/$batch", json.dumps({"requests": inner[:1]}).encode())
    assert traffic.used == {"orders"}
    with pytest.raises(UndeclaredRequest, match=r"parameter \$top is not declared"):
        traffic.check("POST", "/api/v1/$batch", json.dumps({"requests": inner}).encode())


@pytest.mark.parametrize(
    ("method", "target", "body", "reason"),
    [
        ("GET", "/orders(1)?$filter=lines/itemNo eq 'A'", b"", "filter lines/itemNo is not declared"),
        ("GET", "/orders(1)?$filter=contains(tags,'A')", b"", "filter tags is not declared"),
        ("GET", "/orders(1)?$orderby=number", b"", "sort number is not declared"),
        ("GET", "/orders(1)?$select=number,secret", b"", "selected secret is not declared"),
        ("GET", "/orders(1)?$expand=payments($select=number)", b"", "expanded payments is not declared"),
        ("POST", "/orders", b'{"lines": [{"price": 1}]}', r"sent lines\[\].price is not declared"),
        ("DELETE", "/orders(1)", b"", "another method or path"),
        ("POST", "/graphql", b'{"query": "{ stock }"}', "another document"),
    ],
)
def test_undeclared_requests_are_refused(
    traffic: VendorTraffic, method: str, target: str, body: bytes, reason: str
) -> None:
    with pytest.raises(UndeclaredRequest, match=reason):
        traffic.check(method, f"/api/v1{target}", body)
    assert traffic.used == set()


@pytest.mark.parametrize(
    ("vendor", "not_recorded"),
    [
        ("karrio", {"changes.events", "changes.enable_webhook"}),
        ("vendure", {call.name for call in VENDURE.calls if call.port == "order_writer"}),
    ],
)
def test_recorded_requests_are_declared(vendor: str, not_recorded: set[str]) -> None:
    """What was asked of the real system; the rest is asked of stand-ins, which compare it as well."""
    traffic = VendorTraffic(vendor)
    for request in traffic.recorded():
        traffic.check(request["method"], request["path"], json.dumps(request["body"]).encode())
    assert traffic.unused == not_recorded


def test_recorded_reads_of_tryton_are_declared() -> None:
    traffic = VendorTraffic("tryton")
    check_recorded(traffic)
    written = {call.name for call in TRYTON.calls if call.port in {"order_writer", "quote_writer", "return_writer"}}
    changed = {call.name for call in TRYTON.calls if call.port == "changes"}
    assert traffic.unused - changed == written


def test_undeclared_calls_of_tryton_are_refused() -> None:
    traffic = VendorTraffic("tryton")
    with pytest.raises(UndeclaredRequest, match="margin"):
        check_read(traffic, "sale.sale", [["id", "in", [1]]], ["number", "margin"], [["id", "ASC"]])
    with pytest.raises(UndeclaredRequest, match="margin"):
        check_read(traffic, "sale.sale", ["OR", [["id", "=", 1]], ["margin", ">", 0]], ["number"], [])
    with pytest.raises(UndeclaredRequest, match="discount"):
        check_call(traffic, "model.sale.sale.write", [[1], {"lines": [["write", [2], {"discount": 1}]]}])
    with pytest.raises(UndeclaredRequest, match=r"model\.sale\.sale\.delete"):
        check_call(traffic, "model.sale.sale.delete", [[1]])


TWICE = """query Rows($f0: Filter!, $f1: Filter!) {
  a0: rows(filter: $f0) { sku at1 } a1: rows(filter: $f1) { sku at1 }
}"""
NUMBERED = "query Rows($f0: Filter!) { a0: rows(filter: $f0) { sku at1 } }"


@pytest.mark.parametrize(
    ("document", "variables", "reason"),
    [
        (TWICE, {"f0": {"sku": "A"}, "f1": {"sku": "B"}}, None),
        ("query Rows($f0: Filter!) { a0: rows(filter: $f0) { sku at2 } }", {}, "another document"),
        ("query Other($f0: Filter!) { a0: rows(filter: $f0) { sku at1 } }", {}, "another document"),
        (NUMBERED, {"f0": {"secret": "A"}}, "variable f.secret is not declared"),
        (NUMBERED, {"options": {"filter": {"_or": [{"name": {"eq": "A"}}]}}}, "filter name is not declared"),
        (NUMBERED, {"options": {"sort": {"name": "ASC"}}}, "sort name is not declared"),
    ],
)
def test_documents_may_repeat_numbered_fields(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, document: str, variables: dict[str, object], reason: str | None
) -> None:
    call = VendorCall(name="rows", port="rows", document=NUMBERED, variables=("f0.sku",))
    (tmp_path / "none").mkdir()
    declaration = VendorDeclaration(vendor="none", artefact="the example", calls=(call,))
    (tmp_path / "none" / "uses.json").write_text(encode_declaration(declaration))
    monkeypatch.setattr(VendorTraffic, "folder", tmp_path)
    traffic = VendorTraffic("none")
    body = json.dumps({"query": document, "variables": variables}).encode()
    if reason is None:
        traffic.check("POST", "/graphql", body)
        assert traffic.unused == set()
        return
    with pytest.raises(UndeclaredRequest, match=reason):
        traffic.check("POST", "/graphql", body)
