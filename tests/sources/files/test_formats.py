"""Bad XML, JSON lines and fixed width: the code of the file, or of the row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.sources.replica.ledger import FileState, rejected_rows
from tests.support.files import STOCK, exchange

XML: dict[str, Any] = {**STOCK, "format": "xml", "row": "Row", "max_rejected_percent": 60}
JSON: dict[str, Any] = {**STOCK, "format": "jsonl", "max_rejected_percent": 90}
FIXED: dict[str, Any] = {
    **STOCK,
    "format": "fixed",
    "header": False,
    "max_rejected_percent": 60,
    "columns": {
        "sku": {"start": 1, "length": 6},
        "warehouse": {"start": 7, "length": 4},
        "on_hand": {"start": 11, "length": 5},
        "uom": {"value": "EA"},
    },
}
ROW = "<Row><ITEM>SKU-1</ITEM><WHS>WH-1</WHS><QTY>1</QTY></Row>"
LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<Rows><Row><ITEM>&b;</ITEM><WHS>W</WHS><QTY>1</QTY></Row></Rows>"
)
OUTSIDE = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><Rows><Row><ITEM>&x;</ITEM></Row></Rows>'
OBJECT = '{"ITEM":"SKU-1","WHS":"WH-1","QTY":1}\n'

BAD: dict[str, tuple[dict[str, Any], bytes, str]] = {
    "xml cut in an element": (XML, f"<Rows>{ROW}<Row><ITEM>SKU".encode(), "FILE_TRUNCATED"),
    "xml cut in a tag": (XML, f"<Rows>{ROW}<Row><IT".encode(), "FILE_TRUNCATED"),
    "xml without rows": (XML, b"<Rows/>", "FILE_TRUNCATED"),
    "no xml": (XML, b"ITEM,WHS,QTY\n", "FILE_MALFORMED"),
    "xml with crossed tags": (XML, f"<Rows>{ROW}<Row></Rows></Row>".encode(), "FILE_MALFORMED"),
    "entities that grow": (XML, LAUGHS.encode(), "FILE_MALFORMED"),
    "entity of a file": (XML, OUTSIDE.encode(), "FILE_MALFORMED"),
    "xml in another encoding": (
        XML,
        "<Rows><Row><ITEM>SKÜ</ITEM></Row></Rows>".encode("cp1252"),
        "FILE_ENCODING_WRONG",
    ),
    "xml of an unknown encoding": (XML, b"<?xml version='1.0' encoding='klingon'?><Rows/>", "FILE_ENCODING_WRONG"),
    "a million elements": (XML, f"<Rows><Row>{'<A/>' * 1_000_000}</Row></Rows>".encode(), "FILE_TOO_WIDE"),
    "a tag without end": (XML, b"<Rows><Row " + b"a='1' " * 400_000, "FILE_TOO_WIDE"),
    "a text without end": (XML, b"<Rows><Row><ITEM>" + b"x" * 3_000_000, "FILE_TOO_WIDE"),
    "elements without end": (XML, b"<a>" * 100_000, "FILE_TOO_WIDE"),
    "json cut in a row": (JSON, f'{OBJECT}{{"ITEM":"SKU'.encode(), "FILE_TRUNCATED"),
    "json array": (JSON, b'[\n{"ITEM":"SKU-1"}\n]\n', "FILE_TOO_MANY_REJECTED"),
    "a million members": (
        JSON,
        ("{" + ",".join(f'"m{n}":1' for n in range(1_000_000)) + "}\n").encode(),
        "FILE_TOO_WIDE",
    ),
    "members": (JSON, ("{" + ",".join(f'"m{n}":1' for n in range(2_000)) + "}\n").encode(), "FILE_TOO_WIDE"),
    "fixed width cut in a row": (FIXED, b"SKU-1 WH-10001\nSKU-2 W", "FILE_TRUNCATED"),
    "fixed width in another encoding": (FIXED, "SKÜ-1 WH-100001\n".encode("cp1252"), "FILE_ENCODING_WRONG"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_file_has_its_code(tmp_path: Path, name: str):
    feed, content, code = BAD[name]
    files = exchange(tmp_path, {"stock": feed})
    record = await files.taken("stock", content)
    assert (record.state, record.code) == (FileState.QUARANTINED, code)


ROWS: dict[str, tuple[dict[str, Any], str, list[tuple[int, str | None, str]]]] = {
    "xml": (
        XML,
        f"<Rows>\n{ROW}\n<Row><ITEM>SKU-2</ITEM><WHS>WH-1</WHS></Row>\n<Row>\n<ITEM/><QTY>1</QTY></Row></Rows>",
        [(3, "on_hand", "VALUE_MISSING"), (4, "sku", "VALUE_MISSING")],
    ),
    "json": (
        JSON,
        OBJECT
        + '{"ITEM":"SKU-2","WHS":"WH-1","QTY":"2x"}\n{"ITEM":null,"WHS":"WH-1","QTY":1}\nnot json\n'
        + '{"ITEM":{"a":1},"WHS":"W","QTY":1}\n{"ITEM":"S","WHS":"W","QTY":1e3}\n'
        + "[" * 5_000
        + "\n",
        [
            (2, "on_hand", "VALUE_NOT_A_NUMBER"),
            (3, "sku", "VALUE_MISSING"),
            (4, None, "ROW_MALFORMED"),
            (5, None, "ROW_MALFORMED"),
            (6, "on_hand", "VALUE_NOT_A_NUMBER"),
            (7, None, "ROW_MALFORMED"),
        ],
    ),
    "fixed": (
        FIXED,
        "SKU-1 WH-100001\n\nSKU-2 WH-1\nSKU-3 WH-1  1,5\n",
        [(3, None, "ROW_COLUMNS"), (4, "on_hand", "VALUE_NOT_A_NUMBER")],
    ),
}


@pytest.mark.parametrize("name", ROWS)
async def test_bad_rows_have_line_field_and_code(tmp_path: Path, name: str):
    feed, content, expected = ROWS[name]
    files = exchange(tmp_path, {"stock": {**feed, "max_rejected_percent": 100}})
    record = await files.taken("stock", content)
    assert (record.state, record.rows) == (FileState.IMPORTED, 1)
    found = [(row.line, row.field, row.code) for row in await rejected_rows(files.store, record.id)]
    assert found == expected
