"""`./run bench`: the gateway beside its peers.

./run bench                       everything: 3 documents, 3 loads, 2 delays; about an hour
./run bench --quick               under 3 minutes; fails where a ratio is a quarter worse than bench/baseline.json
./run bench --events [--quick]     shipment updates: intake, delay, memory, recovery
./run bench transport | singly    the HTTP clients compared; what each setting of ours gains
./run bench summary FILE ...       the --json files of several runs as one table, with the range of the ratios
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.candidates import LIMIT, OURS, PLAIN, REFERENCE, candidates, versions
from bench.gateway import has_plan_engine
from bench.processes import ROOT
from bench.session import Sample, Session, WrongAnswer, session
from bench.table import (
    Case,
    Row,
    as_json,
    as_text,
    ratios,
    regressions,
    rows_of,
    targets,
    targets_text,
)

DOCUMENTS = ("sales_view", "item_list", "customer_card")
BASELINE = ROOT / "bench" / "baseline.json"
PICTURE_CASE = Case("sales_view", 0, 32)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="./run bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few cases, and compared with the baseline")
    parser.add_argument("--candidates", nargs="+", metavar="NAME", default=[])
    parser.add_argument("--documents", nargs="+", choices=DOCUMENTS, default=DOCUMENTS)
    parser.add_argument("--concurrency", nargs="+", type=int, default=(1, 32, 128))
    parser.add_argument("--delay", nargs="+", type=int, default=(0, 5), help="milliseconds that the upstream waits")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load, in each round")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="an SVG of the sales view's bars")
    parser.add_argument("--save-baseline", action="store_true", help="with --quick: keep its ratios as the baseline")
    given = parser.parse_args(argv)
    if given.quick:
        given.concurrency, given.delay, given.rounds, given.seconds = (8,), (0,), 3, 1.0
        given.candidates = given.candidates or quick_candidates()
    return given


def quick_candidates() -> list[str]:
    """The ones that a regression is measured by: no Node needed, and in this process's own language."""
    return [*([OURS] if has_plan_engine() else []), REFERENCE, LIMIT, PLAIN]


def cases(given: argparse.Namespace) -> list[Case]:
    """Delay changes least often."""
    return [
        Case(document, delay, concurrency)
        for delay in given.delay
        for document in given.documents
        for concurrency in given.concurrency
    ]


def measure(running: Session, case: Case, rounds: int, seconds: float) -> list[Row]:
    """Interleaved rounds: each candidate once, and again, so that what disturbs the machine disturbs all."""
    found: dict[str, list[Sample]] = {name: [] for name in running.started}
    for name in found:
        running.load(name, case.document, case.concurrency, 0.3)  # warm for this document and this load
    for _ in range(rounds):
        for name, samples in found.items():
            samples.append(running.load(name, case.document, case.concurrency, seconds))
    labels = {name: one.candidate.label for name, one in running.started.items()}
    return rows_of(case, found, labels, {name: running.peak(name) for name in found})


def run(given: argparse.Namespace) -> int:
    """Measure, print, keep; 1 where a ratio fell behind the baseline."""
    started = time.monotonic()
    rows: list[Row] = []
    scale = None
    with session(lambda gateway: candidates(gateway, names=given.candidates)) as running:
        alone = running.upstream_alone(1.0)
        delay = None
        for case in cases(given):
            if case.delay != delay:
                delay = case.delay
                running.delay(delay / 1000)
            print(f"{time.monotonic() - started:6.0f} s  {case}", file=sys.stderr)
            rows += measure(running, case, given.rounds, given.seconds)
        if given.quick and (given.save_baseline or behind(rows)):
            which = "worse" if given.save_baseline else "better"
            print(f"Measured once more: of each two ratios the {which} counts.", file=sys.stderr)
            again = [row for case in cases(given) for row in measure(running, case, given.rounds, given.seconds)]
            rows = one_of_each(rows, again, min if given.save_baseline else max)
        if OURS in running.started and not given.quick:
            running.delay(0)
            scale = running.growth(OURS)
    about: dict[str, Any] = {
        "versions": versions(),
        "machine": platform.machine(),
        "processor": processor(),
        "rounds": given.rounds,
        "seconds": given.seconds,
        "upstream_alone": alone,
    }
    print(f"\n{processor()}; {', '.join(f'{name} {value}' for name, value in about['versions'].items())}")
    print(f"upstream alone: {alone['rate']:.0f} batches a second, {alone['cpu_us']:.0f} microseconds of CPU each")
    print(as_text(rows))
    promised = targets(rows, scale=scale)
    if any(one.met is not None for one in promised):
        print(targets_text(promised))
    if given.json:
        given.json.write_text(json.dumps(as_json(rows, about), indent=1), encoding="utf-8")
    if given.picture and any(row.case == PICTURE_CASE for row in rows):
        from bench.picture import svg

        given.picture.write_text(svg(rows, PICTURE_CASE), encoding="utf-8")
    return compare(rows, save=given.save_baseline) if given.quick else 0


def behind(rows: Sequence[Row], file: Path = BASELINE) -> list[str]:
    """The ratios that fell behind the baseline; none where there is none."""
    return regressions(ratios(rows), json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else []


def one_of_each(rows: Sequence[Row], others: Sequence[Row], choose: Callable[..., Row]) -> list[Row]:
    """Of each two measurements of a candidate the one with the better ratio, or the worse: what disturbed the machine
    once is neither a regression nor what is to be held."""
    return [choose(pair, key=lambda row: row.ratio) for pair in zip(rows, others, strict=True)]


def compare(rows: Sequence[Row], *, save: bool, file: Path = BASELINE) -> int:
    """Hold the ratios against the baseline; 1 where ours lost too much."""
    found = ratios(rows)
    if save:
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"\nwritten: {file}")
        return 0
    if not file.is_file():
        print("\nThere is no baseline yet: ./run bench --quick --save-baseline")
        return 1
    worse = behind(rows, file)
    print(
        "\n" + "\n".join(["Ratios that fell by more than a quarter:", *worse] if worse else ["No ratio fell behind."])
    )
    return int(bool(worse))


def processor() -> str:
    """What kind of processor this is."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"


def main() -> int:
    """Choose what to run."""
    if not sys.platform.startswith("linux"):
        print("bench: needs Linux, whose /proc tells the CPU time of other processes.", file=sys.stderr)
        return 2
    if sys.argv[1:2] == ["transport"]:
        from bench.transport import main as transport

        del sys.argv[1]
        return transport()
    if sys.argv[1:2] == ["--events"]:
        from bench.events.figures import main as events

        del sys.argv[1]
        return events()
    if sys.argv[1:2] == ["singly"]:
        from bench.singly import main as singly

        del sys.argv[1]
        return singly()
    if sys.argv[1:2] == ["summary"]:
        from bench.summary import main as summary

        del sys.argv[1]
        return summary()
    try:
        return run(arguments())
    except WrongAnswer as wrong:
        print(f"bench: {wrong}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
