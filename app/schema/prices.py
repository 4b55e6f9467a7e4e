"""Contract prices, and the order pad's question for price and availability of many lines."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import items as item_edges
from app.resolvers import prices as price_edges
from app.resolvers import pricing
from app.resolvers.pricing import Line, Outcome
from app.schema.availability import Availability
from app.schema.base import Freshness, Money, bound_to, field, reads_as
from app.schema.declare.edges import edge
from app.schema.declare.enums import enum
from app.schema.items import Item, ItemKey, ItemRelation
from app.sources import prices as records
from app.sources.freshness_contracts import PRICE
from app.sources.prices import Certainty

enum(
    Certainty,
    "Certainty of a price reason.",
    name="PriceCertainty",
    KNOWN="Reported by the system of record.",
    DERIVED="Derived from the system's price list.",
    OPAQUE="Not reported by the system.",
)
enum(
    Outcome,
    "Outcome of a requested line.",
    name="PricedLineOutcome",
    OK="Priced, and enough is available now.",
    SUBSTITUTE="Not enough stock or no longer sold; see `substitutes`.",
    STALE="Priced, but the stock data is incomplete; see `message`.",
    DENIED="The customer is not among the caller's accounts.",
    UNAVAILABLE="No price, not enough stock, or a system did not answer, as `message` says.",
    UNKNOWN_ITEM="No such item.",
    INVALID="The line is invalid; see `message`.",
)


@bound_to(records.PriceBreak, requires=Scope.PRICES, rows=Rows.ACCOUNTS)
@strawberry.type(description="A quantity break: the unit price from a minimum quantity on.")
class PriceBreak:
    minimum: Decimal = field("Minimum quantity, in the unit of the price.")
    unit_price: Money = field("Price of one unit.")


@bound_to(records.PriceReason, requires=Scope.PRICES, rows=Rows.ACCOUNTS)
@strawberry.type(description="The rule, contract or price list that determined a price.")
class PriceReason:
    rule: str | None = field("The kind of rule that applied.")
    contract: str | None = field("The contract.")
    price_list: str | None = field("The price list.")
    certainty: Certainty = field("How the reason is known.")


@bound_to(records.ContractPrice, requires=Scope.PRICES, rows=Rows.ACCOUNTS, volatility=PRICE)
@strawberry.type(description="What a customer pays, as the system of record answers. The graph never computes a price.")
class ContractPrice:
    uom: str = field("The unit's code.")
    quantity: Decimal = field("Quantity that the price applies to, in `uom`.")
    unit_price: Money = field("Price of `priceUnit` units.")
    price_unit: Decimal = field("Number of units that the price is for; usually 1.")
    net: Money = field("Unit price times quantity, not rounded.")
    currency: str = field("ISO 4217 code.")
    list_price: Money | None = field("List price.")
    discount_percent: Decimal | None = field("Discount from the list price in percent.")
    breaks: list[PriceBreak] = field("Quantity breaks, ascending; empty if the source does not report them.")
    reason: PriceReason = field("The rule that determined the price.")
    valid_from: date | None = field("First day of the price.")
    valid_to: date | None = field("Last day of the price.")
    authority: str = field("The source system that quoted the price.")
    quoted_at: datetime = field("Time of the source's response.")
    proof_id: str | None = field("The source's id of the quotation, if it issues one; quote it in a dispute.")
    proof = edge(
        price_edges.proofs,
        returns=str | None,
        description="Signed proof of this price for a line of `submitOrder`; null if the gateway has no key for it.",
    )
    freshness: Freshness = field("The source of the data and its age.")
    item = edge(item_edges.by_sku, returns=Item | None, description="The item.")


@bound_to(pricing.PricedLine, requires=Scope.PRICES, rows=Rows.ACCOUNTS, volatility=PRICE)
@strawberry.type(description="The answer to a line of an order pad; whatever is known is there, whatever the outcome.")
class PricedLine:
    outcome: Outcome = field("Outcome of the line.")
    message: str | None = field("What the caller can do, unless the outcome is OK.")
    item: Item | None = field("The item found.")
    quantity: Decimal = field("Requested quantity.")
    uom: str | None = field("Code of the resolved unit.")
    price: ContractPrice | None = field("The contract price.")
    availability: list[Availability] = field("Availability by warehouse now.")
    substitutes: list[ItemRelation] = field("Substitutes.")


@reads_as(Line)
@strawberry.input(description="A requested line.")
class LineInput:
    item: ItemKey = strawberry.field(description="Key of the item.")
    quantity: Decimal = strawberry.field(description="Quantity in `uom`.")
    uom: str | None = strawberry.field(
        description="Code or name of the unit; the item's base unit by default.", default=strawberry.UNSET
    )
