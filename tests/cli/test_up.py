"""The script that starts the real systems, over small servers in their place."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.upstreams import listener

SCRIPT = Path(__file__).resolve().parents[2] / "backends" / "up.sh"
SERVER = """#!/bin/sh
mkdir -p "$DATA_DIR/www/tryton/rest/model/company.company" "$DATA_DIR/www/health" "$DATA_DIR/www/status"
touch "$DATA_DIR/.seeded"
exec python3 -m http.server --bind 127.0.0.1 --directory "$DATA_DIR/www" "$PORT"
"""


def free_port() -> int:
    bound, url = listener()
    bound.close()
    return int(url.rpartition(":")[2])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The script beside systems that are file servers, and one that lacks something."""
    shutil.copy(SCRIPT, tmp_path / "up.sh")
    lacking = "#!/bin/sh\necho 'starting'\necho 'lacking: needs Python 3.6 or 3.7' >&2\nexit 69\n"
    systems = dict.fromkeys(("tryton", "vendure", "karrio", "more"), SERVER) | {"lacking": lacking}
    for name, script in systems.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.sh").write_text(script)
        (tmp_path / name / "run.sh").chmod(0o755)
    for name in ("more", "lacking"):
        (tmp_path / name / "service.env").write_text(f"port={free_port()}\npath=/health/\n")
    return tmp_path


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    ports = {f"{name}_PORT": str(free_port()) for name in ("TRYTON", "VENDURE", "KARRIO")}
    command = ["bash", str(folder / "up.sh"), "--data-dir", str(folder / "data"), *arguments]
    out = subprocess.PIPE
    with subprocess.Popen(command, env=os.environ | ports, stdout=out, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def test_further_systems_are_started_and_what_a_machine_lacks_is_left_out(folder: Path):
    with started(folder, "--with", "lacking,more") as process:
        assert process.stdout
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line.strip())
            if lines[-1] == "Ctrl-C stops them.":
                break
        assert process.poll() is None
    assert "lacking: needs Python 3.6 or 3.7" in lines
    assert "lacking is left out" in lines
    assert {line.split()[0] for line in lines if " answers after " in line} == {"tryton", "vendure", "karrio", "more"}
    assert [line.split()[0] for line in lines if "says how to sign in" in line] == ["more"]
    assert process.returncode == 143


def test_system_of_the_three_that_lacks_something_stops_all(folder: Path):
    shutil.copy(folder / "lacking" / "run.sh", folder / "karrio" / "run.sh")
    with started(folder) as process:
        out, _ = process.communicate(timeout=120)
    assert "karrio stopped:" in out
    assert process.returncode == 1


def test_unknown_system_is_refused(folder: Path):
    with started(folder, "--with=nope") as process:
        out, _ = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "--with nope: no such backend\n")
