"""The documents by which a draft order is made, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec

from app.sources.order_writer import NewOrder, NewOrderLine, OrderNotAccepted
from app.sources.vendure.options import VendureOptions
from app.sources.vendure.order_records import OrderMapping

_RESULT = "__typename ... on ErrorResult { errorCode }"

READ = """query OrderContent($customer: String!, $skus: [String!]!, $take: Int!) {
  customers(options: {filter: {CUSTOMER_NUMBER: {eq: $customer}}, sort: {id: ASC}, take: 1}) { items { id
    addresses { id fullName company streetLine1 streetLine2 city province postalCode phoneNumber country { code }
      defaultShippingAddress defaultBillingAddress }
  } }
  productVariants(options: {filter: {sku: {in: $skus}, enabled: {eq: true}}, sort: {id: ASC}, take: $take}) {
    items { id sku currencyCode }
  }
}"""
CREATE = "mutation CreateOrder { order: createDraftOrder { id code } }"
CHECK = """query CheckOrder($id: ID!) {
  order(id: $id) { lines { quantity proratedUnitPrice productVariant { sku } } }
  methods: eligibleShippingMethodsForDraftOrder(orderId: $id) { id code }
}"""
STATE = "query OrderState($id: ID!) { order(id: $id) { state fulfillments { state } } }"
DELETE = "mutation DeleteOrder($id: ID!) { deleted: deleteDraftOrder(orderId: $id) { result } }"
CANCEL = f"mutation CancelOrder($input: CancelOrderInput!) {{ cancelled: cancelOrder(input: $input) {{ {_RESULT} }} }}"
FIND = """query OrdersByKey($keys: [String!]!) {
  orders(options: {filter: {ORDER_KEY: {in: $keys}, state: {notEq: "Cancelled"}}, sort: {id: ASC}}) {
    items { id code state customFields { key: ORDER_KEY } }
  }
}"""
EMPTY = """query EmptyDrafts($before: DateTime!) {
  orders(options: {filter: {ORDER_KEY: {isNull: true}, state: {eq: "Draft"}, updatedAt: {before: $before}},
    sort: {id: ASC}, take: 100}) { items { id customer { id } lines { id } } }
}"""
_PAY = f"paid: addManualPaymentToOrder(input: $payment) {{ {_RESULT} }}"
PAY = f"mutation PayOrder($payment: ManualPaymentInput!) {{ {_PAY} }}"
PLACE = f"""mutation PlaceOrder($id: ID!, $method: ID!, $payment: ManualPaymentInput!) {{
  shipping: setDraftOrderShippingMethod(orderId: $id, shippingMethodId: $method) {{ {_RESULT} }}
  arranging: transitionOrderToState(id: $id, state: "ArrangingPayment") {{ {_RESULT} }}
  {_PAY}
}}"""
CLEAR_KEY = """mutation ClearKey($id: ID!) {
  key: setOrderCustomFields(input: {id: $id, customFields: {ORDER_KEY: null}}) { __typename }
}"""

HEADER = {
    "key": ("UpdateOrderInput!", "setDraftOrderCustomFields(orderId: $id, input: $key) { __typename }"),
    "customer": ("ID!", f"setCustomerForDraftOrder(orderId: $id, customerId: $customer) {{ {_RESULT} }}"),
    "shipTo": ("CreateAddressInput!", "setDraftOrderShippingAddress(orderId: $id, input: $shipTo) { __typename }"),
    "billTo": ("CreateAddressInput!", "setDraftOrderBillingAddress(orderId: $id, input: $billTo) { __typename }"),
    "note": ("AddNoteToOrderInput!", "addNoteToOrder(input: $note) { __typename }"),
}
"""The type of a variable, and the call that takes it. The key comes first: a draft without it is not filled."""


class Country(msgspec.Struct, frozen=True):
    """The country of an address."""

    code: str


class CustomerAddress(msgspec.Struct, frozen=True, rename="camel"):
    """An address of a customer."""

    id: str
    street_line1: str
    country: Country
    full_name: str | None = None
    company: str | None = None
    street_line2: str | None = None
    city: str | None = None
    province: str | None = None
    postal_code: str | None = None
    phone_number: str | None = None
    default_shipping_address: bool | None = False
    default_billing_address: bool | None = False

    @property
    def input(self) -> dict[str, object]:
        """As `CreateAddressInput`."""
        return {
            "fullName": self.full_name or "", "company": self.company or "", "streetLine1": self.street_line1,
            "streetLine2": self.street_line2 or "", "city": self.city or "", "province": self.province or "",
            "postalCode": self.postal_code or "", "phoneNumber": self.phone_number or "",
            "countryCode": self.country.code,
        }  # fmt: skip


class OrderingCustomer(msgspec.Struct, frozen=True):
    """Who an order is for."""

    id: str
    addresses: tuple[CustomerAddress, ...] | None = ()


class OrderingCustomers(msgspec.Struct, frozen=True):
    """The customers of a number."""

    items: tuple[OrderingCustomer, ...]


class SoldVariant(msgspec.Struct, frozen=True, rename="camel"):
    """A variant that is sold, and in which currency."""

    id: str
    sku: str
    currency_code: str


class SoldVariants(msgspec.Struct, frozen=True):
    """The variants of the SKUs."""

    items: tuple[SoldVariant, ...]


class ContentAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to READ."""

    customers: OrderingCustomers
    product_variants: SoldVariants


