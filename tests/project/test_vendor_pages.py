"""The vendors' pages have what an adopter needs, and the table of evidence says what the tests prove."""

from __future__ import annotations

import re

import pytest

from app.sources.wiring import VENDORS
from tests.support.vendor_evidence import (
    DECLARED,
    PAGE,
    ROOT,
    Evidence,
    evidence_of,
    is_recorded,
    named_tests,
    served_ports,
    suite_ports,
    tables,
)

HEADINGS = (
    "Try it in ten minutes",
    "Permissions",
    "Configuration",
    "What is served",
    "What is missing",
    "Limits",
    "Traps",
)
OWN_SERVERS = ("tests/sources/files/", "tests/sources/brokers/")
"""Tests that start the real server themselves, so that they need no mark."""


def test_every_vendor_is_declared():
    assert set(DECLARED) == set(VENDORS)


@pytest.mark.parametrize("vendor", [one for one in VENDORS if one != "rest"])
def test_page_of_a_vendor_has_every_part(vendor: str):
    text = (ROOT / "docs" / DECLARED[vendor].page).read_text()
    found = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [heading for heading in HEADINGS if heading not in found] == []
    assert f"./run init --vendor {vendor}" in text
    parts = {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in text.split("\n## ")}
    assert [heading for heading in HEADINGS if len(parts[heading]) < 80] == []


def test_table_of_evidence_is_that_of_the_tests():
    assert PAGE.read_text().endswith(tables()), "run: python -m tests.support.vendor_evidence"


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_served_port_is_tested(vendor: str):
    assert [port for port in served_ports()[vendor] if not evidence_of(vendor, port)] == []
    unserved = {port for tests in DECLARED[vendor].tests.values() for port in tests} | suite_ports(vendor)
    assert unserved - set(served_ports()[vendor]) == set(DECLARED[vendor].optional)


@pytest.mark.parametrize(("kind", "file", "word"), sorted(set(named_tests())))
def test_named_test_exists_and_is_of_its_kind(kind: Evidence, file: str, word: str):
    text = (ROOT / file).read_text()
    assert re.search(rf"^(?:async )?def test_\w*{word}\w*\(", text, re.MULTILINE), f"no test of {word} in {file}"
    if kind is Evidence.LIVE and not file.startswith(OWN_SERVERS):
        assert re.search(r"^pytestmark = .*mark\.live\b", text, re.MULTILINE)


@pytest.mark.parametrize("vendor", [one for one in VENDORS if DECLARED[one].pinned])
def test_version_is_the_one_that_is_installed(vendor: str):
    file, text = DECLARED[vendor].pinned or ("", "")
    assert text in (ROOT / file).read_text()


def test_recorded_vendors_are_those_that_run_live():
    recorded = {vendor for vendor in VENDORS if is_recorded(vendor)}
    assert recorded == {"tryton", "vendure", "karrio", "medusa"}
    for vendor in recorded:
        assert "environment.live" in (ROOT / "tests" / "contract" / f"{vendor}_case.py").read_text()
