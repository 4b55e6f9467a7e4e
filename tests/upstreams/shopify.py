"""A typed fake of Shopify's Admin API.

It runs the adapter's documents by graphql-core against `shopify_schema.graphql`, a subset of the published contract of
version 2026-10 written by hand; it is no recording, and nobody at Shopify has seen it. Its calculated cost is an
assumption that fits the one figure measured in public: 25 points for a connection of 250 rows with an object each
(https://community.shopify.dev/t/23101).
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import graphql
from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, OperationDefinitionNode, SelectionSetNode
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.vendor_traffic import VendorTraffic
from tests.upstreams import serve
from tests.upstreams.shopify_rows import (
    PLACES,
    Row,
    at,
    bag,
    company,
    fulfillment,
    gid,
    line,
    location,
    money,
    product,
    variant,
)
from tests.upstreams.shopify_rows import order as made_order
from tests.upstreams.shopify_search import Terms, search

SCHEMA = graphql.build_schema((Path(__file__).with_name("shopify_schema.graphql")).read_text())
TOKEN = "shpat_example"
MAXIMUM, RATE, SINGLE = 20000.0, 1000.0, 1000

TERMS: Mapping[str, Terms] = {
    "companies": {
        "": lambda row: f"{row['name']} {row['externalId']}",
        "external_id": lambda row: row["externalId"],
        "updated_at": lambda row: row["updatedAt"],
    },
    "companyLocations": {"company_id": lambda row: row["company_id"]},
    "productVariants": {
        "": lambda row: f"{row['product']['title']} {row['sku']}",
        "sku": lambda row: row["sku"],
        "barcode": lambda row: row["barcode"],
        "product_type": lambda row: row["product"]["productType"],
    },
    "products": {"updated_at": lambda row: row["updatedAt"]},
    "locations": {},
    "orders": {
        "name": lambda row: row["name"],
        "po_number": lambda row: row["poNumber"],
        "updated_at": lambda row: row["updatedAt"],
    },
    "draftOrders": {"tag": lambda row: row["tags"]},
}
SORTS: Mapping[str, Callable[[Row], Any]] = {
    "UPDATED_AT": lambda row: row["updatedAt"],
    "PROCESSED_AT": lambda row: row["processedAt"],
    "SKU": lambda row: row["sku"] or "",
    "NAME": lambda row: row["name"],
    "HAPPENED_AT": lambda row: row["happenedAt"],
    "MINIMUM_QUANTITY": lambda row: row["minimumQuantity"],
}


def number_of(row: Row) -> int:
    """The number in a row's global id."""
    return int(row["id"].rpartition("/")[2]) if "id" in row else 0


@dataclass(eq=False)
class ShopFault:
    """How the next request of an operation is answered: a body or a response, made of the true answer if it runs."""

    operation: str
    change: Callable[[Any], Any]
    runs: bool


