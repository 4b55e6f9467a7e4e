"""What each setting of the gateway is worth, one changed at a time, and each encoder alone.

./run bench singly [--changes NAME ...] [--rounds 3] [--seconds 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import orjson

from bench.candidates import OURS, REFERENCE, Candidate, settings_of
from bench.dataset import build
from bench.expected import expected
from bench.gateway import Gateway, has_plan_engine
from bench.processes import python
from bench.session import Sample, median_ratio, session

BASE = "as in production"
CHANGES = {
    BASE: (),
    "asyncio instead of uvloop": ("loop=asyncio",),
    "h11 instead of httptools": ("http=h11",),
    "granian instead of uvicorn": ("server=granian",),
    "gc as Python has it": ("gc=default",),
    "gc.freeze only": ("gc=frozen",),
    "no gc at all": ("gc=off",),
    "no log line per request": ("log=warning",),
    "no audit": ("audit=off",),
    "no policy, limits and budgets": ("rules=off",),
}
DOCUMENTS = ("sales_view", "customer_card")


def variants(gateway: Gateway, names: Sequence[str] = tuple(CHANGES)) -> list[Candidate]:
    """A server for each change."""
    environment = settings_of(gateway, OURS if has_plan_engine() else REFERENCE)
    return [
        Candidate(name, name, python("-m", "bench.variant", gateway.config, *changes), environment)
        for name, changes in CHANGES.items()
        if name in {BASE, *names}
    ]


def settings(names: Sequence[str], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """CPU per request under each change, and how many times that of production."""
    found: dict[tuple[str, str], list[Sample]] = {}
    with session(choose=lambda gateway: variants(gateway, names)) as running:
        for document in DOCUMENTS:
            for _ in range(rounds):
                for name in running.started:
                    found.setdefault((name, document), []).append(running.load(name, document, 32, seconds))
    return [
        {
            "change": name,
            "document": document,
            "cpu_ms": statistics.median(one.cpu_ms for one in samples),
            "times": median_ratio(samples, found[BASE, document]),
        }
        for (name, document), samples in found.items()
    ]


def encoders() -> list[dict[str, Any]]:
    """Microseconds to encode the sales view's answer, as dictionaries."""
    answer = json.loads(expected(build(), "sales_view", "CUST-0001"))
    ways: dict[str, Callable[[Any], bytes]] = {
        "orjson": orjson.dumps,
        "msgspec": msgspec.json.Encoder().encode,
        "json": lambda value: json.dumps(value).encode(),
    }
    return [{"encoder": name, "microseconds": _microseconds(encode, answer)} for name, encode in ways.items()]


def _microseconds(encode: Callable[[Any], bytes], value: Any) -> float:
    spent = []
    for _ in range(7):
        started = time.process_time()
        for _ in range(50):
            encode(value)
        spent.append((time.process_time() - started) / 50)
    return 1e6 * min(spent)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./run bench singly")
    parser.add_argument("--changes", nargs="+", choices=CHANGES, default=tuple(CHANGES), help="only these")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = settings(given.changes, given.rounds, given.seconds)
    for document in DOCUMENTS:
        print(f"\n{document}, 32 in flight: CPU per request\n")
        for row in rows:
            if row["document"] == document:
                print(f"    {row['change']:<28} {row['cpu_ms']:>9.3f} ms {row['times']:>7.2f} x")
    alone = encoders()
    print("\nencoding the sales view's answer, alone\n")
    for row in alone:
        print(f"    {row['encoder']:<28} {row['microseconds']:>9.0f} us")
    if given.json:
        given.json.write_text(json.dumps({"settings": rows, "encoders": alone}, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
