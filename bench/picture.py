"""The table's heart as a picture for the README: bars of CPU per request, drawn as SVG by hand."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.candidates import CACHED, MERCURIUS, OURS, PRODUCTION_MERCURIUS, REFERENCE
from bench.table import Case, Row

WIDTH, LEFT, BAR, GAP, TOP = 760, 250, 20, 8, 64
OWN, OTHER, LIMIT_COLOUR = "#0b7285", "#adb5bd", "#ced4da"


def bars(rows: Sequence[Row], case: Case) -> list[Row]:
    """The rows to draw: of each two variants of Mercurius the better one; least CPU first."""
    found = [row for row in rows if row.case == case]
    for variants in (MERCURIUS, PRODUCTION_MERCURIUS):
        both = [row for row in found if row.name in variants]
        if len(both) > 1:
            found.remove(max(both, key=lambda row: row.cpu_ms))
    return sorted(found, key=lambda row: row.cpu_ms)


def svg(rows: Sequence[Row], case: Case) -> str:
    """One bar each, as long as its CPU per request."""
    drawn = bars(rows, case)
    longest = max(row.cpu_ms for row in drawn)
    height = TOP + len(drawn) * (BAR + GAP) + 16
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" font-size="13">',
        f"<title>{escape(_title(case))}</title>",
        "<style>text{fill:#343a40;font-family:system-ui,sans-serif}@media(prefers-color-scheme:dark){text{fill:#dee2e6}}</style>",
        f'<text x="0" y="20" font-size="16" font-weight="600">{escape(_title(case))}</text>',
        '<text x="0" y="42">milliseconds of CPU, less is better; same upstream, same answers, one process each</text>',
    ]
    for place, row in enumerate(drawn):
        lines += _bar(row, TOP + place * (BAR + GAP), longest)
    return "\n".join([*lines, "</svg>", ""])


def _title(case: Case) -> str:
    return f"CPU per {case.document.replace('_', ' ')}, {case.concurrency} requests in flight"


def _bar(row: Row, top: int, longest: float) -> list[str]:
    length = max(2.0, (WIDTH - LEFT - 130) * row.cpu_ms / longest)
    colour = OWN if row.name in (OURS, CACHED, REFERENCE) else LIMIT_COLOUR if row.name == "handwritten" else OTHER
    weight = ' font-weight="600"' if row.name == OURS else ""
    middle = top + BAR - 6
    return [
        f'<text x="{LEFT - 10}" y="{middle}" text-anchor="end"{weight}>{escape(row.label)}</text>',
        f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
        f'<text x="{LEFT + length + 8:.1f}" y="{middle}"{weight}>{_shown(row.cpu_ms)} ms</text>',
    ]


def _shown(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 2 else f"{value:.2f}"
