"""How the suite itself runs: which tests, and in how many processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
[pytest]
asyncio_default_fixture_loop_scope = function
testpaths = checks
markers = long
    live
    security
"""
TESTS = """
import pytest

@pytest.mark.long
def test_long(): pass

@pytest.mark.security
def test_attacked_by_others(): pass

@pytest.mark.live
def test_real(): pass

def test_quick(request): assert hasattr(request.config, "workerinput") == {parallel}
"""
OF_ALL = "2 passed, 1 skipped, 1 deselected"
OF_THE_QUICK = "1 passed, 1 skipped, 2 deselected"


@pytest.mark.parametrize(
    ("arguments", "summary", "parallel"),
    [
        ((), OF_THE_QUICK, True),
        (("--all", "-n", "0"), OF_ALL, False),
        (("checks", "-n", "0"), OF_ALL, False),
        (("-n", "1"), OF_THE_QUICK, True),
        (("-n", "0"), OF_THE_QUICK, False),
        (("-p", "no:xdist", "--all"), OF_ALL, False),
        (("checks/test_some.py",), OF_ALL, False),
        (("checks/test_some.py::test_long",), "1 passed", False),
        (("-n", "0", "-m", "long"), "1 passed, 3 deselected", False),
        (("-n", "0", "-k", "long"), "1 passed, 3 deselected", False),
        (("--differential", "-n", "0"), OF_ALL, False),
        (("--security",), "1 passed, 3 deselected", False),
        (("--live",), "3 passed, 1 deselected", False),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_what_runs_and_where(tmp_path: Path, arguments: tuple[str, ...], summary: str, parallel: bool):
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "test_some.py").write_text(TESTS.format(parallel=parallel))
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.suite", "--no-header", *arguments]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PATH": "", "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert f"= {summary} in " in done.stdout.splitlines()[-1], done.stdout + done.stderr
