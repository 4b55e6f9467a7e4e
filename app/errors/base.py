"""The roots of the tree of errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class TradegraphError(Exception):
    """Root of the tree. `code` is stable, `message` is public, `detail` is for the log. A request that fails as a whole
    has the status `http_status`; an error of a field leaves it at 200."""

    code = "INTERNAL"
    http_status = 500
    default = "Internal error. Quote the error id when you report it."

    def __init__(self, message: str | None = None, *, detail: str | None = None) -> None:
        super().__init__(message or self.default)
        self.message = message or self.default
        self.detail = detail

    @property
    def extensions(self) -> Mapping[str, Any]:
        """What a program may want to read beside the code."""
        return {}


class RequestError(TradegraphError):
    """The caller can mend it; the message says how."""

    code = "BAD_REQUEST"
    http_status = 400
