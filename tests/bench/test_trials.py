"""The trials' own judge: it sees what is wrong, and lets pass what is honestly incomplete."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from app.resolvers.snapshot import READS
from bench.trials.faults import Row, as_table
from bench.trials.judge import judge
from bench.trials.soak import Soak
from bench.trials.sync import STORED

TRUTH: dict[str, Any] = {
    "data": {
        "order": {
            "number": "SO-1",
            "shipments": [{"status": "DELIVERED"}],
            "availability": [{"atp": "5", "freshness": {"degraded": False, "asOf": "2026-11-21T12:00:00Z"}}],
            "lines": [{"number": 1, "outcome": "OK", "price": "2.50"}],
        }
    }
}
LABEL = {"freshness": [{"source": "commerce", "degraded": True}]}


def answer(**changed: Any) -> dict[str, Any]:
    return {"data": {"order": TRUTH["data"]["order"] | changed}}


def failed(path: list[Any], code: str = "SOURCE_TIMEOUT") -> list[dict[str, Any]]:
    return [{"path": path, "extensions": {"code": code}}]


MORE = [{"atp": "8", "freshness": {"degraded": True, "asOf": "2026-11-21T12:00:01Z"}}]


@pytest.mark.parametrize(
    ("found", "outcome"),
    [
        (answer(), "whole"),
        (answer(availability=[{"atp": "5", "freshness": {"degraded": False, "asOf": "another"}}]), "whole"),
        (answer(shipments=None) | {"errors": failed(["order", "shipments"])}, "labelled"),
        (answer(shipments=None) | {"errors": failed(["order", "shipments", 0, "status"])}, "labelled"),
        (answer(availability=MORE) | {"extensions": LABEL}, "labelled"),
        ({"data": {"order": None}, "errors": failed(["order"])}, "labelled"),
        ({"data": None, "errors": failed([])}, "unanswered"),
        ("ReadTimeout", "unanswered"),
        (answer(shipments=None), "wrong"),
        (answer(shipments=[]) | {"errors": failed(["order", "shipments"])}, "wrong"),
        (answer(number="SO-2"), "wrong"),
        (answer(availability=MORE), "wrong"),
        (answer(lines=[{"number": 1, "outcome": "OK", "price": "2.60"}]), "wrong"),
        (answer(shipments=None) | {"errors": failed(["order", "shipments"], "INTERNAL")}, "wrong"),
    ],
)
def test_answers_are_judged(found: Any, outcome: str):
    assert judge(found, TRUTH).outcome == outcome


def soaked(**changed: Any) -> Soak:
    given: dict[str, Any] = {
        "outcomes": Counter(whole=9_000, labelled=1_000),
        "seconds": [0.01] * 10_000,
        "samples": [(float(at), 100.0, 50) for at in range(10)],
    }
    return Soak(**(given | changed))


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        (soaked(), True),
        (soaked(outcomes=Counter(whole=9_990, unanswered=11)), False),
        (soaked(outcomes=Counter(whole=9_999, wrong=1)), False),
        (soaked(samples=[(float(at), 100.0 + 2 * at, 50) for at in range(10)]), False),
        (soaked(samples=[(float(at), 100.0, 50 + 5 * at) for at in range(10)]), False),
    ],
)
def test_soak_is_held_to_what_was_promised(found: Soak, kept: bool):
    assert found.as_json()["kept"] is kept


def row(**changed: Any) -> Row:
    given: dict[str, Any] = {
        "fault": "hang",
        "codes": ["SOURCE_TIMEOUT"],
        "own": {"labelled": 10},
        "others": {"whole": 20},
        "wrong": 0,
        "slowest": 1.1,
        "others_p99": 0.02,
        "others_p99_before": 0.019,
        "calls_ratio": 0.6,
        "recovered_after": 1.5,
        "lost": 0,
        "differences": [],
    }
    return Row(**(given | changed))


@pytest.mark.parametrize(
    "changed",
    [{"wrong": 1}, {"calls_ratio": 1.11}, {"recovered_after": 5.1}, {"slowest": 3.1}, {"others": {"labelled": 1}}],
)
def test_fault_is_held_to_what_was_promised(changed: dict[str, Any]):
    assert row().kept
    assert not row(**changed).kept


def test_table_says_what_was_measured():
    assert as_table([row()]).splitlines()[-1] == (
        "| hang | 10 labelled | `SOURCE_TIMEOUT` | 20 of 20 | 20 ms, 19 ms | 0.60 | 1.10 s | 1.50 s | 0 |"
    )


def test_a_download_is_compared_with_the_stored_objects_of_every_kind():
    assert STORED.keys() == READS.keys()
