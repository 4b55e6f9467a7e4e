"""The deployment that docs/rights.md shows: its schema and matrix are those of the page, and nothing else is opened."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from app.auth.principal import Role
from app.schema import build_schema, policy_of, print_schema
from app.schema.declare.policy_matrix import as_json
from app.settings import Settings, load
from tests.support.policy_table import CELLS
from tests.support.policy_walk import cells_of

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "rights.md").read_text(encoding="utf-8").partition("## A whole deployment")[2]
OWN_FIELDS = {
    "Customer.routeCode": "Customer.salesRep",
    "Item.shelfLifeDays": "Item.gtin",
    "Item.landedCost": "Item.cost",
    "Order.certificates": "Order.customerPo",
    "Shipment.dockDoor": "Shipment.service",
}
"""The deployment's fields, each with a field of the gateway that the same roles see."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The configuration of the page."""
    text = (DOCS / "examples" / "branches.toml").read_text(encoding="utf-8")
    for name in re.findall(r'_file = "([^"]+)"', text):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a demo secret\n")
    (tmp_path / "tradegraph.toml").write_text(text)
    return load(tmp_path / "tradegraph.toml")


def test_it_has_two_roles_and_five_fields_over_two_vendors(settings: Settings) -> None:
    assert set(settings.policy.roles) == {"branch_manager", "showroom"}
    assert {f"{field.type}.{field.name}" for field in settings.fields} == set(OWN_FIELDS)
    assert {one.vendor for one in settings.sources.values()} == {"rest", "karrio"}
    assert {source for field in settings.fields for source in field.sources} == set(settings.sources)


def test_cells_of_the_gateways_roles_are_as_before_and_of_its_fields_like_their_neighbours(settings: Settings) -> None:
    found = cells_of(policy_of(build_schema(settings)))
    for field, row in found.items():
        before = CELLS[OWN_FIELDS.get(field, field)]
        assert {role: row[role] for role in Role} == before, field
    assert found.keys() - CELLS.keys() == set(OWN_FIELDS)


def test_matrix_of_the_page_is_that_of_the_deployment(settings: Settings) -> None:
    head, _, *rows = [line.strip("| \n").split(" | ") for line in PAGE.splitlines() if line.startswith("|")]
    roles = [name.strip("`") for name in head[1:]]
    cells = as_json(policy_of(build_schema(settings)))
    assert {"branch_manager", "showroom"} < set(roles)
    assert set(OWN_FIELDS) < {row[0].strip("`") for row in rows}
    for field, *shown in rows:
        row = cells[field.strip("`")]
        expected = ["-" if row[role] is None else row[role]["rows"] for role in roles]
        assert shown == expected, field


def test_schema_differs_in_the_lines_of_the_page_and_in_names_of_roles_only(settings: Settings) -> None:
    own, deployed = print_schema().splitlines(), print_schema(settings).splitlines()
    added: list[str] = []
    for change, start, end, other, stop in SequenceMatcher(a=own, b=deployed, autojunk=False).get_opcodes():
        if change == "insert":
            added += [line for line in deployed[other:stop] if line.strip()]
        elif change != "equal":
            without_roles = [
                line.replace(", BRANCH_MANAGER", "")
                .replace(", SHOWROOM", "")
                .replace("Of the accounts that their credential names for BRANCH_MANAGER. ", "")
                for line in deployed[other:stop]
            ]
            assert without_roles == own[start:end]
    assert added == re.findall(r"^\+(.*)$", PAGE, re.MULTILINE)
