"""Orders out as files: one for each key, which appears whole or not at all.

    1  the content is written under a name that nobody takes, and is on the disk
    2  the key is recorded
    3  the file is renamed to its name

A post that is repeated goes on from what is recorded: once a key is recorded, a draft that is not there any more was
renamed. So a key has one file, whether the other side has taken it or not.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from app.auth.principal import Principal
from app.sources.files.folder import Folder
from app.sources.files.options import OrderFiles
from app.sources.order_writer import NewOrder, OrderNotAccepted, SimulatedLine, WrittenOrder
from app.sources.replica.store import ReplicaStore

WRITTEN, DRAFT, CANCELLED = "written", "draft", "cancelled"
MAX_SECONDS = 30.0
"""After which a write to the folder has happened or never does."""


@dataclass(frozen=True, slots=True)
class FileOrderWriter:
    """The writer of one folder. An order is known by its file until the other side answers by other ways."""

    folder: Folder
    store: ReplicaStore
    options: OrderFiles
    clock: Callable[[], datetime]

    @property
    def steps(self) -> Sequence[str]:
        return (WRITTEN,)

    @property
    def unique_key(self) -> bool:
        return True

    @property
    def max_seconds(self) -> float:
        return MAX_SECONDS

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        query = (
            "SELECT key, name FROM written_orders WHERE state = 'written' AND key IN (SELECT value FROM json_each(?))"
        )
        found = await self.store.query("order_writer.find", query, msgspec.json.encode(list(keys)).decode())
        return {key: (_written(key, name),) for key, name in found}

    async def post(self, principal: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        name, state = await self._recorded(order.key)
        draft = f"{self.options.folder}/.{name}.draft"
        if state is None:
            await self.folder.make(self.options.folder)
            await self.folder.write(draft, render(order, self.options))
            await self._record(order.key, name, DRAFT)
        if state in {None, DRAFT}:
            await self.folder.rename(draft, f"{self.options.folder}/{name}")
            await self._record(order.key, name, WRITTEN)
        if state == CANCELLED:
            raise OrderNotAccepted(detail="the order of this key was withdrawn")
        return _written(order.key, name)

    async def simulate(self, principal: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        return None

    async def cancel(self, principal: Principal, order: WrittenOrder, reason: str) -> None:
        await self.folder.make(f"{self.options.folder}-cancelled")
        received = f"{self.options.folder}/{order.id}"
        if not await self.folder.rename(received, f"{self.options.folder}-cancelled/{order.id}"):
            raise OrderNotAccepted(detail="the receiver has fetched the file already")
        await self._record(order.key, order.id, CANCELLED)

    async def _recorded(self, key: str) -> tuple[str, str | None]:
        rows = await self.store.read("SELECT name, state FROM written_orders WHERE key = ?", key)
        if rows:
            return rows[0]
        digest = hashlib.sha256(key.encode()).hexdigest()[:24]
        return f"{self.options.prefix}{digest}.{self.options.format}", None

    async def _record(self, key: str, name: str, state: str) -> None:
        now = self.clock().timestamp()

        def write() -> None:
            with self.store.writing() as writer:
                writer.sql.execute(
                    "INSERT INTO written_orders (key, name, state, at) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET state = excluded.state, at = excluded.at",
                    (key, name, state, now),
                )

        await asyncio.to_thread(write)


def _written(key: str, name: str) -> WrittenOrder:
    return WrittenOrder(key=key, id=name, number=name.rpartition(".")[0], step=WRITTEN)


def render(order: NewOrder, options: OrderFiles) -> bytes:
    """The file of an order: JSON in the form of the REST contract; CSV and XML with the configured columns, a row for
    each line."""
    if options.format == "json":
        return msgspec.json.format(msgspec.json.encode(order), indent=2)
    lines = [[(column, _text(values.get(name))) for column, name in options.columns.items()] for values in _rows(order)]
    return _csv(lines, options) if options.format == "csv" else _xml(lines, options)


def _rows(order: NewOrder) -> list[dict[str, Any]]:
    head = {name: getattr(order, name) for name in order.__struct_fields__ if name != "lines"}
    rows: list[dict[str, Any]] = []
    for line in order.lines:
        own = {f"line_{name}": getattr(line, name) for name in line.__struct_fields__}
        price = line.unit_price
        own |= {"line_unit_price": price and price.amount, "line_currency": price and price.currency}
        rows.append(head | own)
    return rows


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)


def _csv(lines: Sequence[Sequence[tuple[str, str]]], options: OrderFiles) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, delimiter=options.delimiter)
    rows.writerow(options.columns)
    rows.writerows([value for _, value in line] for line in lines)
    return text.getvalue().encode(options.encoding)


def _xml(lines: Sequence[Sequence[tuple[str, str]]], options: OrderFiles) -> bytes:
    rows = "".join(
        f"  <Line>{''.join(f'<{column}>{escape(_visible(value))}</{column}>' for column, value in line)}</Line>\n"
        for line in lines
    )
    text = f'<?xml version="1.0" encoding="{options.encoding}"?>\n<Order>\n{rows}</Order>\n'
    return text.encode(options.encoding, "xmlcharrefreplace")


def _visible(value: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(one for one in value if one >= " " or one in "\t\n\r")
