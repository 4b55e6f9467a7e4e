"""A rep's book of 800 accounts, and of 5,000: the morning's lists cost as many requests as those of one account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.auth.accounts import AccountDirectory, AccountSource
from app.auth.principal import Principal, Role
from app.cli.demo import SANDBOX_DOMAINS
from app.sandbox import Sandbox
from app.settings import AuthSettings, Domain
from app.sources.accounts import AccountAssignment
from tests.support.gateway import AUTH, Graph, gateway, signed
from tests.support.serving import serving

BOOK = [f"CUST-{number:04}" for number in range(1, 801)]
MORNING = """query($n: Int!) { me { workbench {
  lateOrders(first: $n) { totalCount nodes { number promisedOn customer { number name } } }
  heldOrders(first: $n) { totalCount nodes { number } }
  expiringQuotes(first: $n) { totalCount nodes { number } }
  pastDueInvoices(first: $n) { totalCount nodes { total { amount } } }
  exceptions(first: $n) { totalCount nodes { kind } } } } }"""
LATE = """query($n: Int!) { orders(first: $n, orderBy: PROMISED_ON_ASC, filter: {late: true}) {
  totalCount nodes { number } } }"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def book(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """A gateway whose CRM assigns the accounts: to rep-800 all of the book, to rep-1 the first one."""
    books = {"rep-800": BOOK, "rep-300": BOOK[:300], "rep-1": BOOK[:1]}
    assigned = {name: {"salesperson": name, "customers": numbers} for name, numbers in books.items()}

    async def accounts(request: Request) -> JSONResponse:
        named = (await request.json())["salespeople"]
        return JSONResponse([{"key": one, "value": assigned[one]} for one in named if one in assigned])

    crm = Starlette(routes=[Route("/v1/accounts/read", accounts, methods=["POST"])])
    async with (
        serving(crm) as url,
        gateway(
            dated_sandbox,
            auth=AUTH.model_copy(update={"accounts": "source"}),
            sources={"crm": {"base_url": url, "options": {"serves": ["accounts"], "batch": False}}},
            domains=SANDBOX_DOMAINS.model_copy(update={"accounts": Domain(master="crm")}),
        ) as running,
    ):
        yield running


def rep(accounts: int) -> dict[str, str]:
    return signed(Role.SALES_REP, subject=f"rep-{accounts}")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("accounts", [1, 300, 800])
@pytest.mark.parametrize("rows", [1, 50])
async def test_late_orders_over_a_book_are_one_request(book: Graph, accounts: int, rows: int):
    staff = await book.data(LATE.replace("nodes { number }", "nodes { number customer { number } }"), {"n": 100})
    await book.forget()
    found = (await book.data(LATE, {"n": rows}, principal=rep(accounts)))["orders"]
    assert await book.requests() == {"erp": 1, "commerce": 0, "logistics": 0}
    own = [row["number"] for row in staff["orders"]["nodes"] if row["customer"]["number"] in BOOK[:accounts]]
    assert (found["totalCount"], [row["number"] for row in found["nodes"]]) == (len(own), own[:rows])
    assert len(own) == {1: 0, 300: 27, 800: 60}[accounts]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("rows", [1, 50])
async def test_the_morning_of_a_book_is_two_requests(book: Graph, rows: int):
    """The lists with their counts travel together, then the customers of their rows. Exceptions cost no request."""
    await book.forget()
    found = (await book.data(MORNING, {"n": rows}, principal=rep(800)))["me"]["workbench"]
    assert await book.requests() == {"erp": 2, "commerce": 0, "logistics": 0}
    staff: Any = (await book.data(MORNING, {"n": rows}))["me"]["workbench"]
    assert {name: one["totalCount"] for name, one in found.items()} == {
        name: one["totalCount"] for name, one in staff.items()
    }
    assert found["lateOrders"]["totalCount"] == 60


async def test_five_thousand_assigned_accounts_are_revoked_within_a_minute():
    """With default settings: the source says so, and 30 seconds later the gateway knows."""
    now = 1_000.0
    book = [f"C-{number}" for number in range(5_000)]

    async def read(_: str, salespeople: Sequence[str]) -> dict[str, AccountAssignment]:
        return {one: AccountAssignment(salesperson=one, customers=tuple(book)) for one in salespeople}

    async def observe(*_: object) -> None:
        """Nobody follows the accounts."""

    directory = AccountDirectory(
        AuthSettings(accounts="source"), AccountSource("erp", read, observe), timer=lambda: now
    )
    rep = Principal(subject="jo", roles=frozenset({Role.SALES_REP}), salesperson="rep-1")
    assert (await directory.resolve(rep)).customers == frozenset(book)
    gone = book.pop()
    now += 29
    assert gone in (await directory.resolve(rep)).customers
    now += 2
    assert (await directory.resolve(rep)).customers == frozenset(book)
    with pytest.raises(ValueError, match="less than or equal to 60"):
        AuthSettings(accounts="source", accounts_max_age=61)
