"""Tables and printed files on the command line."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

import typer


def print_table(rows: Sequence[Sequence[object]]) -> None:
    """Print rows in columns, the first as header. Without other rows standard error says so."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if len(rows) == 1:
        print("(none)", file=sys.stderr)


def check_printed(file: Path, code: str, otherwise: str) -> None:
    """Fail and show the difference, unless a file holds what the code says."""
    printed = file.read_text(encoding="utf-8") if file.is_file() else ""
    if printed == code:
        return
    lines = difflib.unified_diff(printed.splitlines(), code.splitlines(), str(file), "the code", lineterm="")
    print("\n".join(lines))
    print(otherwise, file=sys.stderr)
    raise typer.Exit(1)
