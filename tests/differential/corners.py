"""Documents written by hand: one for every corner of the language that a generator may not come to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.sources.node_ids import node_id
from tests.differential.arguments import IDS, WRONG_IDS

DOCUMENTS = Path(__file__).resolve().parents[2] / "clients" / "documents"
CUSTOMER = '(by: { number: "CUST-1" })'
ALL_KINDS = [*IDS[::3], node_id("Customer", "NOBODY"), IDS[0], IDS[0]]

CORNERS: dict[str, tuple[str, dict[str, Any]]] = {
    "named fragments within fragments, spread in two places": (
        f"""
        {{ a: customer{CUSTOMER} {{ ...C }} b: customer(by: {{ number: "CUST-2" }}) {{ parent {{ ...C }} }} }}
        fragment C on Customer {{ number ...N parent {{ ...N name }} }}
        fragment N on Node {{ __typename id ... on Customer {{ shipTos {{ ...L }} }} }}
        fragment L on CustomerLocation {{ id kind defaultWarehouse {{ id code }} }}
        """,
        {},
    ),
    "one key from two fragments, each with more below": (
        f"""
        {{ customer{CUSTOMER} {{
          orders(first: 3) {{ ...A ...B edges {{ node {{ number lines {{ number }} }} }} }}
        }} }}
        fragment A on OrderConnection {{ edges {{ node {{ lines {{ item {{ sku }} }} total {{ amount }} }} }} }}
        fragment B on OrderConnection {{
          edges {{ cursor node {{ lines {{ item {{ name refs {{ id }} }} quantity }} total {{ currency }} }} }}
        }}
        """,
        {},
    ),
    "every kind of node, with fields of one name": (
        """
        query ($ids: [ID!]!) { nodes(ids: $ids) {
          __typename id kind: __typename
          ... on Customer { number name customerStatus: status refs { system } orders(first: 1) { nodes { id } } }
          ... on Item { sku name itemStatus: status refs { id } relations { item { sku } } }
          ... on Order { number total { amount } refs { system id } lines { item { sku } } }
          ... on Shipment { trackingNumber refs { id } order { number } events(last: 2) { at } }
          ... on Warehouse { code name refs { system } }
        } }
        """,
        {"ids": ALL_KINDS},
    ),
    "nodes of which one id is wrong": (
        "query ($ids: [ID!]!) { nodes(ids: $ids) { id } me { subject } }",
        {"ids": [IDS[0], *WRONG_IDS]},
    ),
    "a node that is not there, one that is wrong": (
        f"""
        {{
          a: node(id: "{node_id("Item", "GONE")}") {{ id }}
          b: node(id: "{IDS[4]}") {{ id __typename }}
          c: node(id: "x") {{ id }}
        }}
        """,
        {},
    ),
    "aliases of one field with other arguments": (
        f"""
        {{ customer{CUSTOMER} {{
          new: orders(first: 2) {{ nodes {{ number }} }}
          old: orders(first: 2, orderBy: ORDERED_AT_ASC) {{ nodes {{ number status }} totalCount }}
          again: orders(first: 2) {{ pageInfo {{ hasNextPage endCursor }} }}
          few: orders(first: 2, status: SHIPPED) {{ nodes {{ number }} }}
        }} }}
        """,
        {},
    ),
    "skip and include, by literals and variables, on fields and fragments": (
        f"""
        query ($yes: Boolean!, $no: Boolean = false) {{
          customer{CUSTOMER} {{
            number @skip(if: true)
            name @include(if: $no)
            status @skip(if: $no) @include(if: $yes)
            a: name @skip(if: false) @include(if: true)
            ... @include(if: $yes) {{ currency }}
            ... on Customer @skip(if: $yes) {{ salesRep }}
            ...F @include(if: $no)
            ...F @skip(if: $no)
            orders(first: 1) @include(if: $no) {{ nodes {{ id }} }}
          }}
          me @skip(if: $yes) {{ subject }}
        }}
        fragment F on Customer {{ parent {{ number }} }}
        """,
        {"yes": True},
    ),
    "nothing is left of a selection": (
        f"query ($a: Boolean!) {{ customer{CUSTOMER} {{ name @skip(if: $a) }} }}",
        {"a": True},
    ),
    "a field skipped here and taken there": (
        f"""query ($a: Boolean!) {{ customer{CUSTOMER} {{
          orders(first: 2) @skip(if: $a) {{ totalCount }} orders(first: 2) {{ nodes {{ number @include(if: $a) id }} }}
        }} }}""",
        {"a": True},
    ),
    "variables: left out, null, with defaults, within inputs": (
        """
        query (
          $n: String!, $first: Int = 2, $after: String, $status: [OrderStatus!], $q: Decimal = "2.50", $uom: String
        ) {
          customer(by: { number: $n }) {
            orders(first: $first, after: $after, status: $status) { totalCount nodes { id } }
          }
          item(by: { customerPart: { customer: { number: $n }, number: "A-1" } }) {
            contractPrice(customer: { number: $n }, quantity: $q, uom: $uom) { quantity uom net { amount } }
            availability(warehouses: ["MAIN", "3PL"]) { atp at warehouse { code } }
          }
        }
        """,
        {"n": "CUST-1", "status": ["SHIPPED", "PROCESSING"], "uom": None},
    ),
    "a variable that has no value where a default stands": (
        """
        query ($q: Decimal! = 3) {
          item(by: { sku: "A-1" }) { contractPrice(customer: { number: "CUST-1" }, quantity: $q) { quantity } }
        }
        """,
        {},
    ),
    "a page that is too large, and one that is none": (
        f"""
        query ($n: Int!) {{
          customer{CUSTOMER} {{ a: orders(first: 101) {{ totalCount }} b: orders(first: $n) {{ totalCount }} }}
        }}
        """,
        {"n": 0},
    ),
    "cursors: of another list, made up": (
        f"""{{ customer{CUSTOMER} {{ orders(first: 2, after: "WyJhIiwiMSJd") {{ totalCount }} }}
             items(first: 2, after: "nonsense") {{ totalCount }} customers(first: -1) {{ totalCount }} }}""",
        {},
    ),
    "a non-null field that fails takes its shipment along": (
        """
        {
          a: order(by: { number: "SO-1" }) { shipments { id events(last: 0) { at } } }
          b: order(by: { number: "SO-2" }) {
            shipments { id events(last: 0) { at } x: events(last: -1) { at } }
            number
          }
        }
        """,
        {},
    ),
    "all failures of a level at once": (
        """
        { order(by: { number: "SO-3" }) {
          shipments {
            id
            customer { number }
            order { number }
            e: events(last: 0) { at }
            warehouse { name }
            f: events(last: 2000) { at }
          }
          invoices { total { amount } net { amount } lines { quantity } }
        } }
        """,
        {},
    ),
    "prices and stock of every line": (
        """query ($lines: [LineInput!]!, $c: CustomerKey!) { priceAndAvailability(customer: $c, lines: $lines) {
             outcome message quantity uom item { sku relations { item { sku } type } }
             price { net { amount currency } unitPrice { amount } breaks { minimum } reason { certainty } item { sku } }
             availability {
               warehouse { code } atp supply { date delta kind } item { name } freshness { asOf degraded }
             }
             substitutes { ratio item { sku } } } }""",
        {
            "c": {"number": "CUST-1"},
            "lines": [
                {"item": {"sku": "A-1"}, "quantity": "2"},
                {"item": {"sku": "A-1"}, "quantity": 2, "uom": "EA"},
                {"item": {"gtin": "0400"}, "quantity": "1"},
                {"item": {"sku": ""}, "quantity": "1"},
                {
                    "item": {"customerPart": {"customer": {"ref": {"system": "erp", "id": "0"}}, "number": "B/3"}},
                    "quantity": "0",
                },
            ],
        },
    ),
    "promises": (
        """
        {
          a: promise(item: { sku: "A-1" }, quantity: "5") {
            requested { quantity uom date }
            confirmed { quantity shipDate warehouse { code } item { sku } }
            unconfirmedQuantity reason freshness { source asOf }
          }
          b: promise(item: { sku: "GONE" }, quantity: 1) { reason }
          c: promise(item: { sku: "A-2" }, quantity: 0) { reason }
          d: promise(item: { sku: "A-2" }, quantity: "1", by: "2020-01-01") { reason }
        }
        """,
        {},
    ),
    "the same thing in many places": (
        """
        {
          itemsBySku(skus: ["A-1", "A-1", "GONE", "A-2", "A-1"]) {
            id name relations { item { id relations { item { id } } } }
          }
          warehouses { id }
          x: warehouses { code refs { id } }
          me { subject roles customers { id orders(first: 2) { nodes { id } } } }
        }
        """,
        {},
    ),
    "the caller": (
        "{ me { __typename roles customers { number creditStatus { state freshness { source } } } } __typename }",
        {},
    ),
    "no variable where one must be": ("query ($n: String!) { customer(by: { number: $n }) { id } }", {}),
    "variables of the wrong kind": (
        """
        query ($n: String!, $f: Int!, $k: CustomerKey!) {
          customer(by: { number: $n }) { id }
          items(first: $f) { totalCount }
          c: customer(by: $k) { id }
        }
        """,
        {"n": 5, "f": "many", "k": {"id": "a", "number": "b"}},
    ),
    "a null for a switch": ("query ($s: Boolean = true) { me { subject @skip(if: $s) roles } }", {"s": None}),
    "introspection beside data": (
        '{ __schema { queryType { name } } me { subject } __type(name: "Node") { kind } }',
        {},
    ),
}


def consumers() -> dict[str, tuple[str, dict[str, Any]]]:
    """The consumers' documents, with variables that find something."""
    customer, lines = {"number": "CUST-1"}, [{"item": {"sku": "A-1"}, "quantity": "2"}]
    variables: dict[str, dict[str, Any]] = {
        "customer_card": {"customer": customer},
        "find": {"customer": customer, "part": "A-1", "search": "A"},
        "item_list": {"customer": customer, "skus": ["A-1", "A-2", "GONE", "A-1"]},
        "order_tracking": {"order": {"number": "SO-1"}},
        "price_and_availability": {"customer": customer, "lines": lines * 3},
        "promise": {"item": {"sku": "A-1"}, "quantity": "3", "by": "2026-12-24"},
        "sales_view": {"customer": customer},
    }
    return {
        name: ((DOCUMENTS / f"{name}.graphql").read_text(encoding="utf-8"), given) for name, given in variables.items()
    }
