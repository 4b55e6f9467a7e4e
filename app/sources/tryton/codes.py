"""Which number an order goes by."""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.sources.tryton.client import Domain, record_ids

DRAFT = "draft-"


class OrderCodes:
    """Order codes that all systems share are kept as a sale's reference, where customers' own numbers are kept too.

    A sale goes by its reference if that looks like an order code, else by Tryton's own number, else, as long as it has
    none, by its id.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = re.compile(pattern)

    def is_code(self, text: str | None) -> bool:
        """Whether this is an order code rather than the customer's purchase order."""
        return text is not None and self._pattern.search(text) is not None

    def number(self, id: int, reference: str | None, number: str | None) -> str:
        if reference is not None and self.is_code(reference):
            return reference
        return number or f"{DRAFT}{id}"

    def purchase_order(self, reference: str | None) -> str | None:
        return None if self.is_code(reference) else reference or None

    def domain(self, numbers: Iterable[str]) -> Domain:
        codes: list[str] = []
        others: list[str] = []
        for number in numbers:
            (codes if self.is_code(number) else others).append(number)
        drafts = record_ids(number.removeprefix(DRAFT) for number in others if number.startswith(DRAFT))
        clauses: Domain = [["reference", "in", codes]] if codes else []
        if others:
            clauses.append(["number", "in", others])
        if drafts:
            clauses.append([["id", "in", drafts], ["number", "=", None]])
        return ["OR", *clauses]
