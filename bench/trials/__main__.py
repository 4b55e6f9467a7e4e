"""`./run trial soak | faults | sharing`: the gateway while things go wrong, and what its workers share."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any


def main() -> int:
    """Run one of them; 1 where it found what was not promised."""
    parser = argparse.ArgumentParser(prog="./run trial", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go as well")
    trials = parser.add_subparsers(dest="trial", required=True)
    soak = trials.add_parser("soak", help="random faults under load")
    soak.add_argument("--minutes", type=float, default=30)
    soak.add_argument("--rate", type=float, default=20, help="reads a second")
    soak.add_argument("--workers", type=int, default=2)
    soak.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    figures, text = asyncio.run(_soak(given))
    print(text)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return int(not figures["kept"])


async def _soak(given: argparse.Namespace) -> tuple[dict[str, Any], str]:
    from bench.trials.soak import as_text, soak

    figures = (await soak(given.minutes, given.rate, given.workers, given.seed)).as_json()
    return figures, as_text(figures)


if __name__ == "__main__":
    sys.exit(main())
