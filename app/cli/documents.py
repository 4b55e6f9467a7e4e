"""`./run documents`: trusted documents of partners and apps, and their check against a new schema."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import orjson
import typer

from app.cli.stores import Config, DataDir, roles_of, run_with, settings_of
from app.cli.tables import print_table
from app.errors import ConfigurationError

if TYPE_CHECKING:
    from app.gateway.documents.publishing.publisher import DocumentPublisher
    from app.gateway.documents.stores.document_store import DocumentStore, StoredDocument
    from app.settings import Settings

T = TypeVar("T")

CLIENT = re.compile(r"[^\s\x00-\x1f\x7f*?]{1,128}")

documents = typer.Typer(help="The trusted documents of partners and apps.", no_args_is_help=True)

Client = Annotated[str, typer.Option(help="Client that owns the documents, as its credential names it.")]
Version = Annotated[str | None, typer.Option("--app-version", help="Version of the client's application.")]
IDs = Annotated[list[str] | None, typer.Option("--id", help="Document id, or its beginning; repeatable.")]


@documents.command()
def add(
    paths: Annotated[list[Path], typer.Argument(help="Documents, folders of documents, or manifests.")],
    client: Client,
    contact: Annotated[str, typer.Option(help="Contact of the client, such as edi@acme.example.com.")] = "",
    app_version: Version = None,
    role: Annotated[
        list[str] | None,
        typer.Option(help="Role of the callers; repeatable. Default: partner. Every role is checked."),
    ] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Store documents as drafts: .graphql files, folders of them, manifests of Apollo, Relay or graphql-codegen."""
    from app.gateway.documents.publishing.manifests import UnreadableManifest, read_documents
    from app.gateway.documents.publishing.publisher import DocumentOwner

    roles = tuple(one.value for one in roles_of(role, settings_of(config, data_dir, demo=True)))
    owner = DocumentOwner(_client(client), app_version or "", contact, roles)
    try:
        found = read_documents(paths)
    except UnreadableManifest as error:
        raise _failed(str(error)) from None
    stored = _with_publisher(config, data_dir, lambda store: store.add(found, owner))
    print(f"kept: {len(stored)} of {client}, {sum(one.state == 'draft' for one in stored)} of them drafts")


