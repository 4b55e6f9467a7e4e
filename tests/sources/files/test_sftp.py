"""Files over SFTP, against a real server: taken by rename, with its key pinned."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from app.auth.principal import SYSTEM
from app.errors import ConfigurationError, SourceHostKeyChanged, SourceRejected, SourceUnavailable
from app.settings import SourceSettings
from app.sources.files import connect
from app.sources.files.sftp import SFTPFolder
from app.sources.replica.ledger import FileState
from tests.sources.files.test_order_files import COLUMNS, ORDER
from tests.support.files import HEADER, STOCK, WRITTEN, FileExchange, exchange

USER, PASSWORD = "partner", "correct horse"


class Login(asyncssh.SSHServer):
    """Lets one user in, by password."""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (USER, PASSWORD)


@asynccontextmanager
async def server(root: Path, key: asyncssh.SSHKey, port: int = 0) -> AsyncIterator[int]:
    """A server whose users see `root` as /; yields its port."""
    factory = lambda channel: asyncssh.SFTPServer(channel, chroot=os.fsencode(root))  # noqa: E731
    listening = await asyncssh.listen(
        "127.0.0.1", port, server_host_keys=[key], server_factory=Login, sftp_factory=factory
    )
    try:
        yield listening.get_port()
    finally:
        listening.close()
        await listening.wait_closed()


def public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


def settings(port: int, key: str | None, password: str = PASSWORD) -> SourceSettings:
    return SourceSettings.model_validate(
        {
            "vendor": "files",
            "base_url": f"sftp://{USER}@127.0.0.1:{port}/",
            "timeout": 30,
            "credentials": {"password": password},
            "options": {"feeds": {"stock": STOCK}, "host_keys": [key] if key else []},
        }
    )


def folder(port: int, key: asyncssh.SSHKey, tmp_path: Path, password: str = PASSWORD) -> SFTPFolder:
    return SFTPFolder("warehouse", settings(port, public(key), password), [public(key)], tmp_path / "spool")


KEY = asyncssh.generate_private_key("ssh-ed25519")


@asynccontextmanager
async def remote(tmp_path: Path, **options: Any) -> AsyncIterator[tuple[FileExchange, SFTPFolder]]:
    """An exchange whose folder is on a server."""
    (tmp_path / "exchange").mkdir()
    async with server(tmp_path / "exchange", KEY) as port:
        over = folder(port, KEY, tmp_path)
        try:
            yield exchange(tmp_path, folder=over, **options), over
        finally:
            await over.aclose()


async def test_file_is_taken_from_the_server(tmp_path: Path):
    async with remote(tmp_path) as (files, _):
        record = await files.taken("stock.csv", HEADER + "SKU-1,WH-1,5\nSKU-2,WH-1,x\n" + "SKU-3,WH-1,1\n" * 1)
        assert (record.state, record.rows, record.rejected) == (FileState.QUARANTINED, 0, 1)
        rows = "".join(f"SKU-{number},WH-1,{number}\n" for number in range(20))
        record = await files.taken("stock-2.csv", HEADER + rows + "SKU-X,WH-1,x\n")
        assert (record.state, record.rows, record.rejected, record.as_of) == (FileState.IMPORTED, 20, 1, WRITTEN)
        assert (files.names("archive"), files.names("quarantine")) == (["stock-2.csv"], ["stock.csv"])
        assert len(files.names("rejected")) == 2
        assert list((tmp_path / "spool").iterdir()) == []
        assert files.source.stock is not None
        assert (await files.source.stock.levels(SYSTEM, ["SKU-7"]))["SKU-7"].positions[0].on_hand == 7


async def test_link_on_the_server_is_set_aside(tmp_path: Path):
    async with remote(tmp_path) as (files, _):
        (files.root / "stock.csv").symlink_to("/etc/passwd")
        [record] = await files.take()
        assert (record.state, record.code) == (FileState.QUARANTINED, "FILE_NOT_REGULAR")


async def test_server_with_another_key_gets_nothing(tmp_path: Path):
    (tmp_path / "exchange").mkdir()
    async with server(tmp_path / "exchange", asyncssh.generate_private_key("ssh-ed25519")) as port:
        over = folder(port, KEY, tmp_path)
        with pytest.raises(SourceHostKeyChanged) as caught:
            await over.entries()
        assert caught.value.code == "SOURCE_HOST_KEY_CHANGED"
        await over.aclose()


async def test_wrong_password_is_refused(tmp_path: Path):
    (tmp_path / "exchange").mkdir()
    async with server(tmp_path / "exchange", KEY) as port:
        over = folder(port, KEY, tmp_path, "guess")
        with pytest.raises(SourceRejected):
            await over.entries()
        await over.aclose()


async def test_connection_that_ends_is_opened_again(tmp_path: Path):
    (tmp_path / "exchange").mkdir()
    async with server(tmp_path / "exchange", KEY) as port:
        over = folder(port, KEY, tmp_path)
        files = exchange(tmp_path, folder=over)
        files.write("stock.csv", HEADER + "SKU-1,WH-1,5\n")
        await files.intake.scan()
        over._connection.abort()
        with pytest.raises(SourceUnavailable):
            await files.intake.scan()
        [record] = await files.intake.scan()
        assert record.rows == 1
        await over.aclose()


async def test_order_is_written_to_the_server(tmp_path: Path):
    (tmp_path / "exchange").mkdir()
    async with server(tmp_path / "exchange", KEY) as port:
        raw = settings(port, public(KEY))
        raw = raw.model_copy(update={"options": {**raw.options, "orders": {"format": "csv", "columns": COLUMNS}}})
        source = connect("warehouse", raw, data_dir=tmp_path / "data")
        try:
            assert source.order_writer is not None
            written = await source.order_writer.post(SYSTEM, ORDER)
            assert await source.order_writer.post(SYSTEM, ORDER) == written
        finally:
            await source.aclose()
        [file] = (tmp_path / "exchange" / "orders").iterdir()
        assert (file.name, file.read_text().count("CUST-0001")) == (written.id, 2)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"options": {"feeds": {"stock": STOCK}}}, "sources.warehouse.options.host_keys"),
        ({"options": {"feeds": {"stock": STOCK}, "host_keys": ["nonsense"]}}, "sources.warehouse.options.host_keys"),
        ({"credentials": {}}, "sources.warehouse.credentials"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, change: dict[str, Any], key: str):
    wrong = settings(22, public(KEY)).model_copy(update=change)
    with pytest.raises(ConfigurationError) as caught:
        connect("warehouse", wrong, data_dir=tmp_path)
    assert caught.value.key == key
