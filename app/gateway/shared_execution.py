"""One run for all who are sent the same event and are to get the same answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

import orjson

from app.auth.principal import Principal
from app.execution.engine import Operation
from app.execution.subscriptions import event_variables

SHARED_SECONDS = 2.0
"""Seconds for which an answer serves others. Who is sent the event later gets what is read then."""


def sharing_key(operation: Operation, who: Principal) -> Hashable:
    """The same for callers who ask the same and may see the same: one document, the values of those of its variables
    that an event's selection reads, the roles, and the accounts whose rows exist."""
    given = {name: operation.variables.get(name) for name in event_variables(operation)}
    variables = orjson.dumps(given, option=orjson.OPT_SORT_KEYS) if given else b""
    accounts = who.customers if who.restricted else None
    return id(operation.document), operation.name, variables, who.roles, who.tenant, accounts


async def run_shared(tasks: dict[Hashable, Any], key: Hashable, run: Callable[[], Awaitable[Any]]) -> Any:
    """What `run` returns; who asks with the same key meanwhile and shortly after gets the same. Whoever is cancelled
    takes nothing from the others."""
    task = tasks.get(key)
    if task is None:
        loop = asyncio.get_running_loop()
        task = tasks[key] = loop.create_task(_run(run))
        task.add_done_callback(lambda _: loop.call_later(SHARED_SECONDS, tasks.pop, key, None))
    return await asyncio.shield(task)


async def _run(run: Callable[[], Awaitable[Any]]) -> Any:
    return await run()
