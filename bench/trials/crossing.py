"""`./run trial crossing`: 10,000 requests at once, each for a customer with its own token, while their source fails now
and then: nobody gets what is another's."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import httpx

from bench.trials.judge import judge
from bench.trials.reads import Read, ask, body_of, headers_of
from bench.trials.world import world

CUSTOMERS = 500
OWN = """query Own($customer: CustomerKey!) { customer(by: $customer) { number name billTo { name }
  orders(first: 2) { nodes { number customer { number } lines { item { sku }
    contractPrice { unitPrice { amount } } } } } } }"""
PATIENCE = 240.0
FAULTS = ("reset before", "503", "late")
PATIENT = {"limits": {"queue": 100_000, "max_wait": 120}, "breaker": {"enabled": False}}
"""A source's settings under which nobody is refused for being one of many: what is looked for is in the answers."""

CLIENTS = 100
"""Clients that share the requests: the time that one takes grows with the square of its connections."""


async def own_reads(client: httpx.AsyncClient) -> list[Read]:
    """One for each customer."""
    found: list[Read] = []
    for number in range(1, CUSTOMERS + 1):
        customer = f"CUST-{number:04}"
        body, headers = body_of(OWN, {"customer": {"number": customer}}), headers_of(customer)
        truth = await ask(client, body, headers)
        if truth["data"]["customer"]["number"] != customer:
            raise RuntimeError(f"{customer}: {str(truth)[:500]}")
        found.append(Read("own", customer, body, headers, truth))
    return found


async def crossing(requests: int, workers: int) -> dict[str, Any]:
    """So many at once; what came of them."""
    outcomes: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    differences: list[str] = []
    server = {"request_timeout": PATIENCE, "max_in_flight": requests, "connections": {"most": requests + 1000}}
    async with (
        world(workers=workers, ask=own_reads, timeout=60.0, server=server, overlay=PATIENT) as over,
        AsyncExitStack() as stack,
    ):
        opened = (over.gateway.client(timeout=2 * PATIENCE) for _ in range(CLIENTS))
        clients = [await stack.enter_async_context(client) for client in opened]

        async def one(client: httpx.AsyncClient, read: Read) -> None:
            try:
                answer = await ask(client, read.body, read.headers)
            except (httpx.HTTPError, ValueError) as error:
                answer = repr(error)
            verdict = judge(answer, read.truth)
            outcomes[verdict.outcome] += 1
            codes.update(verdict.codes)
            if verdict.difference:
                differences.append(f"{read.customer}: {verdict.difference}")

        async def fail_now_and_then() -> None:
            while True:
                over.between["erp"].fault = random.choice(FAULTS)
                await asyncio.sleep(0.05)  # What waits fails fast: in a second all of it would.
                over.between["erp"].fault = None
                await asyncio.sleep(2)

        failing = asyncio.create_task(fail_now_and_then())
        reads = [over.reads[place % len(over.reads)] for place in range(requests)]
        random.shuffle(reads)
        await asyncio.gather(*map(one, itertools.cycle(clients), reads))
        failing.cancel()
    return {
        "requests": requests,
        "customers": CUSTOMERS,
        **{name: outcomes[name] for name in ("whole", "labelled", "unanswered", "wrong")},
        "codes": dict(codes),
        "differences": differences[:20],
        "kept": not outcomes["wrong"] and outcomes["whole"] > requests / 2,
    }
