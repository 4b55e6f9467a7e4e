"""Logs, metrics and traces: `[log]` and `[telemetry]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from app.settings.section import Section
from app.settings.validation import check_address


class LogSettings(Section):
    """`[log]`: JSON Lines, or readable text."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class TelemetrySettings(Section):
    """`[telemetry]`: traces, sent by OTLP over HTTP to the collector at `otlp_endpoint`, with `otlp_headers`; without
    it tracing is off. `sampling_ratio` is the share of operations that are traced if the caller has not decided.
    `metrics_token` is a bearer token that reads `/metrics`, beside those of staff."""

    otlp_endpoint: Annotated[str, AfterValidator(check_address)] | None = None
    otlp_headers: dict[str, SecretStr] = {}
    service_name: str = Field(default="tradegraph", min_length=1)
    sampling_ratio: float = Field(default=1.0, ge=0, le=1)
    resource_attributes: dict[str, str] = {}
    metrics_token: SecretStr | None = None
    metrics_token_file: Path | None = None
