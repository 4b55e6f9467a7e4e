"""What the operators see: `[log]`."""

from __future__ import annotations

from typing import Literal

from app.settings.base import Section


class LogSettings(Section):
    """One JSON object a line for machines, or a console for people."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"
