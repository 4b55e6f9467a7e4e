"""Contract prices and the order pad over the sandbox: units, breaks, and every outcome of a line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.consumers import CUSTOMER
from tests.support.gateway import BUYER, SELLER, Graph

PRICE = """
query($by: CustomerKey!, $sku: String!, $quantity: Decimal, $uom: String, $on: Date) {
  item(by: {sku: $sku}) { contractPrice(customer: $by, quantity: $quantity, uom: $uom, on: $on) {
    uom quantity priceUnit currency unitPrice { amount } net { amount } listPrice { amount } discountPercent
    breaks { minimum unitPrice { amount } } reason { rule contract priceList certainty } validFrom validTo authority
    freshness { source cached degraded } item { sku }
  } }
}
"""


async def price(graph: Graph, sku: str = "SKU-0001", customer: str = "CUST-0001", **asked: object) -> Any:
    variables = {"by": {"number": customer}, "sku": sku, "quantity": "1", **asked}
    return (await graph.data(PRICE, variables, principal=SELLER))["item"]["contractPrice"]


async def test_contract_price_is_the_erps_answer(graph: Graph):
    assert await price(graph) == {
        "uom": "EA",
        "quantity": "1",
        "priceUnit": "1",
        "currency": "USD",
        "unitPrice": {"amount": "0.0598"},
        "net": {"amount": "0.0598"},
        "listPrice": {"amount": "0.0998"},
        "discountPercent": "40.08",
        "breaks": [
            {"minimum": "1", "unitPrice": {"amount": "0.0598"}},
            {"minimum": "100", "unitPrice": {"amount": "0.0548"}},
            {"minimum": "1000", "unitPrice": {"amount": "0.0499"}},
        ],
        "reason": {"rule": "CONTRACT", "contract": "K-0001", "priceList": None, "certainty": "KNOWN"},
        "validFrom": "2026-05-05",
        "validTo": "2027-05-05",
        "authority": "erp",
        "freshness": {"source": "erp", "cached": False, "degraded": False},
        "item": {"sku": "SKU-0001"},
    }


@pytest.mark.parametrize(
    ("quantity", "uom", "code", "unit_price", "net"),
    [
        ("99", None, "EA", "0.0598", "5.9202"),
        ("100", None, "EA", "0.0548", "5.48"),
        ("1", "box", "XBX", "5.48", "5.48"),
        ("1", "BOX", "XBX", "5.48", "5.48"),
        ("9", "XBX", "XBX", "5.48", "49.32"),
        ("10", "xbx", "XBX", "4.99", "49.90"),
        ("1000", "EA", "EA", "0.0499", "49.9"),
        ("1", "case", "XCS", "49.90", "49.90"),
    ],
)
async def test_a_box_is_priced_as_exactly_its_hundred_pieces(
    graph: Graph, quantity: str, uom: str | None, code: str, unit_price: str, net: str
):
    found = await price(graph, quantity=quantity, uom=uom)
    assert (found["uom"], found["quantity"], found["unitPrice"]["amount"]) == (code, quantity, unit_price)
    assert Decimal(found["net"]["amount"]) == Decimal(net)


async def test_breaks_are_in_the_unit_asked_for(graph: Graph):
    assert (await price(graph, uom="box"))["breaks"] == [
        {"minimum": "1", "unitPrice": {"amount": "5.48"}},
        {"minimum": "10", "unitPrice": {"amount": "4.99"}},
    ]


async def test_price_outside_the_contract_is_the_price_lists(graph: Graph):
    for asked in ({"on": "2027-05-06"}, {"on": "2026-05-04"}):
        found = await price(graph, **asked)
        assert found["reason"] == {"rule": "CLASS-A", "contract": None, "priceList": "LIST-A", "certainty": "KNOWN"}
        assert found["unitPrice"] == {"amount": "0.0678"}
    assert (await price(graph, on="2027-05-05"))["reason"]["rule"] == "CONTRACT"


async def test_every_customer_has_its_own_price(graph: Graph):
    found = await price(graph, customer="CUST-0002")
    assert found["reason"]["contract"] != "K-0001"
    assert found["unitPrice"] != {"amount": "0.0598"}


async def test_no_price_is_null(graph: Graph):
    assert await price(graph, "SKU-0399") is None
    assert await price(graph, customer="CUST-9999") is None


async def test_unit_that_the_item_does_not_have_is_an_error_of_its_price_alone(graph: Graph):
    answer = await graph.ask(
        '{ itemsBySku(skus: ["SKU-0001", "SKU-0002"]) { sku contractPrice(customer: {number: "CUST-0001"}, uom: "box") '
        "{ uom } } }",
        principal=SELLER,
    )
    assert answer["data"]["itemsBySku"] == [
        {"sku": "SKU-0001", "contractPrice": {"uom": "XBX"}},
        {"sku": "SKU-0002", "contractPrice": None},
    ]
    (error,) = answer["errors"]
    assert error["path"] == ["itemsBySku", 1, "contractPrice"]
    assert error["extensions"] == {"code": "INVALID_INPUT"}
    assert error["message"] == "SKU-0002 has no unit 'box'; it has PR (pair)."


PAD = """
query($by: CustomerKey!, $lines: [LineInput!]!) { priceAndAvailability(customer: $by, lines: $lines) {
  outcome message quantity uom item { sku } price { net { amount } } availability { atp }
  substitutes { type approved item { sku } }
} }
"""


async def pad(
    graph: Graph, *lines: dict, by: dict = CUSTOMER, principal: dict[str, str] = BUYER
) -> list[dict[str, Any]]:
    return (await graph.data(PAD, {"by": by, "lines": list(lines)}, principal=principal))["priceAndAvailability"]


def line(sku: str, quantity: str = "1", uom: str | None = None) -> dict:
    return {"item": {"sku": sku}, "quantity": quantity, "uom": uom}


async def test_line_that_can_be_delivered_is_ok(graph: Graph):
    (found,) = await pad(graph, line("SKU-0001", "53", "box"))
    assert (found["outcome"], found["message"], found["uom"]) == ("OK", None, "XBX")
    assert found["price"] == {"net": {"amount": "264.47"}}
    assert [place["atp"] for place in found["availability"]] == ["4020", "86", "1259"]


async def test_more_than_there_is_offers_substitutes(graph: Graph):
    (found,) = await pad(graph, line("SKU-0001", "54", "box"))
    assert found["outcome"] == "SUBSTITUTE"
    assert found["message"] == (
        "Only 5365 EA are available now; ask `promise` for the date of the rest. Or take one of the substitutes."
    )
    assert found["substitutes"] == [{"type": "SUBSTITUTE", "approved": True, "item": {"sku": "SKU-0060"}}]


async def test_more_than_there_is_without_substitutes_is_unavailable(graph: Graph):
    (found,) = await pad(graph, line("SKU-0002", "40"))
    assert found["outcome"] == "UNAVAILABLE"
    assert found["message"] == "Only 39 PR are available now; ask `promise` for the date of the rest."
    assert found["price"] == {"net": {"amount": "7572.7240"}}


async def test_discontinued_item_names_its_successor(graph: Graph):
    (found,) = await pad(graph, line("SKU-0206"))
    assert (found["outcome"], found["message"]) == (
        "SUBSTITUTE",
        "This item is no longer sold; take one of the substitutes.",
    )
    assert found["substitutes"] == [{"type": "SUPERSEDED_BY", "approved": True, "item": {"sku": "SKU-3391"}}]


async def test_blocked_item_is_unavailable(graph: Graph):
    (found,) = await pad(graph, line("SKU-0399"))
    assert (found["outcome"], found["message"], found["price"]) == (
        "UNAVAILABLE",
        "This item is no longer sold.",
        None,
    )


async def test_substitutes_that_are_not_approved_are_for_the_distributors_people_only(graph: Graph):
    (buyers,) = await pad(graph, line("SKU-0244"))
    (ours,) = await pad(graph, line("SKU-0244"), principal=SELLER)
    assert [one["item"]["sku"] for one in buyers["substitutes"]] == ["SKU-4623", "SKU-2917"]
    assert [one["item"]["sku"] for one in ours["substitutes"]] == ["SKU-4623", "SKU-2917", "SKU-4258"]


@pytest.mark.parametrize(
    "by", [{"number": "CUST-0002"}, {"number": "CUST-9999"}, {"ref": {"system": "erp", "id": "1002"}}]
)
async def test_somebody_elses_account_is_denied_like_a_missing_one(graph: Graph, by: dict):
    (found,) = await pad(graph, line("SKU-0001"), by=by)
    assert (found["outcome"], found["message"]) == (
        "DENIED",
        "There is no such customer among your accounts; check the customer's number.",
    )
    assert found["price"] is None


async def test_unknown_item(graph: Graph):
    (found,) = await pad(graph, line("SKU-9999"))
    assert found == {
        "outcome": "UNKNOWN_ITEM",
        "message": "There is no such item; check its number or search for it.",
        "quantity": "1",
        "uom": None,
        "item": None,
        "price": None,
        "availability": [],
        "substitutes": [],
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (line("SKU-0001", "1", "barrel"), "SKU-0001 has no unit 'barrel'; it has EA (each), XBX (box), XCS (case)."),
        (line("SKU-0001", "0"), "The quantity must be greater than 0 and at most 10^12."),
        (line("SKU-0001", "-3"), "The quantity must be greater than 0 and at most 10^12."),
        (line("SKU-0001", "1000000000001"), "The quantity must be greater than 0 and at most 10^12."),
        (line("SKU-0001", "0.5"), "The smallest quantity is 1 each."),
        (line("SKU-0001", "1.5"), "The quantity must be a multiple of 1 each."),
        (line("SKU-0001", "2.5", "box"), "The quantity must be a multiple of 1 box."),
        (line(""), "An SKU must have 1 to 256 characters."),
    ],
    ids=str,
)
async def test_line_that_cannot_be_read_is_invalid_and_the_others_stand(graph: Graph, wrong: dict, message: str):
    found = await pad(graph, line("SKU-0001"), wrong, line("SKU-0002"))
    assert [one["outcome"] for one in found] == ["OK", "INVALID", "OK"]
    assert found[1]["message"] == message


async def test_stock_that_is_incomplete_is_stale(graph: Graph):
    await graph.turn("commerce", resource="reservations", errorRate=1)
    (found,) = await pad(graph, line("SKU-0001"))
    assert (found["outcome"], found["message"]) == (
        "STALE",
        "The stock shown is incomplete: commerce did not answer: what is promised or counted there is not included.",
    )
    assert found["price"] == {"net": {"amount": "0.0598"}}
    assert [place["atp"] for place in found["availability"]] == ["4022", "86", "1259"]


async def test_system_that_does_not_answer_makes_its_lines_unavailable(graph: Graph):
    await graph.turn("erp", resource="prices", errorRate=1)
    (found,) = await pad(graph, line("SKU-0001"))
    assert (found["outcome"], found["message"], found["price"]) == (
        "UNAVAILABLE",
        "The source 'erp' cannot be reached at the moment; try again shortly.",
        None,
    )
    assert [place["atp"] for place in found["availability"]] == ["4020", "86", "1259"]


async def test_no_lines_are_no_answers(graph: Graph):
    assert await pad(graph) == []
