"""One execution of an event for all subscribers that get the same response."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

import orjson

from app.auth.principal import Principal
from app.execution.engine import Operation

SHARED_SECONDS = 2.0
"""Seconds for which a response is shared. A later subscriber gets a new one."""

_DOCUMENT = "shared_execution.document"


def sharing_key(operation: Operation, principal: Principal) -> Hashable:
    """Equal for callers with the same document, roles and accounts, and the same values of the variables that an
    event's selection reads. The key refers to a token of the document, never to an id that another could get."""
    given = {name: operation.variables.get(name) for name in operation.analysis.event_variables}
    variables = orjson.dumps(given, option=orjson.OPT_SORT_KEYS) if given else b""
    accounts = (principal.customers, principal.agents) if principal.restricted else None
    document = operation.annotations.setdefault(_DOCUMENT, object())
    return document, operation.name, variables, principal.roles, principal.tenant, accounts


async def run_shared(tasks: dict[Hashable, Any], key: Hashable, run: Callable[[], Awaitable[Any]]) -> Any:
    """The result of `run`, shared by all callers of one key while it runs and for SHARED_SECONDS after. Cancelling one
    caller does not cancel the others."""
    task = tasks.get(key)
    if task is None:
        loop = asyncio.get_running_loop()
        task = tasks[key] = loop.create_task(_run(run))
        task.add_done_callback(lambda _: loop.call_later(SHARED_SECONDS, tasks.pop, key, None))
    return await asyncio.shield(task)


async def _run(run: Callable[[], Awaitable[Any]]) -> Any:
    return await run()
