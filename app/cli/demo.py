"""The demo: backends, gateway, IDE page and tokens in one command. All processes end with it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from secrets import token_urlsafe
from typing import Any, Literal

from pydantic import SecretStr

from app.auth.demo import demo_auth, issue_demo_token
from app.auth.principal import UNRESTRICTED, Role
from app.errors import ConfigurationError
from app.http.standard_webhooks import generate_secret
from app.protocol.listener import listen
from app.sandbox.build import PORTS
from app.settings import (
    AuthSettings,
    Domain,
    DomainSettings,
    OrderDomain,
    ServerSettings,
    Settings,
    SourceSettings,
    StockDomain,
    WebhookSettings,
    load,
    settings_of_table,
)
from app.settings.proofs import DEMO_KEY

CONFIG_FILE = "demo.toml"
LOOPBACK = ("127.0.0.0/8", "::1/128")

Backends = Literal["sandbox", "real"]

UP = Path(__file__).resolve().parents[2] / "backends" / "up.sh"
READY_LINE = "Ctrl-C stops them."

# What backends/README.md documents; the ports are those of their scripts.
REAL_PORTS = (8069, 3400, 5002)
REAL_SOURCES = {
    "erp": SourceSettings(
        vendor="tryton",
        base_url="http://127.0.0.1:8069",
        timeout=10,
        credentials={
            "api_key": SecretStr("demo-rest-key-0123456789abcdef"),
            "login": SecretStr("gateway"),
            "password": SecretStr("gateway-demo-password"),
        },
        options={"order_warehouse": "WH-EAST"},
    ),
    "commerce": SourceSettings(
        vendor="vendure",
        base_url="http://127.0.0.1:3400",
        timeout=10,
        credentials={"username": SecretStr("connector@example.com"), "password": SecretStr("connector-demo")},
    ),
    "logistics": SourceSettings(
        vendor="karrio",
        base_url="http://127.0.0.1:5002",
        timeout=10,
        credentials={"api_key": SecretStr("key_0123456789abcdef0123456789abcdef")},
    ),
}
NEEDED = {
    "bash": "apt install bash",
    "curl": "apt install curl",
    "node": "Node.js 20 or later: https://nodejs.org, or your system's package",
    "npm": "it comes with Node.js, or: apt install npm",
    "setsid": "apt install util-linux",
}

SALES_VIEW = """query SalesView($customer: CustomerKey!) {
  customer(by: $customer) {
    number name creditStatus { state available { amount currency } }
    orders(first: 5) { edges { node {
      number status total { amount currency }
      lines {
        item { sku name } quantity uom
        contractPrice { unitPrice { amount currency } } availability { warehouse { code } atp }
      }
      shipments { status carrier trackingNumber eta { carrier } }
    } } }
  }
}"""
CUSTOMER = "CUST-0001"
MOVING_ORDER, MOVING = "SO-100040", "shp-000026"
"""An order of this customer's in the sandbox, and the one of its shipments that is on its way."""


def demo(port: int, data_dir: Path, backends: Backends) -> None:
    """Serve the demo until Ctrl-C."""
    server = ServerSettings(port=port, graceful_shutdown=2)
    listener = listen(Settings(server=server))
    auth = demo_auth(data_dir)
    here = f"http://127.0.0.1:{listener.getsockname()[1]}/webhooks"
    with running(backends, data_dir, here) as (sources, domains):
        settings = demo_settings(listener.getsockname()[1], auth, data_dir, sources, domains)
        with _published(settings):
            _serve(settings, listener)


def demo_settings(
    port: int,
    auth: AuthSettings,
    data_dir: Path,
    sources: Mapping[str, SourceSettings],
    domains: DomainSettings,
) -> Settings:
    """The demo's settings, overridden by the environment. Webhooks may be posted to this machine."""
    return settings_of_table(
        {
            "server": {"port": port, "graceful_shutdown": 2},
            "auth": auth,
            "log": {"format": "console"},
            "endpoints": {"allowed_networks": LOOPBACK},
            "demo": True,
            "ide": True,
            "data_dir": data_dir,
            "sources": dict(sources),
            "domains": domains,
            "downloads": {"secrets": (token_urlsafe(48),)},
            "intake": {"proofs": {"keys": {DEMO_KEY: token_urlsafe(48)}}},
        },
        Path(),
    )


