"""Price checks: a contract that changes between quotation, order and invoice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.auth.principal import Role
from app.cli.demo import sandbox_sources
from app.cli.main import app
from app.intake.price_checks import check_prices, reconcile_prices
from app.intake.records import PriceCheck
from app.intake.stores import connect_intakes
from app.sandbox import Sandbox
from app.settings import Settings
from app.sources.billing import Invoice, InvoiceKind, InvoiceLine, InvoiceStatus
from app.sources.orders import Order, OrderLine, OrderStatus, Totals
from app.sources.prices import PriceComparison
from app.sources.values import Freshness, Money
from app.sources.wiring import connect_all
from tests.intake.test_price_proofs import change_price, intake_settings, quote, selling_by, submit
from tests.intake.test_submit import line, settled
from tests.support.gateway import CSR, NOON, SANDBOX_DOMAINS, Graph, signed

FINANCE = signed(Role.FINANCE)
FRESH = Freshness(source="erp", as_of=NOON)

CHECKS = """lineNumber sku invoiceNumber result quoted { amount } ordered { amount } invoiced { amount }"""
OF_ORDER = f"query ($number: String!) {{ order(by: {{ number: $number }}) {{ priceChecks {{ {CHECKS} }} }} }}"
OF_INVOICE = (
    "query ($number: String!) { order(by: { number: $number }) { invoices { priceMatches priceChecks { "
    f"{CHECKS} }} }} }} }}"
)


def money(amount: str, currency: str = "USD") -> Money:
    return Money(amount=Decimal(amount), currency=currency)


def an_order(**given: Any) -> Order:
    lines = (OrderLine(
        id="1", order="SO-1", number=1, sku="SKU-1", uom="EA", quantity=Decimal(2), unit_price=money("10"), **given
    ),)  # fmt: skip
    return Order(
        id="1", source="erp", number="SO-1", customer="C-1", status=OrderStatus.CONFIRMED,
        currency="USD", totals=Totals(total=money("20")),
        lines=lines, freshness=FRESH,
    )  # fmt: skip


def an_invoice(price: str = "10", line_given: Any = None, **given: Any) -> Invoice:
    line = InvoiceLine(**{
        "line_number": 1, "sku": "SKU-1", "quantity": Decimal(2), "uom": "ea", "unit_price": money(price),
        **(line_given or {}),
    })  # fmt: skip
    return Invoice(**{
        "id": "7", "source": "erp", "number": "INV-7", "customer": "C-1", "orders": ("SO-1",),
        "status": InvoiceStatus.POSTED, "total": money("20"), "lines": (line,), "freshness": FRESH, **given,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("prices", "result"),
    [
        ((None, None, None), None),
        ((None, "10", None), None),
        (("10", None, "10.00"), PriceComparison.EQUAL),
        ((None, "10", "11"), PriceComparison.HIGHER),
        (("10", "9", "9"), PriceComparison.LOWER),
        (("10", "10", "11"), PriceComparison.HIGHER),
        (("10", "11", "10"), PriceComparison.HIGHER),
    ],
)
def test_result_compares_the_last_price_with_the_first(prices: tuple[Any, ...], result: PriceComparison | None):
    quoted, ordered, invoiced = (money(one) if one is not None else None for one in prices)
    check = PriceCheck(order_number="SO-1", line_number=1, uom="EA", quoted=quoted, ordered=ordered, invoiced=invoiced)
    assert check.result is result


def test_prices_of_other_price_units_and_currencies_are_compared():
    check = PriceCheck(
        order_number="SO-1",
        line_number=1,
        uom="EA",
        quoted=money("1000"),
        quoted_unit=Decimal(100),
        ordered=money("10"),
    )
    assert check.result is PriceComparison.EQUAL
    foreign = PriceCheck(order_number="SO-1", line_number=1, uom="EA", ordered=money("10"), invoiced=money("10", "CAD"))
    assert foreign.result is PriceComparison.OTHER_CURRENCY


def test_line_of_two_invoices_has_two_checks():
    invoices = [an_invoice(), an_invoice("11", id="8", number="INV-8")]
    found = [(one.invoice_number, one.result) for one in check_prices(an_order(), None, invoices)]
    assert found == [("INV-7", PriceComparison.EQUAL), ("INV-8", PriceComparison.HIGHER)]


@pytest.mark.parametrize(
    "invoice",
    [
        an_invoice(kind=InvoiceKind.CREDIT_MEMO),
        an_invoice(status=InvoiceStatus.CANCELLED),
        an_invoice(orders=("SO-1", "SO-2")),
        an_invoice(line_given={"line_number": 2}),
        an_invoice(line_given={"line_number": None}),
        an_invoice(line_given={"sku": "SKU-2"}),
        an_invoice(line_given={"uom": "BX"}),
        an_invoice(line_given={"uom": None}),
    ],
)
def test_rows_without_a_price_are_not_compared(invoice: Invoice):
    (check,) = check_prices(an_order(), None, [invoice])
    assert (check.invoice_number, check.invoiced, check.result) == (None, None, None)


@pytest.fixture
async def selling(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    async with selling_by(dated_sandbox, intake_settings()) as graph:
        yield graph


async def invoiced_order(graph: Graph, percent: str) -> tuple[str, str]:
    """The number of an order by a proof, invoiced at other prices; and the proven price."""
    shown = await quote(graph)
    payload = await submit(graph, line(1, proof=shown["proof"]), line(2, "SKU-0002", "6"), key=f"by-{percent}")
    posted = await settled(graph, payload["intake"]["id"], "POSTED")
    await change_price(graph, percent)
    body = {"percent": percent}
    (await graph.backends["erp"].post(f"/sandbox/order-invoices/{posted['orderNumber']}", json=body)).raise_for_status()
    return posted["orderNumber"], shown["unitPrice"]["amount"]


async def test_contract_that_changed_before_the_invoice_is_shown_by_order_and_invoice(selling: Graph):
    number, proven = await invoiced_order(selling, "5")
    checks = (await selling.data(OF_ORDER, {"number": number}, principal=FINANCE))["order"]["priceChecks"]
    first, second = checks
    assert {name: first[name] for name in ("lineNumber", "sku", "invoiceNumber", "result", "quoted", "ordered")} == {
        "lineNumber": 1, "sku": "SKU-0001", "invoiceNumber": f"INV-{number}", "result": "HIGHER",
        "quoted": {"amount": proven}, "ordered": {"amount": proven},
    }  # fmt: skip
    assert Decimal(first["invoiced"]["amount"]) == Decimal(proven) * Decimal("1.05")
    assert (second["quoted"], second["result"]) == (None, "HIGHER")
    (invoice,) = (await selling.data(OF_INVOICE, {"number": number}, principal=CSR))["order"]["invoices"]
    assert (invoice["priceMatches"], invoice["priceChecks"]) == (False, checks)


async def test_orders_of_equal_prices_match(selling: Graph):
    number, _ = await invoiced_order(selling, "0")
    checks = (await selling.data(OF_ORDER, {"number": number}, principal=CSR))["order"]["priceChecks"]
    assert [one["result"] for one in checks] == ["EQUAL", "EQUAL"]


async def test_price_checks_of_many_orders_cost_as_many_calls_as_of_one(selling: Graph):
    async def calls(first: int) -> int:
        await selling.forget()
        query = "query ($n: Int!) { orders(first: $n) { nodes { priceChecks { result } } } }"
        nodes = (await selling.data(query, {"n": first}, principal=CSR))["orders"]["nodes"]
        assert len(nodes) == first
        return (await selling.requests())["erp"]

    assert await calls(20) == await calls(1)


async def test_reconciliation_counts_lines_and_lists_differences(selling: Graph, dated_sandbox: Sandbox):
    same, _ = await invoiced_order(selling, "0")
    number, proven = await invoiced_order(selling, "5")
    settings = Settings(
        sources=sandbox_sources(dated_sandbox.urls, dated_sandbox.token), domains=SANDBOX_DOMAINS,
        data_dir=selling.data_dir,
    )  # fmt: skip
    store, sources = connect_intakes(settings), connect_all(settings)
    try:
        found = await reconcile_prices(store, sources, 0.0)
        none = await reconcile_prices(store, sources, 4e9)
    finally:
        await store.close()
        await sources.close()
    assert (found.orders, found.lines) == (2, {"EQUAL": 2, "HIGHER": 2})
    assert [(one.order_number, one.line_number, one.result) for one in found.differences] == [
        (number, 1, PriceComparison.HIGHER), (number, 2, PriceComparison.HIGHER),
    ]  # fmt: skip
    assert found.differences[0].quoted == money(proven)
    assert (none.orders, none.lines, none.differences) == (0, {}, ())
    assert same not in {one.order_number for one in found.differences}


async def test_nightly_command_exits_with_1_and_prints_differences(
    selling: Graph, dated_sandbox: Sandbox, tmp_path: Path
):
    number, proven = await invoiced_order(selling, "5")
    erp = sandbox_sources(dated_sandbox.urls, dated_sandbox.token)["erp"]
    tables = (
        f'[sources.erp]\nvendor = "rest"\nbase_url = "{erp.base_url}"\n'
        f'credentials = {{ token = "{dated_sandbox.token}" }}\n'
        f"options = {json.dumps(erp.options).replace(': ', ' = ')}\n"
    )
    domains = '[domains.orders]\nmaster = "erp"\nwrite = "erp"\n[domains.billing]\nmaster = "erp"\n'
    config = tmp_path / "tradegraph.toml"
    config.write_text(tables + domains)
    words = ["prices", "reconcile", "--json", "--config", str(config), "--data-dir", str(selling.data_dir)]
    done = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--since", "2000-01-01"])
    found = json.loads(done.stdout)
    assert (done.exit_code, found["orders"], found["lines"]) == (1, 1, {"HIGHER": 2})
    first = found["differences"][0]
    assert (first["result"], first["order"], first["line"], first["quoted"]) == ("HIGHER", number, 1, f"{proven} USD")
    later = await asyncio.to_thread(CliRunner().invoke, app, [*words, "--since", "2999-01-01"])
    assert (later.exit_code, json.loads(later.stdout)) == (0, {"orders": 0, "lines": {}, "differences": []})
