"""The options of a files source, checked at the start: feeds, columns, limits."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from app.errors import ConfigurationError
from app.settings import SourceSettings
from app.sources.order_writer import NewOrder, NewOrderLine
from app.sources.replica.datasets import DATASETS, Dataset
from app.sources.replica.mapping import Column, RowMapper

Format = Literal["csv", "fixed", "jsonl", "xml"]
MIB = 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file may be. `max_bytes` is the content's size once it is decompressed, `max_ratio` that size over the
    compressed one."""

    max_bytes: Annotated[int, Meta(ge=1024)] = 4096 * MIB
    max_ratio: Annotated[int, Meta(ge=2)] = 200
    max_columns: Annotated[int, Meta(ge=1)] = 1_000
    max_row_bytes: Annotated[int, Meta(ge=1024)] = MIB


class Feed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options.feeds.FEED]`: which files, and how their rows map to a dataset.

    `files` is a pattern of names. A `snapshot` replaces all rows of the feed, `changes` only those that it names.
    `row` is the element of a row in XML. `trailer` is the first value of the last row, whose second one counts the
    rows. More rejected rows than `max_rejected_percent`, or a snapshot of fewer than `min_rows_percent` of the rows
    before it, refuse the whole file. `expected_every` are the seconds after which rows are reported as degraded.
    """

    dataset: str
    files: Annotated[str, Meta(min_length=1, max_length=200)]
    format: Format = "csv"
    columns: dict[str, str | Column]
    content: Literal["snapshot", "changes"] = "snapshot"
    encoding: str = "utf-8"
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Meta(min_length=1, max_length=1)] = '"'
    header: bool = True
    row: str | None = None
    decimal: Literal[".", ","] = "."
    timezone: str | None = None
    trailer: Annotated[str, Meta(min_length=1)] | None = None
    unique_names: bool = False
    announce: bool | None = None
    max_rejected_percent: Annotated[float, Meta(ge=0, le=100)] = 10.0
    min_rows_percent: Annotated[float, Meta(ge=0, le=100)] = 50.0
    expected_every: Annotated[float, Meta(gt=0)] | None = None

    @property
    def rows_of(self) -> Dataset:
        """The dataset that the rows belong to."""
        return DATASETS[self.dataset]

    @property
    def all_columns(self) -> dict[str, Column]:
        """The columns, those that are only named included."""
        return {
            name: Column(column=column) if isinstance(column, str) else column for name, column in self.columns.items()
        }

    def mapper(self) -> RowMapper:
        """The mapper of its rows."""
        zone = ZoneInfo(self.timezone) if self.timezone is not None else None
        return RowMapper(self.rows_of, self.all_columns, decimal=self.decimal, zone=zone)

    @property
    def announces(self) -> bool:
        """Whether changed rows are reported as changes: by default those of all datasets but stock and balances."""
        return self.announce if self.announce is not None else self.rows_of.port not in {"stock", "balances"}


class OrderFiles(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options.orders]`: orders out, a file each, in `folder`. `columns` are those of CSV and XML, by
    name, with the attribute of the order or, as `line_...`, of its line."""

    format: Literal["csv", "json", "xml"] = "csv"
    folder: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "orders"
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = "order-"
    columns: dict[Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")], str] = {}
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    encoding: str = "utf-8"


ORDER_ATTRIBUTES = frozenset(
    {field for field in NewOrder.__struct_fields__ if field != "lines"}
    | {f"line_{field}" for field in NewOrderLine.__struct_fields__}
    | {"line_currency"}
)


class FilesOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources.NAME.options]` of a files source. The folder is listed every `scan_seconds`; a file is taken once its
    size and time have not changed for `settle_seconds`. `host_keys` are the pinned keys of an SFTP server."""

    feeds: dict[str, Feed] = {}
    scan_seconds: Annotated[float, Meta(ge=0.05, le=3600)] = 5.0
    settle_seconds: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    limits: Limits = Limits()
    orders: OrderFiles | None = None
    host_keys: tuple[str, ...] = ()


def read_options(name: str, settings: SourceSettings) -> FilesOptions:
    """The options; ConfigurationError names what is wrong."""
    key = f"sources.{name}.options"
    try:
        options = msgspec.convert(settings.options, FilesOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(key, settings.options, str(error)) from None
    for label, feed in options.feeds.items():
        for field, value, cure in _faults(feed):
            raise ConfigurationError(f"{key}.feeds.{label}.{field}", value, cure)
    _check_orders(f"{key}.orders", options.orders)
    return options


def _check_orders(key: str, orders: OrderFiles | None) -> None:
    if orders is None:
        return
    unknown = sorted(set(orders.columns.values()) - ORDER_ATTRIBUTES)
    if unknown or (not orders.columns and orders.format != "json"):
        cure = f"map columns to some of {', '.join(sorted(ORDER_ATTRIBUTES))}"
        raise ConfigurationError(f"{key}.columns", unknown, cure)
    try:
        codecs.lookup(orders.encoding)
    except LookupError:
        raise ConfigurationError(f"{key}.encoding", orders.encoding, "no such encoding") from None


def _faults(feed: Feed) -> list[tuple[str, object, str]]:
    """What is wrong with a feed: key, value, cure."""
    faults: list[tuple[str, object, str]] = []
    dataset = DATASETS.get(feed.dataset)
    if dataset is None:
        return [("dataset", feed.dataset, f"no such dataset; use one of {', '.join(DATASETS)}")]
    if "/" in feed.files or "\\" in feed.files:
        faults.append(("files", feed.files, "is a pattern of file names, without folders"))
    try:
        codecs.lookup(feed.encoding)
    except LookupError:
        faults.append(("encoding", feed.encoding, "no such encoding, such as utf-8, cp1252 or utf-16"))
    try:
        zone = ZoneInfo(feed.timezone) if feed.timezone is not None else None
    except (KeyError, ValueError, OSError):
        return [("timezone", feed.timezone, "use an IANA name such as Europe/Berlin")]
    if feed.format == "xml" and not feed.row:
        faults.append(("row", feed.row, "name the element of a row"))
    return faults or _column_faults(feed, dataset, feed.all_columns, zone)


def _column_faults(
    feed: Feed, dataset: Dataset, columns: Mapping[str, Column], zone: ZoneInfo | None
) -> list[tuple[str, object, str]]:
    fields = {field.name: field for field in msgspec.structs.fields(dataset.row)}
    faults: list[tuple[str, object, str]] = []
    for name, column in columns.items():
        if name not in fields:
            faults.append((f"columns.{name}", name, f"no such attribute; use some of {', '.join(fields)}"))
        elif feed.format == "fixed" and column.value is None and (column.start is None or column.length is None):
            faults.append((f"columns.{name}", name, "a file of fixed width needs `start` and `length`"))
        elif feed.format != "fixed" and column.value is None and not column.column:
            faults.append((f"columns.{name}", name, "name the `column`, or give a `value`"))
    lacking = [name for name, field in fields.items() if field.required and name not in columns]
    if lacking:
        faults.append(("columns", sorted(columns), f"lacks {', '.join(lacking)}"))
    if not faults:
        try:
            RowMapper(dataset, columns, decimal=feed.decimal, zone=zone)
        except Exception as error:  # noqa: BLE001 - a constant that the dataset refuses
            faults.append(("columns", sorted(columns), f"a constant is refused: {error}"))
    return faults


def root_of(settings: SourceSettings) -> Path:
    """The local folder of a `file://` address."""
    return Path(settings.base_url.removeprefix("file://"))
