"""A gateway that takes orders, over the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.sandbox import Sandbox
from tests.support.gateway import Graph, gateway


@pytest.fixture
async def ordering(dated_sandbox: Sandbox) -> AsyncIterator[Graph]:
    """A gateway over the sandbox; what was ordered there, and injected faults, are removed at the end."""
    async with gateway(dated_sandbox) as running:
        await running.backends["erp"].delete("/sandbox/submitted-orders")
        try:
            yield running
        finally:
            await running.repair()
            await running.backends["erp"].delete("/sandbox/submitted-orders")
