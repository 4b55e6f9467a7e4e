"""`backends/up.sh` over small servers in the place of the real systems."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.upstreams import listener

SCRIPT = Path(__file__).resolve().parents[2] / "backends" / "up.sh"
FILE_SERVER = """#!/bin/sh
mkdir -p "$DATA_DIR/www/tryton/rest/model/company.company" "$DATA_DIR/www/health" "$DATA_DIR/www/status"
touch "$DATA_DIR/.seeded"
exec python3 -m http.server --bind 127.0.0.1 --directory "$DATA_DIR/www" "$PORT"
"""


def free_port() -> int:
    bound, url = listener()
    bound.close()
    return int(url.rpartition(":")[2])


def fake_backends(folder: Path, running: Sequence[str], lacking: Sequence[str]) -> tuple[Path, dict[str, int]]:
    """The script beside the three systems and those of `running`, which are file servers, and those of `lacking`, for
    which the machine lacks something. Returns it with a free port of each."""
    script = Path(shutil.copy(SCRIPT, folder / "up.sh"))
    ports = {name: free_port() for name in ("tryton", "vendure", "karrio", *running, *lacking)}
    for name, port in ports.items():
        lacks = f"#!/bin/sh\necho 'starting'\necho '{name}: needs Python 3.6 or 3.7' >&2\nexit 69\n"
        run = folder / name / "run.sh"
        run.parent.mkdir()
        run.write_text(lacks if name in lacking else FILE_SERVER)
        run.chmod(0o755)
        if name in running or name in lacking:
            (folder / name / "service.env").write_text(f"port={port}\npath=/health/\n")
    return script, ports
