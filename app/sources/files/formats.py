"""Readers of CSV, fixed width and JSON lines: the raw values of the mapped columns of each row, with its line.

A row that cannot be read is a RowRejected in its place; what concerns the whole file raises FileRefused.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter

import msgspec

from app.errors import FileEncodingWrong, FileMalformed, FileTooWide, FileTruncated
from app.sources.files.options import Feed, Limits
from app.sources.replica.mapping import Column, RowFault, RowRejected

RawRow = Sequence[str | None]
RawRows = Iterator[tuple[int, RawRow | RowRejected]]

_FOREIGN_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def read_text_rows(stream: io.BufferedReader, feed: Feed, requested: Sequence[Column], limits: Limits) -> RawRows:
    """The rows of a text in lines."""
    lines = _Lines(stream, feed.encoding, limits.max_row_bytes)
    reader: dict[str, Callable[[_Lines, Feed, Sequence[Column], Limits], RawRows]]
    reader = {"csv": _read_csv, "fixed": _read_fixed, "jsonl": _read_json}
    try:
        yield from reader[feed.format](lines, feed, requested, limits)
    except UnicodeError as error:
        raise FileEncodingWrong(detail=f"after line {lines.number}: {getattr(error, 'reason', error)}") from None
    if not lines.number:
        raise FileTruncated(detail="the file is empty")


class _Lines:
    """The lines of a text with their ends. A row, of one line or several, must not exceed `longest` characters:
    `row_ended` begins the next one."""

    def __init__(self, stream: io.BufferedReader, encoding: str, longest: int) -> None:
        encoding = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
        if not codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")) and stream.peek(4)[:4].startswith(
            _FOREIGN_MARKS
        ):
            raise FileEncodingWrong(detail="begins with the byte order mark of UTF-16 or UTF-32")
        self._readline = io.TextIOWrapper(stream, encoding, newline="").readline
        self._longest = longest
        self._left = longest
        self._last = ""
        self.number = 0

    @property
    def is_ended(self) -> bool:
        """Whether the last line has a line end."""
        return self._last.endswith(("\n", "\r"))

    def row_ended(self) -> None:
        self._left = self._longest

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._readline(self._left + 1)
        if not line:
            raise StopIteration
        self._left -= len(line)
        if self._left < 0:
            raise FileTooWide(detail=f"line {self.number + 1}: more than {self._longest} characters")
        self.number += 1
        self._last = line
        return line


def _read_csv(lines: _Lines, feed: Feed, requested: Sequence[Column], limits: Limits) -> RawRows:
    records = _csv_records(lines, feed)
    width, pick = 0, None
    if feed.header:
        line, header = next(records, (0, None))
        if header is None:
            return
        if isinstance(header, RowRejected):
            raise FileMalformed(detail=f"line {line}: the header cannot be read")
        width, pick = _columns_of_header(header, requested, limits)
    trailer = _Trailer(feed.trailer)
    for line, row in records:
        if isinstance(row, RowRejected):
            yield line, row
        elif not trailer.is_end(row):
            if pick is None:
                width, pick = _columns_by_number(len(row), requested, limits)
            if len(row) == width:
                yield line, pick(row)
            elif len(row) < width and not lines.is_ended:
                raise FileTruncated(detail=f"line {line}: ends within a row")
            else:
                yield line, RowRejected(RowFault.COLUMNS)
    trailer.check()


def _csv_records(lines: _Lines, feed: Feed) -> Iterator[tuple[int, list[str] | RowRejected]]:
    """The records that are not empty, each with its first line."""
    rows = csv.reader(lines, delimiter=feed.delimiter, quotechar=feed.quote, strict=True)
    while True:
        line = lines.number + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise FileTruncated(detail=f"line {line}: a quote is not closed") from None
            if "field larger" in str(error):
                raise FileTooWide(detail=f"line {line}: {error}") from None
            lines.row_ended()
            yield line, RowRejected(RowFault.MALFORMED)
            continue
        if row is None:
            return
        lines.row_ended()
        if row:
            yield line, row


class _Trailer:
    """The last row, which counts the others. Without a trailer everything is a row."""

    def __init__(self, mark: str | None) -> None:
        self._mark = mark
        self._rows = 0
        self._counted: str | None = None

    def is_end(self, row: Sequence[str]) -> bool:
        """Whether this row is the trailer; counts it otherwise."""
        if self._mark is not None and row[0].strip() == self._mark:
            self._counted = row[1].strip() if len(row) > 1 else ""
            return True
        self._rows += 1
        return False

    def check(self) -> None:
        """Raises FileTruncated unless the trailer was there and counts what was read."""
        if self._mark is not None and (self._counted is None or self._counted.lstrip("0") != str(self._rows or "")):
            raise FileTruncated(detail=f"the trailer counts {self._counted or 'nothing'}, and {self._rows} rows came")


def _columns_of_header(header: Sequence[str], requested: Sequence[Column], limits: Limits) -> tuple[int, Callable]:
    if len(header) > limits.max_columns:
        raise FileTooWide(detail=f"{len(header)} columns")
    names = [name.strip() for name in header]
    lacking = [column.column for column in requested if column.column not in names]
    if lacking:
        raise FileMalformed(detail=f"the header lacks {', '.join(map(str, lacking))}")
    repeated = [column.column for column in requested if names.count(str(column.column)) > 1]
    if repeated:
        raise FileMalformed(detail=f"the header repeats {', '.join(map(str, repeated))}")
    return len(header), _picker([names.index(str(column.column)) for column in requested])


def _columns_by_number(width: int, requested: Sequence[Column], limits: Limits) -> tuple[int, Callable]:
    if width > limits.max_columns:
        raise FileTooWide(detail=f"{width} columns")
    numbers = [int(column.column or 0) for column in requested]
    if max(numbers, default=0) > width or min(numbers, default=1) < 1:
        raise FileMalformed(detail=f"the first row has {width} columns")
    return width, _picker([number - 1 for number in numbers])


def _picker(indexes: Sequence[int]) -> Callable[[Sequence[str]], RawRow]:
    if len(indexes) == 1:
        [only] = indexes
        return lambda row: (row[only],)
    return itemgetter(*indexes)


def _read_fixed(lines: _Lines, feed: Feed, requested: Sequence[Column], _: Limits) -> RawRows:
    spans = [((column.start or 1) - 1, (column.start or 1) - 1 + (column.length or 0)) for column in requested]
    width = max((start for start, _ in spans), default=0)
    trailer = _Trailer(feed.trailer)
    if feed.header:
        next(lines, None)
    for text in lines:
        lines.row_ended()
        line = text.rstrip("\r\n")
        if not line.strip() or trailer.is_end(_split_trailer(line, feed.trailer)):
            continue
        if len(line) > width:
            yield lines.number, [line[start:end] for start, end in spans]
        elif not lines.is_ended:
            raise FileTruncated(detail=f"line {lines.number}: ends within a row")
        else:
            yield lines.number, RowRejected(RowFault.COLUMNS)
    trailer.check()


def _split_trailer(line: str, mark: str | None) -> Sequence[str]:
    return (mark, line[len(mark) :]) if mark is not None and line.startswith(mark) else (line,)


_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _read_json(lines: _Lines, _: Feed, requested: Sequence[Column], limits: Limits) -> RawRows:
    columns = [(str(column.column), column.separator) for column in requested]
    for text in lines:
        lines.row_ended()
        if not text.strip():
            continue
        try:
            row = _objects.decode(text)
            if len(row) > limits.max_columns:
                raise FileTooWide(detail=f"line {lines.number}: {len(row)} members")
            yield lines.number, [_json_text(row.get(name), separator) for name, separator in columns]
        except (msgspec.DecodeError, RecursionError):
            if not lines.is_ended:
                raise FileTruncated(detail=f"line {lines.number}: ends within a row") from None
            yield lines.number, RowRejected(RowFault.MALFORMED)


def _json_text(raw: msgspec.Raw | None, separator: str) -> str | None:
    """A value as text: numbers digit by digit, lists of texts joined; None for null."""
    if raw is None:
        return None
    text = bytes(raw)
    if text[:1] == b'"':
        return msgspec.json.decode(text, type=str)
    if text[:1] == b"[":
        return separator.join(msgspec.json.decode(text, type=list[str]))
    if text[:1] == b"{":
        raise msgspec.DecodeError("an object in place of a value")
    return None if text == b"null" else text.decode()
