"""Compute requirements.lock and requirements-dev.lock anew from pyproject.toml.

    ./run lock [--upgrade]

The locks hold names, versions, markers and hashes, and nothing else: no address of an index, no path.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = [
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-config",
    "--quiet",
]


def compile_lock(target: str, *options: str) -> None:
    """Resolve pyproject.toml into one lock; versions already there are kept unless --upgrade is among the options."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", *OPTIONS, *options, "-o", target]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Runtime first: the development lock holds the same versions, and more."""
    options = sys.argv[1:]
    compile_lock("requirements.lock", *options)
    compile_lock("requirements-dev.lock", "--group=dev", "--constraints=requirements.lock", *options)
    print("requirements.lock and requirements-dev.lock are computed; read their diff before you commit it.")


if __name__ == "__main__":
    main()
