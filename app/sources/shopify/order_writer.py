"""Orders in: a draft order for a location of the company, then completed into an order.

Shopify has no unique key for drafts (`@idempotent` is not on `draftOrderCreate`). The key of an order is a tag of its
draft, which Shopify searches, and whole in an attribute, since a tag has at most 40 characters.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from app.auth.principal import Principal
from app.settings.resilience import ORDER_SUBMISSIONS
from app.sources.order_writer import (
    NewOrder,
    NewOrderLine,
    OrderNotAccepted,
    SimulatedLine,
    WrittenOrder,
    after_creation,
    before_creation,
)
from app.sources.shopify.client import (
    ShopifyClient,
    ShopifyConnection,
    ShopifyDocument,
    ShopifyRows,
    WireMoney,
    any_of,
    gid,
    local_id,
    sendable,
)
from app.sources.shopify.customers import CompanyAddress, price_location
from app.sources.shopify.options import ShopifyOptions
from app.sources.shopify.order_records import MoneyBag
from app.sources.shopify.variants import ProductStatus, variants_by_sku

CALL: Final = ORDER_SUBMISSIONS
DRAFTED = "drafted"
COMPLETED = "completed"
KEY = "tradegraph_key"
"""The attribute of a draft that holds the order's key."""


class DraftAttribute(msgspec.Struct, frozen=True):
    """An attribute of a draft."""

    key: str
    value: str | None = None


class DraftedOrder(msgspec.Struct, frozen=True, rename="camel"):
    """The order that a draft became."""

    id: str
    name: str
    cancelled_at: str | None = None


class ShopifyDraft(msgspec.Struct, frozen=True, rename="camel"):
    """A draft."""

    id: str
    name: str
    custom_attributes: tuple[DraftAttribute, ...] = ()
    order: DraftedOrder | None = None

    @property
    def key(self) -> str | None:
        """The order's key."""
        return next((one.value for one in self.custom_attributes if one.key == KEY), None)


class UserError(msgspec.Struct, frozen=True):
    """What the business refuses; `field` is a path in the input."""

    message: str
    field: tuple[str, ...] | None = None


