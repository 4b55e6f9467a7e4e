"""The benchmark's own code: its upstream keeps the contract, its driver sees a crossed answer, its guard can fail."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import msgspec
import pytest

from app.http.client import HTTPClient
from app.settings import SourceSettings
from app.sources.rest import contract
from bench.__main__ import PICTURE_CASE, compare, one_of_each
from bench.dataset import ORDERS, build
from bench.driver import Tally, Target, check, load, right, unchunked
from bench.expected import comparable, expected, variables
from bench.picture import svg
from bench.processes import cpu_seconds, tree
from bench.session import DOCUMENTS, Sample, http_request, median_ratio
from bench.summary import table as summary
from bench.table import Case, Row, ratios, regressions, rows_of, targets
from bench.upstream import Backend, Connection, Reads

DATA = build()
NUMBER = DATA.numbers[0]
CASE = Case("sales_view", 0, 32)


@asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    backend = Backend(Reads(DATA))
    server = await asyncio.get_running_loop().create_server(lambda: Connection(backend), "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def client() -> AsyncIterator[HTTPClient]:
    async with upstream() as url:
        made = HTTPClient("erp", SourceSettings(vendor="rest", base_url=url))
        try:
            yield made
        finally:
            await made.aclose()


SKUS = DATA.usual(NUMBER)
QUESTIONS = [contract.PriceQuestion(customer=NUMBER, sku=sku, quantity=msgspec.convert("5", type=contract.Decimal))
             for sku in SKUS]  # fmt: skip
READS = [
    (contract.CUSTOMERS, {"numbers": [NUMBER], "include": ["CREDIT"]}, 1),
    (contract.CREDIT, {"customers": [NUMBER, "nobody"]}, 1),
    (contract.ITEMS, {"skus": SKUS}, 40),
    (contract.STOCK, {"skus": SKUS}, 40),
    (contract.PRICES, {"requests": QUESTIONS}, 40),
    (contract.ORDERS_BY_CUSTOMER, {"customers": [NUMBER], "query": {"page": {"first": 20, "after": None}}}, 1),
    (contract.SHIPMENTS_BY_ORDER, {"orders": [row["number"] for row in DATA.orders[NUMBER]]}, 16),
    (contract.WAREHOUSES, None, 3),
]


@pytest.mark.parametrize(("operation", "body", "count"), READS, ids=lambda value: getattr(value, "path", ""))
async def test_upstream_answers_as_the_contract_says(operation, body, count):
    async with client() as http:
        answer = await http.request(operation.method, operation.path, json=body, call="bench")
        assert len(answer.decode(operation.answer)) == count


async def test_batch_answers_each_read_by_its_line():
    parts = [
        {"id": str(place), "path": operation.path, "body": body} for place, (operation, body, _) in enumerate(READS)
    ]
    parts.append({"id": "lost", "path": "/v1/nothing", "body": None})
    async with client() as http:
        answer = await http.request("POST", "/v1/batch", json=parts, call="bench")
    lines = msgspec.json.Decoder(contract.PartAnswer).decode_lines(answer.body)
    assert [(line.id, line.status) for line in lines] == [*((str(place), 200) for place in range(8)), ("lost", 404)]
    assert len(msgspec.json.decode(lines[2].body, type=contract.ITEMS.answer)) == 40


async def test_pages_follow_each_other():
    large = DATA.large[0]
    async with client() as http:
        page = {"first": 100, "after": None, "count": False}
        body = {"customers": [large], "query": {"page": page}}
        first = (
            (await http.request("POST", contract.ORDERS_BY_CUSTOMER.path, json=body, call="x"))
            .decode(contract.ORDERS_BY_CUSTOMER.answer)[0]
            .value
        )
        page["after"] = first.cursors[-1]
        second = (
            (await http.request("POST", contract.ORDERS_BY_CUSTOMER.path, json=body, call="x"))
            .decode(contract.ORDERS_BY_CUSTOMER.answer)[0]
            .value
        )
    assert (first.has_next, second.has_next) == (True, False)
    assert len({row.number for row in (*first.rows, *second.rows)}) == 200


def test_every_customer_has_an_answer_of_its_own():
    for document in ("sales_view", "item_list", "customer_card"):
        assert len({expected(DATA, document, number) for number in DATA.numbers}) == len(DATA.numbers)


def test_prices_of_two_customers_differ_for_every_item():
    other = DATA.numbers[1]
    assert all(DATA.price(NUMBER, sku, "5", "EA") != DATA.price(other, sku, "5", "EA") for sku in DATA.items)


def test_answer_is_compared_but_for_white_space_escapes_and_the_seal_of_a_cursor():
    answer = expected(DATA, "sales_view", NUMBER)
    loose = json.loads(answer)
    loose["data"]["customer"]["orders"]["pageInfo"]["endCursor"] = "WyJtYXJrIiwiQ1VTVC0wMDAxLjE5Il0"
    assert right(json.dumps(loose, indent=1).encode(), answer)
    assert comparable(json.dumps(loose).encode()) == answer


@pytest.mark.parametrize(
    "spoil",
    [
        lambda found: found["orders"]["edges"][3]["node"]["lines"][2].update(quantity="6"),
        lambda found: found["orders"]["edges"].reverse(),
        lambda found: found.update(name=found.pop("name")),
        lambda found: found["orders"]["pageInfo"].update(endCursor="WyJtYXJrIiwiQ1VTVC0wMDAyLjE5Il0"),
        lambda found: found["orders"].update(edges=found["orders"]["edges"][:-1]),
    ],
    ids=["another quantity", "another order", "fields out of order", "another's cursor", "a row less"],
)
def test_spoiled_answer_is_wrong(spoil):
    answer = expected(DATA, "sales_view", NUMBER)
    spoiled = json.loads(answer)
    spoiled["data"]["customer"]["orders"]["pageInfo"]["endCursor"] = "WyJtYXJrIiwiQ1VTVC0wMDAxLjE5Il0"
    spoil(spoiled["data"]["customer"])
    assert not right(json.dumps(spoiled).encode(), answer)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"data":{"customer":null}}', b'{"errors":[]}', b"<html>"])
def test_no_answer_is_wrong(body):
    assert not right(body, expected(DATA, "sales_view", NUMBER))


# The driver


class Crossing(asyncio.Protocol):
    """Answers customer cards; every tenth is another customer's, once `crossing` is set."""

    crossing = False
    count = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        number = json.loads(data.partition(b"\r\n\r\n")[2])["variables"]["customer"]["number"]
        Crossing.count += 1
        if Crossing.crossing and Crossing.count % 10 == 0:
            number = DATA.numbers[(DATA.numbers.index(number) + 1) % len(DATA.numbers)]
        body = expected(DATA, "customer_card", number)
        half = len(body) // 2
        chunks = b"%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (half, body[:half], len(body) - half, body[half:])
        self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)


