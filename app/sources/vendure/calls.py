"""Every call that the adapter makes of Vendure, printed as `uses.json`; custom fields have the names of the seed."""

from __future__ import annotations

from typing import Any

import msgspec

from app.http.call import SIGN_IN
from app.sources.vendor_calls import VendorCall, VendorDeclaration
from app.sources.vendure import changes, client, items, orders, reservations
from app.sources.vendure import draft_orders as drafts
from app.sources.vendure.options import VendureOptions
from app.sources.vendure.order_writer import CALL

OPTIONS = VendureOptions(quoted_price_field="quotedUnitPrice")
ORDER_DOCUMENTS = orders.OrderDocuments(OPTIONS)
DRAFT_DOCUMENTS = drafts.DraftDocuments(OPTIONS)
NEWEST = ("orderPlacedAt", "id")
LISTED = ("orderPlacedAt", "state", OPTIONS.po_number_field)


PAGE = ("options.take", "options.skip")
PEOPLE_PAGES = ("customers.take", "customers.skip", "orders.take", "orders.skip")
ADDRESS = (
    "fullName", "company", "streetLine1", "streetLine2", "city", "province", "postalCode", "phoneNumber", "countryCode",
)  # fmt: skip
HEADER = (
    "id",
    "key.id",
    f"key.customFields.{OPTIONS.order_key_field}",
    f"key.customFields.{OPTIONS.po_number_field}",
    "customer",
    *(f"{name}.{field}" for name in ("shipTo", "billTo") for field in ADDRESS),
    *("note.id", "note.note", "note.isPublic"),
)
LINE = ("line1.productVariantId", "line1.quantity", f"line1.customFields.{OPTIONS.quoted_price_field}")
PAYMENT = ("id", "payment.orderId", "payment.method")


def _list(
    name: str, document: str, reads: Any, filters: tuple[str, ...], sorts: tuple[str, ...] = ("id",)
) -> VendorCall:
    port = name.partition(".")[0]
    return VendorCall(
        name=name, port=port, document=document, variables=PAGE, reads=reads, filters=filters, sorts=sorts
    )


def _draft(name: str, document: str, reads: Any, *variables: str) -> VendorCall:
    return VendorCall(name=f"{CALL}.{name}", port="order_writer", document=document, variables=variables, reads=reads)


class FillResults(msgspec.Struct, frozen=True):
    """The answers to the header of a draft and to its lines, which are numbered."""

    customer: drafts.MutationResult | None
    line1: drafts.MutationResult | None


class PlaceResults(msgspec.Struct, frozen=True):
    """The answers to the three steps of an order that is placed."""

    shipping: drafts.MutationResult | None
    arranging: drafts.MutationResult | None
    paid: drafts.MutationResult | None


class CancelResults(msgspec.Struct, frozen=True):
    """The answer to a cancellation."""

    cancelled: drafts.MutationResult | None


DECLARATION = VendorDeclaration(
    vendor="vendure",
    artefact="Admin API of Vendure 3.7.3, the server of backends/vendure with its custom fields",
    artefacts={"admin": {"kind": "graphql"}},
    calls=(
        VendorCall(name=SIGN_IN, port="ping", document=client.LOGIN, variables=("username", "password")),
        VendorCall(name="ping", port="ping", document=client.PING, reads=client.Me),
        _list("orders", ORDER_DOCUMENTS.orders, orders.OrdersAnswer, ("id", "code", *LISTED), NEWEST),
        VendorCall(
            name="orders.by_customer",
            port="orders",
            document=ORDER_DOCUMENTS.by_customer,
            variables=PEOPLE_PAGES,
            reads=orders.CustomersAnswer,
            filters=(OPTIONS.customer_number_field, "state"),
            sorts=NEWEST,
        ),
        _list("contents", items.VARIANTS, items.Variants, ("sku",)),
        _list("reservations", reservations.OPEN_ORDERS, reservations.OpenOrders, ("orderPlacedAt", "state")),
        _list("changes.order", changes.ORDERS, changes.Changed, ("updatedAt",), ("updatedAt", "id")),
        _list("changes.item", changes.VARIANTS, changes.Changed, ("updatedAt",), ("updatedAt", "id")),
        _draft("by_key", DRAFT_DOCUMENTS.find, drafts.FoundAnswer, "keys[]"),
        _draft("content", DRAFT_DOCUMENTS.read, drafts.ContentAnswer, "customer", "skus[]", "take"),
        _draft("create", drafts.CREATE, drafts.CreateAnswer),
        _draft("fill", DRAFT_DOCUMENTS.filling([*drafts.HEADER], [1]), FillResults, *HEADER, *LINE),
        _draft("check", drafts.CHECK, drafts.CheckAnswer, "id"),
        _draft("place", drafts.PLACE, PlaceResults, *PAYMENT, "method"),
        _draft("pay", drafts.PAY, PlaceResults, *PAYMENT),
        _draft("state", drafts.STATE, drafts.StateAnswer, "id"),
        _draft("delete", drafts.DELETE, drafts.DeleteAnswer, "id"),
        _draft("cancel", drafts.CANCEL, CancelResults, "input.orderId", "input.cancelShipping", "input.reason"),
        _draft("clear_key", DRAFT_DOCUMENTS.clear_key, None, "id"),
        _draft("drafts", DRAFT_DOCUMENTS.empty, drafts.EmptyAnswer, "before"),
    ),
)
