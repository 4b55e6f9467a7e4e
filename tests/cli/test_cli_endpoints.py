"""`./run endpoints`, as an operator uses it."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.errors import ConfigurationError
from app.events.stores import connect_events
from app.gateway.documents.stores import connect_documents
from app.gateway.documents.stores.document_store import DocumentState, document_id
from app.http.standard_webhooks import decode_secret, verify_signature
from app.settings import Settings
from app.webhooks.outbound.endpoints import Endpoint
from app.webhooks.outbound.stores import connect_endpoints
from tests.support.endpoints import delivery
from tests.support.events import THEN, update
from tests.support.stored import keep, stored
from tests.upstreams.receiver import receiving

STEPS = "subscription Steps($customer: CustomerKey) { shipmentUpdates(customer: $customer) { cursor } }"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{43}=\n")
URL = "https://93.184.215.14/tradegraph"


class Endpoints:
    """The command over one data folder, in which a client has published what it waits for."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder)
        self.publish(stored("acme", STEPS), stored("acme", "query Q { me { subject } }"))

    def __call__(self, *arguments: str) -> Result:
        done = CliRunner().invoke(app, ["endpoints", *arguments, "--data-dir", str(self.settings.data_dir)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    def publish(self, *documents: Any) -> None:
        async def run() -> None:
            store = connect_documents(self.settings)
            await keep(store, *documents)
            await store.close()

        asyncio.run(run())

    def add(self, *more: str, url: str = URL, text: str = STEPS, client: str = "acme") -> str:
        """The id of an endpoint for the published document."""
        done = self("add", url, "--client", client, "--document", document_id(text), "--customer", "CUST-0001", *more)
        assert SECRET.fullmatch(done.stdout), done.output
        (made,) = re.findall(r"This is the secret of (ep_[0-9a-f]{12}) of acme\.", done.stderr)
        return made

    def listed(self) -> list[dict[str, Any]]:
        return json.loads(self("list", "--json").stdout)

    def kept(self) -> list[Endpoint]:
        async def run() -> list[Endpoint]:
            store = connect_endpoints(self.settings)
            found = await store.all()
            await store.close()
            return list(found)

        return asyncio.run(run())


@pytest.fixture
def endpoints(tmp_path: Path) -> Endpoints:
    return Endpoints(tmp_path / "data")


def test_secret_is_printed_once_and_alone_on_standard_output(endpoints: Endpoints):
    made = endpoints.add("--variables", '{"customer": {"number": "CUST-0001"}}')
    (kept,) = endpoints.kept()
    assert (kept.id, kept.client, kept.url, kept.customers, kept.roles) == (
        made, "acme", URL, ("CUST-0001",), ("partner",),
    )  # fmt: skip
    assert kept.variables == {"customer": {"number": "CUST-0001"}}
    assert kept.secrets[0].value not in endpoints("list").output + endpoints("list", "--json").output
    assert endpoints.listed() == [
        {
            "id": made,
            "client": "acme",
            "state": "active",
            "waiting": 0,
            "dead": 0,
            "url": URL,
            "document": document_id(STEPS),
            "customers": ["CUST-0001"],
            "reason": None,
        }
    ]


def test_endpoint_begins_at_the_end_of_the_log_or_after_a_cursor(endpoints: Endpoints):
    async def run(*made: str) -> list[str | None]:
        events = connect_events(endpoints.settings)
        try:
            recorded = await events.record((), [update("S1"), update("S2")]) if not made else ()
            return [one.cursor for one in recorded] or [await events.offset(f"endpoint:{id}") for id in made]
        finally:
            await events.close()

    first, last = asyncio.run(run())
    assert asyncio.run(run(endpoints.add(), endpoints.add("--after", str(first)))) == [last, first]
    made = endpoints.add()
    endpoints("pause", made)
    assert endpoints("resume", made, "--after", str(first)).stdout == f"active: {made}\n"
    assert asyncio.run(run(made)) == [first]
    with pytest.raises(ConfigurationError, match="is not a cursor of an event log"):
        endpoints("resume", made, "--after", "made up")


REFUSED = [
    pytest.param({"url": "https://10.0.0.1/"}, "10.0.0.1 is not a public address", id="a private address"),
    pytest.param({"url": "http://93.184.215.14/"}, "only https", id="plain http"),
    pytest.param({"url": "https://user:pw@example.com/"}, "without a user", id="a password"),
    pytest.param({"text": "query Q { me { subject } }"}, "is not a subscription", id="a query"),
    pytest.param({"text": "{ nobody }"}, "is not published for this client", id="an unknown document"),
    pytest.param({"client": "globex"}, "is not published for this client", id="anothers document"),
]


@pytest.mark.parametrize(("changed", "why"), REFUSED)
def test_what_could_not_be_delivered_is_refused(endpoints: Endpoints, changed: dict[str, str], why: str):
    with pytest.raises(ConfigurationError, match=re.escape(why)):
        endpoints.add(**changed)
    assert endpoints.kept() == []


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--variables", '{"customer": 7}', "cannot be run|does not take these variables"),
        ("--variables", "[]", "must be a JSON object"),
        ("--role", "boss", "choose from"),
        ("--after", "made up", "is not a cursor"),
    ],
)
def test_wrong_option_is_refused(endpoints: Endpoints, option: str, value: str, why: str):
    with pytest.raises(ConfigurationError, match=why):
        endpoints.add(option, value)
    assert endpoints.kept() == []