class CreatedDraft(msgspec.Struct, frozen=True):
    """A draft."""

    id: str
    code: str


class CreateAnswer(msgspec.Struct, frozen=True):
    """The answer to CREATE."""

    order: CreatedDraft


class MutationResult(msgspec.Struct, frozen=True, rename="camel"):
    """What one mutation of a document answers."""

    error_code: str | None = None


Results = dict[str, MutationResult | None]
"""Results by alias."""


class DraftVariant(msgspec.Struct, frozen=True):
    """What a line orders."""

    sku: str


class DraftLine(msgspec.Struct, frozen=True, rename="camel"):
    """A line as Vendure prices it, all discounts included."""

    quantity: int
    prorated_unit_price: int
    product_variant: DraftVariant


class DraftOrder(msgspec.Struct, frozen=True):
    """A filled draft."""

    lines: tuple[DraftLine, ...] = ()


class ShippingMethod(msgspec.Struct, frozen=True):
    """A way by which an order may be shipped."""

    id: str
    code: str


class CheckAnswer(msgspec.Struct, frozen=True):
    """The answer to CHECK."""

    order: DraftOrder | None
    methods: tuple[ShippingMethod, ...]


class FulfillmentState(msgspec.Struct, frozen=True):
    """The state of goods that were picked."""

    state: str


class OrderState(msgspec.Struct, frozen=True):
    """How far an order is."""

    state: str
    fulfillments: tuple[FulfillmentState, ...] | None = ()


class StateAnswer(msgspec.Struct, frozen=True):
    """The answer to STATE."""

    order: OrderState | None


class DeleteAnswer(msgspec.Struct, frozen=True):
    """The answer to DELETE."""

    deleted: Mapping[str, str | None]


class KeyFields(msgspec.Struct, frozen=True):
    """Our field of an order."""

    key: str | None = None


class FoundOrder(msgspec.Struct, frozen=True, rename="camel"):
    """An order with the gateway's key."""

    id: str
    code: str
    state: str
    custom_fields: KeyFields


class FoundOrders(msgspec.Struct, frozen=True):
    """Orders by key."""

    items: tuple[FoundOrder, ...]


class FoundAnswer(msgspec.Struct, frozen=True):
    """The answer to FIND."""

    orders: FoundOrders


class UnlabelledDraft(msgspec.Struct, frozen=True):
    """A draft without a key."""

    id: str
    customer: Mapping[str, str] | None = None
    lines: tuple[Mapping[str, str], ...] = ()


class UnlabelledDrafts(msgspec.Struct, frozen=True):
    """Drafts without a key."""

    items: tuple[UnlabelledDraft, ...]


class EmptyAnswer(msgspec.Struct, frozen=True):
    """The answer to EMPTY."""

    orders: UnlabelledDrafts


class DraftItem(msgspec.Struct, frozen=True):
    """A line to add; `price` in minor units, where the order has one."""

    number: int
    sku: str
    variant: str
    quantity: int
    price: int | None


class DraftContent(msgspec.Struct, frozen=True):
    """What a draft is filled with."""

    customer: str
    ship_to: CustomerAddress
    bill_to: CustomerAddress | None
    items: tuple[DraftItem, ...]


