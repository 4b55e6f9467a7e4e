"""The folder that files are exchanged in, on an SFTP server. Needs the extra `sftp` (asyncssh).

The server's key is pinned: one that is not configured ends the connection before anything is sent. Files are read into
a local copy first; the server's folder is changed by renames only.
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

from app.errors import ConfigurationError, SourceHostKeyChanged, SourceRejected, SourceUnavailable
from app.settings import SourceSettings
from app.sources.files.folder import FOLDERS, Entry
from app.telemetry import log

if TYPE_CHECKING:
    import asyncssh

T = TypeVar("T")

KEEP_ALIVE = 15


class SFTPFolder:
    """A folder on a server; one connection, opened at first use and again after a failure. `spool` is a local folder
    for copies of files that are being imported."""

    def __init__(self, source: str, settings: SourceSettings, host_keys: Sequence[str], spool: Path) -> None:
        self._source = source
        self._asyncssh = _library(source)
        parts = urlsplit(settings.base_url)
        self._host, self._port, self._user = parts.hostname or "", parts.port or 22, unquote(parts.username or "")
        self._root = PurePosixPath(unquote(parts.path) or ".")
        self._timeout = settings.timeout
        self._password, self._key = _credentials(source, settings, self._asyncssh)
        self._known = _known_hosts(source, host_keys, self._asyncssh)
        self._spool = spool
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None

    async def prepare(self) -> None:
        async def work(client: asyncssh.SFTPClient) -> None:
            for name in FOLDERS:
                await client.makedirs(self._path(name), exist_ok=True)

        await self._run(work)

    async def make(self, folder: str) -> None:
        await self._run(lambda client: client.makedirs(self._path(folder), exist_ok=True))

    async def entries(self, folder: str = "") -> Sequence[Entry]:
        async def work(client: asyncssh.SFTPClient) -> list[Entry]:
            return [
                Entry(
                    str(one.filename),
                    one.attrs.size or 0,
                    float(one.attrs.mtime or 0),
                    stat.S_ISREG(one.attrs.permissions or 0),
                )
                async for one in client.scandir(self._path(folder))
                if not stat.S_ISDIR(one.attrs.permissions or 0) and self._is_plain(str(one.filename))
            ]

        return await self._run(work)

    async def rename(self, path: str, target: str) -> bool:
        async def work(client: asyncssh.SFTPClient) -> bool:
            try:
                await client.posix_rename(self._path(path), self._path(target))
            except self._asyncssh.SFTPNoSuchFile:
                return False
            except self._asyncssh.SFTPOpUnsupported:
                await client.rename(self._path(path), self._path(target))
            return True

        return await self._run(work)

    async def fetch(self, path: str) -> Path:
        self._spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        local = self._spool / PurePosixPath(path).name
        await self._run(lambda client: client.get(self._path(path), local, preserve=True, follow_symlinks=False))
        return local

    async def write(self, path: str, content: bytes) -> None:
        async def work(client: asyncssh.SFTPClient) -> None:
            part = self._path(str(PurePosixPath(path).with_name(f".{PurePosixPath(path).name}.part")))
            async with client.open(part, "wb") as file:
                await file.write(content)
                with suppress(self._asyncssh.SFTPOpUnsupported):
                    await file.fsync()
            await client.posix_rename(part, self._path(path))

        await self._run(work)

    async def release(self, local: Path) -> None:
        await asyncio.to_thread(local.unlink, missing_ok=True)

    async def aclose(self) -> None:
        await self._disconnect()

    def _path(self, path: str) -> str:
        return str(self._root / path)

    def _is_plain(self, name: str) -> bool:
        """Whether a name that the server gives stays in its folder."""
        if "/" in name or "\x00" in name or name in {"", ".", ".."}:
            log.warning("file_name_refused", source=self._source)
            return False
        return True

    async def _run(self, work: Callable[[asyncssh.SFTPClient], Awaitable[T]]) -> T:
        """Work with the connection, one at a time. Raises SourceUnavailable, SourceRejected, SourceHostKeyChanged."""
        library = self._asyncssh
        async with self._lock:
            try:
                if self._client is None:
                    self._client = await self._connect()
                return await work(self._client)
            except library.HostKeyNotVerifiable as error:
                raise SourceHostKeyChanged(self._source, detail=str(error)) from None
            except library.PermissionDenied as error:
                raise SourceRejected(self._source, status=401, detail=str(error)) from None
            except library.SFTPPermissionDenied as error:
                raise SourceRejected(self._source, status=403, detail=str(error)) from None
            except (library.Error, OSError, TimeoutError) as error:
                await self._disconnect()
                raise SourceUnavailable(self._source, detail=repr(error)) from error

    async def _connect(self) -> asyncssh.SFTPClient:
        async with asyncio.timeout(self._timeout):
            self._connection = connection = await self._asyncssh.connect(
                self._host,
                self._port,
                username=self._user,
                password=self._password,
                client_keys=self._key,
                known_hosts=self._known,
                agent_path=None,
                config=None,
                keepalive_interval=KEEP_ALIVE,
            )
            return await connection.start_sftp_client()

    async def _disconnect(self) -> None:
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.abort()


def _library(source: str) -> Any:
    try:
        import asyncssh
    except ImportError:
        cure = "needs the package asyncssh (EPL-2.0 or GPL-2.0+): pip install 'tradegraph[sftp]'"
        raise ConfigurationError(f"sources.{source}.base_url", "sftp://", cure) from None
    return asyncssh


def _known_hosts(source: str, host_keys: Sequence[str], library: Any) -> Any:
    """The pinned keys of the server, as lines such as `ssh-ed25519 AAAA...`."""
    key = f"sources.{source}.options.host_keys"
    if not host_keys:
        raise ConfigurationError(key, None, "pin the server's key: ssh-keyscan HOST prints it; compare its fingerprint")
    try:
        return [library.import_public_key(line) for line in host_keys], [], []
    except library.KeyImportError:
        raise ConfigurationError(key, list(host_keys), "should be public keys such as 'ssh-ed25519 AAAA...'") from None


def _credentials(source: str, settings: SourceSettings, library: Any) -> tuple[str | None, Any]:
    """Password, and private keys; exactly one of them."""
    given = {name: secret.get_secret_value() for name, secret in settings.credentials.items()}
    key = f"sources.{source}.credentials"
    if len(given) != 1 or not given.keys() <= {"password", "private_key"}:
        raise ConfigurationError(key, sorted(given), "give `password` or `private_key`, or one of them as `..._file`")
    if "password" in given:
        return given["password"], []
    try:
        return None, [library.import_private_key(given["private_key"])]
    except (library.KeyImportError, library.KeyEncryptionError):
        raise ConfigurationError(
            f"{key}.private_key", "[hidden]", "is not a private key without a passphrase"
        ) from None
