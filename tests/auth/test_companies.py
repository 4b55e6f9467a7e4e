"""Company A never sees company B: every key of a foreign row, by both engines, while both companies ask at once."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Coroutine, Sequence
from typing import Any, Literal, TypeVar

import orjson
import pytest

from app.auth.principal import Role
from app.sandbox import Sandbox
from tests.auth.test_row_scope import CASES, STRANGERS, answered
from tests.support.consumers import VARIABLES
from tests.support.gateway import BUYER, OTHER_BUYER, Graph, document, gateway, signed

OWNER = signed(Role.SALES_REP, "CUST-0001", "CUST-0016", "CUST-0057")
ROUNDS = 20
T = TypeVar("T")

pytestmark = pytest.mark.parametrize("engine", ["plan", "reference"])
Engine = Literal["plan", "reference"]


async def at_once(asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All answers, so many under way together as the backends take."""
    places = asyncio.Semaphore(8)

    async def one(asking: Coroutine[Any, Any, T]) -> T:
        async with places:
            return await asking

    return await asyncio.gather(*map(one, asked))


async def test_foreign_rows_stay_absent_while_their_owner_reads_them(dated_sandbox: Sandbox, engine: Engine) -> None:
    async with gateway(dated_sandbox, engine=engine) as graph:
        missing = {
            (case, name): await answered(graph, asked, absent, principal)
            for case, (asked, _, absent) in CASES.items()
            for name, principal in STRANGERS.items()
        }
        owned = {case: await answered(graph, asked, foreign, OWNER) for case, (asked, foreign, _) in CASES.items()}

        async def stranger(case: str, name: str) -> bool:
            asked, foreign, _ = CASES[case]
            return await answered(graph, asked, foreign, STRANGERS[name]) == missing[case, name]

        async def owner(case: str) -> bool:
            asked, foreign, _ = CASES[case]
            return await answered(graph, asked, foreign, OWNER) == owned[case]

        asked = [stranger(case, name) for case, name in missing] + [owner(case) for case in CASES for _ in STRANGERS]
        random.Random(engine).shuffle(asked)
        assert len(asked) == 2 * len(CASES) * len(STRANGERS) >= 200
        assert all(await at_once(asked))


async def test_two_companies_that_ask_at_once_each_get_their_own(dated_sandbox: Sandbox, engine: Engine) -> None:
    """The consumers' documents of two buyers, interleaved: every answer is the one the buyer gets alone, and holds no
    word of the other's."""
    async with gateway(dated_sandbox, engine=engine) as graph:
        asks = [(name, "CUST-0001", BUYER) for name in ("sales_view", "customer_card", "find", "item_list")]
        asks += [(name, "CUST-0002", OTHER_BUYER) for name, *_ in asks]
        alone = {(name, number): await body(graph, name, number, principal) for name, number, principal in asks}
        for (_, number), text in alone.items():
            other = {"CUST-0001": b"CUST-0002", "CUST-0002": b"CUST-0001"}[number]
            assert other not in text
        assert alone["customer_card", "CUST-0001"] != alone["customer_card", "CUST-0002"]
        mixed = asks * ROUNDS
        random.Random(engine).shuffle(mixed)
        answers = await at_once([body(graph, *one) for one in mixed])
        for (name, number, _), text in zip(mixed, answers, strict=True):
            assert text == alone[name, number]


async def test_cursor_of_the_other_company_shows_nothing_of_it(dated_sandbox: Sandbox, engine: Engine) -> None:
    query = """query($by: CustomerKey!, $after: String) { customer(by: $by) {
      orders(first: 1, after: $after) { nodes { number } edges { cursor } } } }"""
    async with gateway(dated_sandbox, engine=engine) as graph:
        theirs = (await graph.data(query, {"by": {"number": "CUST-0002"}}, principal=OTHER_BUYER))["customer"]["orders"]
        given = {"by": {"number": "CUST-0001"}, "after": theirs["edges"][0]["cursor"]}
        answer = await graph.ask(query, given, principal=BUYER)
        assert answer["data"] == {"customer": {"orders": None}}
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["INVALID_CURSOR"]
        assert theirs["nodes"][0]["number"] not in orjson.dumps(answer).decode()


async def body(graph: Graph, name: str, number: str, principal: dict[str, str]) -> bytes:
    """The data of a consumer's document for a customer, but for the moments of reading."""
    variables = VARIABLES[name] | ({"customer": {"number": number}} if "customer" in VARIABLES[name] else {})
    if "orders" in variables:
        variables["orders"] = 3
    text = orjson.dumps((await graph.ask(document(name), variables, principal=principal))["data"])
    return re.sub(rb'"(checkedAt|asOf)":"[^"]+"', b"", text)
