"""The files around the code: the entry point, the locks, the scan, the documented errors."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app import errors

ROOT = Path(__file__).resolve().parents[2]


def script(name: str):
    """A file of scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(f"scripts_{name}", ROOT / "scripts" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # Dataclasses look their module up.
    spec.loader.exec_module(module)
    return module


def sh(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The entry point, in a bare environment."""
    return subprocess.run(
        ["sh", ROOT / "run", *arguments],
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def tree() -> list[type[errors.TradegraphError]]:
    """Every error class."""
    classes = [errors.TradegraphError]
    for one in classes:
        classes += one.__subclasses__()
    return classes


def codes() -> set[str]:
    """The code of every error class."""
    return {one.code for one in tree()}


def test_every_error_code_is_documented_with_meaning_cause_and_cure():
    text = (ROOT / "docs" / "errors.md").read_text()
    sections = dict(re.findall(r"^## `([A-Z_]+)`\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    assert set(sections) == codes()
    for code, section in sections.items():
        for part in ("**Meaning.**", "**Cause.**", "**Cure.**"):
            assert part in section, f"{code} lacks {part}"


def test_documented_http_status_of_an_error_is_the_one_it_has():
    text = (ROOT / "docs" / "errors.md").read_text()
    documented = dict(
        re.findall(r"^## `([A-Z_]+)`\n(?:(?!^## ).)*?HTTP status is (\d{3})", text, re.DOTALL | re.MULTILINE)
    )
    statuses = {one.code: str(one.http_status) for one in tree()}
    assert {code: statuses[code] for code in documented} == documented
    assert len(documented) > 20


def test_long_lines_are_found_in_prose_only():
    prose, code, table = "word " * 30, "```\n" + "code " * 30 + "\n```", "| " + "cell " * 30 + "|"
    address = "- <https://example.com/" + "a" * 110 + ">"
    text = "\n".join([prose, code, table, address, "short", f"> {prose}"])
    assert [number for number, _ in script("check").long_lines(text)] == [1, 8]


def test_locks_fulfil_the_project_file():
    assert script("locks").problems() == []


def test_lock_check_sees_a_missing_an_old_and_a_strange_pin(tmp_path: Path):
    locks = script("locks")
    pins, strange = locks.read_lock(
        "starlette==0.9 \\\n    --hash=sha256:" + "0" * 64 + "\nhttpx @ https://example.com/httpx.whl\n"
    )
    assert strange == ["httpx @ https://example.com/httpx.whl"]
    assert locks.unmet(["starlette>=1.10,<2", "httpx>=0.28"], pins) == [
        "starlette is locked at 0.9, required is <2,>=1.10",
        "httpx is required and not locked",
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("see " + "/ho" + "me/bob/tradegraph", "a path of one machine"),
        ("http://192." + "168.7.9:80/", "a private network"),
        ("-----BEGIN " + "PRIVATE KEY-----", "a private key"),
        ("tg_" + 12 * "a" + "_" + 49 * "b", "an API key"),
        ('"reso' + 'lved": "x"', "a package index"),
    ],
)
def test_scan_finds(tmp_path: Path, line: str, what: str):
    file = tmp_path / "notes.md"
    file.write_text(f"clean\n{line}\n")
    found = list(script("scan").findings(file))
    assert len(found) == 1
    assert found[0].startswith(f"{file}:2: {what}: ")


def test_tracked_files_are_clean():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "scan.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "clean\n")


def test_help_needs_no_environment():
    done = sh("help")
    assert done.returncode == 0
    assert "./run" in done.stdout
    assert done.stderr == ""


def test_unknown_command_is_named():
    done = sh("frobnicate")
    assert done.returncode == 1
    assert done.stderr.endswith("run: no such command: frobnicate\n")
    assert done.stdout == ""


def test_too_old_a_python_is_named(tmp_path: Path):
    """In a copy without an environment: the one here is left alone."""
    for name in ("run", "requirements.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    done = subprocess.run(
        ["sh", tmp_path / "run", "token"],
        env={"PATH": "/usr/bin:/bin", "TRADEGRAPH_PYTHON": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "run: TRADEGRAPH_PYTHON = false: not a Python of 3.11 or later."
    assert done.stdout == ""
    assert not (tmp_path / ".venv.lock").exists()
