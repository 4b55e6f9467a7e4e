"""`./run endpoints`: webhook endpoints of partners."""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import orjson
import typer

from app.auth.principal import RowReach, row_reach
from app.cli.stores import Config, DataDir, json_object, roles_of, run_with, settings_of
from app.cli.tables import print_table
from app.errors import ConfigurationError, InvalidCursor, StoreUnavailable

if TYPE_CHECKING:
    from app.settings import Settings
    from app.webhooks.outbound.endpoints import Endpoint, EndpointState, EndpointStore

T = TypeVar("T")

CLIENT = re.compile(r"[^\s\x00-\x1f\x7f*?]{1,128}")

endpoints = typer.Typer(help="Webhook endpoints of partners.", no_args_is_help=True)

ID = Annotated[str, typer.Argument(help="Endpoint id.")]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
After = Annotated[str | None, typer.Option(help="Deliver events after this cursor.")]


@endpoints.command()
def add(
    url: Annotated[str, typer.Argument(help="URL of the endpoint, such as https://hooks.example.com/tradegraph.")],
    client: Annotated[str, typer.Option(help="Client that owns the endpoint.")],
    document: Annotated[str, typer.Option(help="Id of a published subscription of that client.")],
    customers: Annotated[
        list[str] | None, typer.Option("--customer", help="Customer number whose events are delivered; repeatable.")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option(help="Role that payloads are rendered for; repeatable. Default: partner.")
    ] = None,
    variables: Annotated[str, typer.Option(help="Variables of the document as JSON.")] = "{}",
    after: After = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Create an endpoint and print its secret once. It receives events from now on, or after a cursor."""
    from app.sources.values import utc_now
    from app.webhooks.outbound.endpoints import Endpoint, Secret
    from app.webhooks.outbound.signing import generate_secret

    settings = settings_of(config, data_dir)
    roles = roles_of(role, settings)
    if not CLIENT.fullmatch(client):
        raise ConfigurationError("--client", client[:80], "must be the client that its credentials name")
    if not customers and RowReach.ALL not in map(row_reach, roles):
        raise ConfigurationError("--customer", None, "name the customers whose events it receives, such as CUST-0001")
    made = Endpoint(
        id=f"ep_{secrets.token_hex(6)}",
        client=client,
        url=url,
        document=_id(document),
        variables=json_object(variables, '{"customer": {"number": "CUST-0001"}}'),
        roles=tuple(one.value for one in roles),
        customers=tuple(sorted(set(customers or ()))),
        secrets=(Secret(value=generate_secret()),),
        created=utc_now(),
    )
    asyncio.run(_check(settings, made))
    asyncio.run(_begin(settings, made, after))
    _with_store(settings, lambda store: _put(store, made))
    print(made.secrets[0].value)
    print(f"This is the secret of {made.id} of {client}. It is shown this once; hand it over safely.", file=sys.stderr)


@endpoints.command("list")
def list_endpoints(
    client: Annotated[str | None, typer.Option(help="Filter: client.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
    json: JSON = False,
) -> None:
    """Print endpoints with their state, pending deliveries and dead letters."""

    async def found(store: EndpointStore) -> list[dict[str, Any]]:
        selected = [one for one in await store.all() if client in {None, one.client}]
        return [
            {
                "id": one.id,
                "client": one.client,
                "state": one.state.value,
                "waiting": len(await store.pending(one.id)),
                "dead": len(await store.dead_letters(one.id, limit=10_000)),
                "url": one.url,
                "document": one.document,
                "customers": list(one.customers),
                "reason": one.reason,
            }
            for one in selected
        ]

    rows = _with_store(settings_of(config, data_dir), found)
    columns = ("id", "client", "state", "waiting", "dead", "url", "document", "customers", "reason")
    _print(rows, columns, json=json)


@endpoints.command()
def pause(id: ID, config: Config = None, data_dir: DataDir = None) -> None:
    """Pause deliveries. Events are delivered after `resume`, within the retention of the event log."""
    _set_state(settings_of(config, data_dir), id, "paused")


@endpoints.command()
def resume(id: ID, after: After = None, config: Config = None, data_dir: DataDir = None) -> None:
    """Resume a paused or disabled endpoint where it stopped, or after a cursor."""
    settings = settings_of(config, data_dir)
    if after is not None:
        asyncio.run(_begin(settings, _with_store(settings, lambda store: _known(store, id)), after))
    _set_state(settings, id, "active")


@endpoints.command()
def rotate(
    id: ID,
    overlap: Annotated[int, typer.Option(help="Hours during which the old secret signs too.", min=0, max=720)] = 24,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Create a new secret and print it once. Both secrets sign until the old one expires."""
    from msgspec.structs import replace

    from app.sources.values import utc_now
    from app.webhooks.outbound.endpoints import MOST_SECRETS, Secret
    from app.webhooks.outbound.signing import generate_secret

    made, ends = Secret(value=generate_secret()), utc_now() + timedelta(hours=overlap)

    def rotated(one: Endpoint) -> Endpoint:
        old = [Secret(value=secret, ends=ends) for secret in one.signing(utc_now())]
        return replace(one, secrets=(made, *old)[:MOST_SECRETS])

    _with_store(settings_of(config, data_dir), lambda store: _change(store, id, rotated))
    print(made.value)
    print(f"This is the new secret of {id}. The old one signs until {_moment(ends)}.", file=sys.stderr)


@endpoints.command()
def remove(id: ID, config: Config = None, data_dir: DataDir = None) -> None:
    """Delete an endpoint with its pending deliveries."""
    if not _with_store(settings_of(config, data_dir), lambda store: store.remove(id)):
        raise _unknown(id)
    print(f"removed: {id}")


@endpoints.command()
def dead(
    id: Annotated[str | None, typer.Argument(help="Filter: endpoint id.")] = None,
    most: Annotated[int, typer.Option(help="Maximum number of rows.", min=1, max=10_000)] = 100,
    config: Config = None,
    data_dir: DataDir = None,
    json: JSON = False,
) -> None:
    """Print dead-lettered deliveries with their cause, newest first."""
    found = _with_store(settings_of(config, data_dir), lambda store: store.dead_letters(id, most))
    rows = [
        {
            "died": _moment(one.dead_at),
            "endpoint": one.endpoint,
            "attempts": one.attempts,
            "kind": one.update.kind.value if one.update else "GAP",
            "key": one.update.key if one.update else "",
            "cause": one.cause,
            "cursor": one.cursor,
        }
        for one in found
    ]
    _print(rows, ("died", "endpoint", "attempts", "kind", "key", "cause", "cursor"), json=json)


@endpoints.command()
def replay(
    id: ID,
    cursor: Annotated[
        list[str] | None, typer.Option(help="Cursor of a delivery, as `dead` prints it; repeatable. Default: all.")
    ] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Retry dead-lettered deliveries with a full retry period."""
    from app.sources.values import utc_now

    async def again(store: EndpointStore) -> int:
        await _known(store, id)
        return await store.replay(id, cursor, now=utc_now())

    print(f"replayed: {_with_store(settings_of(config, data_dir), again)}")


@endpoints.command("test")
def post_test(id: ID, config: Config = None, data_dir: DataDir = None) -> None:
    """Post a signed test message now and print the result. Exits with 1 if it was not accepted."""
    from app.sources.values import utc_now
    from app.webhooks.outbound.sender import WebhookSender
    from app.webhooks.outbound.signing import signed

    settings, now = settings_of(config, data_dir), utc_now()
    endpoint = _with_store(settings, lambda store: _known(store, id))
    body = orjson.dumps({"type": "test", "timestamp": now, "data": None}, option=orjson.OPT_UTC_Z)
    headers = signed(endpoint, f"msg_test_{secrets.token_hex(8)}", body, now)
    outcome = asyncio.run(WebhookSender(settings.endpoints).send(endpoint.url, headers, body))
    print(f"{'taken' if outcome.delivered else 'not taken'}: {outcome.reason}, {outcome.seconds * 1000:.0f} ms")
    if not outcome.delivered:
        raise typer.Exit(1)


async def _check(settings: Settings, endpoint: Endpoint) -> None:
    """Raise ConfigurationError for an endpoint to which nothing could be delivered."""
    from app.gateway.documents.stores import connect_documents
    from app.schema import build_schema
    from app.webhooks.outbound.egress import AddressRefused
    from app.webhooks.outbound.sender import WebhookSender
    from app.webhooks.outbound.validation import document_fault

    try:
        await WebhookSender(settings.endpoints).check(endpoint.url)
    except AddressRefused as refused:
        raise ConfigurationError("url", endpoint.url[:200], str(refused)) from None
    documents = connect_documents(settings)
    try:
        versions = await documents.find(endpoint.client, endpoint.document)
    except StoreUnavailable as error:
        raise ConfigurationError("documents", settings.documents.store, f"cannot be read: {error.detail}") from None
    finally:
        await documents.close()
    core = build_schema(settings)._schema  # noqa: SLF001 - no other way to graphql-core's
    fault = document_fault(core, versions, endpoint.variables, endpoint.created.date())
    if fault is not None:
        raise ConfigurationError("--document", endpoint.document, fault)


async def _begin(settings: Settings, endpoint: Endpoint, after: str | None) -> None:
    """Store the offset in the event log at which an endpoint begins."""
    from app.events.stores import connect_events

    events = connect_events(settings)
    try:
        if after is not None:
            await events.read(after, 1)
        await events.commit_offset(endpoint.reader_name, after or await events.end())
    except InvalidCursor:
        raise ConfigurationError("--after", after, "is not a cursor of an event log; see ./run events list") from None
    except StoreUnavailable as error:
        raise ConfigurationError("events.store", settings.events.store, f"cannot be used: {error.detail}") from None
    finally:
        await events.close()


def _set_state(settings: Settings, id: str, name: str) -> None:
    from msgspec.structs import replace

    from app.webhooks.outbound.endpoints import EndpointState

    state: EndpointState = EndpointState(name)
    _with_store(settings, lambda store: _change(store, id, lambda one: replace(one, state=state, reason=None)))
    print(f"{state}: {id}")


async def _put(store: EndpointStore, endpoint: Endpoint) -> None:
    await store.put(endpoint, since=await store.generation())


async def _change(store: EndpointStore, id: str, changed: Callable[[Endpoint], Endpoint]) -> None:
    since = await store.generation()
    await store.put(changed(await _known(store, id)), since=since)


async def _known(store: EndpointStore, id: str) -> Endpoint:
    found = next((one for one in await store.all() if one.id == id), None)
    if found is None:
        raise _unknown(id)
    return found


def _with_store(settings: Settings, work: Callable[[EndpointStore], Awaitable[T]]) -> T:
    from app.gateway.documents.stores.document_store import StoreChanged
    from app.webhooks.outbound.stores import connect_endpoints

    try:
        return run_with(connect_endpoints, settings, "events", work)
    except StoreChanged:
        raise ConfigurationError(
            "endpoints", "changed", "another process changed an endpoint at the same time; run the command again"
        ) from None


def _unknown(id: str) -> ConfigurationError:
    return ConfigurationError("endpoint", id, "there is none of that id; see ./run endpoints list")


def _id(text: str) -> str:
    return f"sha256:{text}" if re.fullmatch(r"[0-9a-f]{64}", text) else text


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _print(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, json: bool) -> None:
    if json:
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    head = [name.upper() for name in columns]
    print_table([head, *([_cell(row[name]) for name in columns] for row in rows)])


def _cell(value: Any) -> object:
    return ",".join(map(str, value)) if isinstance(value, list) else value
