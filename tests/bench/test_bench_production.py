"""The benchmark's candidates as in production, ours and Node's: each verifies tokens, limits documents, hides foreign
rows, and counts, logs and audits what it answers."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from bench.candidates import NODE_PEERS, OURS, PRODUCTION, candidates
from bench.dataset import Dataset, build
from bench.driver import right
from bench.expected import expected, variables
from bench.gateway import AUDIENCE, ISSUER, Gateway, prepare, signed
from bench.processes import free_port, running
from bench.session import DOCUMENTS
from bench.upstream import Backend, Connection, Reads
from tests.support.node_tools import node_folder

pytestmark = pytest.mark.timeout(180)

DATA = build()
OWN, FOREIGN = DATA.numbers[0], DATA.numbers[1]
CARD = (DOCUMENTS / "customer_card.graphql").read_text()


@contextmanager
def upstream(data: Dataset) -> Iterator[str]:
    """The mock backend in a thread."""
    started: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        loop, stop, backend = asyncio.get_running_loop(), asyncio.Event(), Backend(Reads(data))
        server = await loop.create_server(lambda: Connection(backend), "127.0.0.1", 0)
        started.set_result((server.sockets[0].getsockname()[1], loop, stop))
        await stop.wait()
        server.close()

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    port, loop, stop = started.result(10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


@dataclass(frozen=True)
class Server:
    """A running candidate and its files."""

    name: str
    port: int
    gateway: Gateway
    folder: Path

    def query(self, text: str, given: Any = None, *, authorization: str | None = None) -> tuple[int, bytes]:
        """Status and body of the answer to the first customer's representative, or to another token."""
        body = json.dumps({"query": text, "variables": given or {}}).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers["Authorization"] = self.gateway.authorization[OWN] if authorization is None else authorization
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", data=body, headers=headers)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read()

    def data(self, text: str, given: Any = None) -> Any:
        """The data of an answer without errors."""
        answer = json.loads(self.query(text, given)[1])
        assert "errors" not in answer
        return answer["data"]


@contextmanager
def candidate(name: str, folder: Path, data: Dataset = DATA) -> Iterator[Server]:
    """Start a candidate as `./run bench` does."""
    with upstream(data) as url:
        gateway = prepare(folder, url, list(data.customers))
        (found,) = candidates(gateway, names=[name])
        port = free_port()
        environment = {key: value.format(port=port) for key, value in found.environment.items()}
        processors = os.sched_getaffinity(0)
        with (folder / "log").open("wb") as log, running(
            found.started(port, url), port=port, processors=processors, environment=environment, output=log
        ):  # fmt: skip
            yield Server(name, port, gateway, folder)


def names() -> list[Any]:
    """Ours, and the Node peers."""
    return [OURS, *(pytest.param(name, marks=pytest.mark.node) for name in PRODUCTION)]


@pytest.fixture(scope="module", params=names())
def server(request, tmp_path_factory) -> Iterator[Server]:
    if request.param != OURS:
        node_folder(NODE_PEERS)
    with candidate(request.param, tmp_path_factory.mktemp("candidate")) as made:
        yield made


@pytest.mark.parametrize("document", ["sales_view", "item_list", "customer_card"])
def test_answer_is_the_expected_one(server, document):
    text = (DOCUMENTS / f"{document}.graphql").read_text()
    status, body = server.query(text, variables(DATA, document, OWN))
    assert (status, right(body, expected(DATA, document, OWN))) == (200, True)


BAD_TOKENS = {
    "another key": lambda _: signed(RSAKey.generate_key(2048), "rep-0", [OWN]),
    "an unknown key id": lambda key: signed(key, "rep-0", [OWN], key_id="unknown"),
    "another audience": lambda key: signed(key, "rep-0", [OWN], aud=f"{AUDIENCE}-2"),
    "another issuer": lambda key: signed(key, "rep-0", [OWN], iss=f"{ISSUER}/2"),
    "expired": lambda key: signed(key, "rep-0", [OWN], exp=1_700_000_000),
    "another payload": lambda key: other_payload(signed(key, "rep-0", [OWN]), signed(key, "rep-0", [FOREIGN])),
    "no token": lambda _: "",
}


def other_payload(token: str, other: str) -> str:
    """A token with the payload of another one."""
    header, _, signature = token.split(".")
    return f"{header}.{other.split('.')[1]}.{signature}"


