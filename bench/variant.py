"""The gateway with one of its settings changed, to see what that setting is worth.

python -m bench.variant SETTINGS_FILE NAME=VALUE ...     server, loop, http, gc, log, rules, audit
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette

import app.server
from app.auth.policy import ALL_PERMISSIONS
from app.auth.principal import Role
from app.gateway.interfaces import UnlimitedAdmission
from app.protocol.listener import listen
from app.protocol.serving import make_server
from app.server import GC_THRESHOLDS, create_app
from app.settings import Settings, load
from app.telemetry import configure_logs

PRODUCTION = {
    "server": "uvicorn",
    "loop": "uvloop",
    "http": "httptools",
    "gc": "tuned",
    "log": "info",
    "rules": "on",
    "audit": "on",
}


def collect_less(how: str) -> None:
    """Garbage collection: as Python has it, without what lives for ever, or also less often."""
    if how in {"frozen", "tuned"}:
        gc.collect()
        gc.freeze()
    if how == "tuned":
        gc.set_threshold(*GC_THRESHOLDS)
    if how == "off":
        gc.disable()


class NoPolicy:
    """Every field for everybody."""

    def permissions(self, roles: frozenset[Role]) -> object:
        """All of them."""
        return ALL_PERMISSIONS


class NoAdmission(UnlimitedAdmission):
    """No cost, no budget, no caps."""

    connect = None


def without_rules() -> None:
    """Let whoever has a token see every field at any cost. There is no setting for that, so the parts are exchanged."""
    app.server.policy_of = lambda _: NoPolicy()  # type: ignore[assignment, return-value]
    app.server.AdmissionController = lambda *_, **__: NoAdmission()  # type: ignore[assignment, misc]


def application(settings: Settings, chosen: Mapping[str, str]) -> Starlette:
    """The gateway, with its logs and garbage collection set."""
    configure_logs(form="json", level=chosen["log"], stream=sys.stdout)
    if chosen["rules"] == "off":
        without_rules()
    if chosen["audit"] == "off":
        settings = settings.model_copy(update={"audit": settings.audit.model_copy(update={"enabled": False})})
    gateway = create_app(settings)
    collect_less(chosen["gc"])
    return gateway


def by_granian(settings: Settings, chosen: Mapping[str, str]) -> None:
    """Serve by granian, which makes the application in a process of its own."""
    from granian.constants import HTTPModes, Interfaces, Loops
    from granian.server import Server

    server = Server(
        "gateway",
        address=settings.server.host,
        port=settings.server.port,
        interface=Interfaces.ASGI,
        loop=Loops(chosen["loop"]),
        http=HTTPModes.http1,
        log_enabled=False,
    )
    server.serve(target_loader=lambda *_: application(settings, chosen), wrap_loader=False)


def main(config: str, *changes: str) -> None:
    """Serve until killed."""
    chosen = PRODUCTION | dict(change.split("=", 1) for change in changes)
    settings = load(Path(config))
    if chosen["server"] == "granian":
        by_granian(settings, chosen)
        return
    server = make_server(settings, application(settings, chosen), lambda: None)
    server.config.loop = chosen["loop"]
    server.config.http = chosen["http"]  # type: ignore[assignment]
    server.run(sockets=[listen(settings)])


if __name__ == "__main__":
    main(*sys.argv[1:])
