"""Outbound webhooks: `[endpoints]`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from app.settings.section import Section
from app.settings.validation import check_network


class EndpointSettings(Section):
    """Deliveries to the endpoints of partners. Addresses outside of `allowed_networks` must be public, use https and
    one of `ports`; within them http and any port are allowed. `timeout` limits a whole attempt. The delay between
    attempts starts at `retry_first` and doubles up to `retry_most`, until `retry_hours` after the first attempt.

    `concurrency` limits simultaneous attempts to one endpoint, `most_in_flight` to all. Dead letters can be replayed
    for `keep_dead_days`. `ca_file` holds certificate authorities to trust beside the system's.
    """

    enabled: bool = True
    allowed_networks: tuple[Annotated[str, AfterValidator(check_network)], ...] = ()
    ports: tuple[int, ...] = (443, 8443)
    timeout: float = Field(default=10.0, gt=0, le=60)
    retry_first: float = Field(default=5.0, gt=0, le=3600)
    retry_most: float = Field(default=3600.0, gt=0, le=86_400)
    retry_hours: float = Field(default=36.0, gt=0, le=168)
    concurrency: int = Field(default=4, ge=1, le=100)
    most_in_flight: int = Field(default=64, ge=1, le=10_000)
    keep_dead_days: int = Field(default=30, ge=1)
    ca_file: Path | None = None
