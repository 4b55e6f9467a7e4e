"""The folder that files are exchanged in, on a local disk.

NAME                 a file that the other side writes
processing/ID--NAME  taken, and being imported
archive/, quarantine/, rejected/   imported; refused; reports of rejected rows
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from app.errors import SourceUnavailable

T = TypeVar("T")

PROCESSING, ARCHIVE, QUARANTINE, REJECTED = "processing", "archive", "quarantine", "rejected"
FOLDERS = (PROCESSING, ARCHIVE, QUARANTINE, REJECTED)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a folder. `regular` is false for links, pipes and devices; `modified` is in seconds since 1970."""

    name: str
    size: int
    modified: float
    regular: bool


class Folder(Protocol):
    """A folder of files. Paths are relative, of at most one folder and a name. Raises SourceError."""

    async def prepare(self) -> None:
        """Create the folders of `FOLDERS` where they are missing."""
        ...

    async def make(self, folder: str) -> None:
        """Create a folder where it is missing."""
        ...

    async def entries(self, folder: str = "") -> Sequence[Entry]:
        """Everything in a folder but folders. Links are not followed."""
        ...

    async def rename(self, path: str, target: str) -> bool:
        """Move a file; false if it is not there any more, because another process took it."""
        ...

    async def fetch(self, path: str) -> Path:
        """The file on the local disk, complete, with its time."""
        ...

    async def write(self, path: str, content: bytes) -> None:
        """Create or replace a file as a whole."""
        ...

    async def release(self, local: Path) -> None:
        """The local copy of a file is not needed any more."""
        ...

    async def aclose(self) -> None: ...


class LocalFolder:
    """A folder on a disk of this machine, or one that is mounted."""

    def __init__(self, source: str, root: Path) -> None:
        self._source = source
        self._root = root

    async def prepare(self) -> None:
        await self._run(self._prepare)

    async def make(self, folder: str) -> None:
        await self._run(lambda: (self._root / folder).mkdir(exist_ok=True))

    async def entries(self, folder: str = "") -> Sequence[Entry]:
        return await self._run(lambda: _entries(self._root / folder))

    async def rename(self, path: str, target: str) -> bool:
        return await self._run(lambda: _rename(self._root / path, self._root / target))

    async def fetch(self, path: str) -> Path:
        return self._root / path

    async def write(self, path: str, content: bytes) -> None:
        await self._run(lambda: write_atomically(self._root / path, content))

    async def release(self, local: Path) -> None:
        return

    async def aclose(self) -> None:
        return

    def _prepare(self) -> None:
        if not self._root.is_dir():
            raise FileNotFoundError(f"{self._root} is not a folder")
        for name in FOLDERS:
            (self._root / name).mkdir(exist_ok=True)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise SourceUnavailable(self._source, detail=str(error)) from error


def _entries(folder: Path) -> list[Entry]:
    found: list[Entry] = []
    with os.scandir(folder) as scan:
        for one in scan:
            if one.is_dir(follow_symlinks=False):
                continue
            try:
                status = one.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            found.append(Entry(one.name, status.st_size, status.st_mtime, stat.S_ISREG(status.st_mode)))
    return found


def _rename(path: Path, target: Path) -> bool:
    try:
        path.rename(target)
    except FileNotFoundError:
        return False
    _sync(target.parent)
    return True


def write_atomically(path: Path, content: bytes) -> None:
    """Create or replace a file as a whole, on the disk when this returns."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
