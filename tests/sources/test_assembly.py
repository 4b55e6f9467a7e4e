"""Putting sources together: wrong settings stop the start, and two ERPs at once are a normal state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from app.cli.demo import SANDBOX_DOMAINS, sandbox_sources
from app.errors import ConfigurationError
from app.sandbox import Sandbox
from app.server import create_app
from app.settings import (
    CacheSettings,
    Domain,
    DomainSettings,
    OrderDomain,
    RedisSettings,
    RouteSettings,
    Settings,
    SourceSettings,
    StockDomain,
)
from app.sources.wiring import VENDORS, connect_all
from tests.support.gateway import AUTH, CSR, NOON, SELLER, Graph
from tests.support.serving import serving

ERP = SourceSettings(vendor="rest", base_url="http://127.0.0.1:1", credentials={"token": SecretStr("none")})
LOGISTICS = SourceSettings(vendor="karrio", base_url="http://127.0.0.1:1", credentials={"api_key": SecretStr("none")})


def message(settings: Settings) -> str:
    with pytest.raises(ConfigurationError) as caught:
        connect_all(settings)
    return str(caught.value)


def test_unknown_vendor_is_named_with_those_there_are() -> None:
    wrong = Settings(sources={"erp": SourceSettings(vendor="sap", base_url="http://127.0.0.1:1")})
    assert message(wrong) == (f"sources.erp.vendor = 'sap': no such vendor; use one of {', '.join(sorted(VENDORS))}")


def test_credential_that_no_header_can_carry_is_named_without_its_value() -> None:
    odd = ERP.model_copy(update={"credentials": {"token": SecretStr("öde\n")}})
    assert message(Settings(sources={"erp": odd})) == (
        "sources.erp.credentials = '[hidden]': holds characters that no HTTP header can carry; "
        "look for line ends and letters beyond ASCII"
    )


def test_domain_of_an_unknown_source_is_named_with_those_there_are() -> None:
    wrong = Settings(sources={"erp": ERP}, domains=DomainSettings(customers=Domain(master="epr")))
    assert message(wrong) == ("domains.customers.master = 'epr': no such source; configured under [sources] are: erp")


def test_source_that_cannot_serve_a_domain_is_named_with_those_that_can() -> None:
    wrong = Settings(
        sources={"erp": ERP, "logistics": LOGISTICS}, domains=DomainSettings(customers=Domain(master="logistics"))
    )
    assert message(wrong) == (
        "domains.customers.master = 'logistics': vendor 'karrio' does not serve customers; "
        "configured sources that do: erp"
    )


def test_enriching_reserving_and_balancing_sources_are_checked_as_well() -> None:
    sources = {"erp": ERP, "logistics": LOGISTICS}
    orders = DomainSettings(orders=OrderDomain(master="erp", enrich=("logistics",)))
    assert message(Settings(sources=sources, domains=orders)).startswith("domains.orders.enrich = 'logistics'")
    reserving = DomainSettings(stock=StockDomain(master="erp", reservations=("shop",)))
    assert message(Settings(sources=sources, domains=reserving)).startswith("domains.stock.reservations = 'shop'")
    balancing = DomainSettings(stock=StockDomain(master="erp", balances={"WH-WEST": "logistics"}))
    assert message(Settings(sources=sources, domains=balancing)).startswith(
        "domains.stock.balances.WH-WEST = 'logistics'"
    )


def test_enrichment_that_nothing_reads_is_refused() -> None:
    domains = DomainSettings(customers=Domain(master="erp", enrich=("erp",)))
    assert message(Settings(sources={"erp": ERP}, domains=domains)) == (
        "domains.customers.enrich = 'erp': no source adds to customers, only to orders and shipments; delete `enrich`"
    )
    domains = DomainSettings(items=Domain(master="erp", enrich=("logistics",)))
    assert message(Settings(sources={"erp": ERP, "logistics": LOGISTICS}, domains=domains)) == (
        "domains.items.enrich = 'logistics': vendor 'karrio' does not serve items; configured sources that do: erp"
    )


def test_route_to_an_unknown_source_is_named() -> None:
    wrong = Settings(
        sources={"erp": ERP},
        domains=DomainSettings(customers=Domain(master="erp")),
        routes=(RouteSettings(customers=("CUST-04*",), source="erp2"),),
    )
    assert message(wrong) == "routes.source = 'erp2': no such source; configured under [sources] are: erp"


async def test_domain_without_a_source_is_null_with_a_code_and_the_rest_is_answered() -> None:
    settings = Settings(auth=AUTH, demo=True, sources={}, domains=DomainSettings())
    async with serving(create_app(settings)) as url, httpx.AsyncClient(base_url=url) as client:
        query = '{ me { subject } customer(by: {number: "CUST-0001"}) { name } }'
        answer = (await client.post("/graphql", json={"query": query}, headers=CSR)).json()
    assert answer["data"] == {"me": {"subject": "a-csr"}, "customer": None}
    (error,) = answer["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["customer"], "NOT_SUPPORTED")
    assert error["message"] == "None of the connected systems answers for 'customers'."


@pytest.fixture
async def two_erps(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """The sandbox's ERP under two names: customers CUST-000* have moved to the second."""
    sources = sandbox_sources(dated_sandbox.urls, dated_sandbox.token)
    settings = Settings(
        auth=AUTH,
        demo=True,
        sources={**sources, "erp2": sources["erp"]},
        domains=SANDBOX_DOMAINS,
        routes=(RouteSettings(customers=("CUST-000*",), source="erp2"),),
    )
    async with serving(create_app(settings, clock=lambda: NOON)) as url, httpx.AsyncClient(base_url=url) as client:
        yield Graph(client, {})


