"""Intakes and lines for tests."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

from app.intake.records import IntakeContent, IntakeLine, IntakeState, OrderIntake, digest_of
from app.intake.store import IntakeStore
from app.intake.stores import connect_intakes
from app.settings import Settings

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


@dataclass
class IntakeBench:
    """Opens one store as several processes would, each over connections of its own, with a clock that tests move."""

    settings: Settings
    now: float = field(default_factory=time.time)
    opened: list[IntakeStore] = field(default_factory=list)

    def store(self) -> IntakeStore:
        self.opened.append(connect_intakes(self.settings, clock=lambda: self.now))
        return self.opened[-1]

    def intake(self, key: str = "", **given) -> OrderIntake:
        """An intake that is due now."""
        return intake(key, at=self.now, **given)
