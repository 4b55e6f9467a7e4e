"""Every call that the adapter makes of Medusa, printed as `uses.json`."""

from __future__ import annotations

from typing import Any

from app.sources.medusa import changes, client, customers, items, order_records, order_writer, prices, stock
from app.sources.vendor_calls import VendorCall, VendorDeclaration

LIST = ("fields", "limit")
PAGES = (*LIST, "offset", "order")


def _list(
    name: str,
    path: str,
    reads: Any,
    params: tuple[str, ...],
    filters: tuple[str, ...] = (),
    sorts: tuple[str, ...] = (),
) -> VendorCall:
    given = (*params, *(f"{one}[]" for one in filters))
    noun = name.partition(".")[0]
    port = "order_writer" if noun == order_writer.CALL else noun
    return VendorCall(
        name=name, port=port, method="GET", path=path, params=given, reads=reads, filters=filters, sorts=sorts
    )


def _write(name: str, path: str, sends: Any = None, reads: Any = None) -> VendorCall:
    return VendorCall(
        name=f"{order_writer.CALL}.{name}",
        port="order_writer",
        method="POST",
        path=path,
        params=("fields",),
        sends=sends,
        reads=reads,
    )


def _changes(name: str, path: str, reads: Any) -> VendorCall:
    return VendorCall(
        name=f"changes.{name}",
        port="changes",
        method="GET",
        path=path,
        params=(*PAGES, "updated_at[$gte]"),
        reads=reads,
        filters=("updated_at",),
        sorts=("updated_at",),
    )


LOOKUP = "/admin/lookup"
GTINS = tuple(f"$or[{at}][{name}][]" for at, name in enumerate(items.GTINS))

DECLARATION = VendorDeclaration(
    vendor="medusa",
    artefact="Admin API of Medusa 2.17.2 (npm @medusajs/medusa), and two routes of the project in backends/medusa/src",
    artefacts={"admin": {"kind": "openapi"}},
    calls=(
        _list("ping", "/admin/stores", client.StoreRows, LIST),
        VendorCall(
            name="lookup",
            port="project",
            method="GET",
            path=LOOKUP,
            params=("entity", "field", "value[]", "take", "skip", "order"),
            reads=client.Lookup,
            filters=("number", "metadata", "customer.metadata"),
            sorts=("created_at",),
        ),
        VendorCall(
            name="lookup.customers",
            port="customers",
            method="GET",
            path=LOOKUP,
            params=("entity", "field", "value[]", "fields"),
            reads=customers.CustomerLookup,
            filters=("metadata",),
        ),
        _list("customers", "/admin/customers", customers.CustomerRows, LIST, ("id",)),
        _list("items.by_sku", items.PATH, items.VariantRows, LIST, ("sku",)),
        _list("items.by_id", items.PATH, items.VariantRows, LIST, ("id",)),
        VendorCall(
            name="items.by_gtin",
            port="items",
            method="GET",
            path=items.PATH,
            params=(*PAGES, *GTINS),
            reads=items.VariantRows,
            filters=items.GTINS,
            sorts=("id",),
        ),
        VendorCall(
            name="items.search",
            port="items",
            method="GET",
            path=items.PATH,
            params=(*PAGES, "q"),
            reads=items.VariantRows,
            filters=("q",),
            sorts=("sku",),
        ),
        _list("warehouses", "/admin/stock-locations", stock.LocationRows, PAGES, sorts=("id",)),
        _list("stock.levels", "/admin/inventory-items", stock.InventoryRows, LIST, ("sku",)),
        VendorCall(
            name="prices.quote",
            port="prices",
            method="POST",
            path="/admin/calculated-prices",
            sends=prices.MedusaPriceQuestions,
            reads=prices.CalculatedPrices,
        ),
        _list("orders", "/admin/orders", order_records.OrderRows, LIST, ("id",)),
        _list(f"{order_writer.CALL}.variants", items.PATH, order_writer.OrderableRows, LIST, ("sku",)),
        _write("create", order_writer.DRAFTS, order_writer.NewDraft, order_writer.DraftCreated),
        _write("convert", f"{order_writer.DRAFTS}/{{}}/convert-to-order"),
        _write("cancel", "/admin/orders/{}/cancel"),
        VendorCall(
            name=f"{order_writer.CALL}.delete",
            port="order_writer",
            method="DELETE",
            path=f"{order_writer.DRAFTS}/{{}}",
        ),
        _changes("customer", "/admin/customers", changes.ChangedCustomers),
        _changes("item", items.PATH, changes.MedusaChangedVariants),
        _changes("order", "/admin/orders", changes.ChangedOrders),
    ),
)
