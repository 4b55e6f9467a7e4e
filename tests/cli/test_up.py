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

from tests.support.backends import FILE_SERVER, fake_backends, free_port


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The script beside systems that are file servers, and one that lacks something."""
    fake_backends(tmp_path, running=("more",), lacking=("lacking",))
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


def test_further_system_is_not_ready_while_it_is_being_seeded(folder: Path):
    """It serves first, Tryton after it, Karrio once Tryton has answered; its seed ends once Karrio has answered."""
    port = (folder / "more" / "service.env").read_text().split()[0].removeprefix("port=")
    serve = f'python3 -m http.server --bind 127.0.0.1 --directory "$DATA_DIR/www" {port} &'
    until = "until %s; do sleep 0.05; done\n"
    more_serves = f"curl -fs -o /dev/null http://127.0.0.1:{port}/health/"
    scripts = {
        "more": f'#!/bin/sh\nmkdir -p "$DATA_DIR/www/health"\n{serve}\n'
        + until % '[ -f "$DATA_DIR/go" ]'
        + 'touch "$DATA_DIR/done"\nwait\n',
        "tryton": FILE_SERVER.replace("exec", until % more_serves + "exec"),
        "karrio": FILE_SERVER.replace("exec", until % '[ -f "$DATA_DIR/go" ]' + "exec"),
    }
    for name, script in scripts.items():
        (folder / name / "run.sh").write_text(script)
    with (folder / "more" / "service.env").open("a") as service:
        service.write("seeded=done\n")
    answered: list[str] = []
    with started(folder, "--with", "more") as process:
        assert process.stdout
        for line in process.stdout:
            if " answers after " in line:
                answered.append(line.split()[0])
                following = {"tryton": "karrio", "karrio": "more"}.get(answered[-1])
                if following:
                    (folder / "data" / following / "go").touch()
            if line.strip() == "Ctrl-C stops them.":
                break
    assert [name for name in answered if name != "vendure"] == ["tryton", "karrio", "more"]


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
