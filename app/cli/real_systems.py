"""The real systems of the demo: how they are started, and one graph over those that run."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from typing import NamedTuple

import msgspec
from pydantic import SecretStr

from app.errors import ConfigurationError
from app.settings import Domain, DomainSettings, OrderDomain, RouteSettings, SourceSettings, StockDomain

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
        credentials={"username": SecretStr("writer@example.com"), "password": SecretStr("writer-demo")},
        options={"quoted_price_field": "quotedUnitPrice", "unique_order_keys": True},
    ),
    "logistics": SourceSettings(
        vendor="karrio",
        base_url="http://127.0.0.1:5002",
        timeout=10,
        credentials={"api_key": SecretStr("key_0123456789abcdef0123456789abcdef")},
    ),
}
ERP = Domain(master="erp")
REAL_DOMAINS = DomainSettings(
    customers=ERP,
    credit=ERP,
    items=ERP,
    contents=Domain(master="commerce"),
    warehouses=ERP,
    stock=StockDomain(master="erp", reservations=("commerce",)),
    prices=ERP,
    orders=OrderDomain(master="erp", enrich=("commerce",), write="erp", write_channels={"VENDURE": "commerce"}),
    shipments=Domain(master="erp", enrich=("logistics",)),
    billing=ERP,
    receivables=ERP,
    contacts=ERP,
    quotes=ERP,
)

CHANNELS = {"vendure-shop": "VENDURE", "medusa-shop": "MEDUSA"}
"""The channels of orders, by the client that submits them."""
FURTHER_PORTS = {"medusa": 9000, "odoo": 8071}
"""The systems of `--with`, by the name of their source, their folder below backends/ and their port."""
ODOO = SourceSettings(
    vendor="odoo",
    base_url="http://127.0.0.1:8071",
    timeout=10,
    concurrency=6,
    credentials={"login": SecretStr("admin"), "password": SecretStr("admin")},
    options={
        "database": "odoo11",
        "version": 11,
        "warehouse_code": "name",
        "customer_ref_like": "CUST-%",
        "order_warehouse": "WH-EAST",
    },
)
ODOO_CUSTOMERS = RouteSettings(customers=("CUST-001*",), source="odoo")
NEEDED = {
    "bash": "apt install bash",
    "curl": "apt install curl",
    "node": "Node.js 20 or later: https://nodejs.org, or your system's package",
    "npm": "it comes with Node.js, or: apt install npm",
    "setsid": "apt install util-linux",
}


class MedusaCredentials(msgspec.Struct, frozen=True):
    """What the seed of Medusa writes into `credentials.json`, as far as a source needs it."""

    secret_key: str
    region: str

    def __repr__(self) -> str:
        return "<MedusaCredentials>"


class Systems(NamedTuple):
    """Systems that run, as settings of a graph over them."""

    sources: Mapping[str, SourceSettings]
    domains: DomainSettings
    routes: tuple[RouteSettings, ...] = ()
    channels: Mapping[str, str] = {}


@contextmanager
def real_systems(data_dir: Path, further: Sequence[str] = ()) -> Iterator[Systems]:
    """The graph over Tryton, Vendure, Karrio and the `further` systems that run. Starts them unless the three run, and
    stops them at the end. A further system for which this machine lacks something is reported and left out."""
    if all(is_listening(port) for port in REAL_PORTS):
        print_progress("Tryton, Vendure and Karrio run already; they are used as they are, and left running.")
        yield running_systems(data_dir, further, is_listening)
        return
    check_tools(shutil.which)
    if not UP.exists():
        raise ConfigurationError("backends", "real", "needs the folder backends/ of the repository: run it in a clone")
    with started_systems(UP, data_dir, further):
        yield running_systems(data_dir, further, is_listening)


@contextmanager
def started_systems(script: Path, data_dir: Path, further: Sequence[str] = ()) -> Iterator[None]:
    """The systems that the script starts. It reports readiness on standard output and stops all on TERM."""
    data_dir.mkdir(parents=True, exist_ok=True)
    command = ["/bin/sh", "-c", 'exec bash "$0" "$@"', str(script), "--data-dir", str(data_dir)]
    command += ["--with", ",".join(further)] if further else []
    ready: Queue[bool] = Queue()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        relay = threading.Thread(target=_relay, args=(process.stdout, ready))
        try:
            names = ", ".join(["Tryton", "Vendure", "Karrio", *(name.capitalize() for name in further)])
            print_progress(f"starting {names}; the first time they are installed, which takes minutes.")
            print_progress(f"Logs: {data_dir}/*.log")
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
            print_progress(line.rstrip())
    ready.put(False)


def running_systems(data_dir: Path, further: Sequence[str], is_running: Callable[[int], bool]) -> Systems:
    """The graph over the three systems and those of `further` that run; prints which ones do not."""
    extra: dict[str, SourceSettings] = {}
    for name in further:
        if not is_running(FURTHER_PORTS[name]):
            print_progress(f"{name} does not run: the graph is without it. Needs: backends/{name}/README.md")
        elif name == "odoo":
            extra[name] = ODOO
        elif medusa := _medusa_source(data_dir / name / "credentials.json"):
            extra[name] = medusa
    routes = (ODOO_CUSTOMERS,) if ODOO_CUSTOMERS.source in extra else ()
    return Systems(REAL_SOURCES | extra, _real_domains(extra.keys()), routes, CHANNELS)


def _real_domains(further: Collection[str]) -> DomainSettings:
    """The domains with Medusa as another shop: it takes orders of its channel, and adds to orders of the ERPs."""
    orders = REAL_DOMAINS.orders
    if "medusa" not in further or orders is None:
        return REAL_DOMAINS
    changed = {
        "enrich": (*orders.enrich, "medusa"),
        "write_channels": orders.write_channels | {"MEDUSA": "medusa"},
    }
    return REAL_DOMAINS.model_copy(update={"orders": orders.model_copy(update=changed)})


def _medusa_source(file: Path) -> SourceSettings | None:
    """Medusa with the key and the region that its seed wrote; None without that file, which is reported."""
    try:
        written = msgspec.json.decode(file.read_bytes(), type=MedusaCredentials)
    except (OSError, msgspec.DecodeError):
        print_progress(f"medusa runs, but {file} cannot be read: the graph is without it.")
        return None
    return SourceSettings(
        vendor="medusa",
        base_url="http://127.0.0.1:9000",
        timeout=10,
        credentials={"secret_key": SecretStr(written.secret_key)},
        options={"currency": "USD", "region": written.region},
    )


def further_systems(names: str) -> tuple[str, ...]:
    """The systems of `--with`, separated by commas. Raises ConfigurationError for one that the demo cannot start."""
    further = tuple(dict.fromkeys(name for part in names.split(",") if (name := part.strip())))
    for name in further:
        if name not in FURTHER_PORTS:
            raise ConfigurationError("--with", name, f"choose from {', '.join(FURTHER_PORTS)}")
    return further


def check_tools(which: Callable[[str], str | None]) -> None:
    """Raise ConfigurationError for missing programs of the real systems, with the way to install them."""
    missing = [f"{tool} ({cure})" for tool, cure in NEEDED.items() if which(tool) is None]
    if missing:
        raise ConfigurationError("backends", "real", f"needs what is not installed: {'; '.join(missing)}")


def is_listening(port: int) -> bool:
    """Whether something on this machine accepts connections at a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def print_progress(text: str) -> None:
    """Print a line of the start to standard error."""
    print(text, file=sys.stderr, flush=True)
