"""`./run audit`: the audit log and the access review."""

from __future__ import annotations

import csv
import io
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
import typer

from app.cli.stores import Config, DataDir, run_with, settings_of
from app.cli.tables import print_table
from app.errors import ConfigurationError
from app.settings import Settings

audit = typer.Typer(help="Audit log: requests by caller.", no_args_is_help=True)

Client = Annotated[str | None, typer.Option(help="Filter: client.")]
Subject = Annotated[str | None, typer.Option(help="Filter: subject.")]
OperationName = Annotated[str | None, typer.Option(help="Filter: operation name.")]
Since = Annotated[str | None, typer.Option(help="Start of the period: 2026-11-01, 2026-11-01T08:00, or 36h, 30d ago.")]
Until = Annotated[str | None, typer.Option(help="End of the period, exclusive.")]

_AGO = re.compile(r"(\d{1,6})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400}


@audit.command("list")
def audit_list(
    client: Client = None,
    subject: Subject = None,
    operation: OperationName = None,
    code: Annotated[str | None, typer.Option(help="Filter: error code.")] = None,
    refused: Annotated[bool, typer.Option(help="Only entries with a refused request or field.")] = False,
    since: Since = None,
    until: Until = None,
    most: Annotated[int, typer.Option(help="Maximum number of entries, newest first.", min=1)] = 50,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Print the newest entries, one per line."""
    from app.audit.records import AuditQuery

    query = AuditQuery(
        client=client, subject=subject, operation=operation, code=code, refused=refused,
        since=_when("--since", since), until=_when("--until", until),
    )  # fmt: skip
    entries = _reader(config, data_dir).entries(query, most=most)
    print_table([_HEAD, *(_row(msgspec.structs.asdict(entry)) for entry in entries)])


@audit.command("export")
def audit_export(
    client: Client = None,
    subject: Subject = None,
    operation: OperationName = None,
    since: Since = None,
    until: Until = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV instead of JSON Lines.")] = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Write all entries to standard output, newest first, as JSON Lines or CSV."""
    from app.audit.records import AuditEntry, AuditQuery

    query = AuditQuery(
        client=client, subject=subject, operation=operation, since=_when("--since", since),
        until=_when("--until", until),
    )  # fmt: skip
    entries = (msgspec.structs.asdict(entry) for entry in _reader(config, data_dir).entries(query))
    if as_csv:
        _write_csv(AuditEntry.__struct_fields__, entries)
        return
    for entry in entries:
        sys.stdout.write(orjson.dumps({**entry, "at": _moment(entry["at"])}).decode() + "\n")


@audit.command("access-review")
def access_review(
    client: Client = None,
    since: Since = "90d",
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Write a CSV of callers, their roles, the fields they read, and unused API keys, for an access review."""
    from app.audit.records import AuditQuery

    settings = settings_of(config, data_dir)
    accesses = _reader(config, data_dir).accesses(AuditQuery(client=client, since=_when("--since", since)))
    rows: list[Mapping[str, Any]] = [{"kind": "caller", **msgspec.structs.asdict(access)} for access in accesses]
    rows += _keys(settings, client)
    _write_csv(_REVIEW, rows)


_REVIEW = (
    "kind", "client", "subject", "tenant", "roles", "customers", "first_at", "last_at", "requests", "refused",
    "forbidden", "rows", "key", "created_at", "expires_at", "revoked_at",
)  # fmt: skip


def _keys(settings: Settings, client: str | None) -> list[Mapping[str, Any]]:
    """All API keys, with those never used."""
    from app.auth.stores import connect_keys

    _, records = run_with(connect_keys, settings, "api_keys", lambda store: store.all())
    return [
        {
            "kind": "key",
            "client": record.client,
            "tenant": record.tenant,
            "roles": (record.role,),
            "customers": tuple(sorted(record.customers)),
            "last_at": record.last_used_at,
            "key": record.id,
            "created_at": record.created_at,
            "expires_at": record.expires_at,
            "revoked_at": record.revoked_at,
        }
        for record in records
        if client in {None, record.client}
    ]


def _reader(config: Path | None, data_dir: Path | None) -> Any:
    from app.audit.store import FILE, SQLiteAuditReader

    path = settings_of(config, data_dir).data_dir / FILE
    if not path.is_file():
        raise ConfigurationError("data_dir", str(path.parent), "there is no audit log; name the folder with --data-dir")
    return SQLiteAuditReader(path)


def _when(option: str, text: str | None) -> float | None:
    if text is None:
        return None
    ago = _AGO.fullmatch(text)
    if ago:
        return time.time() - int(ago[1]) * _SECONDS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(
            option, text, "should be like 2026-11-01, 2026-11-01T08:00+01:00, 36h or 30d"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _moment(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


_HEAD = ("AT", "STATUS", "CALLER", "OPERATION", "TIME", "ROWS", "CODES")


def _row(entry: Mapping[str, Any]) -> tuple[object, ...]:
    if entry["kind"] == "dropped":
        return _moment(entry["at"]), "", "", f"{entry['cost']:.0f} entries were dropped here", "", "", ""
    principal = entry["client"] if entry["client"] == entry["subject"] else f"{entry['client']}/{entry['subject']}"
    rows = " ".join(f"{name}:{count}" for name, count in (entry["rows"] or {}).items())
    errors = " ".join(filter(None, [entry["code"], *(f"-{path}" for path in entry["forbidden"])]))
    what = f"{entry['kind'] or '?'} {entry['operation'] or (entry['document'] or '')[:15] or '-'}"
    return (
        _moment(entry["at"]),
        entry["status"],
        principal or "(nobody)",
        what,
        f"{entry['milliseconds']} ms",
        rows,
        errors,
    )


def _write_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(name, row.get(name)) for name in columns])
        sys.stdout.write(out.getvalue())
        out.seek(0)
        out.truncate()
    sys.stdout.write(out.getvalue())


def _cell(name: str, value: Any) -> str:
    if name == "at" or name.endswith("_at"):
        return _moment(value)
    if isinstance(value, Mapping):
        value = " ".join(f"{key}:{count}" for key, count in value.items())
    elif isinstance(value, (list, tuple)):
        value = " ".join(map(str, value))
    text = "" if value is None else str(value)
    # A spreadsheet would take these for a formula.
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
