"""HTTP clients compared: CPU per call at several loads, what they make of eight kinds of failure, and whether they
survive calls that are cancelled.

    python -m bench.transport [--calls 3000] [--rounds 3] [--only NAME ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvloop

from bench.dataset import build
from bench.processes import free_port, halves, python, running
from bench.wire import Wire

Call = Callable[[str, bytes, float], Awaitable[bytes]]
"""POST a body to a path within so many seconds; the answer's body."""

LOADS = (1, 20, 200)
HEADERS = {"Authorization": "Bearer bench", "Content-Type": "application/json", "Accept": "application/json"}


@dataclass(frozen=True)
class Client:
    """A way to make calls."""

    name: str
    open: Callable[[str, int], Any]
    """A context manager of a Call, for a base URL and a number of connections."""


@asynccontextmanager
async def httpx_own(base: str, connections: int) -> AsyncIterator[Call]:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(base_url=base, limits=limits, headers=HEADERS, trust_env=False) as client:
        yield _httpx_call(client)


@asynccontextmanager
async def httpx_over_httpcore2(base: str, connections: int) -> AsyncIterator[Call]:
    from bench.httpcore2_transport import PooledTransport

    async with httpx.AsyncClient(base_url=base, transport=PooledTransport(connections), headers=HEADERS) as client:
        yield _httpx_call(client)


@asynccontextmanager
async def httpx_aiohttp(base: str, connections: int) -> AsyncIterator[Call]:
    from httpx_aiohttp import AiohttpTransport  # pyright: ignore[reportMissingImports]

    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(base_url=base, transport=AiohttpTransport(limits=limits), headers=HEADERS) as client:
        yield _httpx_call(client)


def _httpx_call(client: httpx.AsyncClient) -> Call:
    async def call(path: str, body: bytes, timeout: float) -> bytes:
        answer = await client.post(path, content=body, timeout=timeout)
        return answer.content

    return call


@asynccontextmanager
async def seam(base: str, connections: int) -> AsyncIterator[Call]:
    """app/http/client.py as it stands: deadlines, slots, counters, typed errors, and the transport under it."""
    from app.http.client import HTTPClient
    from app.settings import SourceSettings

    made: dict[float, HTTPClient] = {}

    async def call(path: str, body: bytes, timeout: float) -> bytes:
        if timeout not in made:
            settings = SourceSettings(vendor="x", base_url=base, concurrency=connections, timeout=timeout)
            made[timeout] = HTTPClient("erp", settings, headers={"Authorization": "Bearer bench"})
        return (await made[timeout].request("POST", path, content=body, call="bench")).body

    try:
        yield call
    finally:
        for client in made.values():
            await client.aclose()


@asynccontextmanager
async def aiohttp_direct(base: str, connections: int) -> AsyncIterator[Call]:
    import aiohttp  # pyright: ignore[reportMissingImports]

    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(base, connector=connector, headers=HEADERS) as session:

        async def call(path: str, body: bytes, timeout: float) -> bytes:
            async with session.post(path, data=body, timeout=aiohttp.ClientTimeout(timeout)) as answer:
                return await answer.read()

        yield call


@asynccontextmanager
async def pyreqwest_direct(base: str, connections: int) -> AsyncIterator[Call]:
    from datetime import timedelta

    from pyreqwest.client import ClientBuilder  # pyright: ignore[reportMissingImports]

    builder = ClientBuilder().max_connections(connections).default_headers(HEADERS)
    async with builder.build() as client:

        async def call(path: str, body: bytes, timeout: float) -> bytes:
            request = client.post(base + path).body_bytes(body).timeout(timedelta(seconds=timeout)).build()
            answer = await request.send()
            return bytes(await answer.bytes())

        yield call


@asynccontextmanager
async def niquests_direct(base: str, connections: int) -> AsyncIterator[Call]:
    import niquests  # pyright: ignore[reportMissingImports]

    async with niquests.AsyncSession(pool_maxsize=connections) as session:
        for name, value in HEADERS.items():
            session.headers[name] = value

        async def call(path: str, body: bytes, timeout: float) -> bytes:
            answer = await session.post(base + path, data=body, timeout=timeout)
            return answer.content or b""

        yield call


@asynccontextmanager
async def own_wire(base: str, connections: int) -> AsyncIterator[Call]:  # noqa: ARG001 - its user bounds the calls
    wire = Wire(base, HEADERS)

    async def call(path: str, body: bytes, timeout: float) -> bytes:
        return (await wire.post(path, body, timeout=timeout)).body

    try:
        yield call
    finally:
        await wire.aclose()


CLIENTS = [
    Client("httpx, own pool", httpx_own),
    Client("httpx over httpcore2", httpx_over_httpcore2),
    Client("app/http/client.py", seam),
    Client("httpx-aiohttp", httpx_aiohttp),
    Client("niquests", niquests_direct),
    Client("aiohttp", aiohttp_direct),
    Client("pyreqwest", pyreqwest_direct),
    Client("own (httptools)", own_wire),
]


# CPU


async def cpu_per_call(client: Client, base: str, path: str, body: bytes, load: int, calls: int) -> float:
    """CPU milliseconds of this process per call."""
    async with client.open(base, load) as call:
        left = load * 3

        async def worker() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await call(path, body, 30.0)

        async with asyncio.TaskGroup() as group:  # connections open, caches fill
            for _ in range(load):
                group.create_task(worker())
        left = calls
        started = time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(load):
                group.create_task(worker())
        return 1000 * (time.process_time() - started) / calls


