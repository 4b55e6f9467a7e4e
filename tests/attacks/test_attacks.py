"""All attacks, each by its name; none may succeed, and while one goes on nobody else may wait."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.attacks.attacker import Attacker, Heartbeat
from tests.attacks.catalog import Attack, Group
from tests.attacks.every import EVERY
from tests.support.serving import serving

ROOT = Path(__file__).resolve().parents[2]
LONGEST_WAIT = 0.25
"""Seconds that the gateway's event loop may be busy while somebody else waits. Up to 0.12 were measured."""

OF_EACH_GROUP = 4
"""Attacks of each group in every run of the tests."""

TRIES = 3
"""An attack that keeps others waiting does so each time; a machine that is busy with something else does not."""


def parameters() -> Iterator[Any]:
    """All attacks; those after the first few of each group are long."""
    seen: Counter[Group] = Counter()
    for attack in EVERY:
        seen[attack.group] += 1
        yield pytest.param(attack, id=attack.id, marks=[pytest.mark.long] if seen[attack.group] > OF_EACH_GROUP else [])


@pytest.mark.timeout(300)
@pytest.mark.parametrize("attack", list(parameters()))
async def test_attack_comes_to_nothing(attacker: Attacker, attack: Attack) -> None:
    waits = []
    for _ in range(TRIES if attack.watched else 1):
        async with Heartbeat(attacker.target.port, attacker.target.work) as heartbeat:
            await attack.run(attacker)
        waits.append(heartbeat.worst)
        if heartbeat.worst < LONGEST_WAIT:
            break
    assert attacker.target.process.poll() is None, "the gateway has ended"
    assert not attack.watched or min(waits) < LONGEST_WAIT, f"others waited {min(waits):.3f} s each time"


def test_every_group_has_attacks_and_every_attack_a_name_of_its_own() -> None:
    assert len(EVERY) >= 100
    assert {attack.group for attack in EVERY} == set(Group)
    assert [id_ for id_, count in Counter(attack.id for attack in EVERY).items() if count > 1] == []


def test_page_about_security_counts_the_attacks() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    counted = Counter(attack.group for attack in EVERY)
    table = [f"| {group.value} | {counted[group]} |" for group in Group]
    assert "\n".join([*table, f"| **all** | **{len(EVERY)}** |"]) in page


async def test_heartbeat_notices_a_loop_that_is_busy() -> None:
    """Else nothing would be proved by its silence."""

    async def busy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/busy":
            until = time.monotonic() + 2 * LONGEST_WAIT
            while time.monotonic() < until:
                pass
        await PlainTextResponse("ok")(scope, receive, send)

    async with serving(busy) as url, httpx.AsyncClient(base_url=url) as client:
        async with Heartbeat(int(url.rpartition(":")[2]), time.monotonic) as heartbeat:
            await client.get("/busy")
        assert heartbeat.worst > LONGEST_WAIT
