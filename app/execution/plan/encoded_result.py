"""A result whose data is JSON already: what a plan writes when nothing failed."""

from __future__ import annotations

from typing import Any

import orjson
from graphql import ExecutionResult


class EncodedResult(ExecutionResult):
    """`json` goes to the client as it is; `data` is decoded from it, for whoever looks into an answer."""

    __slots__ = ("json",)

    def __init__(self, json: bytes) -> None:
        self.json = json
        self.errors = None
        self.extensions = None

    @property
    def data(self) -> dict[str, Any]:  # type: ignore[override]
        """The data as the client will read it."""
        return orjson.loads(self.json)
