"""Every call that the adapter makes of WooCommerce, printed as `uses.json`."""

from __future__ import annotations

from typing import Any

from app.sources.vendor_calls import VendorCall, VendorDeclaration
from app.sources.woocommerce import (
    changes,
    client,
    customers,
    items,
    order_records,
    order_writer,
    orders,
    stock,
    webhooks,
)

LIST = ("_fields", "per_page")
PAGES = (*LIST, "offset", "orderby", "order")
TIMES = ("after", "before", "dates_are_gmt")
WRITER = "order_writer"


def _keys(
    name: str, path: str, reads: Any, key: str, *, more: tuple[str, ...] = (), port: str | None = None
) -> VendorCall:
    return VendorCall(
        name=name,
        port=port or name.partition(".")[0],
        method="GET",
        path=client.API + path,
        params=(*PAGES, key, *more),
        reads=reads,
        filters=(key,),
        sorts=("id",),
    )


def _since(name: str, path: str, reads: Any, time: str, limit: str, *, port: str) -> VendorCall:
    return VendorCall(
        name=name,
        port=port,
        method="GET",
        path=client.API + path,
        params=(*PAGES, limit, "dates_are_gmt"),
        reads=reads,
        filters=(limit,),
        sorts=(time,),
    )


def _customers(name: str, reads: Any, port: str = "customers") -> tuple[VendorCall, ...]:
    filters = {"include": "id", customers.USERNAME_FILTER: "username", customers.NUMBER_FILTER: "meta"}
    return tuple(
        _keys(f"{name}.by_{what}", customers.PATH, reads, key, more=("role",), port=port)
        for key, what in filters.items()
    )


def _webhook(resource: str) -> VendorCall:
    return VendorCall(
        name=f"webhooks.{resource}", port="webhooks", topic=f"{resource}.updated", reads=webhooks.WooWebhookBody
    )


DECLARATION = VendorDeclaration(
    vendor="woocommerce",
    artefact="REST API wc/v3 of WooCommerce: its documentation of 2024-03 and the source of its controllers",
    artefacts={"wc/v3": {"kind": "rest"}},
    calls=(
        VendorCall(
            name="ping",
            port="ping",
            method="GET",
            path=client.API + items.PRODUCTS,
            params=LIST,
            reads=client.WooProductId,
        ),
        *_customers("customers", customers.WooCustomer),
        *_customers("customers.numbers", customers.WooUser),
        VendorCall(
            name="customers.search",
            port="customers",
            method="GET",
            path=client.API + customers.PATH,
            params=(*PAGES, "role", "search", "include"),
            reads=customers.WooCustomer,
            filters=("search", "include"),
            sorts=("id",),
        ),
        _keys("items.by_sku", items.PRODUCTS, items.WooProduct, "sku"),
        _keys("items.by_gtin", items.PRODUCTS, items.WooProduct, "global_unique_id"),
        _keys("items.by_id", items.PRODUCTS, items.WooProduct, "include"),
        _keys("items.variations", items.VARIATIONS, items.WooVariation, "include"),
        _keys("stock.levels", items.PRODUCTS, stock.WooStock, "sku"),
        _keys("orders.by_id", orders.ORDERS, order_records.WooOrder, "include"),
        VendorCall(
            name="orders.lists",
            port="orders",
            method="GET",
            path=client.API + orders.ORDERS,
            params=(*PAGES, *TIMES, "customer", "status"),
            reads=order_records.WooOrder,
            filters=("customer", "status", "after", "before"),
            sorts=("date",),
        ),
        _keys(f"{order_writer.CALL}.products", items.PRODUCTS, order_writer.WooArticleToOrder, "sku", port=WRITER),
        _keys(f"{order_writer.CALL}.status", orders.ORDERS, order_writer.WooWrittenOrder, "include", port=WRITER),
        _since(f"{order_writer.CALL}.find", orders.ORDERS, order_writer.WooWrittenOrder, "date", "after", port=WRITER),
        VendorCall(
            name=f"{order_writer.CALL}.create",
            port=WRITER,
            method="POST",
            path=client.API + orders.ORDERS,
            params=("_fields",),
            sends=order_writer.NewWooOrder,
            reads=order_writer.WooWrittenOrder,
        ),
        VendorCall(
            name=f"{order_writer.CALL}.cancel",
            port=WRITER,
            method="PUT",
            path=f"{client.API}{orders.ORDERS}/{{}}",
            params=("_fields",),
            sends=order_writer.WooCancellation,
            reads=order_writer.WooWrittenOrder,
        ),
        _since("changes.order", orders.ORDERS, changes.WooChangedOrder, "modified", "modified_after", port="changes"),
        _since("changes.item", items.PRODUCTS, changes.WooChangedItem, "modified", "modified_after", port="changes"),
        _since(
            "changes.variation", items.VARIATIONS, changes.WooChangedItem, "modified", "modified_after", port="changes"
        ),
        *(_webhook(resource) for resource in ("order", "product", "customer")),
    ),
)
