"""Look through the tracked files for what ties them to one machine or gives a secret away.

    python scripts/scan.py [FILE ...]      no files named: all that git tracks

A line that must hold such a thing ends in `scan: REASON`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RULES = {
    "a path of one machine": r"(?<![\w.$}*)-])/(?:home|Users|root|work|opt|srv|tmp)/[\w.-]+|[A-Z]:\\Users\\",
    "a package index": r"\"resolved\": *\"|--(?:(?:extra-)?index-url|find-links)|https?://[^\s\"]*/(?:simple|packages)/",
    "a private network": r"\b(?:10\.\d+|172\.(?:1[6-9]|2\d|3[01])|192\.168)\.\d+\.\d+\b|\.(?:internal|corp|lan)[:/]",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a token": r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{36}|xox[abp]-[\w-]{10,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})",
    "an API key": r"\btg_[0-9a-z]{12}_[0-9A-Za-z]{49}\b",
}
PATTERNS = {name: re.compile(pattern) for name, pattern in RULES.items()}
EXCUSED = re.compile(r"scan: \w+")
BINARY = {".png", ".ico", ".woff", ".woff2", ".sqlite", ".gz"}
MINIFIED = "app/web/ide/"  # built from ide/, whose source is looked at


def tracked() -> list[Path]:
    """Every file that git tracks."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in names.split("\0") if name]


def findings(path: Path) -> Iterator[str]:
    """`FILE:LINE: what, and the text` for each hit."""
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    if path.suffix in BINARY or str(name).startswith(MINIFIED) or not path.is_file():
        return
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        for what, pattern in PATTERNS.items():
            if (hit := pattern.search(line)) and not excused(str(name), what, line):
                yield f"{name}:{number}: {what}: {hit[0][:80]}"


def excused(name: str, what: str, line: str) -> bool:
    """Whether the line says why, or is a test's, which puts such addresses into backends' mouths."""
    return bool(EXCUSED.search(line)) or (what == "a private network" and name.startswith("tests/"))


def main(names: list[str]) -> int:
    """1 if there is anything to take out."""
    found = [line for path in ([Path(name).resolve() for name in names] or tracked()) for line in findings(path)]
    print("\n".join(found) if found else "clean")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