class DraftPayload(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of a mutation of a draft."""

    user_errors: tuple[UserError, ...]
    draft_order: ShopifyDraft | None = None


class DraftMutation(msgspec.Struct, frozen=True):
    """The data of a mutation of a draft."""

    payload: DraftPayload


class CalculatedLine(msgspec.Struct, frozen=True, rename="camel"):
    """A line as Shopify would price it; `approximate` since Shopify divides the line's total."""

    approximate_discounted_unit_price_set: MoneyBag
    sku: str | None = None


class CalculatedDraft(msgspec.Struct, frozen=True, rename="camel"):
    """A draft that was not created."""

    line_items: tuple[CalculatedLine, ...]


class CalculationPayload(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of a calculation."""

    user_errors: tuple[UserError, ...]
    calculated_draft_order: CalculatedDraft | None = None


class Calculation(msgspec.Struct, frozen=True):
    """The data of a calculation."""

    payload: CalculationPayload


class RefusalPayload(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of a deletion or a cancellation."""

    user_errors: tuple[UserError, ...]


class Refusable(msgspec.Struct, frozen=True):
    """The data of a deletion or a cancellation."""

    payload: RefusalPayload


class BuyerLocation(msgspec.Struct, frozen=True, rename="camel"):
    """Where a company orders from, and to."""

    id: str
    external_id: str | None = None
    billing_address: CompanyAddress | None = None
    shipping_address: CompanyAddress | None = None


class BuyerContact(msgspec.Struct, frozen=True):
    """The person in whose name a company orders."""

    id: str


class Buyer(msgspec.Struct, frozen=True, rename="camel"):
    """A company as an order needs it."""

    id: str
    locations: ShopifyConnection[BuyerLocation]
    external_id: str | None = None
    main_contact: BuyerContact | None = None


class VariantToOrder(msgspec.Struct, frozen=True):
    """A variant to order."""

    id: str
    product: ProductStatus
    sku: str | None = None


class AddressInput(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """An address of a draft."""

    company: str | None = None
    last_name: str | None = None
    address1: str | None = None
    address2: str | None = None
    city: str | None = None
    province_code: str | None = None
    zip: str | None = None
    country_code: str | None = None


class PurchasingCompanyInput(msgspec.Struct, frozen=True, rename="camel"):
    """The company that orders, in whose name and for which location."""

    company_id: str
    company_contact_id: str
    company_location_id: str


class PurchasingEntityInput(msgspec.Struct, frozen=True, rename="camel"):
    """Who orders."""

    purchasing_company: PurchasingCompanyInput


class DraftLineInput(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A line of a draft. The override locks the price that was quoted: the catalog's may change meanwhile."""

    variant_id: str
    quantity: int
    price_override: WireMoney | None = None
    custom_attributes: tuple[DraftAttribute, ...] = ()


class DraftInput(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A draft to create."""

    purchasing_entity: PurchasingEntityInput
    po_number: str
    tags: tuple[str, ...]
    custom_attributes: tuple[DraftAttribute, ...]
    line_items: tuple[DraftLineInput, ...]
    note: str | None = None
    billing_address: AddressInput | None = None
    shipping_address: AddressInput | None = None


DRAFT_PARTS = "id name customAttributes { key value } order { id name cancelledAt }"

BUYERS = ShopifyDocument(
    """query Buyers($query: String!, $after: String) {
  rows: companies(first: 10, after: $after, query: $query, sortKey: ID) {
    nodes {
      id externalId mainContact { id }
      locations(first: 250) {
        nodes { id externalId billingAddress { ...BuyerAddress } shippingAddress { ...BuyerAddress } }
        pageInfo { hasNextPage endCursor }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}
fragment BuyerAddress on CompanyAddress {
  companyName recipient address1 address2 city zoneCode zip countryCode
}""",
    ShopifyRows[Buyer],
)
VARIANTS_TO_ORDER = ShopifyDocument(
    """query VariantsToOrder($query: String!, $first: Int!, $after: String) {
  rows: productVariants(first: $first, after: $after, query: $query, sortKey: ID) {
    nodes { id sku product { status } } pageInfo { hasNextPage endCursor }
  }
}""",
    ShopifyRows[VariantToOrder],
)
DRAFTS = ShopifyDocument(
    f"""query Drafts($query: String!, $after: String) {{
  rows: draftOrders(first: 100, after: $after, query: $query, sortKey: ID) {{
    nodes {{ {DRAFT_PARTS} }} pageInfo {{ hasNextPage endCursor }}
  }}
}}""",
    ShopifyRows[ShopifyDraft],
)
CREATE = ShopifyDocument(
    f"""mutation CreateDraft($input: DraftOrderInput!) {{
  payload: draftOrderCreate(input: $input) {{ draftOrder {{ {DRAFT_PARTS} }} userErrors {{ field message }} }}
}}""",
    DraftMutation,
)
COMPLETE = ShopifyDocument(
    f"""mutation CompleteDraft($id: ID!) {{
  payload: draftOrderComplete(id: $id, paymentPending: true) {{
    draftOrder {{ {DRAFT_PARTS} }} userErrors {{ field message }}
  }}
}}""",
    DraftMutation,
)
CALCULATE = ShopifyDocument(
    """mutation CalculateDraft($input: DraftOrderInput!) {
  payload: draftOrderCalculate(input: $input) {
    calculatedDraftOrder {
      lineItems { sku approximateDiscountedUnitPriceSet { presentmentMoney { amount currencyCode } } }
    }
    userErrors { field message }
  }
}""",
    Calculation,
)
DELETE = ShopifyDocument(
    """mutation DeleteDraft($id: ID!) {
  payload: draftOrderDelete(input: {id: $id}) { userErrors { field message } }
}""",
    Refusable,
)
CANCEL = ShopifyDocument(
    """mutation CancelOrder($id: ID!, $note: String) {
  payload: orderCancel(orderId: $id, reason: OTHER, restock: true, staffNote: $note) {
    userErrors: orderCancelUserErrors { field message }
  }
}""",
    Refusable,
)


class ShopifyOrderWriter:
    """Writes orders as drafts, and completes them unless the shop wants a person to."""

    def __init__(self, client: ShopifyClient, options: ShopifyOptions, max_seconds: float) -> None:
        self._client = client
        self._options = options
        self.steps: Sequence[str] = (DRAFTED, COMPLETED) if options.complete_orders else (DRAFTED,)
        self.unique_key = False
        self.max_seconds = max_seconds

    async def find(self, principal: Principal, keys: Sequence[str]) -> Mapping[str, tuple[WrittenOrder, ...]]:
        requested = list(dict.fromkeys(keys))

        async def read(chunk: Sequence[str]) -> list[ShopifyDraft]:
            return await self._client.all_rows(DRAFTS, {"query": any_of("tag", chunk)}, call=f"{CALL}.find")

        drafts = await self._client.read_chunks([tag_of(key) for key in requested], read, 50)
        found: defaultdict[str, list[WrittenOrder]] = defaultdict(list)
        for draft in {draft.id: draft for draft in drafts}.values():
            if draft.key in requested and (draft.order is None or draft.order.cancelled_at is None):
                found[draft.key].append(self._written(draft.key, draft))
        return {key: tuple(found[key]) for key in requested if key in found}

    async def post(self, principal: Principal, order: NewOrder, found: WrittenOrder | None = None) -> WrittenOrder:
        if found is None:
            with before_creation():
                given = await self._input(order)
            answer = await self._client.write(CREATE, {"input": given}, call=f"{CALL}.create")
            found = self._written(order.key, _accepted(answer.payload, order.lines))
        if found.step == COMPLETED or not self._options.complete_orders:
            return found
        with after_creation(self._client.name):
            variables = {"id": gid("DraftOrder", found.id)}
            completed = await self._client.write(COMPLETE, variables, call=f"{CALL}.complete")
        return self._written(order.key, _accepted(completed.payload, order.lines))

    async def simulate(self, principal: Principal, order: NewOrder) -> Sequence[SimulatedLine] | None:
        """The shop's own price of each line. It tells no availability: a draft may be of goods that are not there."""
        unpriced = [msgspec.structs.replace(line, unit_price=None) for line in order.lines]
        given = await self._input(msgspec.structs.replace(order, lines=tuple(unpriced)))
        payload = (await self._client.write(CALCULATE, {"input": given}, call=f"{CALL}.simulate")).payload
        _refuse(payload.user_errors, order.lines)
        lines = payload.calculated_draft_order.line_items if payload.calculated_draft_order else ()
        if [line.sku for line in lines] != [line.sku for line in order.lines]:
            return None
        return [
            SimulatedLine(
                number=line.number,
                unit_price=priced.approximate_discounted_unit_price_set.presentment_money.money,
            )
            for line, priced in zip(order.lines, lines, strict=True)
        ]

    async def cancel(self, principal: Principal, order: WrittenOrder, reason: str) -> None:
        if order.step == COMPLETED:
            variables = {"id": gid("Order", order.id), "note": reason[:255]}
            answer = await self._client.write(CANCEL, variables, call=f"{CALL}.cancel")
        else:
            answer = await self._client.write(DELETE, {"id": gid("DraftOrder", order.id)}, call=f"{CALL}.delete")
        _refuse(answer.payload.user_errors, ())

    async def _input(self, order: NewOrder) -> DraftInput:
        buyer = await self._buyer(order.customer)
        location = self._location(buyer, order)
        skus = [line.sku for line in order.lines]
        variants = await variants_by_sku(self._client, VARIANTS_TO_ORDER, skus, {}, call=f"{CALL}.variants")
        unknown = [line.number for line in order.lines if line.sku not in variants]
        if unknown:
            raise OrderNotAccepted(lines=unknown, detail="no variant has this SKU")
        if buyer.main_contact is None:
            raise OrderNotAccepted(detail="the company has no main contact, in whose name it could order")
        attributes = {KEY: order.key, "requested_date": order.requested_date and order.requested_date.isoformat()}
        return DraftInput(
            purchasing_entity=PurchasingEntityInput(
                PurchasingCompanyInput(
                    company_id=buyer.id, company_contact_id=buyer.main_contact.id, company_location_id=location.id
                )
            ),
            po_number=order.customer_po,
            tags=(tag_of(order.key),),
            custom_attributes=tuple(DraftAttribute(key, value) for key, value in attributes.items() if value),
            line_items=tuple(self._line(line, variants[line.sku].id) for line in order.lines),
            note=order.note,
            billing_address=_address(location.billing_address or location.shipping_address),
            shipping_address=_address(location.shipping_address or location.billing_address),
        )

    async def _buyer(self, number: str) -> Buyer:
        query = any_of("external_id", sendable([number]) or [""])
        rows = await self._client.all_rows(BUYERS, {"query": query}, call=f"{CALL}.buyer")
        buyer = next((one for one in rows if one.external_id == number), None)
        if buyer is None:
            raise OrderNotAccepted(detail="no company has this external id")
        return buyer

    def _location(self, buyer: Buyer, order: NewOrder) -> BuyerLocation:
        rows = buyer.locations.nodes
        if order.ship_to is not None:
            requested = gid("CompanyLocation", order.ship_to)
            location = next((one for one in rows if one.id == requested), None)
        else:
            location = price_location(buyer.external_id, rows, self._options.price_location)
        if location is None:
            raise OrderNotAccepted(detail="the company has no such location, or several that could be meant")
        return location

    def _line(self, line: NewOrderLine, variant: str) -> DraftLineInput:
        whole = line.quantity == line.quantity.to_integral_value() and line.quantity > 0
        if not whole or line.uom not in (None, self._options.uom) or line.price_unit != 1:
            raise OrderNotAccepted(lines=[line.number], detail="Shopify takes whole quantities of one unit only")
        price, requested = line.unit_price, line.requested_date
        return DraftLineInput(
            variant_id=variant,
            quantity=int(line.quantity),
            price_override=WireMoney(price.amount, price.currency) if price is not None else None,
            custom_attributes=(DraftAttribute("requested_date", requested.isoformat()),)
            if requested is not None
            else (),
        )

    def _written(self, key: str, draft: ShopifyDraft) -> WrittenOrder:
        if draft.order is None:
            return WrittenOrder(key=key, id=local_id(draft.id), number=draft.name, step=DRAFTED)
        return WrittenOrder(key=key, id=local_id(draft.order.id), number=draft.order.name, step=COMPLETED)


def tag_of(key: str) -> str:
    """The tag of an order's key: a digest, in the 40 characters that a tag may have."""
    return f"tradegraph-{hashlib.sha256(key.encode()).hexdigest()[:28]}"


def _accepted(payload: DraftPayload, lines: Sequence[NewOrderLine]) -> ShopifyDraft:
    _refuse(payload.user_errors, lines)
    if payload.draft_order is None:
        raise OrderNotAccepted(detail="Shopify returned neither a draft nor a reason")
    return payload.draft_order


def _refuse(errors: Sequence[UserError], lines: Sequence[NewOrderLine]) -> None:
    """Raise OrderNotAccepted for what the business refuses, with the lines that its paths name."""
    if not errors:
        return
    named: list[int] = []
    for error in errors:
        path = list(error.field or ())
        position = path[path.index("lineItems") + 1] if "lineItems" in path[:-1] else ""
        if position.isdecimal() and int(position) < len(lines):
            named.append(lines[int(position)].number)
    detail = "; ".join(f"{'.'.join(error.field or ())}: {error.message}"[:300] for error in errors[:5])
    raise OrderNotAccepted(lines=list(dict.fromkeys(named)), detail=detail)


def _address(address: CompanyAddress | None) -> AddressInput | None:
    if address is None:
        return None
    return AddressInput(
        company=address.company_name or None,
        last_name=address.recipient or None,
        address1=address.address1 or None,
        address2=address.address2 or None,
        city=address.city or None,
        province_code=address.zone_code or None,
        zip=address.zip or None,
        country_code=address.country_code or None,
    )
