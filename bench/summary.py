"""Several runs as one Markdown table: CPU milliseconds per request, and the range of the ratios to ours.

./run bench summary run1.json run2.json run3.json
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.candidates import MERCURIUS, PRODUCTION

BEST = {"best bare Mercurius": MERCURIUS, "best production Node peer": PRODUCTION}


def table(runs: Sequence[Sequence[dict[str, Any]]], *, concurrency: int = 32, delay: int = 0) -> str:
    """A row for each candidate, and for the best of each kind of Node peer; a column for each document. `runs` are the
    `rows` of the JSON files. Milliseconds are the median over the runs; ratios are their least and their greatest."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for run in runs:
        rows = [row for row in run if (row["case"]["concurrency"], row["case"]["delay"]) == (concurrency, delay)]
        for document in dict.fromkeys(row["case"]["document"] for row in rows):
            here = {row["name"]: row for row in rows if row["case"]["document"] == document}
            labelled = {row["label"]: row for row in here.values()} | _best(here)
            for label, row in labelled.items():
                found.setdefault(label, {}).setdefault(document, []).append((row["cpu_ms"], row["ratio"]))
    documents = list(dict.fromkeys(document for cells in found.values() for document in cells))
    lines = ["", *(name.replace("_", " ") for name in documents)], ["---"] * (len(documents) + 1)
    body = [[label, *(_cell(cells.get(document, [])) for document in documents)] for label, cells in found.items()]
    return "\n".join("|" + "|".join(f" {cell} " for cell in line) + "|" for line in (*lines, *body))


def _best(here: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    known = {label: [here[name] for name in names if name in here] for label, names in BEST.items()}
    return {label: min(rows, key=lambda row: row["ratio"]) for label, rows in known.items() if rows}


def _cell(values: Sequence[tuple[float, float]]) -> str:
    if not values:
        return ""
    milliseconds = _shown(statistics.median(one for one, _ in values))
    low, high = min(ratio for _, ratio in values), max(ratio for _, ratio in values)
    if low == high == 1:
        return milliseconds
    known = dict.fromkeys((_shown(low), _shown(high)))
    return f"{milliseconds} ({' to '.join(known)})"


def _shown(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def main() -> int:
    """Print the table of the named files."""
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    print(table([json.loads(Path(name).read_text(encoding="utf-8"))["rows"] for name in sys.argv[1:]]))
    return 0
