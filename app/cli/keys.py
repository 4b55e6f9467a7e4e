"""`./run keys`: API keys of partners."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.auth.principal import Role, RowReach, row_reach
from app.cli.stores import Config, DataDir, run_with, settings_of
from app.cli.tables import print_table
from app.errors import ConfigurationError

if TYPE_CHECKING:
    from app.auth.api_keys import KeyRecord, KeyStore
    from app.settings import Settings

T = TypeVar("T")

DAY = 86400
CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
CUSTOMER = re.compile(r"[^\s\x00-\x1f\x7f*?]{1,64}")

keys = typer.Typer(help="API keys of partners.", no_args_is_help=True)

Client = Annotated[str, typer.Option(help="Client that owns the key: a short name of the partner or its system.")]


@keys.command()
def create(
    client: Client,
    customers: Annotated[list[str], typer.Option("--customer", "--customers", help="Customer number; repeatable.")],
    role: Annotated[str, typer.Option(help="Role; one that is limited to customers.")] = Role.PARTNER.value,
    days: Annotated[int | None, typer.Option(help="Days until it expires. Default: never.", min=1)] = None,
    tenant: Annotated[str, typer.Option(help="Tenant.")] = "default",
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Create a key and print it once; only its hash is stored."""
    from app.auth.api_keys import KeyRecord, digest_of, new_key

    now, settings = time.time(), settings_of(config, data_dir)
    key_id, key = new_key()
    record = KeyRecord(
        id=key_id,
        digest=digest_of(key),
        client=_client(client),
        role=_role(role, settings),
        customers=_customers(customers),
        created_at=now,
        tenant=tenant,
        expires_at=None if days is None else now + days * DAY,
    )
    _add(settings, record, now, {})
    _show(record, key)


@keys.command("list")
def list_keys(
    client: Annotated[str | None, typer.Option(help="Filter: client.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Print all keys with their state and last use, without the keys themselves."""
    _, records = _with_store(settings_of(config, data_dir), lambda store: store.all())
    chosen = [record for record in records if client in {None, record.client}]
    rows = [("KEY", "CLIENT", "ROLE", "CUSTOMERS", "STATE", "CREATED", "EXPIRES", "LAST USED")]
    rows += [_row(record, time.time()) for record in chosen]
    print_table(rows)


@keys.command()
def rotate(
    client: Client,
    overlap: Annotated[int, typer.Option(help="Days during which the old key stays valid.", min=0, max=90)] = 7,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Create the next key of a client with the same permissions. The present key expires after the overlap."""
    from dataclasses import replace

    from app.auth.api_keys import digest_of, new_key

    now = time.time()
    settings = settings_of(config, data_dir)
    live = _live(settings, client, now)
    if not live:
        raise ConfigurationError("--client", client, "has no live key to rotate; make one: ./run keys create")
    old = live[-1]
    key_id, key = new_key()
    # As long as the old one was to last, counted from now.
    expires_at = None if old.expires_at is None else now + (old.expires_at - old.created_at)
    record = replace(old, id=key_id, digest=digest_of(key), created_at=now, expires_at=expires_at, last_used_at=None)
    _add(settings, record, now, {old.id: now + overlap * DAY})
    _show(record, key)
    end = now + overlap * DAY
    print(f"The key {old.id} ends at {_day(min(old.expires_at or end, end))}.", file=sys.stderr)


@keys.command()
def revoke(
    key: Annotated[str | None, typer.Argument(help="Key id, as `keys list` prints it.")] = None,
    client: Annotated[str | None, typer.Option(help="All keys of this client.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Revoke a key, or all keys of a client. Every process of the gateway refuses it within 5 seconds."""
    if (key is None) == (client is None):
        raise ConfigurationError("keys revoke", key or client, "name the id of a key, or --client")
    now = time.time()
    settings = settings_of(config, data_dir)
    if client is not None:
        ids: Sequence[str] = [record.id for record in _live(settings, client, now)]
    else:
        # Whoever has the key itself at hand, because it leaked, may paste it.
        ids = [(key or "").removeprefix("tg_").partition("_")[0]]
    revoked = _with_store(settings, lambda store: store.revoke(ids, now=now))
    if not revoked:
        named = ids[0] if client is None else client
        raise ConfigurationError("keys revoke", named, "there is no live key of that name; see ./run keys list")
    print(f"revoked: {', '.join(ids)}")


def _add(settings: Settings, record: KeyRecord, now: float, ending: Mapping[str, float]) -> None:
    from app.auth.api_keys import MAX_LIVE_KEYS, TooManyKeys

    try:
        _with_store(settings, lambda store: store.add(record, now=now, ending=ending))
    except TooManyKeys:
        cure = f"has {MAX_LIVE_KEYS} live keys already; revoke one first: ./run keys list, ./run keys revoke"
        raise ConfigurationError("--client", record.client, cure) from None


def _live(settings: Settings, client: str, now: float) -> Sequence[KeyRecord]:
    _, records = _with_store(settings, lambda store: store.all())
    return [record for record in records if record.client == client and record.live(now)]


def _with_store(settings: Settings, work: Callable[[KeyStore], Awaitable[T]]) -> T:
    from app.auth.stores import connect_keys

    return run_with(connect_keys, settings, "api_keys", work)


def _client(name: str) -> str:
    if not CLIENT.fullmatch(name):
        raise ConfigurationError("--client", name[:80], "use letters, digits, '.', '_' and '-', such as acme-edi")
    return name


def _role(name: str, settings: Settings) -> str:
    reaches = {role: row_reach(one) for role, one in settings.policy.known_roles.items()}
    bound = [role for role, reach in reaches.items() if reach not in {RowReach.ALL, RowReach.BELOW}]
    if name not in bound:
        cure = f"choose from {', '.join(bound)}: an API key opens named accounts only; others sign in"
        raise ConfigurationError("--role", name, cure)
    return name


def _customers(numbers: Sequence[str]) -> frozenset[str]:
    wrong = next((number for number in numbers if not CUSTOMER.fullmatch(number)), None)
    if wrong is not None:
        raise ConfigurationError("--customer", wrong[:80], "must be an account's number, such as CUST-0001")
    return frozenset(numbers)


def _show(record: KeyRecord, key: str) -> None:
    print(key)
    print(f"This is key {record.id} of {record.client}. It is shown this once; hand it over safely.", file=sys.stderr)


def _row(record: KeyRecord, now: float) -> tuple[str, ...]:
    if record.revoked_at is not None:
        state = "revoked"
    else:
        state = "live" if record.live(now) else "expired"
    return (
        record.id,
        record.client,
        record.role,
        ",".join(sorted(record.customers)),
        state,
        _day(record.created_at),
        _day(record.expires_at),
        _day(record.last_used_at),
    )


def _day(moment: float | None) -> str:
    return "-" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%MZ")
