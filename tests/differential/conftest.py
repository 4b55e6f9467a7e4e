"""How many documents were compared, told at the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.schema import build_schema
from tests.differential.compare import Bench


@pytest.fixture(scope="session")
def bench() -> Bench:
    """Both engines over the graph's schema."""
    return Bench(build_schema()._schema)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = list(_counts(terminalreporter))
    if counts:
        ran, differing = (sum(column) for column in zip(*counts, strict=True))
        terminalreporter.write_line(
            f"differential: {ran} documents of {len(counts)} seeds, {differing} of them answered differently"
        )


def _counts(reporter: pytest.TerminalReporter) -> Iterator[tuple[int, int]]:
    for outcome in ("passed", "failed"):
        for report in reporter.stats.get(outcome, ()):
            properties = dict(report.user_properties)
            if report.when == "call" and "documents" in properties:
                yield properties["documents"], properties["differing"]
