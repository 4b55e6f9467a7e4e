"""The gateway with one of its settings changed, to see what that setting is worth.

python -m bench.variant SETTINGS_FILE NAME=VALUE ...     loop, http, gc, log
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from app.server import create_app, listen, make_server
from app.settings import load
from app.telemetry import configure_logs

PRODUCTION = {"loop": "uvloop", "http": "httptools", "gc": "tuned", "log": "info"}


def collect_less(how: str) -> None:
    """Garbage collection: as Python has it, without what lives for ever, or also less often."""
    if how in {"frozen", "tuned"}:
        gc.collect()
        gc.freeze()
    if how == "tuned":
        gc.set_threshold(50_000, 20, 50)
    if how == "off":
        gc.disable()


def main(config: str, *changes: str) -> None:
    """Serve until killed."""
    chosen = PRODUCTION | dict(change.split("=", 1) for change in changes)
    settings = load(Path(config))
    configure_logs(form="json", level=chosen["log"], stream=sys.stdout)
    app = create_app(settings)
    server = make_server(settings, app, lambda: None)
    server.config.loop = chosen["loop"]
    server.config.http = chosen["http"]  # type: ignore[assignment]
    collect_less(chosen["gc"])
    server.run(sockets=[listen(settings)])


if __name__ == "__main__":
    main(*sys.argv[1:])
