"""The result of a plan without failures: its data is encoded JSON."""

from __future__ import annotations

from typing import Any

import orjson
from graphql import ExecutionResult


class EncodedResult(ExecutionResult):
    """`json` is sent as it is; `data` is decoded from it on access."""

    __slots__ = ("json",)

    def __init__(self, json: bytes) -> None:
        self.json = json
        self.errors = None
        self.extensions = None

    @property
    def data(self) -> dict[str, Any]:  # type: ignore[override]
        """The decoded data."""
        return orjson.loads(self.json)