@dataclass
class Shop:
    """The running shop. `asked` are its operations in order, with their variables; `costs` what each was charged."""

    companies: list[Row] = field(default_factory=list)
    products: list[Row] = field(default_factory=list)
    variants: list[Row] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    drafts: list[Row] = field(default_factory=list)
    breaks: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)
    """By location and SKU: from a quantity on, a price; the first is the price of one."""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    costs: dict[str, int] = field(default_factory=dict)
    available: float = MAXIMUM
    faults: list[ShopFault] = field(default_factory=list)
    tokens: set[str] = field(default_factory=lambda: {TOKEN})
    grants: int = 0
    traffic: VendorTraffic = field(default_factory=lambda: VendorTraffic("shopify"))
    url: str = ""

    def count(self, operation: str) -> int:
        """How often an operation was asked."""
        return sum(1 for name, _ in self.asked if name == operation)

    def fault(self, operation: str, answer: Any, times: int = 1, *, runs: bool = True) -> None:
        """Answer the next requests of an operation with a body, a response, or what a function makes of the answer,
        after it has run or instead."""
        is_change = callable(answer) and not isinstance(answer, Response)
        change = answer if is_change else lambda _: answer
        self.faults += [ShopFault(operation, change, runs) for _ in range(times)]

    async def handle(self, request: Request) -> Response:
        """Answer a document, or grant a token. What the adapter does not declare is no answer of Shopify's."""
        self.traffic.check(request.method, request.url.path, await request.body())
        if request.url.path == "/admin/oauth/access_token":
            self.grants += 1
            self.tokens = {f"shpat_{self.grants}"}
            return JSONResponse({"access_token": f"shpat_{self.grants}", "scope": "", "expires_in": 86399})
        if request.headers.get("x-shopify-access-token") not in self.tokens:
            return JSONResponse({"errors": "[API] Invalid API key or access token"}, 401)
        body = await request.json()
        document = graphql.parse(body["query"])
        operation = next(one for one in document.definitions if isinstance(one, OperationDefinitionNode))
        name = operation.name.value if operation.name else ""
        self.asked.append((name, body["variables"]))
        cost = self.costs[name] = cost_of(document, operation, body["variables"])
        fault = next((one for one in self.faults if one.operation in (name, "*")), None)
        if fault is not None:
            self.faults.remove(fault)
        answer = self._execute(document, body["variables"], cost) if fault is None or fault.runs else None
        if fault is not None:
            answer = fault.change(answer)
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    def _execute(self, document: Any, variables: dict[str, Any], cost: int) -> Any:
        if cost > SINGLE:
            text = f"Query cost is {cost}, which exceeds the single query max cost limit ({SINGLE})."
            return {"errors": [{"message": text, "extensions": {"code": "MAX_COST_EXCEEDED", "cost": cost}}]}
        errors = graphql.validate(SCHEMA, document)
        result = graphql.ExecutionResult(None, list(errors)) if errors else self._result(document, variables)
        assert not isinstance(result, Awaitable)
        body: dict[str, Any] = {"data": result.data, "extensions": self.extensions(cost)}
        if result.errors:
            body["errors"] = [error.formatted for error in result.errors]
        return body

    def _result(self, document: Any, variables: dict[str, Any]) -> Any:
        return graphql.execute_sync(SCHEMA, document, Root(self), variable_values=variables)

    def extensions(self, cost: float) -> dict[str, Any]:
        """What an answer says of the cost."""
        status = {"maximumAvailable": MAXIMUM, "currentlyAvailable": self.available, "restoreRate": RATE}
        return {"cost": {"requestedQueryCost": cost, "actualQueryCost": cost, "throttleStatus": status}}

    def throttled(self, cost: float = 50) -> dict[str, Any]:
        """The answer to a document that the bucket does not allow."""
        error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
        return {"errors": [error], "extensions": self.extensions(cost)}


