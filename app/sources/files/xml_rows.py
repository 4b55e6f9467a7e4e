"""Reader of XML: streams the elements of rows, and holds one of them at a time.

A document type is refused: no row needs one, and entities declared in it can grow without bound or name other files.
"""

from __future__ import annotations

import codecs
import io
from collections import deque
from collections.abc import Mapping, Sequence
from xml.parsers import expat

from app.errors import FileEncodingWrong, FileMalformed, FileTooWide, FileTruncated
from app.sources.files.formats import RawRows
from app.sources.files.options import Feed, Limits
from app.sources.replica.mapping import Column, RowRejected

_CHUNK = 64 * 1024
_DEPTH = 64
_TRUNCATED = {
    expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS],
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_TOKEN],
    expat.errors.codes[expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION],
    expat.errors.codes[expat.errors.XML_ERROR_PARTIAL_CHAR],
    expat.errors.codes[expat.errors.XML_ERROR_ASYNC_ENTITY],
}
_ENCODING = {
    expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN],
    expat.errors.codes[expat.errors.XML_ERROR_INCORRECT_ENCODING],
    expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING],
}


def read_xml_rows(stream: io.BufferedReader, feed: Feed, requested: Sequence[Column], limits: Limits) -> RawRows:
    """The rows of a document: a column is a path below the row's element, such as `Qty`, `Price/Amount` or `@id`."""
    rows = _Rows(
        str(feed.row), [str(column.column) for column in requested], [one.separator for one in requested], limits
    )
    while data := stream.read(_CHUNK):
        rows.feed(data)
        while rows.ready:
            yield rows.ready.popleft()
    rows.close()
    yield from rows.ready


class _Rows:
    def __init__(self, row: str, columns: Sequence[str], separators: Sequence[str], limits: Limits) -> None:
        self.ready: deque[tuple[int, Sequence[str | None] | RowRejected]] = deque()
        self._row, self._columns, self._separators, self._limits = row, columns, separators, limits
        self._paths = frozenset(columns)
        self._path: list[str] | None = None
        self._depth = 0
        self._line = 0
        self._text: list[str] = []
        self._values: dict[str, list[str]] = {}
        self._elements = 0
        self._bytes_at_row = 0
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        self._fed = 0

    def feed(self, data: bytes) -> None:
        self._parse(data, final=False)
        self._fed += len(data)
        # Expat holds a token until it is complete, so what it has not reported yet counts too.
        if self._fed - max(self._bytes_at_row, 0) > self._limits.max_row_bytes + _CHUNK:
            raise FileTooWide(detail=f"line {self._parser.CurrentLineNumber}: more than the bytes of a row")

    def close(self) -> None:
        self._parse(b"", final=True)

    def _parse(self, data: bytes, *, final: bool) -> None:
        try:
            self._parser.Parse(data, final)
        except expat.ExpatError as error:
            detail = f"line {error.lineno}: {expat.errors.messages[error.code]}"
            if error.code in _TRUNCATED:
                raise FileTruncated(detail=detail) from None
            if error.code in _ENCODING and not _is_text(data):
                raise FileEncodingWrong(detail=detail) from None
            raise FileMalformed(detail=detail) from None
        except LookupError:
            raise FileEncodingWrong(detail="declares an unknown encoding") from None

    def _refuse_doctype(self, *_: object) -> None:
        raise FileMalformed(detail="has a document type, which is not allowed")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > _DEPTH or self._elements + len(attributes) > self._limits.max_columns:
            raise FileTooWide(detail=f"line {self._parser.CurrentLineNumber}: too many elements in a row")
        local = name.rpartition(":")[2]
        if self._path is None:
            if local != self._row:
                self._elements = 0
                self._bytes_at_row = self._parser.CurrentByteIndex
                self._text.clear()
                return
            self._path, self._line, self._values = [], self._parser.CurrentLineNumber, {}
        else:
            self._path.append(local)
        self._text.clear()
        for attribute, value in attributes.items():
            self._found("/".join([*self._path, f"@{attribute.rpartition(':')[2]}"]), value)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._path is None:
            self._text.clear()
            self._elements = 0
            self._bytes_at_row = self._parser.CurrentByteIndex
            return
        if self._path:
            self._found("/".join(self._path), "".join(self._text))
            self._path.pop()
        else:
            self._found(".", "".join(self._text))
            self.ready.append(
                (self._line, [self._value(*one) for one in zip(self._columns, self._separators, strict=True)])
            )
            self._path, self._elements = None, 0
            self._bytes_at_row = self._parser.CurrentByteIndex
        self._text.clear()

    def _found(self, path: str, value: str) -> None:
        if path in self._paths:
            self._values.setdefault(path, []).append(value)

    def _value(self, column: str, separator: str) -> str | None:
        values = self._values.get(column)
        return None if values is None else separator.join(values)


def _is_text(data: bytes) -> bool:
    """Whether bytes are UTF-8, but for a character that a chunk cuts."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True