async def test_driver_catches_crossed_answers():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Crossing, "127.0.0.1", 0)
    text = (DOCUMENTS / "customer_card.graphql").read_text()
    requests = [http_request(text, variables(DATA, "customer_card", number), "Bearer x") for number in DATA.numbers]
    target = Target(server.sockets[0].getsockname()[1], requests)
    async with server:
        Crossing.crossing = False
        assert await check(target, DATA, "customer_card", DATA.numbers) == []
        good = await load(target, 4, 0.05, [os.getpid()])
        Crossing.crossing, Crossing.count = True, 9
        bad = await load(target, 4, 0.05, [os.getpid()])
    assert good["requests"] >= 4
    assert good["requests"] % 4 == 0
    assert (good["wrong"], good["broken"]) == (0, 0)
    assert bad["wrong"] > 0
    assert len(good["seconds"]) == good["requests"]
    assert 0 < good["cpu"][0] <= 2 * good["wall"]


async def test_first_check_names_the_customer_who_got_anothers_answer():
    server = await asyncio.get_running_loop().create_server(Crossing, "127.0.0.1", 0)
    text = (DOCUMENTS / "customer_card.graphql").read_text()
    requests = [http_request(text, variables(DATA, "customer_card", number), "Bearer x") for number in DATA.numbers]
    Crossing.crossing, Crossing.count = True, 0
    async with server:
        wrong = await check(Target(server.sockets[0].getsockname()[1], requests), DATA, "customer_card", DATA.numbers)
    assert len(wrong) == 6
    assert wrong[0].startswith('CUST-0010: 200 {"data":{"customer":')


async def test_window_holds_whole_waves():
    tally = Tally(concurrency=4)
    tally.open()
    for _ in range(10):
        tally.answered(0.0, right=True)
    assert len(tally.seconds) == 4
    assert tally.ended.done()