# Failures: (name, path of the faulty backend, whether the request may have been read)

FAULTS = {
    "refused": None,
    "closed before the answer": "/close",
    "reset before the answer": "/reset",
    "reset within the body": "/reset-midway",
    "body shorter than told": "/short",
    "not HTTP": "/not-http",
    "no answer in time": "/hang",
    "body never complete": "/hang-midway",
}


async def failures(client: Client) -> dict[str, str]:
    """What each failure is raised as: `Class (kind)`, or what came back instead of an error."""
    from tests.upstreams.faulty import faulty

    found = {}
    async with faulty() as state:
        for name, path in FAULTS.items():
            base = state.url if path else f"http://127.0.0.1:{free_port()}"
            async with client.open(base, 4) as call:
                try:
                    async with asyncio.timeout(5):
                        body = await call(path or "/", b"{}", 0.3)
                    found[name] = f"no error: {body[:20]!r}"
                except BaseException as error:  # noqa: BLE001 - that is the question
                    found[name] = _told(error)
    return found


def _told(error: BaseException) -> str:
    kinds = [type(error).__name__]
    cause = error.__cause__
    if cause is not None and type(error).__module__.startswith("app."):
        kinds.append(type(cause).__name__)
    detail = str(error)[:60]
    return " < ".join(kinds) + (f": {detail}" if detail else "")


async def cancellations(client: Client, base: str, count: int = 1000) -> str:
    """Cancel many calls at every moment of their lives; then see whether the pool still gives connections."""
    path, body = "/v1/customers/read", b'{"numbers":["CUST-0001"]}'
    async with client.open(base, 8) as call:
        for step in range(count):
            task = asyncio.create_task(call(path, body, 5.0))  # type: ignore[arg-type]
            for _ in range(step % 12):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
        try:
            async with asyncio.timeout(3):
                answers = await asyncio.gather(*(call(path, body, 2.5) for _ in range(8)))
        except BaseException as error:  # noqa: BLE001 - that is the question
            return f"dead: {type(error).__name__}"
    return "alive" if all(b"CUST-0001" in answer for answer in answers) else "crossed"


async def misuse(client: Client, base: str) -> str:
    """Many calls at once, half of them cancelled: does each answer belong to its own question?"""
    numbers = build().numbers
    async with client.open(base, 8) as call:

        async def ask(number: str) -> bool:
            body = json.dumps({"numbers": [number]}).encode()
            return f'"key":"{number}"'.encode() in await call("/v1/customers/read", body, 5.0)

        wrong = 0
        for round_ in range(20):
            tasks = [asyncio.create_task(ask(number)) for number in numbers]
            for _ in range(round_ % 7 + 1):
                await asyncio.sleep(0)
            for task in tasks[:: 2 if round_ % 2 else 3]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            wrong += sum(one is False for one in results)
    return "none" if not wrong else f"{wrong} crossed"


def _print(rows: list[dict[str, Any]]) -> None:
    print("\nCPU ms per call, median of the rounds (small: 0.9 kB answer; large: 70 kB)\n")
    columns = [f"{size} {load}" for size in ("small", "large") for load in LOADS]
    print(f"{'client':<24}" + "".join(f"{column:>11}" for column in columns) + "   cancelled   crossed")
    for row in rows:
        cells = "".join(f"{row['cpu'][column]:>11.3f}" for column in columns)
        print(f"{row['name']:<24}{cells}   {row['cancelled']:<11} {row['crossed']}")
    print()
    for row in rows:
        print(row["name"])
        for fault, told in row["failures"].items():
            print(f"    {fault:<26} {told}")


async def compare(base: str, clients: list[Client], calls: int, rounds: int) -> list[dict[str, Any]]:
    """Interleaved rounds over the clients, then failures."""
    cases = {
        "small": ("/v1/customers/read", b'{"numbers":["CUST-0001"]}'),
        "large": (
            "/v1/orders/by-customer",
            b'{"customers":["CUST-0001"],"query":{"page":{"first":20,"after":null,"count":false}}}',
        ),
    }
    cpu: dict[str, dict[str, list[float]]] = {client.name: {} for client in clients}
    for _ in range(rounds):
        for size, (path, body) in cases.items():
            for load in LOADS:
                for client in clients:
                    gc.collect()
                    count = max(calls // (1 if size == "small" else 4), load * 4)
                    spent = await cpu_per_call(client, base, path, body, load, count)
                    cpu[client.name].setdefault(f"{size} {load}", []).append(spent)
    return [
        {
            "name": client.name,
            "cpu": {name: statistics.median(values) for name, values in cpu[client.name].items()},
            "failures": await failures(client),
            "cancelled": await cancellations(client, base),
            "crossed": await misuse(client, base),
        }
        for client in clients
    ]


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.transport")
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--json")
    given = parser.parse_args()
    clients = [one for one in CLIENTS if not given.only or any(word in one.name for word in given.only)]
    port = free_port()
    with running(python("-m", "bench.upstream", str(port)), port=port, processors=halves()[1]):
        rows = uvloop.run(compare(f"http://127.0.0.1:{port}", clients, given.calls, given.rounds))
    _print(rows)
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:  # noqa: PTH123
            json.dump(rows, file, indent=2)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