@pytest.mark.parametrize("make", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_bad_token_is_refused(server, make):
    given = variables(DATA, "customer_card", OWN)
    good = f"Bearer {signed(server.gateway.key, 'rep-0', [OWN])}"
    assert server.query(CARD, given, authorization=good)[0] == 200
    status, body = server.query(CARD, given, authorization=f"Bearer {make(server.gateway.key)}")
    answer = json.loads(body)
    assert (status, answer["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    assert "data" not in answer


def deep(levels: int) -> str:
    """A document with so many levels of fields."""
    inner = "number"
    for _ in range(levels - 2):
        inner = f"parent {{ {inner} }}"
    return f'{{ customer(by: {{number: "{OWN}"}}) {{ {inner} }} }}'


def costly(customers: int) -> str:
    """A document that reads 100 orders of each of so many customers, with stock and price of each line."""
    lines = "lines { availability { atp } contractPrice { unitPrice { amount } } }"
    page = f"orders(first: 100) {{ edges {{ node {{ {lines} }} }} }}"
    roots = [f'c{place}: customer(by: {{number: "{DATA.numbers[place]}"}}) {{ {page} }}' for place in range(customers)]
    return f"{{ {' '.join(roots)} }}"


def test_document_within_the_limits_runs(server):
    assert server.data(deep(15)) == {"customer": {"parent": None}}
    assert len(server.data(costly(1))["c0"]["orders"]["edges"]) == 20


LONG = f'{{ customer(by: {{number: "{OWN}"}}) {{ {"number " * 10_000} }} }}'
BEYOND = {
    "too deep": (deep(30), {"Limit 'depth' exceeded", "depth limit"}),
    "too costly": (costly(20), {"cost"}),
    "too long": (LONG, {"characters", "tokens"}),
}


@pytest.mark.parametrize(("text", "reasons"), BEYOND.values(), ids=BEYOND)
def test_document_beyond_a_limit_is_refused(server, text, reasons):
    answer = json.loads(server.query(text)[1])
    assert answer.get("data") is None
    assert any(reason in answer["errors"][0]["message"] for reason in reasons)


def test_foreign_rows_are_absent(server):
    """Like missing ones: null, without an error."""
    assert server.data(CARD, variables(DATA, "customer_card", FOREIGN)) == {"customer": None}
    order = "query($number: String!) { order(by: {number: $number}) { number } }"
    own, foreign = DATA.orders[OWN][0]["number"], DATA.orders[FOREIGN][0]["number"]
    assert server.data(order, {"number": own}) == {"order": {"number": own}}
    assert server.data(order, {"number": foreign}) == {"order": None}
    price = "contractPrice(customer: $customer) { unitPrice { amount } }"
    items = f"query($skus: [String!]!, $customer: CustomerKey!) {{ itemsBySku(skus: $skus) {{ sku {price} }} }}"
    sku = DATA.usual(OWN)[0]
    assert server.data(items, {"skus": [sku], "customer": {"number": FOREIGN}}) == {
        "itemsBySku": [{"sku": sku, "contractPrice": None}]
    }


@pytest.mark.node
@pytest.mark.parametrize("name", PRODUCTION)
def test_foreign_rows_that_the_upstream_sends_are_absent(name, tmp_path):
    """Another customer's order among those of `OWN`, and another's shipment among those of an own order."""
    node_folder(NODE_PEERS)
    foreign, own = DATA.orders[FOREIGN][1], DATA.orders[OWN][1:]
    shipments = {own[0]["number"]: [*DATA.shipments[foreign["number"]], *DATA.shipments[own[0]["number"]]]}
    data = replace(DATA, orders={**DATA.orders, OWN: [foreign, *own]}, shipments={**DATA.shipments, **shipments})
    text = (DOCUMENTS / "sales_view.graphql").read_text()
    with candidate(name, tmp_path, data) as server:
        found = server.data(text, variables(DATA, "sales_view", OWN))
    right_answer = json.loads(expected(DATA, "sales_view", OWN))["data"]
    assert found["customer"]["orders"]["edges"] == right_answer["customer"]["orders"]["edges"][1:]


@pytest.mark.parametrize("name", names())
def test_each_request_is_counted_logged_and_audited(name, tmp_path):
    if name != OURS:
        node_folder(NODE_PEERS)
    with candidate(name, tmp_path) as server:
        for number in (OWN, FOREIGN):
            server.data(CARD, variables(DATA, "customer_card", number))
        server.query(CARD, authorization="Bearer x")
        metrics = scraped(server)
    prefix = "tradegraph" if name == OURS else "graphql"
    assert metrics[prefix + '_requests_total{operation="CustomerCard",outcome="ok"}'] == 2
    assert metrics[prefix + '_request_seconds_count{operation="CustomerCard"}'] == 2
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    logged = [line for line in lines if line.get("operation") == "CustomerCard"]
    assert [(line["status"], line["outcome"], line["subject"]) for line in logged] == [(200, "ok", "rep-0")] * 2
    (file,) = tmp_path.glob("**/audit*.sqlite")
    with closing(sqlite3.connect(file)) as audit:
        rows = audit.execute("SELECT subject, roles, operation, document, status, outcome FROM entries").fetchall()
    document = f"sha256:{hashlib.sha256(CARD.encode()).hexdigest()}"
    assert rows[:2] == [("rep-0", "sales_rep", "CustomerCard", document, 200, "ok")] * 2
    assert [row[-2:] for row in rows[2:]] == [(401, "failed")]


def scraped(server: Server) -> dict[str, float]:
    """The samples of `/metrics`, which the gateway shows to staff."""
    token = signed(server.gateway.key, "admin-1", [], roles=["admin"])
    url, headers = f"http://127.0.0.1:{server.port}/metrics", {"Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        lines = [line for line in answer.read().decode().splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