def test_chunks_are_put_together():
    assert unchunked(b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n") == b"abc0123456789"


def test_cpu_of_this_process_is_read():
    before = cpu_seconds(tree(os.getpid()))
    sum(range(2_000_000))
    assert cpu_seconds(tree(os.getpid())) > before


# The table and its guard


def sample(cpu_ms: float) -> Sample:
    return Sample(100, 1.0, cpu_ms, 0.1, 0.1, [0.001 * place for place in range(100)])


def table(**cpu) -> list[Row]:
    rounds = {name: [sample(one) for one in values] for name, values in cpu.items()}
    return rows_of(CASE, rounds, dict.fromkeys(cpu, "label"), dict.fromkeys(cpu, 50.0))


def test_ratio_is_the_median_of_paired_rounds():
    """A round in which the machine was slow for everybody changes nothing."""
    assert median_ratio([sample(2), sample(20), sample(2)], [sample(1), sample(10), sample(1)]) == 2
    rows = table(plan=[1, 10, 1], strawberry=[30, 300, 33])
    assert [(row.name, row.ratio, row.spread) for row in rows] == [
        ("plan", 1, (1, 1)), ("strawberry", 30, (30, 33)),
    ]  # fmt: skip
    assert (rows[0].rate, rows[0].p50, rows[0].p99) == (100, 50, 99)


def test_targets_are_reported_as_met_missed_or_unmeasured():
    rows = table(plan=[1.0], strawberry=[30.0], mercurius=[0.9], **{"mercurius-dataloader": [1.2]}, handwritten=[0.3])
    found = {one.what: one.met for one in targets(rows, scale=11)}
    assert found["sales view, plain Strawberry / ours"] is True
    assert found["sales view, best bare Mercurius / ours"] is False
    assert found["sales view, ours / hand-written"] is False
    assert found["ten times the rows, CPU"] is False
    assert found["item list, best bare Mercurius / ours"] is None


def test_best_production_peer_is_compared_with_ours():
    case, peers = Case("item_list", 0, 32), {"apollo-production": 1.4, "mercurius-dataloader-production": 1.1}
    rounds = {name: [sample(cpu)] for name, cpu in {"plan": 1.0, "mercurius-dataloader": 0.5, **peers}.items()}
    rows = rows_of(case, rounds, dict.fromkeys(rounds, "label"), dict.fromkeys(rounds, 50.0))
    found = {one.what: (one.value, one.met) for one in targets(rows)}
    assert found["item list, best production Node peer / ours"] == (1.1, True)
    assert found["item list, best bare Mercurius / ours"] == (0.5, False)


def test_summary_gives_the_range_of_several_runs_and_the_best_of_each_kind():
    runs = []
    for cpu in (0.4, 0.6):
        rows = table(plan=[1.0], apollo=[cpu], mercurius=[cpu], **{"mercurius-production": [2.0]})
        runs.append([asdict(row) | {"label": row.name} for row in rows])
    assert summary(runs).splitlines() == [
        "|  | sales view |",
        "| --- | --- |",
        "| plan | 1 |",
        "| apollo | 0.5 (0.4 to 0.6) |",
        "| mercurius | 0.5 (0.4 to 0.6) |",
        "| mercurius-production | 2 (2) |",
        "| best bare Mercurius | 0.5 (0.4 to 0.6) |",
        "| best production Node peer | 2 (2) |",
    ]


def test_regression_of_more_than_a_quarter_is_found():
    key = f"{CASE} | strawberry"
    assert regressions({key: 22.6}, {key: 30.0}) == []
    assert regressions({key: 22.4}, {key: 30.0}) == [f"{key}: 22.40 was 30.00"]
    assert regressions({key: 90.0}, {key: 30.0, "not measured": 1.0}) == []


def test_quick_mode_fails_on_a_regression_and_without_a_baseline(tmp_path, capsys):
    file = tmp_path / "baseline.json"
    before, after = table(plan=[1], strawberry=[30]), table(plan=[1.4], strawberry=[30])
    assert compare(before, save=False, file=file) == 1
    assert compare(before, save=True, file=file) == 0
    assert json.loads(file.read_text()) == ratios(before) == {f"{CASE} | strawberry": 30}
    assert compare(before, save=False, file=file) == 0
    assert compare(after, save=False, file=file) == 1
    assert f"{CASE} | strawberry: 21.43 was 30.00" in capsys.readouterr().out


def test_what_fell_behind_once_is_no_regression_if_it_does_not_again():
    once, again = table(plan=[1.4], strawberry=[30], reference=[9]), table(plan=[1], strawberry=[30], reference=[5])
    assert ratios(one_of_each(once, again, max)) == {f"{CASE} | strawberry": 30, f"{CASE} | reference": 6.429}


def test_picture_draws_a_bar_each_and_the_better_mercurius_of_both_kinds():
    peers = {"mercurius-dataloader": [2], "mercurius-production": [5], "mercurius-dataloader-production": [4]}
    drawn = svg(table(plan=[1], strawberry=[30], mercurius=[3], **peers), PICTURE_CASE)
    assert drawn.count("<rect") == 4
    assert ">2.0 ms<" in drawn
    assert ">3.0 ms<" not in drawn
    assert ">4.0 ms<" in drawn
    assert ">5.0 ms<" not in drawn


def test_sales_view_has_the_orders_it_is_asked_for():
    assert variables(DATA, "sales_view", NUMBER)["orders"] == ORDERS == len(DATA.orders[NUMBER])
