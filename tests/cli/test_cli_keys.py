"""`./run keys`, as an operator uses it."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.auth.stores.sqlite_keys import FILE
from app.cli import app
from app.errors import ConfigurationError

KEY = re.compile(r"tg_([0-9a-z]{12})_[0-9A-Za-z]{49}\n")


class Keys:
    """The command over one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str) -> Result:
        done = CliRunner().invoke(app, ["keys", *arguments, "--data-dir", str(self.folder)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    def made(self, *arguments: str) -> str:
        """The id of the key that is printed."""
        done = self(*arguments)
        printed = KEY.fullmatch(done.stdout)
        assert printed is not None, done.output
        return printed[1]

    def listed(self, *arguments: str) -> list[dict[str, str]]:
        head, *rows = [re.split(r"  +", line) for line in self("list", *arguments).stdout.splitlines()]
        return [dict(zip(head, row, strict=True)) for row in rows]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "data")


def test_key_is_printed_once_and_alone_on_standard_output(keys: Keys):
    done = keys("create", "--client", "acme-edi", "--customer", "CUST-0002", "--customers", "CUST-0001")
    printed = KEY.fullmatch(done.stdout)
    assert printed
    assert done.stderr == (f"This is key {printed[1]} of acme-edi. It is shown this once; hand it over safely.\n")
    (row,) = keys.listed()
    assert {name: row[name] for name in ("KEY", "CLIENT", "ROLE", "CUSTOMERS", "STATE", "EXPIRES", "LAST USED")} == {
        "KEY": printed[1],
        "CLIENT": "acme-edi",
        "ROLE": "partner",
        "CUSTOMERS": "CUST-0001,CUST-0002",
        "STATE": "live",
        "EXPIRES": "-",
        "LAST USED": "-",
    }
    assert printed[0].strip() not in keys("list").output


def test_third_key_is_refused_until_one_is_revoked(keys: Keys):
    first, second = (keys.made("create", "--client", "acme", "--customer", "C1") for _ in range(2))
    with pytest.raises(ConfigurationError, match=r"has 2 live keys already; revoke one first: \./run keys list"):
        keys("create", "--client", "acme", "--customer", "C1")
    assert keys("revoke", first).stdout == f"revoked: {first}\n"
    third = keys.made("create", "--client", "acme", "--customer", "C1")
    assert {row["KEY"]: row["STATE"] for row in keys.listed()} == {first: "revoked", second: "live", third: "live"}


def test_rotation_gives_the_same_rights_and_ends_the_old_key(keys: Keys):
    old = keys.made("create", "--client", "acme", "--customer", "C1", "--role", "buyer", "--days", "30")
    keys.made("create", "--client", "globex", "--customer", "C2")
    done = keys("rotate", "--client", "acme", "--overlap", "0")
    printed = KEY.fullmatch(done.stdout)
    assert printed
    new = printed[1]
    before, after = keys.listed("--client", "acme")
    assert (before["KEY"], before["STATE"], after["KEY"], after["STATE"]) == (old, "expired", new, "live")
    assert (after["ROLE"], after["CUSTOMERS"]) == ("buyer", "C1")
    assert after["EXPIRES"] != "-"
    assert f"The key {old} ends at {before['EXPIRES']}." in done.stderr


def test_old_key_opens_during_the_overlap(keys: Keys):
    old = keys.made("create", "--client", "acme", "--customer", "C1")
    keys("rotate", "--client", "acme")
    before, after = keys.listed()
    assert (before["KEY"], before["STATE"], after["STATE"]) == (old, "live", "live")
    assert before["EXPIRES"] != "-"
    assert after["EXPIRES"] == "-"


def test_all_keys_of_a_client_are_revoked_at_once(keys: Keys):
    ours = [keys.made("create", "--client", "acme", "--customer", "C1") for _ in range(2)]
    keys.made("create", "--client", "globex", "--customer", "C2")
    assert set(keys("revoke", "--client", "acme").stdout.removeprefix("revoked: ").strip().split(", ")) == set(ours)
    assert sorted((row["CLIENT"], row["STATE"]) for row in keys.listed()) == [
        ("acme", "revoked"),
        ("acme", "revoked"),
        ("globex", "live"),
    ]


def test_leaked_key_may_be_pasted_to_revoke_it_and_is_not_repeated(keys: Keys):
    key = keys("create", "--client", "acme", "--customer", "C1").stdout.strip()
    assert keys("revoke", key).output == f"revoked: {key[3:15]}\n"
    with pytest.raises(ConfigurationError) as caught:
        keys("revoke", key)
    assert str(caught.value) == (f"keys revoke = '{key[3:15]}': there is no live key of that name; see ./run keys list")


BOUND = "buyer, buyer_admin, sales_rep, partner"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("create", "--client", "acme", "--customer", "C1", "--role", "admin"),
            f"--role = 'admin': choose from {BOUND}: an API key opens named accounts only; others sign in",
        ),
        (
            ("create", "--client", "acme corp", "--customer", "C1"),
            "--client = 'acme corp': use letters, digits, '.', '_' and '-', such as acme-edi",
        ),
        (
            ("create", "--client", "acme:portal", "--customer", "C1"),
            "--client = 'acme:portal': use letters, digits, '.', '_' and '-', such as acme-edi",
        ),
        (
            ("create", "--client", "acme", "--customer", "CUST-*"),
            "--customer = 'CUST-*': must be an account's number, such as CUST-0001",
        ),
        (
            ("create", "--client", "acme", "--customer", ""),
            "--customer = '': must be an account's number, such as CUST-0001",
        ),
        (
            ("rotate", "--client", "acme"),
            "--client = 'acme': has no live key to rotate; make one: ./run keys create",
        ),
        (("revoke",), "keys revoke = None: name the id of a key, or --client"),
        (("revoke", "abc"), "keys revoke = 'abc': there is no live key of that name; see ./run keys list"),
    ],
)
def test_wrong_usage_is_reported_with_a_hint_and_writes_nothing(keys: Keys, arguments: tuple[str, ...], message: str):
    with pytest.raises(ConfigurationError) as caught:
        keys(*arguments)
    assert str(caught.value) == message
    assert not keys.folder.exists()


