"""Results: one row for each candidate in each case, ratios to ours, the targets, and how they are printed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.candidates import LIMIT, MERCURIUS, OURS, PLAIN, PRODUCTION, REFERENCE
from bench.session import Sample, median_ratio, percentile


@dataclass(frozen=True, order=True)
class Case:
    """What is asked, how long the upstream takes (milliseconds), and how many requests are in flight."""

    document: str
    delay: int
    concurrency: int

    def __str__(self) -> str:
        return f"{self.document}, {self.concurrency} in flight, upstream +{self.delay} ms"


@dataclass(frozen=True)
class Row:
    """A candidate in a case. `ratio` is how many times the CPU of ours a request costs, the median of paired rounds;
    `spread` the least and the most of them. Milliseconds, requests a second, MB; shares of one processor."""

    case: Case
    name: str
    label: str
    cpu_ms: float
    ratio: float
    spread: tuple[float, float]
    rate: float
    p50: float
    p99: float
    peak: float
    upstream_share: float
    driver_share: float
    requests: int


def rows_of(case: Case, rounds: dict[str, list[Sample]], labels: dict[str, str], peaks: dict[str, float]) -> list[Row]:
    """The rows of one case. Ratios are to ours; to the first candidate where ours is not among them."""
    ours = rounds[base_of(list(rounds))]
    return [
        Row(
            case=case,
            name=name,
            label=labels[name],
            cpu_ms=statistics.median(one.cpu_ms for one in samples),
            ratio=median_ratio(samples, ours),
            spread=_spread([one.cpu_ms / our.cpu_ms for one, our in zip(samples, ours, strict=True)]),
            rate=statistics.median(one.rate for one in samples),
            p50=percentile([second for one in samples for second in one.seconds], 0.5),
            p99=percentile([second for one in samples for second in one.seconds], 0.99),
            peak=peaks[name],
            upstream_share=max(one.upstream_share for one in samples),
            driver_share=max(one.driver_share for one in samples),
            requests=sum(one.requests for one in samples),
        )
        for name, samples in rounds.items()
    ]


def _spread(ratios: Sequence[float]) -> tuple[float, float]:
    return min(ratios), max(ratios)


def base_of(names: Sequence[str]) -> str:
    """Whose CPU the ratios are to."""
    return next((name for name in (OURS, REFERENCE) if name in names), names[0])


def as_text(rows: Sequence[Row]) -> str:
    """The table."""
    width = max(len(row.label) for row in rows)
    head = f"{'':<{width}}  {'CPU ms':>8} {'ratio':>7} {'(spread)':>14} {'req/s':>7} {'p50 ms':>8} {'p99 ms':>8}"
    head += f" {'MB':>5} {'upstream':>9} {'driver':>7}"
    lines: list[str] = []
    for case in dict.fromkeys(row.case for row in rows):
        lines += ["", str(case), head]
        for row in rows:
            if row.case == case:
                low, high = row.spread
                lines.append(
                    f"{row.label:<{width}}  {row.cpu_ms:>8.3f} {row.ratio:>7.2f} {f'{low:.2f}..{high:.2f}':>14}"
                    f" {row.rate:>7.0f} {row.p50:>8.2f} {row.p99:>8.2f} {row.peak:>5.0f}"
                    f" {row.upstream_share:>8.0%} {row.driver_share:>7.0%}"
                )
    return "\n".join(lines)


def as_json(rows: Sequence[Row], about: dict[str, Any]) -> dict[str, Any]:
    """Everything, for machines."""
    return {**about, "rows": [asdict(row) for row in rows]}


# Targets


@dataclass(frozen=True)
class Target:
    """What was promised, and what came out; `value` is None where it was not measured."""

    what: str
    must: float
    aim: float
    value: float | None
    at_least: bool = True

    @property
    def met(self) -> bool | None:
        """Whether the promise is kept."""
        if self.value is None:
            return None
        return self.value >= self.must if self.at_least else self.value <= self.must


def targets(rows: Sequence[Row], *, scale: float | None = None, fallback: str = REFERENCE) -> list[Target]:
    """The promises that the table can tell; `scale` is CPU for ten times the rows over CPU for one."""
    known = {(row.name, row.case): row for row in rows}

    def row(name: str, document: str, concurrency: int = 32, delay: int = 0) -> Row | None:
        return known.get((name, Case(document, delay, concurrency)))

    def ratio(names: Sequence[str], document: str, *, to: str = OURS) -> float | None:
        found = [one for name in names if (one := row(name, document))]
        ours = row(to, document)
        if not found or ours is None:
            return None
        if to == base_of([one.name for one in rows]):
            return min(one.ratio for one in found)
        return min(one.cpu_ms for one in found) / ours.cpu_ms

    limit = ratio([LIMIT], "sales_view")
    few, many = row(OURS, "sales_view", 1), row(OURS, "sales_view", 128)
    slow = row(OURS, "sales_view", 1, 5)
    return [
        Target("sales view, plain Strawberry / ours", 20, 30, ratio([PLAIN], "sales_view")),
        Target("sales view, ours / hand-written", 3, 2, 1 / limit if limit else None, at_least=False),
        Target("sales view, best bare Mercurius / ours", 1.5, 2, ratio(MERCURIUS, "sales_view")),
        Target("item list, best bare Mercurius / ours", 0.6, 1, ratio(MERCURIUS, "item_list")),
        Target("customer card, best bare Mercurius / ours", 0.45, 0.8, ratio(MERCURIUS, "customer_card")),
        Target("item list, best production Node peer / ours", 1, 1.5, ratio(PRODUCTION, "item_list")),
        Target("customer card, best production Node peer / ours", 1, 1.5, ratio(PRODUCTION, "customer_card")),
        Target("sales view, plain Strawberry / fallback", 2, 3, ratio([PLAIN], "sales_view", to=fallback)),
        Target(
            "sales view, CPU at 128 / at 1 in flight",
            1.3,
            1.1,
            many.cpu_ms / few.cpu_ms if few and many else None,
            at_least=False,
        ),
        Target("sales view, p50 ms at +5 ms, 1 in flight", 14, 12, slow.p50 if slow else None, at_least=False),
        Target("ten times the rows, CPU", 10, 8, scale, at_least=False),
    ]


def targets_text(found: Sequence[Target]) -> str:
    """The promises as a table."""
    lines = ["", f"{'target':<48} {'must':>9} {'aim':>7} {'measured':>9}"]
    for one in found:
        sign = ">=" if one.at_least else "<="
        value = "-" if one.value is None else f"{one.value:.2f}"
        verdict = {True: "met", False: "MISSED", None: "not measured"}[one.met]
        lines.append(f"{one.what:<48} {f'{sign} {one.must:g}':>9} {one.aim:>7g} {value:>9}  {verdict}")
    return "\n".join(lines)


# Regressions

TOLERANCE = 0.25
"""How much worse a ratio may be than in the baseline."""


def ratios(rows: Sequence[Row]) -> dict[str, float]:
    """The ratios that are watched, by case and candidate."""
    return {f"{row.case} | {row.name}": round(row.ratio, 3) for row in rows if row.ratio != 1}


def regressions(found: dict[str, float], baseline: dict[str, float]) -> list[str]:
    """Where ours lost more than the tolerance against a candidate: a ratio is theirs over ours, so less is worse."""
    return [
        f"{name}: {found[name]:.2f} was {known:.2f}"
        for name, known in baseline.items()
        if name in found and found[name] < known * (1 - TOLERANCE)
    ]
