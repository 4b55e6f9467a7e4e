"""Plain Strawberry, as its documentation says: types with resolvers, dataloaders made per request, httpx, its own ASGI
application under uvicorn. Amounts, days and moments are passed through as the upstream's text, which spares it their
parsing.

    python -m bench.peers.strawberry_peer PORT UPSTREAM_URL
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from strawberry.asgi import GraphQL
from strawberry.types import Info

from bench.peers.loading import Loaders, Row, atp, client, node_id, sealed


@strawberry.input(one_of=True)
class CustomerKey:
    id: strawberry.ID | None = strawberry.UNSET
    number: str | None = strawberry.UNSET


@strawberry.enum
class OrderSort(Enum):
    ORDERED_AT_DESC = "ORDERED_AT_DESC"
    ORDERED_AT_ASC = "ORDERED_AT_ASC"


@strawberry.type
class Money:
    amount: str
    currency: str


@strawberry.type
class PaymentTerms:
    code: str
    net_days: int


@strawberry.type
class Address:
    city: str
    region: str
    country: str


@strawberry.type
class CustomerLocation:
    id: strawberry.ID
    name: str
    address: Address


@strawberry.type
class CreditStatus:
    state: str
    available: Money
    checked_at: str


@strawberry.type
class Freshness:
    as_of: str
    cached: bool
    degraded: bool


@strawberry.type
class Warehouse:
    code: str


@strawberry.type
class Availability:
    warehouse: Warehouse
    atp: str
    freshness: Freshness


@strawberry.type
class PriceReason:
    rule: str
    certainty: str


@strawberry.type
class ContractPrice:
    unit_price: Money
    list_price: Money
    discount_percent: str
    reason: PriceReason
    freshness: Freshness


@strawberry.type
class Uom:
    code: str
    numerator: int
    denominator: int
    minimum: str
    increment: str


async def _price(info: Info, customer: str, sku: str, quantity: str, uom: str | None) -> ContractPrice:
    row = await info.context["loaders"].prices.load((customer, sku, quantity, uom))
    return ContractPrice(
        unit_price=Money(**row["unitPrice"]),
        list_price=Money(**row["listPrice"]),
        discount_percent=row["discountPercent"],
        reason=PriceReason(rule=row["reason"]["rule"], certainty=row["reason"]["certainty"]),
        freshness=Freshness(as_of=row["asOf"], cached=False, degraded=False),
    )


async def _availability(info: Info, sku: str) -> list[Availability]:
    row = await info.context["loaders"].stock.load(sku)
    return [
        Availability(
            warehouse=Warehouse(code=position["warehouse"]),
            atp=atp(position),
            freshness=Freshness(as_of=row["asOf"], cached=False, degraded=False),
        )
        for position in row["positions"]
    ]


@strawberry.type
class Item:
    id: strawberry.ID
    sku: str
    name: str
    status: str
    category: str
    base_uom: str
    uoms: list[Uom]

    @strawberry.field
    async def contract_price(self, info: Info, customer: CustomerKey, quantity: str = "1") -> ContractPrice:
        return await _price(info, customer.number or "", self.sku, quantity, None)

    @strawberry.field
    async def availability(self, info: Info) -> list[Availability]:
        return await _availability(info, self.sku)

    @classmethod
    def of(cls, row: Row) -> Item:
        return cls(
            id=strawberry.ID(node_id("Item", row["sku"])),
            sku=row["sku"],
            name=row["name"],
            status=row["status"],
            category=row["category"],
            base_uom=row["baseUom"],
            uoms=[
                Uom(**{name: uom[name] for name in ("code", "numerator", "denominator", "minimum", "increment")})
                for uom in row["uoms"]
            ],
        )


@strawberry.type
class OrderLine:
    number: int
    quantity: str
    uom: str
    sku: strawberry.Private[str]
    customer: strawberry.Private[str]

    @strawberry.field
    async def item(self, info: Info) -> Item:
        return Item.of(await info.context["loaders"].items.load(self.sku))

    @strawberry.field
    async def contract_price(self, info: Info) -> ContractPrice:
        return await _price(info, self.customer, self.sku, self.quantity, self.uom)

    @strawberry.field
    async def availability(self, info: Info) -> list[Availability]:
        return await _availability(info, self.sku)


@strawberry.type
class Eta:
    promised: str | None
    carrier: str | None


@strawberry.type
class TrackingEvent:
    sequence: int
    status: str
    at: str
    location: str


@strawberry.type
class Shipment:
    id: strawberry.ID
    carrier: str
    status: str
    tracking_number: str
    eta: Eta
    rows: strawberry.Private[list[Row]]

    @strawberry.field
    def events(self, last: int | None = None) -> list[TrackingEvent]:
        names = ("sequence", "status", "at", "location")
        rows = self.rows if last is None else self.rows[-last:]
        return [TrackingEvent(**{name: row[name] for name in names}) for row in rows]


@strawberry.type
class Order:
    id: strawberry.ID
    number: str
    customer_po: str
    status: str
    ordered_at: str
    total: Money
    lines: list[OrderLine]

    @strawberry.field
    async def shipments(self, info: Info) -> list[Shipment]:
        rows = await info.context["loaders"].shipments.load(self.number)
        return [
            Shipment(
                id=strawberry.ID(node_id("Shipment", "logistics", row["id"])),
                carrier=row["carrier"],
                status=row["status"],
                tracking_number=row["trackingNumber"],
                eta=Eta(**row["eta"]),
                rows=row["events"],
            )
            for row in rows or ()
        ]

    @classmethod
    def of(cls, row: Row) -> Order:
        return cls(
            id=strawberry.ID(node_id("Order", "erp", row["id"])),
            number=row["number"],
            customer_po=row["customerPo"],
            status=row["status"],
            ordered_at=row["orderedAt"],
            total=Money(**row["totals"]["total"]),
            lines=[
                OrderLine(
                    number=line["number"],
                    quantity=line["quantity"],
                    uom=line["uom"],
                    sku=line["sku"],
                    customer=line["customer"],
                )
                for line in row["lines"]
            ],
        )


@strawberry.type
class OrderEdge:
    node: Order


@strawberry.type
class PageInfo:
    has_next_page: bool
    end_cursor: str | None


@strawberry.type
class OrderConnection:
    edges: list[OrderEdge]
    page_info: PageInfo


@strawberry.type
class Customer:
    id: strawberry.ID
    number: str
    name: str
    status: str
    currency: str
    payment_terms: PaymentTerms
    ship_tos: list[CustomerLocation]

    @strawberry.field
    async def credit_status(self, info: Info) -> CreditStatus:
        row = await info.context["loaders"].credit.load(self.number)
        return CreditStatus(state=row["state"], available=Money(**row["available"]), checked_at=row["checkedAt"])

    @strawberry.field
    async def orders(
        self, info: Info, first: int = 20, order_by: OrderSort = OrderSort.ORDERED_AT_DESC
    ) -> OrderConnection:
        page = await info.context["loaders"].orders.load((self.number, first))
        return OrderConnection(
            edges=[OrderEdge(node=Order.of(row)) for row in page["rows"]],
            page_info=PageInfo(has_next_page=page["hasNext"], end_cursor=sealed(page["cursors"])),
        )


@strawberry.type
class Query:
    @strawberry.field
    async def customer(self, info: Info, by: CustomerKey) -> Customer | None:
        row = await info.context["loaders"].customers.load(by.number)
        if row is None:
            return None
        return Customer(
            id=strawberry.ID(node_id("Customer", row["number"])),
            number=row["number"],
            name=row["name"],
            status=row["status"],
            currency=row["currency"],
            payment_terms=PaymentTerms(code=row["paymentTerms"]["code"], net_days=row["paymentTerms"]["netDays"]),
            ship_tos=[
                CustomerLocation(
                    id=strawberry.ID(place["id"]),
                    name=place["name"],
                    address=Address(**{name: place["address"][name] for name in ("city", "region", "country")}),
                )
                for place in row["shipTos"]
            ],
        )

    @strawberry.field
    async def items_by_sku(self, info: Info, skus: list[str]) -> list[Item | None]:
        rows = await info.context["loaders"].items.load_many(skus)
        return [None if row is None else Item.of(row) for row in rows]


def create_app(upstream: str) -> Starlette:
    http = client(upstream)

    class Application(GraphQL[Any, Any]):
        async def get_context(self, request: Any, response: Any) -> Any:
            return {"loaders": Loaders(http)}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await http.aclose()

    # `Mount` would redirect /graphql: the application stands at the root and answers every path.
    return Starlette(routes=[Mount("/", Application(strawberry.Schema(Query)))], lifespan=lifespan)


if __name__ == "__main__":
    uvicorn.run(
        create_app(sys.argv[2]),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
    )