class DraftDocuments:
    """The documents with a deployment's custom fields."""

    def __init__(self, options: VendureOptions) -> None:
        self._options = options
        self.read = READ.replace("CUSTOMER_NUMBER", options.customer_number_field)
        self.find = FIND.replace("ORDER_KEY", options.order_key_field)
        self.empty = EMPTY.replace("ORDER_KEY", options.order_key_field)
        self.clear_key = CLEAR_KEY.replace("ORDER_KEY", options.order_key_field)

    def header(self, order: NewOrder, content: DraftContent, id: str, note: str | None) -> dict[str, object]:
        """Variables of the first call to a draft."""
        fields = {self._options.order_key_field: order.key, self._options.po_number_field: order.customer_po}
        header: dict[str, object] = {
            "key": {"id": id, "customFields": fields},
            "customer": content.customer,
            "shipTo": content.ship_to.input,
        }
        if content.bill_to is not None:
            header["billTo"] = content.bill_to.input
        if note is not None:
            header["note"] = {"id": id, "note": note, "isPublic": False}
        return header

    def fill(
        self, id: str, items: Sequence[DraftItem], header: Mapping[str, object]
    ) -> tuple[str, Mapping[str, object]]:
        """The document that sets the header and adds the lines, and its variables."""
        lines = {f"line{item.number}": self._item(item) for item in items}
        return self.filling([*header], [item.number for item in items]), {"id": id, **header, **lines}

    @staticmethod
    def filling(header: Sequence[str], lines: Sequence[int]) -> str:
        """The document that sets these parts of the header and adds the lines of these numbers."""
        declared = ["$id: ID!", *(f"${name}: {HEADER[name][0]}" for name in header)]
        calls = [f"{name}: {HEADER[name][1]}" for name in header]
        for number in lines:
            declared.append(f"$line{number}: AddItemToDraftOrderInput!")
            calls.append(f"line{number}: addItemToDraftOrder(orderId: $id, input: $line{number}) {{ {_RESULT} }}")
        return f"mutation FillOrder({', '.join(declared)}) {{\n  " + "\n  ".join(calls) + "\n}"

    def _item(self, item: DraftItem) -> dict[str, object]:
        added: dict[str, object] = {"productVariantId": item.variant, "quantity": item.quantity}
        if self._options.quoted_price_field is not None and item.price is not None:
            added["customFields"] = {self._options.quoted_price_field: item.price}
        return added


def content(order: NewOrder, answer: ContentAnswer, options: VendureOptions, mapping: OrderMapping) -> DraftContent:
    """What the draft is filled with. Raises OrderNotAccepted for what Vendure does not have or cannot hold."""
    if not answer.customers.items:
        raise OrderNotAccepted(detail="unknown customer")
    customer = answer.customers.items[0]
    variants: dict[str, SoldVariant] = {}
    for variant in answer.product_variants.items:
        variants.setdefault(variant.sku, variant)
    unknown = [line.number for line in order.lines if line.sku not in variants]
    if unknown:
        raise OrderNotAccepted(lines=unknown, detail="no such variant that is sold")
    uncountable = [line.number for line in order.lines if not _is_countable(line, options)]
    if uncountable:
        raise OrderNotAccepted(lines=uncountable, detail=f"variants are counted in whole {options.uom}")
    addresses = customer.addresses or ()
    return DraftContent(
        customer=customer.id,
        ship_to=_ship_to(order, addresses),
        bill_to=next((one for one in addresses if one.default_billing_address), None),
        items=tuple(
            DraftItem(
                number=line.number,
                sku=line.sku,
                variant=variants[line.sku].id,
                quantity=int(line.quantity),
                price=_price(line, variants[line.sku].currency_code, mapping),
            )
            for line in order.lines
        ),
    )


def _is_countable(line: NewOrderLine, options: VendureOptions) -> bool:
    return line.uom in (None, options.uom) and line.quantity == int(line.quantity) and line.quantity > 0


def _ship_to(order: NewOrder, addresses: Sequence[CustomerAddress]) -> CustomerAddress:
    if order.ship_to is not None:
        found = next((one for one in addresses if one.id == order.ship_to), None)
    else:
        found = next((one for one in addresses if one.default_shipping_address), addresses[0] if addresses else None)
    if found is None:
        raise OrderNotAccepted(held=True, detail="Vendure has no such address of the customer")
    return found


def _price(line: NewOrderLine, currency: str, mapping: OrderMapping) -> int | None:
    if line.unit_price is None:
        return None
    minor = Fraction(mapping.minor_units(line.unit_price)) / Fraction(line.price_unit)
    if line.unit_price.currency != currency or minor.denominator != 1:
        raise OrderNotAccepted(
            lines=[line.number], held=True, detail=f"no price in whole minor units of {currency} for one unit"
        )
    return int(Decimal(minor.numerator))
