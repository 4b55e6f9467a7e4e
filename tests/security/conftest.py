"""Where the tools are: in an environment of their own, made when they are first asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

from app.sandbox import Sandbox
from tests.attacks.target import Target, running_target

HERE = Path(__file__).resolve().parent
LOCK = HERE / "requirements.lock"
VENV = HERE.parents[1] / ".venv-security"


SAID = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in terminalreporter.config.stash.get(SAID, []):
        terminalreporter.write_line(line)


@pytest.fixture
def said(request: pytest.FixtureRequest) -> list[str]:
    """Lines that stand under the results."""
    return request.config.stash.setdefault(SAID, [])


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder with the programs; skips where they cannot be installed."""
    mark, wanted = VENV / "installed", f"{crc32(LOCK.read_bytes())} {VENV}"
    if not mark.exists() or mark.read_text(encoding="utf-8") != wanted:
        python = str(VENV / "bin" / "python")
        _uv("venv", "-q", "--clear", "--python", sys.executable, str(VENV))
        _uv("pip", "install", "-q", "--python", python, "--require-hashes", "-r", str(LOCK))
        mark.write_text(wanted, encoding="utf-8")
    return VENV / "bin"


def _uv(*arguments: str) -> None:
    """Run uv, a second time with the certificates that this machine trusts, as a proxy may have some of its own."""
    for certificates in ([], ["--system-certs"]):
        command = [sys.executable, "-m", "uv", *certificates, *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            return
    pytest.skip(f"the tools could not be installed: {' '.join(done.stderr.split())[-300:]}")


@pytest.fixture(scope="session")
def target(dated_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A gateway set up as in production, in a process of its own."""
    with running_target(dated_sandbox, tmp_path_factory.mktemp("attacked")) as running:
        yield running
