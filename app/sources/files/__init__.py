"""Files as a source: CSV, XML, fixed width and JSON lines in a folder, mapped by configuration.

    intake.py      takes stable files by rename, sets them aside
    import_job.py  one file, in a thread or a process of its own
    importing.py   its rows and its entry in the ledger, in one transaction
    content.py     decompression within limits       formats.py, xml_rows.py   readers
    folder.py, sftp.py   the folder, on a disk or a server        order_files.py   orders out

Reads are served from the replica (`app/sources/replica`), with the age of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from app.errors import ConfigurationError
from app.settings import SourceSettings
from app.sources.capabilities import Limitation
from app.sources.custom_fields import NO_FIELDS, SourceFields
from app.sources.files.folder import Folder, LocalFolder
from app.sources.files.intake import FileIntake
from app.sources.files.options import FilesOptions, read_options, root_of
from app.sources.files.order_files import FileOrderWriter
from app.sources.files.sftp import SFTPFolder
from app.sources.replica.ports import MISSING, replica_ports
from app.sources.replica.store import ReplicaStore
from app.sources.source import Source
from app.sources.values import utc_now

COPY = Limitation(stale="the rows of the last file that was taken")


def connect(
    name: str,
    settings: SourceSettings,
    *,
    clock: Callable[[], datetime] = utc_now,
    fields: SourceFields = NO_FIELDS,
    data_dir: Path,
) -> Source:
    """A folder as a source; its replica is in `data_dir`. No I/O."""
    if fields.types:
        raise ConfigurationError("fields", name, "files have no custom fields; take the source out of their `sources`")
    options = read_options(name, settings)
    store = ReplicaStore(name, data_dir / "sources" / f"{name}.sqlite")
    folder = open_folder(name, settings, options, data_dir)

    async def ping() -> None:
        await folder.entries()

    async def aclose() -> None:
        await folder.aclose()
        await store.close()

    return Source(
        name=name,
        vendor="files",
        ping=ping,
        aclose=aclose,
        running=FileIntake(name, folder, store, options, clock).running,
        requests=one_request,
        order_writer=None if options.orders is None else FileOrderWriter(folder, store, options.orders, clock),
        limitations={**MISSING, **{feed.rows_of.port: COPY for feed in options.feeds.values()}},
        **replica_ports(store, [feed.rows_of for feed in options.feeds.values()], expected(options), clock),
    )


def connect_intake(name: str, settings: SourceSettings, data_dir: Path) -> FileIntake:
    """The intake of a source, for a command beside the gateway."""
    options = read_options(name, settings)
    store = ReplicaStore(name, data_dir / "sources" / f"{name}.sqlite")
    return FileIntake(name, open_folder(name, settings, options, data_dir), store, options, utc_now)


def open_folder(name: str, settings: SourceSettings, options: FilesOptions, data_dir: Path) -> Folder:
    """The folder of an address; opens nothing. Raises ConfigurationError."""
    if settings.base_url.startswith("sftp:"):
        return SFTPFolder(name, settings, options.host_keys, data_dir / "sources" / f"{name}-spool")
    return LocalFolder(name, root_of(settings))


def expected(options: FilesOptions) -> dict[str, float]:
    """The seconds after which each dataset should have been renewed."""
    return {feed.dataset: feed.expected_every for feed in options.feeds.values() if feed.expected_every is not None}


def one_request(_: str, keys: int, __: Any) -> int:
    """One query of the replica."""
    return 1 if keys else 0
