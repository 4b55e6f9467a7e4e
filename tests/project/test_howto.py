"""The guides are true: their diffs are applied to a copy of the tree, and what they add is run with its checks.

When the code around a diff has moved, apply it by hand and write it anew: `git diff -U3 > docs/howto/NAME.patch`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
HOWTO = ROOT / "docs" / "howto"
NEEDED = ("app", "bench", "tests", "docs", "scripts", "pyproject.toml", "schema.graphql")
FIVE = {
    "app/sources/orders.py",
    "app/sources/vendure/order_records.py",
    "app/schema/orders.py",
    "tests/sources/test_vendure.py",
    "tests/support/policy_table.py",
}
PRINTED = {"schema.graphql", "docs/policy-matrix.md", "docs/openapi.yaml"}
CHECKS = ("lint", "layers", "schema", "policy", "contract")


def run(tree: Path, *command: str) -> str:
    """What a command in the copy prints; `app` is the copy's."""
    done = subprocess.run(
        command,
        cwd=tree,
        env={
            **os.environ,
            "PYTHONPATH": str(tree),
            "PYTEST_ADDOPTS": "-p no:cacheprovider",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what matters, outside of any repository."""
    skipped = shutil.ignore_patterns("__pycache__", "node_modules", "static")
    for name in NEEDED:
        source = ROOT / name
        shutil.copytree(source, tmp_path / name, ignore=skipped) if source.is_dir() else shutil.copy(source, tmp_path)
    return tmp_path


def touched(patch: Path) -> set[str]:
    """The files that a patch changes or makes."""
    return set(re.findall(r"^\+\+\+ b/(.+)$", patch.read_text(), re.MULTILINE))


def printed_schema(tree: Path) -> str:
    """The schema of the copy's code."""
    return run(tree, sys.executable, "-c", "from app.schema import print_schema; print(print_schema(), end='')")


def test_field_takes_five_files_and_appears(tree: Path):
    patch = HOWTO / "add-a-field.patch"
    assert touched(patch) == FIVE | PRINTED
    assert "\n  attention: String\n" not in printed_schema(tree)
    run(tree, "git", "apply", "--check", str(patch))
    run(tree, "git", "apply", str(patch))
    assert printed_schema(tree) == (tree / "schema.graphql").read_text()
    run(tree, sys.executable, "scripts/openapi.py", "--check")
    order = (tree / "schema.graphql").read_text().partition("\ntype Order implements Node ")[2].partition("\n}")[0]
    assert '  """Name of the person who receives the goods."""\n  attention: String\n' in order
    out = run(tree, sys.executable, "-m", "pytest", "-q", "tests/sources/test_vendure.py", "-k", "takes_the_goods_in")
    assert "1 passed" in out


def test_field_leaves_checks_and_policy_tests_green(tree: Path):
    run(tree, "git", "apply", str(HOWTO / "add-a-field.patch"))
    run(tree, sys.executable, "scripts/check.py", *CHECKS)
    policy = ("tests/auth/test_policy_cells.py", "tests/auth/test_policy_rules.py")
    out = run(tree, sys.executable, "-m", "pytest", "-q", *policy, "-k", "written_by_hand or matrix_holds")
    assert "2 passed" in out


def test_domain_touches_the_files_that_its_guide_lists():
    guide = (HOWTO / "add-a-domain.md").read_text()
    listed = set(re.findall(r"^\| \d+ \| `(app/[^`]+)`", guide, re.MULTILINE))
    naming = {file for file in (ROOT / "app").rglob("*.py") if "commission" in file.read_text().lower()}
    assert listed == {file.relative_to(ROOT).as_posix() for file in naming}


def test_vendor_is_connected_and_its_tests_pass(tree: Path):
    patch = HOWTO / "add-a-vendor.patch"
    run(tree, "git", "apply", "--check", str(patch))
    run(tree, "git", "apply", str(patch))
    out = run(tree, sys.executable, "-m", "pytest", "-q", "tests/sources/test_shelfwise.py")
    assert "4 passed" in out
    assert not (ROOT / "app" / "sources" / "shelfwise").exists()


def test_vendor_serves_a_second_port_and_passes_its_contract_suite(tree: Path):
    run(tree, "git", "apply", str(HOWTO / "add-a-vendor.patch"))
    patch = HOWTO / "add-a-port.patch"
    run(tree, "git", "apply", "--check", str(patch))
    run(tree, "git", "apply", str(patch))
    guide = (HOWTO / "add-a-vendor.md").read_text()
    added = len(re.findall(r"^\+(?!\+\+ )", patch.read_text(), re.MULTILINE))
    assert f"{added} lines in {len(touched(patch))} files" in " ".join(guide.split())
    suites = ("tests/contract/test_shipments.py", "tests/contract/test_balances.py")
    out = run(tree, sys.executable, "-m", "pytest", "-q", "tests/sources/test_shelfwise.py", *suites, "-k", "shelfwise")
    assert "25 passed" in out
    layered = run(
        tree, sys.executable, "-m", "pytest", "-q", "tests/project/test_architecture.py", "-k", "vendor and shelfwise"
    )
    assert "1 passed" in layered