def test_partner_without_accounts_is_refused(endpoints: Endpoints):
    with pytest.raises(ConfigurationError, match="name the customers whose events it receives"):
        endpoints("add", URL, "--client", "acme", "--document", document_id(STEPS))


def test_retired_document_is_refused(endpoints: Endpoints):
    endpoints.publish(stored("acme", STEPS, state=DocumentState.RETIRED, retires=THEN.date()))
    with pytest.raises(ConfigurationError, match="is not published"):
        endpoints.add()


def test_paused_endpoint_is_resumed(endpoints: Endpoints):
    made = endpoints.add()
    assert endpoints("pause", made).stdout == f"paused: {made}\n"
    assert endpoints.listed()[0]["state"] == "paused"
    endpoints("resume", made)
    assert endpoints.listed()[0]["state"] == "active"


def test_rotated_secret_signs_beside_the_old_one_until_it_ends(endpoints: Endpoints):
    made = endpoints.add()
    (old,) = endpoints.kept()[0].secrets
    done = endpoints("rotate", made, "--overlap", "1")
    assert SECRET.fullmatch(done.stdout)
    new, kept = endpoints.kept()[0].secrets
    assert (new.value, new.ends, kept.value) == (done.stdout.strip(), None, old.value)
    assert kept.ends is not None
    assert endpoints.kept()[0].signing(THEN) == [new.value, old.value]
    assert endpoints.kept()[0].signing(kept.ends) == [new.value]
    endpoints("rotate", made)
    assert [secret.value for secret in endpoints.kept()[0].secrets][1:] == [new.value], "two live at most"


def test_dead_deliveries_are_printed_and_replayed(endpoints: Endpoints):
    made = endpoints.add()

    async def dead_letter() -> None:
        store = connect_endpoints(endpoints.settings)
        await store.save([delivery("c1", "S1", endpoint=made, dead_at=THEN, attempts=39, cause="HTTP 500")])
        await store.close()

    asyncio.run(dead_letter())
    assert json.loads(endpoints("dead", made, "--json").stdout) == [
        {
            "died": "2026-11-01T09:30:00Z",
            "endpoint": made,
            "attempts": 39,
            "kind": "SHIPMENT",
            "key": "S1",
            "cause": "HTTP 500",
            "cursor": "c1",
        }
    ]
    assert endpoints("dead").stdout.splitlines()[1].split()[:4] == ["2026-11-01T09:30:00Z", made, "39", "SHIPMENT"]
    assert endpoints("replay", made, "--cursor", "other").stdout == "replayed: 0\n"
    assert endpoints("replay", made).stdout == "replayed: 1\n"
    assert [(one["waiting"], one["dead"]) for one in endpoints.listed()] == [(1, 0)]


def test_removed_endpoint_is_not_listed(endpoints: Endpoints):
    made = endpoints.add()
    assert endpoints("remove", made).stdout == f"removed: {made}\n"
    assert endpoints.listed() == []


@pytest.mark.parametrize("command", ["pause", "resume", "rotate", "remove", "replay", "test"])
def test_unknown_endpoint_is_named(endpoints: Endpoints, command: str):
    with pytest.raises(ConfigurationError, match="there is none of that id"):
        endpoints(command, "ep_nobody")


async def test_test_message_is_signed_and_its_outcome_printed(tmp_path: Path):
    folder, config = tmp_path / "data", tmp_path / "settings.toml"
    config.write_text('[endpoints]\nallowed_networks = ["127.0.0.0/8"]\n')
    endpoints = await asyncio.to_thread(Endpoints, folder)
    async with receiving() as receiver:
        given = ("--config", str(config))
        made = await asyncio.to_thread(lambda: endpoints.add(*given, url=receiver.url))
        done = await asyncio.to_thread(endpoints, "test", made, *given)
        refused = await asyncio.to_thread(endpoints, "test", made)
        (kept,) = await asyncio.to_thread(endpoints.kept)
    assert done.stdout.startswith("taken: HTTP 204, ")
    (webhook,) = receiver.webhooks
    assert (webhook.payload["type"], webhook.payload["data"]) == ("test", None)
    timestamp = int(webhook.headers["webhook-timestamp"])
    key = decode_secret(kept.secrets[0].value)
    assert verify_signature(webhook.headers["webhook-signature"], [key], webhook.id, timestamp, webhook.body)
    assert (refused.exit_code, refused.stdout.partition(":")[0]) == (1, "not taken")
