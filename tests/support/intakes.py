"""Intakes and lines for tests."""

from __future__ import annotations

import time
from decimal import Decimal
from itertools import count
from typing import Any

from app.intake.records import IntakeContent, IntakeLine, IntakeState, OrderIntake, digest_of

_numbers = count(1)


def content(quantity: str = "2", **given: Any) -> IntakeContent:
    """The content of an order of one line."""
    return IntakeContent(**{"lines": (IntakeLine(line_number=1, sku="SKU-1", quantity=Decimal(quantity)),), **given})


def intake(
    key: str = "", *, at: float | None = None, state: IntakeState = IntakeState.POSTING, **given: Any
) -> OrderIntake:
    """An intake that is due at once, with an id of its own."""
    number = next(_numbers)
    at = time.time() if at is None else at
    key = key or f"key-{number}"
    customer, po = given.get("customer", "C-1"), given.pop("customer_po", f"PO-{key}")
    ordered = given.pop("content", None) or content()
    return OrderIntake(
        **{
            "id": f"{number:08d}",
            "tenant": "default",
            "client": "portal",
            "key": key,
            "digest": digest_of(customer, po, ordered),
            "state": state,
            "channel": "API",
            "received": at,
            "since": at,
            "submitted_by": "anna",
            "customer": customer,
            "customer_po": po,
            "target": "erp",
            "due_at": at,
            "content": ordered,
            **given,
        }
    )
