"""What models and fields are called in which version of Odoo.

The adapter uses the names of Odoo 11, on which it is proven. Names of later versions are declared here, from Odoo's
documentation and release notes; they were never tried on a running system.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

OLDEST, NEWEST = 11, 19

MODELS: Mapping[str, tuple[int, str]] = {
    "product.uom": (12, "uom.uom"),
    "account.invoice": (13, "account.move"),
    "account.invoice.line": (13, "account.move.line"),
}
"""The model of Odoo 11 -> the version since which it has another name, and the name."""

FIELDS: Mapping[str, Mapping[str, tuple[tuple[int, str | None], ...]]] = {
    "account.invoice": {
        "date_due": ((13, "invoice_date_due"),),
        "date_invoice": ((13, "invoice_date"),),
        "number": ((13, "name"),),
        "payment_state": ((11, None), (13, "invoice_payment_state"), (14, "payment_state")),
        "residual": ((13, "amount_residual"),),
        "type": ((14, "move_type"),),
    },
    "account.invoice.line": {"invoice_id": ((13, "move_id"),), "uom_id": ((13, "product_uom_id"),)},
    "product.uom": {"category_id": ((19, None),), "factor_inv": ((19, None),), "uom_type": ((19, None),)},
    "res.partner": {"mobile": ((19, None),), "sale_warn": ((19, None),)},
    "sale.order": {"commitment_date": ((11, None), (12, "commitment_date"))},
    "sale.order.line": {"product_uom": ((19, "product_uom_id"),)},
    "stock.move": {
        "date_expected": ((14, "date"),),
        "quantity_done": ((17, "quantity"),),
        "reserved_availability": ((17, "quantity"),),
    },
}
"""The field of a model -> its names since versions; None where the model does not have it."""

PRICE_FIELD_UNTIL = 15
"""The last version in which a product's price by a price list can be read; later ones compute it in private methods."""


class Names:
    """The names of one version."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.field = cache(self._field)

    def model(self, model: str) -> str:
        """The model's name."""
        since, name = MODELS.get(model, (OLDEST, model))
        return name if self.version >= since else model

    def _field(self, model: str, field: str) -> str | None:
        """A field's name, which may be a path such as `order_id.name`; None where the model does not have it."""
        found: str | None = field
        for since, name in FIELDS.get(model, {}).get(field, ()):
            if self.version >= since:
                found = name
        return found
