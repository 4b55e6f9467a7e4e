"""Everything that can be said about the tree without running the tests.

    ./run check [STEP ...]

Steps run two at a time; each prints one line, and its output if it fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
BIN = Path(sys.executable).parent
COLUMNS = 120
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
UNREACHABLE = ("ConnectionError", "Max retries", "NameResolution", "ServiceError", "timed out", "403", "407")


@dataclass(frozen=True, slots=True)
class Outcome:
    """`note` follows the step's name on its line; `output` is printed if the step failed."""

    passed: bool
    output: str = ""
    note: str = ""


def run(*command: str | Path, **variables: str) -> Outcome:
    """Run one tool in the root of the tree."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Outcome(done.returncode == 0, done.stdout)


def docs() -> Outcome:
    """Build the documentation; a broken link or a page outside the navigation fails."""
    with tempfile.TemporaryDirectory() as site:
        return run(PYTHON, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", site, NO_MKDOCS_2_WARNING="1")


def shell() -> Outcome:
    """Parse the shell files; lint them where shellcheck is installed."""
    done = [run("sh", "-n", "run"), *(run("bash", "-n", file) for file in (".ci/run", "backends/up.sh"))]
    if shutil.which("shellcheck"):
        done.append(run("shellcheck", "run", ".ci/run"))
    return Outcome(
        all(outcome.passed for outcome in done),
        "".join(outcome.output for outcome in done),
        "" if shutil.which("shellcheck") else "shellcheck is not installed: parsed only",
    )


def prose() -> Outcome:
    """Refuse lines of prose over 120 columns. A line may be longer in a code block, in a table, or where it has no
    space to break at."""
    pages = [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in PAGES)]
    found = [
        f"{page.relative_to(ROOT)}:{number}: {len(line)} columns"
        for page in pages
        for number, line in long_lines(page.read_text(encoding="utf-8"))
    ]
    return Outcome(not found, "\n".join(found))


def long_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a Markdown text that are too long, with their numbers."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = re.match(r"\s*(```+|~~~+)", line)
        if mark is not None and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        elif not fence and len(line) > COLUMNS and not is_table(line) and " " in line[:COLUMNS].strip(" -*>#"):
            yield number, line


def is_table(line: str) -> bool:
    """Whether a line is a row of a table, which Markdown cannot break."""
    return line.lstrip().startswith("|")


def audit() -> Outcome:
    """Known vulnerabilities in the runtime lock, if the advisory service can be reached."""
    options = ["--disable-pip", "--require-hashes", "--progress-spinner=off", "--timeout=5"]
    done = run(BIN / "pip-audit", *options, "-r", "requirements.lock")
    if not done.passed and any(sign in done.output for sign in UNREACHABLE):
        return Outcome(True, note="the advisory service cannot be reached: not audited")
    return done


STEPS: dict[str, Callable[[], Outcome]] = {
    "types": lambda: run(BIN / "pyright", "--pythonpath", PYTHON, PYRIGHT_PYTHON_IGNORE_WARNINGS="1"),
    "lint": lambda: run(BIN / "ruff", "check", "--output-format=concise", "."),
    "format": lambda: run(BIN / "ruff", "format", "--check", "--output-format=concise", "."),
    "layers": lambda: run(BIN / "lint-imports", "--no-logo"),
    "schema": lambda: run(PYTHON, "-P", "-m", "app.cli", "schema", "check"),
    "policy": lambda: run(PYTHON, "-P", "-m", "app.cli", "policy", "matrix", "--check"),
    "contract": lambda: run(PYTHON, "scripts/openapi.py", "--check"),
    "docs": docs,
    "prose": prose,
    "locks": lambda: run(PYTHON, "scripts/locks.py"),
    "dependencies": lambda: run(BIN / "deptry", "--no-ansi", "."),
    "scan": lambda: run(PYTHON, "scripts/scan.py"),
    "shell": shell,
    "audit": audit,
}


def timed(name: str) -> tuple[Outcome, float]:
    """Run one step and say how long it took."""
    started = time.monotonic()
    return STEPS[name](), time.monotonic() - started


def main(names: list[str]) -> int:
    """1 if a step failed, 2 if there is no such step."""
    if unknown := [name for name in names if name not in STEPS]:
        print(f"no such step: {', '.join(unknown)}. There are: {', '.join(STEPS)}")
        return 2
    failed = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        running = {name: pool.submit(timed, name) for name in names or STEPS}
        for name, future in running.items():
            outcome, seconds = future.result()
            note = f"  ({outcome.note})" if outcome.note else ""
            print(f"{'ok    ' if outcome.passed else 'FAILED'}  {name:<13} {seconds:5.1f} s{note}", flush=True)
            if not outcome.passed:
                failed.append(name)
                print("\n".join(f"        {line}" for line in outcome.output.splitlines()), flush=True)
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
