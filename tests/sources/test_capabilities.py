"""What sources declare and lack: derived capabilities, refusals that name the source, and the printed page."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from app.auth.principal import SYSTEM
from app.cli.capability_tables import as_json, as_rows
from app.cli.main import main
from app.cli.sources import vendor_sources
from app.errors import NotSupported
from app.settings import Domain, DomainSettings, RouteSettings, Settings
from app.sources.capabilities import CapabilityStatus, Limitation, Probe
from app.sources.pipeline.compose import compile_source, missing_port
from app.sources.pipeline.derived_capabilities import capabilities_of
from app.sources.port_registry import PORTS
from app.sources.source import Source
from app.sources.values import utc_now
from app.sources.wiring import VENDORS, assemble
from tests.support.ports import source_of

MISSING, SERVED, UNPROBED = CapabilityStatus.MISSING, CapabilityStatus.SERVED, CapabilityStatus.UNPROBED


@pytest.fixture
async def vendors() -> AsyncIterator[dict[str, Source]]:
    """A source of each vendor, with no server behind it."""
    found = vendor_sources()
    yield found
    for source in found.values():
        await source.aclose()


@pytest.mark.parametrize("vendor", VENDORS)
async def test_reads_that_a_vendor_lacks_are_refused_by_name(vendor: str, vendors: dict[str, Source]) -> None:
    source = vendors[vendor]
    compiled = compile_source(source, utc_now)
    lacking = [one for one in capabilities_of(source) if one.status is MISSING and one.read is not None]
    for one in lacking:
        assert one.read is not None
        port = getattr(compiled, one.port) or missing_port(source, PORTS[one.port])
        with pytest.raises(NotSupported) as caught:
            await getattr(port, one.read)(SYSTEM, ["a key"])
        assert caught.value.message.startswith(f"The source '{source.name}' does not support {one.name}")
        assert (one.missing_reason or "") in caught.value.message
    assert bool(lacking) is (vendor != "rest")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_is_declared_missing_is_not_implemented(vendor: str, vendors: dict[str, Source]) -> None:
    source = vendors[vendor]
    for name, limitation in source.limitations.items():
        port, _, read = name.partition(".")
        adapter = getattr(source, port)
        if limitation.is_missing and adapter is not None:
            assert read
            assert read not in vars(type(adapter)), f"{vendor} implements {name}, which it declares missing"
        assert not read or read in PORTS[port].reads, f"{vendor} declares {name}, which is no read"


async def test_every_port_without_a_source_is_refused_with_the_declared_reasons() -> None:
    reasons = {name: Limitation(missing=f"no API has {name}") for name in PORTS}
    sources = assemble(Settings(), {"erp": replace(source_of("erp"), limitations=reasons)})
    for name, port in PORTS.items():
        if port.domain is not None:
            continue
        for read, descriptor in port:
            if descriptor.optional or name == "search" or read in {"by_id", "invoices_by_id"}:
                continue
            with pytest.raises(NotSupported) as caught:
                await getattr(getattr(sources, name), read)(SYSTEM, ["a key"])
            assert caught.value.message == (
                f"None of the connected systems answers for '{name}'. "
                f"The source 'erp' does not support {name}: no API has {name}."
            )


class Credit:
    """Answers for every customer."""

    async def status(self, principal: Any, numbers: Any) -> Any:
        return {number: number.lower() for number in numbers}


class Customers:
    """Has no rows: only its routes matter."""

    def __getattr__(self, _: str) -> Any:
        return None


async def test_customers_on_a_source_without_a_port_are_refused_alone() -> None:
    settings = Settings(
        domains=DomainSettings(customers=Domain(master="erp"), credit=Domain(master="erp")),
        routes=(RouteSettings(customers=("B-*",), source="bc"),),
    )
    lacks = {"credit": Limitation(missing="it grants none")}
    erp, bc = source_of("erp", customers=Customers(), credit=Credit()), source_of("bc", customers=Customers())
    sources = assemble(settings, {"erp": erp, "bc": replace(bc, limitations=lacks)})
    found: Any = await sources.credit.status(SYSTEM, ["A-1", "B-1"])
    assert found["A-1"] == "a-1"
    assert isinstance(found["B-1"], NotSupported)
    assert found["B-1"].message == "The source 'bc' does not support credit.status: it grants none."


async def test_probe_decides_whether_a_read_is_called() -> None:
    probe = Probe()
    declared = {"credit": Limitation(missing="the extension is not installed", stale="a replica", probe=probe)}
    source = compile_source(replace(source_of("erp", credit=Credit()), limitations=declared), utc_now)
    (capability,) = [one for one in source.capabilities if one.port == "credit"]
    assert source.credit is not None
    seen = []
    for found in (None, True):
        probe.found = found
        seen.append(capability.status)
        assert await source.credit.status(SYSTEM, ["A-1"]) == {"A-1": "a-1"}
    assert seen == [UNPROBED, SERVED]
    assert (capability.missing_reason, capability.stale_reason) == (None, "a replica")
    probe.found = False
    with pytest.raises(NotSupported, match="the extension is not installed"):
        await source.credit.status(SYSTEM, ["A-1"])
    assert (capability.status, capability.missing_reason) == (MISSING, "the extension is not installed")


async def test_lists_are_described_by_their_filters_and_sorts(vendors: dict[str, Source]) -> None:
    found = as_json({"shop": capabilities_of(vendors["vendure"])})["shop"]
    by_name = {(one["port"], one["read"]): one for one in found}
    assert by_name["orders", "by_customer"] == {
        "port": "orders",
        "read": "by_customer",
        "status": "SERVED",
        "missingReason": None,
        "staleReason": None,
        "filters": ["status"],
        "sorts": ["ORDERED_AT_ASC", "ORDERED_AT_DESC"],
        "totals": True,
    }
    logistics = as_json({"logistics": capabilities_of(vendors["karrio"])})["logistics"]
    assert [one["status"] for one in logistics if one["port"] in {"order_writer", "shipments"}][-1] == "MISSING"
    assert by_name["webhooks", None]["status"] == "SERVED"
    rows = as_rows({"shop": capabilities_of(vendors["vendure"])})
    reason = "Vendure has no prices by customer and no quantity breaks"
    assert ("shop", "prices.quote", "MISSING", "", "", None, reason) in rows


def test_page_is_that_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tradegraph", "sources", "describe", "--check"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
