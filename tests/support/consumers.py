"""What the consumers send with their documents, as they wrote it down; one table for tests and benchmarks."""

from __future__ import annotations

from typing import Any

CUSTOMER: dict[str, Any] = {"number": "CUST-0001"}

VARIABLES: dict[str, dict[str, Any]] = {
    "sales_view": {"customer": CUSTOMER, "orders": 20},
    "price_and_availability": {
        "customer": CUSTOMER,
        "lines": [
            {"item": {"sku": "SKU-0001"}, "quantity": "12", "uom": "box"},
            {"item": {"customerPart": {"customer": CUSTOMER, "number": "C01-0007"}}, "quantity": "3"},
        ],
    },
    "item_list": {"skus": ["SKU-0001", "SKU-0002"], "customer": CUSTOMER},
    "customer_card": {"customer": CUSTOMER},
    "order_tracking": {"order": {"number": "SO-100040"}},
    "promise": {"item": {"sku": "SKU-0001"}, "quantity": "40", "by": "2026-12-01"},
    "find": {"customer": CUSTOMER, "part": "C01-0007", "search": "bolt", "after": None},
}
"""By the name of the document; those of queries."""