WHERE = """
query Where($number: String!) {
  customer(by: {number: $number}) {
    refs { system }
    creditStatus { freshness { source } }
    orders(first: 1) { nodes { id number refs { system } lines { contractPrice { authority } } } }
  }
}
"""


@pytest.mark.parametrize(("number", "source"), [("CUST-0001", "erp2"), ("CUST-0101", "erp")])
async def test_customer_is_read_from_its_own_erp(two_erps: Graph, number: str, source: str) -> None:
    customer = (await two_erps.data(WHERE, {"number": number}, principal=SELLER))["customer"]
    assert customer["creditStatus"]["freshness"]["source"] == source
    (order,) = customer["orders"]["nodes"]
    assert {line["contractPrice"]["authority"] for line in order["lines"]} == {source}
    again = await two_erps.data("query($id: ID!) { node(id: $id) { ... on Order { number } } }", {"id": order["id"]})
    assert again["node"]["number"] == order["number"]
    by_number = "query($n: String!) { order(by: {number: $n}) { id statusBySource { system } } }"
    found = (await two_erps.data(by_number, {"n": order["number"]}))["order"]
    assert found["id"] == order["id"]
    assert found["statusBySource"][0]["system"] == source


async def test_list_over_two_erps_has_each_customer_once(two_erps: Graph) -> None:
    page = "nodes { number } pageInfo { hasNextPage endCursor }"
    query = f"query($after: String) {{ customers(first: 100, after: $after) {{ {page} }} }}"
    seen: list[str] = []
    after = None
    for _ in range(10):
        found = (await two_erps.data(query, {"after": after}))["customers"]
        seen += [node["number"] for node in found["nodes"]]
        after = found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    assert len(seen) == len(set(seen)) == 500
    assert seen == sorted(seen)


async def test_warming_up_starts_no_background_tasks() -> None:
    settings = Settings(
        sources={"erp": ERP},
        domains=DomainSettings(customers=Domain(master="erp")),
        cache=CacheSettings(store="redis"),
        redis=RedisSettings(url=SecretStr("redis://127.0.0.1:1")),
    )
    sources = connect_all(settings)
    before = asyncio.all_tasks()
    await sources.warm()
    assert asyncio.all_tasks() == before
    async with sources.running():
        assert len(asyncio.all_tasks() - before) == 1
    await sources.close()
    assert asyncio.all_tasks() == before