@documents.command()
def publish(
    client: Client,
    ids: IDs = None,
    app_version: Version = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Publish the drafts of a client, or the named documents. Publishes none unless each is valid and within the
    client's permissions and cost limit."""
    selector = _selector(ids, app_version)
    passed = _with_publisher(
        config,
        data_dir,
        lambda store: store.publish(lambda one: selector(one) and (bool(ids) or one.state == "draft"), client),
        "Nothing was published. Publish others by --id, or remove a draft: ./run documents remove",
    )
    _require_any(passed, client, ids, "no drafts; add some: ./run documents add")
    for one in passed:
        print(f"published: {one.id}  {one.name}  cost {one.cost}")


@documents.command()
def retire(
    client: Client,
    ids: IDs = None,
    app_version: Version = None,
    on: Annotated[str | None, typer.Option(help="First day on which they are refused. Default: today.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Refuse documents, selected by id or version, from a day on. Until then responses carry that day."""
    if not ids and app_version is None:
        raise ConfigurationError("documents retire", client, "name documents by --id, or --app-version")
    day = _day(on)
    retired = _with_publisher(config, data_dir, lambda store: store.retire(_selector(ids, app_version), client, day))
    _require_any(retired, client, ids, "nothing published of that version; see ./run documents list")
    for one in retired:
        print(f"retired from {day}: {one.id}  {one.name}")


@documents.command()
def remove(
    client: Client,
    ids: IDs = None,
    app_version: Version = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Remove drafts, selected by id or version. Published documents are retired instead."""
    if not ids and app_version is None:
        raise ConfigurationError("documents remove", client, "name drafts by --id, or --app-version")
    removed = _with_publisher(config, data_dir, lambda store: store.remove_drafts(_selector(ids, app_version), client))
    _require_any(removed, client, ids, "no drafts of that version; see ./run documents list", "no such draft as")
    for one in removed:
        print(f"removed: {one.id}  {one.name}")


@documents.command("list")
def list_documents(
    client: Annotated[str | None, typer.Option(help="Filter: client.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print JSON with the document texts instead of a table.")
    ] = False,
) -> None:
    """Print the stored documents."""
    stored = run_with_store(settings_of(config, data_dir, demo=True), lambda store: store.all(client))
    if json:
        import msgspec

        print(orjson.dumps([msgspec.to_builtins(one) for one in stored], option=orjson.OPT_INDENT_2).decode())
        return
    rows = [("CLIENT", "VERSION", "STATE", "RETIRES", "COST", "NAME", "CONTACT", "ID")]
    rows += [
        (one.client, one.version, one.state, str(one.retires or ""), str(one.cost or ""), one.name, one.contact, one.id)
        for one in stored
    ]
    print_table(rows)


@documents.command()
def check(
    client: Annotated[str | None, typer.Option(help="Filter: client.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Check all published documents again. Exits with 1 if one would no longer be published."""
    count, problems = _with_publisher(config, data_dir, lambda store: store.check(client, _day(None)))
    if problems:
        raise _failed("\n".join(map(str, problems)))
    print(f"checked: {count}, no problems")


def check_against_documents(old: Path | None, config: Path | None, data_dir: Path | None) -> None:
    """For `schema check --against documents`: print the documents that the schema of this code breaks. Exits with 1 if
    there are any."""
    from graphql import GraphQLError, build_schema

    from app import schema
    from app.gateway.documents.publishing.breaking_changes import (
        breaking_changes,
        broken_documents,
        deprecated_in,
        removed_early,
    )
    from app.gateway.documents.publishing.publisher import is_served

    settings, today = settings_of(config, data_dir, demo=True), _day(None)
    new = schema.build_schema(settings)._schema  # noqa: SLF001 - no other way to graphql-core's
    try:
        before = build_schema(old.read_text(encoding="utf-8"), assume_valid=True) if old else None
    except (OSError, UnicodeDecodeError, GraphQLError) as error:
        raise ConfigurationError("--from", str(old), f"is not a readable schema ({error})") from None
    stored = run_with_store(settings, lambda store: store.all())
    answered = [one for one in stored if is_served(one, today)]
    lines: list[str] = []
    for broken in broken_documents(answered, new, before):
        lines.append(f"breaks {_label(broken.document)}")
        lines += [f"    {reason}" for reason in broken.reasons]
    if before is not None:
        lines += [f"too early: {text}" for text in removed_early(before, new, today)]
        for text in breaking_changes(before, new):
            print(f"not compatible: {text}")
    for one in answered:
        for field, day in deprecated_in(one, new).items() if not lines else ():
            print(f"uses {field}, which is removed on {day}: {_label(one)}")
    if lines:
        raise _failed("\n".join(lines))
    print(f"{len(answered)} documents are compatible")


def _label(one: StoredDocument) -> str:
    version = f" {one.version}" if one.version else ""
    return f"{one.name} ({one.id[:19]}) of {one.client}{version}, contact: {one.contact or 'none'}"


def run_with_store(settings: Settings, work: Callable[[DocumentStore], Awaitable[T]]) -> T:
    """Run an action with the configured store."""
    from app.gateway.documents.stores import connect_documents
    from app.gateway.documents.stores.document_store import StoreChanged

    try:
        return run_with(connect_documents, settings, "documents", work)
    except StoreChanged:
        raise _failed(
            "Another process changed documents at the same time; nothing was written. Run the command again."
        ) from None


def _with_publisher(
    config: Path | None, data_dir: Path | None, work: Callable[[DocumentPublisher], Awaitable[T]], cure: str = ""
) -> T:
    """Run a change of documents. A refusal is printed with its cure."""
    from app.gateway.documents.publishing.checks import DocumentChecker
    from app.gateway.documents.publishing.publisher import DocumentPublisher, PublishingRefused
    from app.sources.values import utc_now

    settings = settings_of(config, data_dir, demo=True)

    async def run(store: DocumentStore) -> T:
        async with DocumentChecker(settings) as checker:
            return await work(DocumentPublisher(store, checker, utc_now))

    try:
        return run_with_store(settings, run)
    except PublishingRefused as refused:
        raise _failed("\n".join(filter(None, (str(refused), cure)))) from None


def _selector(ids: list[str] | None, version: str | None) -> Callable[[StoredDocument], bool]:
    def named(one: StoredDocument) -> bool:
        known = [*one.ids, one.id.removeprefix("sha256:")]
        return not ids or any(name.startswith(id_) for id_ in ids for name in known)

    return lambda one: named(one) and version in {None, one.version}


def _require_any(
    found: list[StoredDocument], client: str, ids: list[str] | None, otherwise: str, absent: str = "no such document as"
) -> None:
    if not found:
        raise ConfigurationError(
            "--client",
            client,
            f"has {absent} {ids[0]}; see ./run documents list" if ids else f"has {otherwise}",
        )


def _client(name: str) -> str:
    if not CLIENT.fullmatch(name):
        raise ConfigurationError("--client", name[:80], "must be the client that its credentials name, without spaces")
    return name


def _day(text: str | None) -> date:
    from app.sources.values import utc_now

    try:
        return date.fromisoformat(text) if text else utc_now().date()
    except ValueError:
        raise ConfigurationError("--on", text, "is not a date; write it as 2027-06-01") from None


def _failed(text: str) -> typer.Exit:
    print(text, file=sys.stderr)
    return typer.Exit(1)
