"""A source of files over a temporary folder: writes files, scans, and reads what came of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.settings import SourceSettings
from app.sources.files import connect
from app.sources.files.folder import Folder, LocalFolder
from app.sources.files.intake import FileIntake
from app.sources.files.options import FilesOptions, read_options
from app.sources.replica.ledger import FileRecord, list_files
from app.sources.replica.store import ReplicaStore
from app.sources.source import Source

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
WRITTEN = datetime(2026, 11, 30, 11, 0, tzinfo=UTC)

STOCK: Mapping[str, Any] = {
    "dataset": "stock",
    "files": "stock*",
    "columns": {"sku": "ITEM", "warehouse": "WHS", "on_hand": "QTY", "uom": {"value": "EA"}},
}
HEADER = "ITEM,WHS,QTY\n"


@dataclass
class FileExchange:
    """A folder, the source over it, and its intake, which the test runs scan by scan."""

    root: Path
    source: Source
    intake: FileIntake
    store: ReplicaStore

    def write(self, name: str, content: str | bytes, at: datetime = WRITTEN) -> Path:
        """A file of the other side, as if written at a time."""
        path = self.root / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (at.timestamp(), at.timestamp()))
        return path

    async def take(self) -> list[FileRecord]:
        """Look twice, since a file is taken when it has not changed; the new entries of the ledger."""
        return await self.intake.scan() + await self.intake.scan()

    async def taken(self, name: str, content: str | bytes, at: datetime = WRITTEN) -> FileRecord:
        """Write a file and take it."""
        self.write(name, content, at)
        [record] = await self.take()
        return record

    async def ledger(self) -> list[FileRecord]:
        return await list_files(self.store, 100)

    def names(self, folder: str) -> list[str]:
        """The names in a folder, without ids."""
        return sorted(path.name.partition("--")[2] or path.name for path in (self.root / folder).iterdir())


def settings_for(root: Path, feeds: Mapping[str, Mapping[str, Any]], **options: Any) -> SourceSettings:
    """The settings of a source over a folder."""
    return SourceSettings.model_validate(
        {
            "vendor": "files",
            "base_url": f"file://{root}",
            "options": {"feeds": feeds, "settle_seconds": 0, "scan_seconds": 0.05, **options},
        }
    )


def exchange(
    tmp_path: Path,
    feeds: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    now: datetime = NOW,
    folder: Folder | None = None,
    **options: Any,
) -> FileExchange:
    """A new folder with a source over it."""
    root = tmp_path / "exchange"
    root.mkdir(exist_ok=True)
    settings = settings_for(root, feeds or {"stock": STOCK}, **options)
    source = connect("warehouse", settings, clock=lambda: now, data_dir=tmp_path / "data")
    read: FilesOptions = read_options("warehouse", settings)
    store = ReplicaStore("warehouse", tmp_path / "data" / "sources" / "warehouse.sqlite")
    intake = FileIntake("warehouse", folder or LocalFolder("warehouse", root), store, read, lambda: now)
    return FileExchange(root, source, intake, store)