class Root:
    """The fields of queries and mutations, over the shop's rows."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.shop = {"name": "Example"}
        for name in ("companies", "products", "orders"):
            setattr(self, name, self._list(name, lambda name=name: getattr(shop, name)))
        lists = {
            "draftOrders": lambda: shop.drafts,
            "productVariants": lambda: shop.variants,
            "locations": lambda: PLACES,
            "companyLocations": self._company_locations,
        }
        for name, rows in lists.items():
            setattr(self, name, self._list(name, rows))
        for name in ("order", "product", "inventoryItem"):
            setattr(self, name, lambda info, id: self._node(id))
        self.draftOrderCreate = self.create_draft
        self.draftOrderComplete = self.complete_draft
        self.draftOrderCalculate = self.calculate_draft
        self.draftOrderDelete = self.delete_draft
        self.orderCancel = self.cancel_order

    def nodes(self, info: Any, ids: list[str]) -> list[Any]:
        return [self._node(id) for id in ids]

    def _list(self, name: str, rows: Callable[[], list[Row]]) -> Any:
        def read(info: Any, query: str | None = None, **page: Any) -> Any:
            fits = search(query, TERMS[name])
            return connection([self._view(row) for row in rows() if fits(row)], **page)

        return read

    def _company_locations(self) -> list[Row]:
        return [{**one, "company_id": str(number_of(row))} for row in self._shop.companies for one in row["locations"]]

    def _node(self, id: str) -> Any:
        shop = self._shop
        items = [row["inventoryItem"] for row in shop.variants]
        rows = (*shop.companies, *shop.products, *shop.variants, *shop.orders, *shop.drafts, *items)
        return next((self._view(row) for row in rows if row["id"] == id), None)

    def _view(self, row: Row) -> Row:
        """A row with the fields that take arguments."""
        kind = row.get("__typename")
        view = dict(row)
        for name in ("locations", "lineItems"):
            if isinstance(row.get(name), list):
                view[name] = lambda info, name=name, **page: connection(row[name], **page)
        if isinstance(row.get("metafields"), list):
            view["metafields"] = lambda info, keys=None, **page: connection(
                [one for one in row["metafields"] if keys is None or f"{one['namespace']}.{one['key']}" in keys], **page
            )
        if kind == "Company":
            own = [one for one in self._shop.orders if _buyer(one) == row["id"]]
            view["orders"] = lambda info, **page: connection([self._view(one) for one in own], **page)
            view["ordersCount"] = {"count": len(own)}
        elif kind == "Order":
            view["fulfillmentsCount"] = {"count": len(row["fulfillments"])}
            view["fulfillments"] = lambda info, first=None: [
                self._fulfillment(one) for one in row["fulfillments"][:first]
            ]
        elif kind == "Product":
            own = [one for one in self._shop.variants if one["product"]["id"] == row["id"]]
            view["variants"] = lambda info, **page: connection(own, **page)
        elif kind == "ProductVariant":
            view["inventoryItem"] = self._item(row["inventoryItem"])
            view["contextualPricing"] = lambda info, context: self._pricing(row, context["companyLocationId"])
        elif kind == "InventoryItem":
            return self._item(row)
        elif kind == "DraftOrder" and row["order"] is not None:
            view["order"] = self._view(row["order"])
        return view

    def _item(self, row: Row) -> Row:
        levels = [
            {**one, "quantities": lambda info, names, one=one: [
                {"name": name, "quantity": one["quantities"][name]} for name in names]}
            for one in row["inventoryLevels"]
        ]  # fmt: skip
        return {**row, "inventoryLevels": lambda info, **page: connection(levels, **page)}

    def _fulfillment(self, row: Row) -> Row:
        return {
            **row,
            "trackingInfo": lambda info, first=None: row["trackingInfo"][:first],
            "fulfillmentLineItems": lambda info, **page: connection(row["fulfillmentLineItems"], **page),
            "events": lambda info, **page: connection(row["events"], **page),
        }

    def _pricing(self, row: Row, place: str) -> Row:
        found = self._shop.breaks.get((place, row["sku"]), [(1, row["price"])])
        breaks = [{"minimumQuantity": minimum, "price": money(price)} for minimum, price in found[1:]]
        return {
            "price": money(found[0][1]),
            "quantityPriceBreaks": lambda info, **page: connection(breaks, **page),
        }

    # Mutations

    def create_draft(self, info: Any, input: Row) -> Row:
        shop = self._shop
        errors = [
            {"field": ["input", "lineItems", str(index), "quantity"], "message": "must be at most 1000000"}
            for index, one in enumerate(input["lineItems"])
            if one["quantity"] > 1_000_000
        ]
        if errors:
            return {"draftOrder": None, "userErrors": errors}
        assert all(len(tag) <= 40 for tag in input["tags"])
        number = 1 + len(shop.drafts)
        draft = {
            "__typename": "DraftOrder",
            "id": gid("DraftOrder", number),
            "name": f"#D{number}",
            "tags": input["tags"],
            "customAttributes": input["customAttributes"],
            "order": None,
            "input": input,
        }
        shop.drafts.append(draft)
        return {"draftOrder": draft, "userErrors": []}

    def complete_draft(self, info: Any, id: str, **_: Any) -> Row:
        shop = self._shop
        draft = next(one for one in shop.drafts if one["id"] == id)
        if draft["order"] is not None:
            return {"draftOrder": None, "userErrors": [{"field": ["id"], "message": "This order has been paid"}]}
        given = draft["input"]
        buyer = next(
            one for one in shop.companies if one["id"] == given["purchasingEntity"]["purchasingCompany"]["companyId"]
        )
        number = 1 + max(map(number_of, shop.orders))
        lines = [
            line(number * 100 + index, self._variant(one)["sku"], one["quantity"], self._unit_price(one))
            for index, one in enumerate(given["lineItems"])
        ]
        made = made_order(number, buyer, lines, 200)
        made["poNumber"] = given["poNumber"]
        shop.orders.append(made)
        draft["order"] = made
        return {"draftOrder": self._view(draft), "userErrors": []}

    def calculate_draft(self, info: Any, input: Row) -> Row:
        lines = [
            {
                "sku": self._variant(one)["sku"],
                "approximateDiscountedUnitPriceSet": bag(self._unit_price(one)),
            }
            for one in input["lineItems"]
        ]
        return {"calculatedDraftOrder": {"lineItems": lines}, "userErrors": []}

    def delete_draft(self, info: Any, input: Row) -> Row:
        self._shop.drafts = [one for one in self._shop.drafts if one["id"] != input["id"]]
        return {"deletedId": input["id"], "userErrors": []}

    def cancel_order(self, info: Any, **given: Any) -> Row:
        found = next(one for one in self._shop.orders if one["id"] == given["orderId"])
        if found["fulfillments"]:
            error = {"field": ["orderId"], "message": "Order has fulfillments"}
            return {"orderCancelUserErrors": [error]}
        found["cancelledAt"] = at(300)
        return {"orderCancelUserErrors": []}

    def _variant(self, given: Row) -> Row:
        return next(one for one in self._shop.variants if one["id"] == given["variantId"])

    def _unit_price(self, given: Row) -> str:
        override = given.get("priceOverride")
        return override["amount"] if override else self._variant(given)["price"]


def _buyer(row: Row) -> str | None:
    entity = row["purchasingEntity"]
    return entity["company"]["id"] if entity and "company" in entity else None


def connection(rows: Iterable[Row], first: int | None = None, after: str | None = None, **order: Any) -> Row:
    """A page of rows. A cursor holds the sort's value and the id of its row, so that rows may move between pages."""
    reverse, sort_key = order.get("reverse", False), order.get("sortKey")
    read = SORTS.get(sort_key or "", lambda _: "")
    keyed = sorted(((read(row), number_of(row), row) for row in rows), key=lambda one: one[:2], reverse=reverse)
    if sort_key is None:
        keyed = [(index, index, row) for index, (_, _, row) in enumerate(keyed)] if not reverse else keyed
    if after is not None:
        value, number = json.loads(base64.b64decode(after))
        keyed = [one for one in keyed if (one[:2] < (value, number) if reverse else one[:2] > (value, number))]
    page = keyed if first is None else keyed[:first]
    edges = [{"cursor": _cursor(*one[:2]), "node": one[2]} for one in page]
    return {
        "edges": edges,
        "nodes": [one[2] for one in page],
        "pageInfo": {"hasNextPage": len(page) < len(keyed), "endCursor": edges[-1]["cursor"] if edges else None},
    }


