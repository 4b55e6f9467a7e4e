"""Bad input: each has a code, is set aside whole, and leaves the rows that were there before."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest

from app.auth.principal import SYSTEM
from app.sources.files import importing
from app.sources.files.intake import exclusive
from app.sources.replica.ledger import FileState
from tests.support.files import HEADER, STOCK, WRITTEN, FileExchange, exchange

BEFORE = HEADER + "SKU-1,WH-1,1\nSKU-2,WH-1,2\n"
LATER = WRITTEN + timedelta(minutes=10)


async def on_hand(files: FileExchange, *skus: str) -> dict[str, str]:
    """What the source answers."""
    assert files.source.stock is not None
    found = await files.source.stock.levels(SYSTEM, skus or ("SKU-1", "SKU-2"))
    return {sku: str(level.positions[0].on_hand) for sku, level in found.items()}


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ZEROS = HEADER.encode() + b"\n" * 16 * 1024 * 1024
WIDE = ",".join(f"C{number}" for number in range(1_000_000))
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "FILE_TRUNCATED"),
    "header only": (HEADER.encode(), "FILE_TRUNCATED"),
    "cut in a row": ((HEADER + "SKU-1,WH-1,5\nSKU-2,WH").encode(), "FILE_TRUNCATED"),
    "cut in a quote": ((HEADER + 'SKU-1,WH-1,5\nSKU-2,"WH-1').encode(), "FILE_TRUNCATED"),
    "cut gzip": (gzip.compress((BEFORE * 50).encode())[:-12], "FILE_TRUNCATED"),
    "cut zip": (zipped(a=BEFORE.encode())[:-30], "FILE_TRUNCATED"),
    "no header": (b"SKU-1,WH-1,5\n", "FILE_MALFORMED"),
    "other delimiter": (BEFORE.replace(",", ";").encode(), "FILE_MALFORMED"),
    "column twice": (b"ITEM,WHS,QTY,QTY\nSKU-1,WH-1,5,6\n", "FILE_MALFORMED"),
    "damaged gzip": (gzip.compress(BEFORE.encode())[:-8] + b"\xff" * 8, "FILE_MALFORMED"),
    "two members": (zipped(a=BEFORE.encode(), b=BEFORE.encode()), "FILE_MALFORMED"),
    "cp1252 for utf-8": ((HEADER + "SKU-\xe9,WH-1,5\n").encode("cp1252"), "FILE_ENCODING_WRONG"),
    "utf-16 for utf-8": (BEFORE.encode("utf-16"), "FILE_ENCODING_WRONG"),
    "a million columns": (f"{WIDE}\n{WIDE}\n".encode(), "FILE_TOO_WIDE"),
    "many short columns": ((",".join("ab" for _ in range(2_000)) + "\n").encode(), "FILE_TOO_WIDE"),
    "a line without end": (HEADER.encode() + b"x" * 3_000_000, "FILE_TOO_WIDE"),
    "a field without end": ((HEADER + '"' + "x\n" * 100_000).encode(), "FILE_TOO_WIDE"),
    "gzip bomb": (gzip.compress(ZEROS), "FILE_TOO_LARGE"),
    "zip bomb": (zipped(a=ZEROS), "FILE_TOO_LARGE"),
    "most rows rejected": ((HEADER + "SKU-1,WH-1,5\nSKU-2,WH-1,x\n").encode(), "FILE_TOO_MANY_REJECTED"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_file_is_quarantined_with_its_code_and_changes_nothing(tmp_path: Path, name: str):
    content, code = BAD[name]
    files = exchange(tmp_path, limits={"max_ratio": 20})
    await files.taken("stock-1.csv", BEFORE)
    record = await files.taken("stock-2.csv", content, LATER)
    assert (record.state, record.code, record.rows) == (FileState.QUARANTINED, code, 0)
    assert await on_hand(files) == {"SKU-1": "1", "SKU-2": "2"}
    assert files.names("quarantine") == ["stock-2.csv"]
    [kept] = (files.root / "quarantine").iterdir()
    assert kept.read_bytes() == content
    await files.taken("stock-3.csv", BEFORE.replace("1\n", "9\n", 1), LATER + timedelta(minutes=1))
    assert await on_hand(files) == {"SKU-1": "9", "SKU-2": "2"}


GOOD: dict[str, tuple[bytes, dict[str, object]]] = {
    "byte order mark": (b"\xef\xbb\xbf" + BEFORE.encode(), {}),
    "other encoding": (BEFORE.replace("SKU-1", "SKÜ-1").encode("cp1252"), {"encoding": "cp1252"}),
    "utf-16": (BEFORE.encode("utf-16"), {"encoding": "utf-16"}),
    "quotes and separators in data": (
        b'"ITEM","NOTE","WHS","QTY"\r\n"SKU-1","x,\r\n,y","a ""b"", c",1\r\nSKU-2,,WH-1,2\r\n',
        {},
    ),
    "old line ends": (BEFORE.replace("\n", "\r").encode(), {}),
    "no last line end": (BEFORE.rstrip("\n").encode(), {}),
    "columns in another order, and others": (b"X,QTY,ITEM,WHS\n?,1,SKU-1,WH-1\n?,2,SKU-2,WH-1\n", {}),
    "gzip": (gzip.compress(BEFORE.encode()), {}),
    "zip": (zipped(**{"../../etc/passwd": BEFORE.encode()}), {}),
    "trailer": ((BEFORE + "END,2,\n").encode(), {"trailer": "END"}),
}


@pytest.mark.parametrize("name", GOOD)
async def test_unusual_file_is_read(tmp_path: Path, name: str):
    content, feed = GOOD[name]
    files = exchange(tmp_path, {"stock": {**STOCK, "max_rejected_percent": 0, **feed}})
    record = await files.taken("stock.csv", content)
    assert (record.state, record.code, record.rows) == (FileState.IMPORTED, None, 2)
    assert sorted((await on_hand(files, "SKU-1", "SKÜ-1", "SKU-2")).values()) == ["1", "2"]


@pytest.mark.parametrize("content", [BEFORE, BEFORE + "END,3,\n", BEFORE + "END,,\n"])
async def test_trailer_that_counts_other_rows_is_a_truncated_file(tmp_path: Path, content: str):
    files = exchange(tmp_path, {"stock": {**STOCK, "trailer": "END"}})
    assert (await files.taken("stock.csv", content)).code == "FILE_TRUNCATED"


async def test_snapshot_of_far_fewer_rows_is_refused_until_it_is_retried(tmp_path: Path):
    files = exchange(tmp_path)
    rows = [f"SKU-{number},WH-1,{number}\n" for number in range(1, 11)]
    await files.taken("stock-1.csv", HEADER + "".join(rows))
    record = await files.taken("stock-2.csv", HEADER + "".join(rows[:4]), LATER)
    assert (record.state, record.code) == (FileState.QUARANTINED, "FILE_TRUNCATED")
    assert await on_hand(files, "SKU-9") == {"SKU-9": "9"}
    assert await files.intake.retry(record.id)
    [again] = await files.intake.scan()
    assert (again.id, again.state, again.rows) == (record.id, FileState.IMPORTED, 4)
    assert await on_hand(files, "SKU-1", "SKU-9") == {"SKU-1": "1"}
    assert (files.names("quarantine"), files.names("archive")) == ([], ["stock-1.csv", "stock-2.csv"])


async def test_same_content_is_skipped_and_confirms_the_rows(tmp_path: Path):
    files = exchange(tmp_path)
    await files.taken("stock-1.csv", BEFORE)
    record = await files.taken("stock-2.csv", BEFORE, LATER)
    assert (record.state, record.code) == (FileState.SKIPPED, "FILE_DUPLICATED")
    assert files.source.stock is not None
    level = (await files.source.stock.levels(SYSTEM, ["SKU-1"]))["SKU-1"]
    assert level.freshness.as_of == LATER


async def test_older_content_sent_again_replaces_nothing(tmp_path: Path):
    files = exchange(tmp_path)
    await files.taken("stock-1.csv", BEFORE)
    await files.taken("stock-2.csv", BEFORE.replace("1\n", "7\n", 1), LATER)
    record = await files.taken("stock-1.csv", BEFORE, LATER + timedelta(minutes=1))
    assert (record.state, record.code) == (FileState.SKIPPED, "FILE_DUPLICATED")
    assert await on_hand(files) == {"SKU-1": "7", "SKU-2": "2"}


async def test_older_snapshot_that_comes_late_is_skipped(tmp_path: Path):
    files = exchange(tmp_path)
    await files.taken("stock-2.csv", BEFORE, LATER)
    record = await files.taken("stock-1.csv", BEFORE.replace("1\n", "7\n", 1), WRITTEN)
    assert (record.state, record.code) == (FileState.SKIPPED, "FILE_OUTDATED")
    assert await on_hand(files) == {"SKU-1": "1", "SKU-2": "2"}


@pytest.mark.parametrize(
    ("unique", "state", "code", "value"),
    [(False, FileState.IMPORTED, None, "7"), (True, FileState.QUARANTINED, "FILE_NAME_REUSED", "1")],
)
async def test_same_name_again(tmp_path: Path, unique: bool, state: FileState, code: str | None, value: str):
    files = exchange(tmp_path, {"stock": {**STOCK, "unique_names": unique}})
    await files.taken("stock.csv", BEFORE)
    record = await files.taken("stock.csv", BEFORE.replace("1\n", "7\n", 1), LATER)
    assert (record.state, record.code) == (state, code)
    assert await on_hand(files) == {"SKU-1": value, "SKU-2": "2"}
    assert len(files.names("archive") + files.names("quarantine")) == 2


@pytest.mark.parametrize("target", ["outside.csv", "/etc/passwd", "missing"])
async def test_link_is_set_aside_and_not_followed(tmp_path: Path, target: str):
    files = exchange(tmp_path)
    outside = tmp_path / "outside.csv"
    outside.write_text(BEFORE)
    (files.root / "stock.csv").symlink_to(tmp_path / target)
    [record] = await files.take()
    assert (record.state, record.code) == (FileState.QUARANTINED, "FILE_NOT_REGULAR")
    assert outside.read_text() == BEFORE
    assert await on_hand(files) == {}


async def test_pipe_is_set_aside(tmp_path: Path):
    files = exchange(tmp_path)
    os.mkfifo(files.root / "stock.csv")
    [record] = await files.take()
    assert record.code == "FILE_NOT_REGULAR"


@pytest.mark.parametrize(
    "name", ["stock\n.csv", "stock" + "x" * 200, "stock\\..\\x.csv", os.fsdecode(b"stock\xff.csv")]
)
async def test_name_with_tricks_is_set_aside_under_its_id(tmp_path: Path, name: str):
    files = exchange(tmp_path)
    files.write(name, BEFORE)
    [record] = await files.take()
    assert (record.state, record.code, record.name) == (FileState.QUARANTINED, "FILE_NAME_REFUSED", "refused")
    assert files.names("quarantine") == ["refused"]


@pytest.mark.parametrize("name", [".stock.csv", "stock.csv.part", "stock.csv.tmp", "other.csv"])
async def test_other_files_are_left_where_they_are(tmp_path: Path, name: str):
    files = exchange(tmp_path)
    files.write(name, BEFORE)
    assert await files.take() == []
    assert (files.root / name).exists()


async def test_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = exchange(tmp_path)
    path = files.write("stock.csv", BEFORE)
    writer = path.open("a")  # The other side still has the file open when it is taken.
    read = importing.read_rows_of

    def append_while_reading(*arguments):
        yield from read(*arguments)
        if not writer.closed:
            writer.write("SKU-3,WH-1,3\n")
            writer.close()

    monkeypatch.setattr(importing, "read_rows_of", append_while_reading)
    assert await files.take() == []
    assert files.names("processing") == ["stock.csv"]
    [record] = await files.intake.scan()
    assert record.rows == 3
    assert await on_hand(files, "SKU-3") == {"SKU-3": "3"}


async def test_one_process_takes_files_at_a_time(tmp_path: Path):
    lock = tmp_path / "warehouse.lock"
    with exclusive(lock) as first, exclusive(lock) as second:
        assert (first, second) == (True, False)
    with exclusive(lock) as again:
        assert again