@contextmanager
def _published(settings: Settings) -> Iterator[None]:
    """While the demo runs, its data folder has a file with its sources and the networks of webhooks out, for commands
    such as `sources ping` and `endpoints add`."""
    file = settings.data_dir / CONFIG_FILE
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        networks = json.dumps(settings.endpoints.allowed_networks)
        out.write(f"[endpoints]\nallowed_networks = {networks}\n\n")
        out.write("".join(_source_table(name, source) for name, source in settings.sources.items()))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _source_table(name: str, source: SourceSettings) -> str:
    credentials = {key: secret.get_secret_value() for key, secret in source.credentials.items()}
    options = {key: value for key, value in source.options.items() if key == "serves"}
    lines = [f"[sources.{name}]", f'vendor = "{source.vendor}"', f'base_url = "{source.base_url}"']
    for title, table in (("credentials", credentials), ("options", options)):
        lines += [f"[sources.{name}.{title}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n\n"


def _serve(settings: Settings, listener: socket.socket) -> None:
    from app.server import run
    from app.telemetry import configure_logs

    configure_logs(form=settings.log.format, level=settings.log.level)
    run(settings, started=lambda: print(welcome(settings), flush=True), listener=listener)


@contextmanager
def running(
    backends: Backends, data_dir: Path, webhooks: str
) -> Iterator[tuple[Mapping[str, SourceSettings], DomainSettings]]:
    """The backends, started if they do not run yet, and stopped with the demo. The sandbox posts its events to
    `webhooks`, signed with a secret of this run."""
    if backends == "sandbox":
        from app.sandbox import start_sandbox

        secret = generate_secret()
        with ThreadPoolExecutor(1) as waiting:
            _print_progress("starting the demo's backends (their data is built once, in a few seconds) ...")
            starting = waiting.submit(start_sandbox, data_dir / "sandbox", webhook=(webhooks, secret))
            import app.server  # noqa: F401 - meanwhile
        with starting.result() as sandbox:
            yield sandbox_sources(sandbox.urls, sandbox.token, secret), SANDBOX_DOMAINS
    else:
        with _real_systems(data_dir / "backends"):
            yield REAL_SOURCES, REAL_DOMAINS


def settings_or_sandbox(config: Path | None) -> Settings:
    """The configured settings; without sources, with those of the demo's sandbox, which need not run."""
    settings = load(config)
    if settings.sources:
        return settings
    nowhere: dict[str, str] = dict.fromkeys(("erp", "commerce", "logistics"), "http://127.0.0.1:1")
    return settings.model_copy(update={"sources": sandbox_sources(nowhere, "none"), "domains": SANDBOX_DOMAINS})


def sandbox_sources(urls: Mapping[str, str], token: str, secret: str | None = None) -> dict[str, SourceSettings]:
    """The three servers of the sandbox as `rest` sources, each with its ports, and with webhooks if there is a secret
    for them."""
    credentials = {"token": SecretStr(token)}
    return {
        name: SourceSettings(
            vendor="rest",
            base_url=url,
            credentials=credentials,
            concurrency=64,
            options={"serves": list(PORTS[name]), "amends_orders": "order_writer" in PORTS[name]},
            webhooks=WebhookSettings(secrets=(SecretStr(secret),)) if secret else None,
        )
        for name, url in urls.items()
    }


def _sandbox_domains() -> DomainSettings:
    """Each domain's master is the first of the sandbox's systems that serves it. Searches use the gateway's index."""
    masters: dict[str, Any] = {}
    for system, ports in PORTS.items():
        for port in ports:
            if port in DomainSettings.model_fields and port != "search":
                masters.setdefault(port, Domain(master=system))
    return DomainSettings(**masters | {
        "orders": OrderDomain(master="erp", enrich=("commerce",), write="erp"),
        "stock": StockDomain(master="erp", reservations=("commerce",), balances={"WH-WEST": "logistics"}),
    })  # fmt: skip


SANDBOX_DOMAINS = _sandbox_domains()
ERP = Domain(master="erp")
REAL_DOMAINS = DomainSettings(
    customers=ERP,
    credit=ERP,
    items=ERP,
    contents=Domain(master="commerce"),
    warehouses=ERP,
    stock=StockDomain(master="erp", reservations=("commerce",)),
    prices=ERP,
    orders=OrderDomain(master="erp", enrich=("commerce",), write="erp"),
    shipments=Domain(master="erp", enrich=("logistics",)),
    billing=ERP,
    receivables=ERP,
    contacts=ERP,
    quotes=ERP,
)


@contextmanager
def _real_systems(data_dir: Path) -> Iterator[None]:
    if all(_answers(port) for port in REAL_PORTS):
        _print_progress("Tryton, Vendure and Karrio run already; they are used as they are, and left running.")
        yield
        return
    check_tools(shutil.which)
    if not UP.exists():
        raise ConfigurationError("backends", "real", "needs the folder backends/ of the repository: run it in a clone")
    with started_systems(UP, data_dir):
        yield


@contextmanager
def started_systems(script: Path, data_dir: Path) -> Iterator[None]:
    """The systems that the script starts. It reports readiness on standard output and stops all on TERM."""
    data_dir.mkdir(parents=True, exist_ok=True)
    command = ["/bin/sh", "-c", 'exec bash "$0" --data-dir "$1"', str(script), str(data_dir)]
    ready: Queue[bool] = Queue()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        relay = threading.Thread(target=_relay, args=(process.stdout, ready))
        try:
            _print_progress(
                "starting Tryton, Vendure and Karrio; the first time they are installed, for some 4 minutes."
            )
            _print_progress(f"Logs: {data_dir}/*.log")
            relay.start()
            if not ready.get():
                raise ConfigurationError("backends", "real", "did not start; the lines above and their logs say why")
            yield
        finally:
            process.terminate()
            process.wait()
            relay.join()


def _relay(lines: Iterable[str], ready: Queue[bool]) -> None:
    """Relay the output of the script until its end, and signal when it is ready."""
    for line in lines:
        if line.strip() == READY_LINE:
            ready.put(True)
        else:
            _print_progress(line.rstrip())
    ready.put(False)


def check_tools(which: Callable[[str], str | None]) -> None:
    """Raise ConfigurationError for missing programs of the real systems, with the way to install them."""
    missing = [f"{tool} ({cure})" for tool, cure in NEEDED.items() if which(tool) is None]
    if missing:
        raise ConfigurationError("backends", "real", f"needs what is not installed: {'; '.join(missing)}")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def tokens(settings: Settings, *, ttl: int = 12 * 3600) -> dict[Role, str]:
    """A token for each role, for the first customers where the role is limited to customers."""
    accounts = [f"CUST-{number:04}" for number in range(1, 11)]
    return {
        role: issue_demo_token(
            settings.auth,
            roles=[role],
            subject=f"demo-{role.value}",
            customers=_accounts(role, accounts),
            agents=["AG-01"] if role is Role.AGENT else (),
            ttl=ttl,
        )
        for role in Role
    }


def _accounts(role: Role, accounts: Sequence[str]) -> Sequence[str]:
    if role in UNRESTRICTED or role is Role.AGENT:
        return ()
    return accounts if role is Role.SALES_REP else accounts[:1]


def welcome(settings: Settings) -> str:
    """The text after the start: addresses, tokens, first requests."""
    address = f"http://{settings.server.host}:{settings.server.port}"
    issued = tokens(settings)
    rep = issued[Role.SALES_REP]
    body = json.dumps({"query": " ".join(SALES_VIEW.split()), "variables": {"customer": {"number": CUSTOMER}}})
    lines = [
        "",
        "Tokens, for 12 hours (more: ./run token --help):",
        "",
        *(f"  {role.value:<12} {token}" for role, token in issued.items()),
        "",
        "A sales rep's view of one customer, to paste into another terminal:",
        "",
        f"  curl -s {address}/graphql -H 'Content-Type: application/json' \\",
        f"    -H 'Authorization: Bearer {rep}' \\",
        f"    -d '{body}'",
        "",
        "The same in the browser, signed in as the sales rep:",
        "",
        f"  {address}/ide/#token={rep}",
        "",
        "A sales rep's app, a buyer's shipments, and the console for operations staff:",
        "",
        f"  {address}/sales/#token={rep}",
        f"  {address}/track/#token={issued[Role.BUYER]}",
        f"  {address}/console/#token={issued[Role.OPERATIONS]}",
        "",
        *_next_step(settings),
        *_backends(settings),
        f"Health: {address}/readyz   Metrics, for operations: {address}/metrics",
        "This is a demo: its tokens are believed by nobody else. Ctrl-C stops everything.",
    ]
    return "\n".join(lines)


def _next_step(settings: Settings) -> list[str]:
    """How to advance a shipment, for the sandbox only."""
    carrier = settings.sources["logistics"]
    token = carrier.credentials.get("token")
    if token is None:
        return []
    bearer = f"Authorization: Bearer {token.get_secret_value()}"
    return [
        f"Let a shipment of order {MOVING_ORDER} go on, and look at it there:",
        "",
        f"  curl -s -X POST -H '{bearer}' {carrier.base_url}/sandbox/shipments/{MOVING}",
        "",
    ]


def _backends(settings: Settings) -> list[str]:
    """The addresses of the sandbox and how to inject a fault; empty for real systems."""
    token = settings.sources["erp"].credentials.get("token")
    if token is None:
        return []
    bearer = f"Authorization: Bearer {token.get_secret_value()}"
    address = settings.sources["erp"].base_url
    return [
        "The backends of the demo, and how to let one fail (docs/sandbox.md):",
        "",
        *(f"  {name:<12} {source.base_url}" for name, source in settings.sources.items()),
        f'  curl -s -H \'{bearer}\' {address}/sandbox/faults -d \'{{"resource": "prices", "errorRate": 1}}\'',
        f"  curl -s -H '{bearer}' {address}/sandbox/faults -X DELETE",
        "",
    ]


def _print_progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
