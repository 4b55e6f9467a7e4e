"""Logs, metrics and traces: `[log]` and `[telemetry]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from app.settings.section import Section
from app.settings.validation import check_address


class LogSettings(Section):
    """One JSON object a line for machines, or a console for people."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class TelemetrySettings(Section):
    """`[telemetry]`: traces, sent by OTLP over HTTP to the collector at `otlp_endpoint`, with `otlp_headers`; none are
    made without one. `sampling_ratio` is the share of operations that are traced where the caller has not decided.
    With `metrics_token` as its bearer token a scraper reads `/metrics`, as staff do with theirs."""

    otlp_endpoint: Annotated[str, AfterValidator(check_address)] | None = None
    otlp_headers: dict[str, SecretStr] = {}
    service_name: str = Field(default="tradegraph", min_length=1)
    sampling_ratio: float = Field(default=1.0, ge=0, le=1)
    resource_attributes: dict[str, str] = {}
    metrics_token: SecretStr | None = None
    metrics_token_file: Path | None = None
