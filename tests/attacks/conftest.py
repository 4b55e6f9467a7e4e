"""The gateway under attack: one for all attacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from app.sandbox import Sandbox
from tests.attacks.attacker import Attacker
from tests.attacks.target import Target, running_target


@pytest.fixture(scope="module")
def target(dated_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A gateway set up as in production, in a process of its own. It polls its backends, and ends before other tests
    count what reaches them."""
    with running_target(dated_sandbox, tmp_path_factory.mktemp("attacked")) as running:
        yield running


@pytest.fixture
async def attacker(target: Target) -> AsyncIterator[Attacker]:
    """Somebody with a client."""
    async with httpx.AsyncClient(base_url=target.url, verify=False, timeout=30) as client:
        yield Attacker(target, client)