def _cursor(value: Any, number: int) -> str:
    return base64.b64encode(json.dumps([value, number]).encode()).decode()


def cost_of(document: Any, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> int:
    """The cost of an operation: 1 for each object, lists by the logarithm of their size, 10 for a mutation."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    mutation = operation.operation.value == "mutation"
    root = SCHEMA.mutation_type if mutation else SCHEMA.query_type
    return round(_cost(operation.selection_set, root, fragments, variables) + (10 if mutation else 0))


def _cost(selections: SelectionSetNode | None, kind: Any, fragments: Any, variables: Mapping[str, Any]) -> float:
    total = 0.0
    for node in selections.selections if selections else ():
        if not isinstance(node, FieldNode):
            inner: Any = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            on = SCHEMA.type_map[inner.type_condition.name.value] if inner.type_condition else kind
            total += _cost(inner.selection_set, on, fragments, variables)
        elif node.name.value != "__typename" and _included(node, variables):
            found = kind.fields[node.name.value]
            named = graphql.get_named_type(found.type)
            if graphql.is_leaf_type(named):
                continue
            own = _cost(node.selection_set, named, fragments, variables)
            if named.name.endswith("Connection"):
                total += 2 + _size(node, variables) * own
            elif named.name.endswith("Edge") or named.name == "PageInfo":
                total += own
            elif node.name.value in ("nodes", "node"):
                many = len(variables["ids"]) if kind is SCHEMA.query_type else 0
                total += (max(1.0, 2 * math.log(many or 1)) if many else 1) * (own + 1)
            else:
                total += (1 + own) * (_size(node, variables) if "first" in found.args else 1)
    return total


def _included(node: FieldNode, variables: Mapping[str, Any]) -> bool:
    return all(_argument(one, "if", variables) for one in node.directives or ())


def _size(node: FieldNode, variables: Mapping[str, Any]) -> float:
    return max(1.0, 2 * math.log(_argument(node, "first", variables)))


def _argument(node: Any, name: str, variables: Mapping[str, Any]) -> Any:
    value = next(one.value for one in node.arguments or () if one.name.value == name)
    return graphql.value_from_ast_untyped(value, dict(variables))


def stocked_shop() -> Shop:
    """The shop that the contract suites know: 3 companies, 12 items in 2 products, 7 orders."""
    companies = [
        company(1, [location(11, 1, None)]),
        company(2, [location(21, 2, "CUST-0002"), location(22, 2, "CUST-0002-B")]),
        company(3, [location(31, 3, None)]),
        company(4, []),
    ]
    products = [product(1), product(2), product(3, "ARCHIVED")]
    variants = [
        variant(number, products[0 if number <= 6 else 1], sku=f"SKU-{number:04}", price=f"{number + 9}.00")
        for number in range(1, 13)
    ]
    variants.append(variant(13, products[2], sku="SKU-0001", price="99.00"))  # An archived one of the same SKU.
    variants.append(variant(14, products[1], sku=None))
    shop = Shop(companies=companies, products=products, variants=variants)
    shop.breaks = {
        (gid("CompanyLocation", 11), "SKU-0001"): [(1, "9.50"), (10, "9.00"), (100, "8.25")],
        (gid("CompanyLocation", 11), "SKU-0002"): [(1, "10.45")],
        (gid("CompanyLocation", 21), "SKU-0001"): [(1, "7.125")],
    }
    for number in range(1001, 1006):
        lines = [line(number * 10 + 1, "SKU-0001", 12), line(number * 10 + 2, "SKU-0002", 3)]
        shop.orders.append(made_order(number, companies[0], lines, number - 1001))
    shop.orders += [
        made_order(number, companies[1], [line(number * 10 + 1, "SKU-0003", 5)], 10 + number - 1006)
        for number in (1006, 1007)
    ]
    sent = shop.orders[0]
    sent["displayFulfillmentStatus"] = "PARTIALLY_FULFILLED"
    sent["fulfillments"] = [fulfillment(501, [(sent["lineItems"][0], 10)], 1)]
    shop.orders[1]["cancelledAt"] = at(9)
    return shop


@asynccontextmanager
async def serve_shop(shop: Shop | None = None) -> AsyncIterator[Shop]:
    """Serve a shop on a free port."""
    running = shop or stocked_shop()
    app = Starlette(routes=[Route("/{path:path}", running.handle, methods=["POST"])])
    async with serve(app) as running.url:
        yield running
