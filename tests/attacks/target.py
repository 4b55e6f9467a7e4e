"""The gateway that is attacked: one process, set up as in production, on a port of its own over the sandbox."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from app.auth.api_keys import KeyRecord, digest_of, new_key
from app.auth.principal import Role
from app.auth.stores import connect_keys
from app.cli.demo import SANDBOX_DOMAINS, sandbox_sources
from app.gateway.documents.stores.document_store import DocumentState
from app.gateway.documents.stores.sqlite_documents import SQLiteDocuments
from app.sandbox import Sandbox
from app.settings import Settings
from tests.support.stored import keep, stored

ROOT = Path(__file__).resolve().parents[2]
ISSUER, AUDIENCE = "https://login.example.com/", "tradegraph"
PARTNERS, PARTNER_AUDIENCE = "https://partners.example.com/", "partners"
SHOP = "https://shop.example.com"
HEADER_TIMEOUT = BODY_TIMEOUT = 2.0

ORDERS = 'query Orders { customer(by: {number: "CUST-0001"}) { number name } }'
OTHER_CUSTOMER = 'query Theirs { customer(by: {number: "CUST-0002"}) { number name } }'
RETIRED = "query Retired { warehouses { code } }"
DRAFT = "query Draft { warehouses { name } }"
CHEAP = "query Cheap { __typename }"
EXPENSIVE = 'query Dear { customer(by: {number: "CUST-0001"}) { orders(first: 5) { nodes { number } } } }'
ITEMS = "query($n: Int!) { items(first: $n) { nodes { sku } } }"

CONFIG = """
data_dir = "{data}"
[downloads]
secrets = ["a secret of the attacked gateway, 32 bytes"]
[server]
port = {port}
allowed_hosts = ["127.0.0.1"]
allowed_origins = ["{shop}"]
[server.connections]
header_timeout = {header_timeout}
body_timeout = {body_timeout}
[auth]
issuer = "{issuer}"
audience = "{audience}"
algorithms = ["RS256", "ES256"]
jwks_file = "ours.json"
leeway = 0
[auth.claims]
client = "azp"
[[auth.issuers]]
issuer = "{partners}"
audience = "{partner_audience}"
jwks_file = "theirs.json"
roles = ["partner"]
customers = ["CUST-0002"]
namespace = "bolt"
[documents]
registering_clients = ["portal"]
[limits]
introspection = ["operations"]
[budgets.clients.thrifty]
capacity = 60
restore_rate = 0.01
max_concurrent = 2
max_connections = 3
max_subscriptions = 2
[domains]
{domains}
{sources}
"""
SOURCE = """[sources.{name}]
vendor = "rest"
base_url = "{url}"
timeout = 30
credentials = {{ token = "{token}" }}
concurrency = 64
options = {{ serves = {ports} }}
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Where it is, and who is known to it. `keys` are API keys by what they are good for."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    ours: RSAKey
    theirs: ECKey
    keys: Mapping[str, str]
    backends: Mapping[str, str]
    backend_token: str

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All it has written."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def token(self, *roles: str, customers: Any = (), header: Any = None, key: Any = None, **said: Any) -> str:
        """A token that is good, but for what is overridden; None leaves a claim out."""
        key = key or self.ours
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": f"a-{'-'.join(roles)}",
            "exp": int(time.time()) + 3600,
            "iat": int(time.time()),
            "roles": list(roles),
            "customers": customers if isinstance(customers, str) else list(customers),
            **said,
        }
        named = {"alg": "RS256", "kid": key.kid, **(header or {})}
        return jwt.encode(
            {name: value for name, value in named.items() if value is not None},
            {name: value for name, value in claims.items() if value is not None},
            key,
            algorithms=[named["alg"]],
        )

    async def backend_paths(self) -> list[str]:
        """The paths that backends were asked for since `forget`."""
        async with self._controls() as client:
            told = [(await client.get(f"{url}/sandbox/requests")).json() for url in self.backends.values()]
        return [request["path"] for requests in told for request in requests]

    async def forget(self) -> None:
        """Let the backends forget them."""
        async with self._controls() as client:
            for url in self.backends.values():
                await client.delete(f"{url}/sandbox/requests")

    @asynccontextmanager
    async def broken(self, system: str, **knob: Any) -> AsyncIterator[None]:
        """Make a backend fail; see `app/sandbox/fault_injection.py`."""
        async with self._controls() as client:
            (await client.post(f"{self.backends[system]}/sandbox/faults", json=knob)).raise_for_status()
            try:
                yield
            finally:
                await client.delete(f"{self.backends[system]}/sandbox/faults")

    def _controls(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(headers={"authorization": f"Bearer {self.backend_token}"}, verify=False)

    def work(self) -> float:
        """Seconds of processor time that the gateway's event loop has used; wall time where no system tells."""
        try:
            spent = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/schedstat").read_text(encoding="ascii")
        except OSError:
            return time.monotonic()
        return int(spent.split()[0]) / 1e9


@contextmanager
def running_target(sandbox: Sandbox, folder: Path) -> Iterator[Target]:
    """The gateway, from its settings file on, as `./run serve` starts it."""
    ours = RSAKey.generate_key(2048, {"kid": "ours"}, private=True)
    theirs = ECKey.generate_key("P-256", {"kid": "theirs"}, private=True)
    for name, key in (("ours", ours), ("theirs", theirs)):
        (folder / f"{name}.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}), encoding="utf-8")
    keys = asyncio.run(_create_stores(folder))
    port = _free_port()
    (folder / "gateway.toml").write_text(_config(sandbox, folder, port), encoding="utf-8")
    command = [sys.executable, "-P", "-m", "app.cli", "serve", "--config", str(folder / "gateway.toml")]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    serving = threading.Event()
    reader = threading.Thread(target=_copy_log, args=(process, folder / "log", serving))
    reader.start()
    try:
        if not serving.wait(40) or process.poll() is not None:
            raise RuntimeError(f"the gateway did not start: {(folder / 'log').read_text(encoding='utf-8')[-2000:]}")
        yield Target(port, folder, process, ours, theirs, keys, sandbox.urls, sandbox.token)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join()


def _copy_log(process: subprocess.Popen[bytes], log: Path, serving: threading.Event) -> None:
    """Write the gateway's log to a file, and tell when it says that it serves, or has ended."""
    assert process.stdout is not None
    with log.open("wb", buffering=0) as out, process.stdout as lines:
        for line in lines:
            out.write(line)
            if b'"serving"' in line:
                serving.set()
    serving.set()


def _config(sandbox: Sandbox, folder: Path, port: int) -> str:
    sources = sandbox_sources(sandbox.urls, sandbox.token)
    domains = SANDBOX_DOMAINS.model_dump(exclude_none=True)
    return CONFIG.format(
        data=folder,
        port=port,
        shop=SHOP,
        issuer=ISSUER,
        audience=AUDIENCE,
        partners=PARTNERS,
        partner_audience=PARTNER_AUDIENCE,
        header_timeout=HEADER_TIMEOUT,
        body_timeout=BODY_TIMEOUT,
        domains="\n".join(f"{name} = {_toml(value)}" for name, value in domains.items()),
        sources="\n".join(
            SOURCE.format(
                name=name, url=source.base_url, token=sandbox.token, ports=json.dumps(source.options["serves"])
            )
            for name, source in sources.items()
        ),
    )


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


KEYS: Mapping[str, Mapping[str, Any]] = {
    "acme": {},
    "bolt": {"customers": frozenset({"CUST-0002"})},
    "thrifty": {},
    "former": {"revoked_at": 1.0},
    "late": {"expires_at": 1.0},
}
"""API keys by the partner they belong to, and what is special about them."""


async def _create_stores(folder: Path) -> dict[str, str]:
    """Put API keys and documents where the gateway looks for them."""
    store, keys = connect_keys(Settings(data_dir=folder)), {}
    for client, special in KEYS.items():
        key_id, keys[client] = new_key()
        given = {"role": Role.PARTNER, "customers": frozenset({"CUST-0001"}), "created_at": time.time(), **special}
        record = KeyRecord(id=key_id, digest=digest_of(keys[client]), client=client, **given)
        await store.add(record, now=time.time())
    await store.close()
    documents = SQLiteDocuments(folder / "documents.sqlite")
    gone = datetime(2020, 1, 1, tzinfo=UTC).date()
    await keep(
        documents,
        *(stored("acme", text) for text in (ORDERS, CHEAP, EXPENSIVE, ITEMS)),
        *(stored("bolt", text) for text in (OTHER_CUSTOMER, CHEAP)),
        *(stored("thrifty", text) for text in (CHEAP, EXPENSIVE)),
        stored("acme", RETIRED, state=DocumentState.RETIRED, retires=gone),
        stored("acme", DRAFT, state=DocumentState.DRAFT, published=None),
    )
    await documents.close()
    return keys


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
