"""The demo: backends, gateway, IDE page and tokens in one command. All processes end with it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Literal

from pydantic import SecretStr

from app.auth.demo import demo_auth, issue_demo_token
from app.auth.principal import UNRESTRICTED, Role
from app.cli.real_systems import Systems, print_progress, real_systems
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


def demo(port: int, data_dir: Path, backends: Backends, further: Sequence[str] = ()) -> None:
    """Serve the demo until Ctrl-C; `further` are the real systems beside Tryton, Vendure and Karrio."""
    server = ServerSettings(port=port, graceful_shutdown=2)
    listener = listen(Settings(server=server))
    auth = demo_auth(data_dir)
    here = f"http://127.0.0.1:{listener.getsockname()[1]}/webhooks"
    with running(backends, data_dir, here, further) as systems:
        settings = demo_settings(listener.getsockname()[1], auth, data_dir, systems)
        with _published(settings):
            _serve(settings, listener)


def demo_settings(port: int, auth: AuthSettings, data_dir: Path, systems: Systems) -> Settings:
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
            "sources": dict(systems.sources),
            "domains": systems.domains,
            "routes": systems.routes,
            "downloads": {"secrets": (token_urlsafe(48),)},
            "intake": {"proofs": {"keys": {DEMO_KEY: token_urlsafe(48)}}, "channels": dict(systems.channels)},
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
    lines = [f"[sources.{name}]", f'vendor = "{source.vendor}"', f'base_url = "{source.base_url}"']
    for title, table in (("credentials", credentials), ("options", source.options)):
        lines += [f"[sources.{name}.{title}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n\n"


def _serve(settings: Settings, listener: socket.socket) -> None:
    from app.server import run
    from app.telemetry import configure_logs

    configure_logs(form=settings.log.format, level=settings.log.level)
    run(settings, started=lambda: print(welcome(settings), flush=True), listener=listener)


@contextmanager
def running(backends: Backends, data_dir: Path, webhooks: str, further: Sequence[str] = ()) -> Iterator[Systems]:
    """The backends, started if they do not run yet, and stopped with the demo. The sandbox posts its events to
    `webhooks`, signed with a secret of this run."""
    if backends == "sandbox":
        from app.sandbox import start_sandbox

        secret = generate_secret()
        with ThreadPoolExecutor(1) as waiting:
            print_progress("starting the demo's backends (their data is built once, in a few seconds) ...")
            starting = waiting.submit(start_sandbox, data_dir / "sandbox", webhook=(webhooks, secret))
            import app.server  # noqa: F401 - meanwhile
        with starting.result() as sandbox:
            yield Systems(sandbox_sources(sandbox.urls, sandbox.token, secret), SANDBOX_DOMAINS)
    else:
        with real_systems(data_dir / "backends", further) as systems:
            yield systems


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
        *_order_targets(settings),
        *_next_step(settings),
        *_backends(settings),
        f"Health: {address}/readyz   Metrics, for operations: {address}/metrics",
        "This is a demo: its tokens are believed by nobody else. Ctrl-C stops everything.",
    ]
    return "\n".join(lines)


def _order_targets(settings: Settings) -> list[str]:
    """Which system an order goes to, where there are several."""
    orders = settings.domains.orders
    if orders is None or orders.write is None or not orders.write_channels:
        return []
    targets = [
        (f"client {client} (./run token --subject {client} ...)", orders.write_channels[channel])
        for client, channel in settings.intake.channels.items()
        if channel in orders.write_channels
    ]
    targets += [(f"customers {', '.join(route.customers)}", route.source) for route in settings.routes]
    return [
        "Orders of `submitOrder` go to:",
        "",
        *(f"  {name:<12} {which}" for which, name in targets),
        f"  {orders.write:<12} all others",
        "",
    ]


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
