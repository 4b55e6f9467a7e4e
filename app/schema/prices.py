"""Contract prices, and the order pad's question for price and availability of many lines."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import strawberry

from app.auth.policy import Rows, Scope
from app.resolvers import items as item_edges
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
    "How the reason of a price is known.",
    name="PriceCertainty",
    KNOWN="The system of record says so.",
    DERIVED="Read from the system's price list by the gateway.",
    OPAQUE="The system does not say.",
)
enum(
    Outcome,
    "What became of a line.",
    name="PricedLineOutcome",
    OK="Priced, and enough is available now.",
    SUBSTITUTE="Not enough of it or no longer sold; `substitutes` has others.",
    STALE="Priced, but the stock shown is incomplete, as `message` says.",
    DENIED="Not an account of the caller's.",
    UNAVAILABLE="No price, not enough stock, or a system did not answer, as `message` says.",
    UNKNOWN_ITEM="No such item.",
    INVALID="The line cannot be read, as `message` says.",
)


@bound_to(records.PriceBreak, requires=Scope.PRICES, rows=Rows.ACCOUNTS)
@strawberry.type(description="From a quantity on, each unit costs this.")
class PriceBreak:
    """See `records.PriceBreak`."""

    minimum: Decimal = field("From this quantity, in the price's unit.")
    unit_price: Money = field("Price of one unit.")


@bound_to(records.PriceReason, requires=Scope.PRICES, rows=Rows.ACCOUNTS)
@strawberry.type(description="Why a price is what it is.")
class PriceReason:
    """See `records.PriceReason`."""

    rule: str | None = field("The kind of rule that applied.")
    contract: str | None = field("The contract it comes from.")
    price_list: str | None = field("The price list it comes from.")
    certainty: Certainty = field("How this is known.")


@bound_to(records.ContractPrice, requires=Scope.PRICES, rows=Rows.ACCOUNTS, volatility=PRICE)
@strawberry.type(description="What a customer pays, as the system of record answers. The graph never computes a price.")
class ContractPrice:
    """See `records.ContractPrice`."""

    uom: str = field("The unit's code.")
    quantity: Decimal = field("The quantity it holds for, in `uom`.")
    unit_price: Money = field("Price of `priceUnit` units.")
    price_unit: Decimal = field("How many units the price is for; usually 1.")
    net: Money = field("Unit price times quantity, not rounded.")
    currency: str = field("ISO 4217 code.")
    list_price: Money | None = field("Price without the contract.")
    discount_percent: Decimal | None = field("How far below the list price, in percent.")
    breaks: list[PriceBreak] = field("Prices by quantity, ascending; empty where the source cannot tell.")
    reason: PriceReason = field("Why the price is what it is.")
    valid_from: date | None = field("First day of the price.")
    valid_to: date | None = field("Last day of the price.")
    authority: str = field("The system that answered.")
    quoted_at: datetime = field("When it answered.")
    proof_id: str | None = field("What to quote in a dispute, where the system gives such an id.")
    freshness: Freshness = field("Where it comes from and how old it is.")
    item = edge(item_edges.by_sku, returns=Item | None, description="The item.")


@bound_to(pricing.PricedLine, requires=Scope.PRICES, rows=Rows.ACCOUNTS, volatility=PRICE)
@strawberry.type(description="The answer to a line of an order pad; whatever is known is there, whatever the outcome.")
class PricedLine:
    """See `pricing.PricedLine`."""

    outcome: Outcome = field("What became of the line.")
    message: str | None = field("What to do, unless the outcome is OK.")
    item: Item | None = field("The item found.")
    quantity: Decimal = field("The quantity asked for.")
    uom: str | None = field("The unit it was read as, by code.")
    price: ContractPrice | None = field("What the customer pays.")
    availability: list[Availability] = field("What each warehouse can promise now.")
    substitutes: list[ItemRelation] = field("What may be taken instead.")


@reads_as(Line)
@strawberry.input(description="A line of an order pad.")
class LineInput:
    """See `pricing.Line`."""

    item: ItemKey = strawberry.field(description="What.")
    quantity: Decimal = strawberry.field(description="How much, in `uom`.")
    uom: str | None = strawberry.field(
        description="Code or name of the unit; the item's base unit by default.", default=strawberry.UNSET
    )