def test_key_needs_a_customer(keys: Keys):
    assert keys("create", "--client", "acme").exit_code == 2


def test_broken_store_is_reported_in_one_line(keys: Keys):
    keys.folder.mkdir()
    (keys.folder / FILE).write_text("garbage " * 500)
    with pytest.raises(ConfigurationError, match=r"^api_keys\.store = 'sqlite': cannot be used: .*not a database"):
        keys("list")


def test_store_of_the_settings_is_used(tmp_path: Path):
    file = tmp_path / "tradegraph.toml"
    file.write_text(f'data_dir = "{tmp_path / "kept"}"\n')
    done = CliRunner().invoke(app, ["keys", "create", "--client", "acme", "--customer", "C1", "--config", str(file)])
    assert done.exit_code == 0
    with sqlite3.connect(tmp_path / "kept" / FILE) as store:
        assert store.execute("SELECT client FROM api_keys").fetchall() == [("acme",)]
    store.close()


def test_keys_can_be_stored_in_redis(tmp_path: Path, redis_url: str):
    file = tmp_path / "tradegraph.toml"
    file.write_text(f'data_dir = "{tmp_path / "data"}"\n[api_keys]\nstore = "redis"\n[redis]\nurl = "{redis_url}"\n')
    done = CliRunner().invoke(app, ["keys", "create", "--client", "acme", "--customer", "C1", "--config", str(file)])
    assert done.exit_code == 0
    assert done.stdout[3:15] in CliRunner().invoke(app, ["keys", "list", "--config", str(file)]).stdout
    assert not (tmp_path / "data").exists()


def test_unavailable_redis_is_reported_in_one_line(tmp_path: Path):
    file = tmp_path / "tradegraph.toml"
    file.write_text('[api_keys]\nstore = "redis"\n[redis]\nurl = "redis://:hush-hush@127.0.0.1:1/0"\n')
    done = CliRunner().invoke(app, ["keys", "list", "--config", str(file)])
    assert isinstance(done.exception, ConfigurationError)
    assert str(done.exception).startswith("api_keys.store = 'redis': cannot be used: redis: ")
    assert "hush-hush" not in str(done.exception) + done.output
