"""The load driver, in a process of its own: keep-alive connections, one request in flight on each, every answer
compared with its own customer's.

    python -m bench.driver          one job a line on standard input, one result a line on standard output

Jobs are JSON objects: `target` makes a set of requests known under a name and checks each once, `load` runs it.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import uvloop

from bench.dataset import Dataset, build
from bench.expected import comparable, expected
from bench.processes import cpu_seconds, tree

RAMP = 0.15
"""Seconds of load before the window that counts: connections open, queues fill."""

ENOUGH, LONGEST = 40, 30.0
"""Requests that a window must hold, and as many as are in flight; it grows until then, up to so many seconds."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


@dataclass
class Target:
    """Requests of one candidate and document, as bytes, each with the answer that it must get."""

    port: int
    requests: list[bytes]
    answers: list[bytes] = field(default_factory=list)


@dataclass
class Tally:
    """What happened within the window."""

    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    broken: int = 0
    counting: bool = False


class Connection(asyncio.Protocol):
    """Sends a request, reads the answer, hands it over, again; until told to stop."""

    def __init__(self, target: Target, tally: Tally, place: int, step: int) -> None:
        self._target = target
        self._tally = tally
        self._place = place % len(target.requests)
        self._step = step
        self._buffer = bytearray()
        self._start = self._end = 0
        self._chunked = False
        self.stopped = False
        self.last: tuple[int, bytes] | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.stopped:
            self._tally.broken += 1
        if not self.closed.done():
            self.closed.set_result(None)

    def stop(self) -> None:
        """Close now; an answer under way is not waited for."""
        self.stopped = True
        self._transport.close()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._target.requests[self._place])

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._start and not self._read_head():
            return
        if self._chunked:
            if not self._buffer.endswith(b"\r\n0\r\n\r\n"):
                return
            body = unchunked(bytes(self._buffer[self._start :]))
        elif len(self._buffer) < self._end:
            return
        else:
            body = bytes(self._buffer[self._start : self._end])
        self._answered(body)

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._start = end + 4
        length = _LENGTH.search(self._buffer, 0, end + 2)
        self._chunked = length is None and _CHUNKED.search(self._buffer, 0, end + 2) is not None
        self._end = self._start + (int(length[1]) if length else 0)
        return True

    def _answered(self, body: bytes) -> None:
        status = int(self._buffer[9:12])
        self.last = status, body
        tally = self._tally
        if tally.counting:
            tally.seconds.append(time.perf_counter() - self._sent)
        answers = self._target.answers
        if status != 200 or (answers and body != answers[self._place]):
            tally.wrong += 1
        self._buffer.clear()
        self._start = 0
        self._place = (self._place + self._step) % len(self._target.requests)
        if self.stopped:
            return
        self._send()


def unchunked(data: bytes) -> bytes:
    """The body within its chunks."""
    parts, at = [], 0
    while True:
        end = data.index(b"\r\n", at)
        size = int(data[at:end], 16)
        if not size:
            return b"".join(parts)
        parts.append(data[end + 2 : end + 2 + size])
        at = end + 4 + size


class Once(Connection):
    """Sends a single request."""

    def _answered(self, body: bytes) -> None:
        self.stopped = True
        super()._answered(body)
        self._transport.close()


async def fetch(target: Target, place: int) -> tuple[int, bytes]:
    """One answer, status and body."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Once(target, Tally(), place, 1), "127.0.0.1", target.port)
    await asyncio.wait_for(connection.closed, 30)
    if connection.last is None:
        raise ConnectionError("no answer")
    return connection.last


async def load(target: Target, concurrency: int, seconds: float, pids: Sequence[int]) -> dict[str, Any]:
    """Keep `concurrency` requests in flight for a while. CPU seconds are those of `pids` with their children."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    connections: list[Connection] = []
    for place in range(concurrency):
        # Neighbours in flight are different customers, and each connection meets every customer in turn.
        made = Connection(target, tally, place * 7, 1 if concurrency == 1 else 5)
        await loop.create_connection(lambda made=made: made, "127.0.0.1", target.port)
        connections.append(made)
    await asyncio.sleep(min(RAMP, seconds))
    roots = [tree(pid) for pid in pids]
    before, own, started = [cpu_seconds(root) for root in roots], time.process_time(), time.perf_counter()
    tally.counting = True
    await asyncio.sleep(seconds)
    while len(tally.seconds) < max(ENOUGH, concurrency) and time.perf_counter() - started < LONGEST:
        await asyncio.sleep(0.05)
    tally.counting = False
    wall, spent = time.perf_counter() - started, time.process_time() - own
    used = [cpu_seconds(root) - start for root, start in zip(roots, before, strict=True)]
    for connection in connections:
        connection.stop()
    await asyncio.gather(*(connection.closed for connection in connections))
    return {
        "requests": len(tally.seconds),
        "wall": wall,
        "cpu": used,
        "driver_cpu": spent,
        "wrong": tally.wrong,
        "broken": tally.broken,
        "seconds": [round(one, 6) for one in tally.seconds],
    }


async def check(target: Target, data: Dataset, document: str, customers: Sequence[str]) -> list[str]:
    """Ask for each customer once; the customers whose answer is not the right one. Keeps the answers."""
    wrong, answers = [], []
    for place, customer in enumerate(customers):
        status, body = await fetch(target, place)
        answers.append(body)
        if status != 200 or not right(body, expected(data, document, customer)):
            wrong.append(f"{customer}: {status} {body[:200].decode(errors='replace')}")
    target.answers = answers
    return wrong


def right(body: bytes, answer: bytes) -> bool:
    """Whether a body says exactly what it should, in the document's order."""
    try:
        return comparable(body) == answer
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


class Driver:
    """Runs jobs."""

    def __init__(self) -> None:
        self._data = build()
        self._targets: dict[str, Target] = {}
        gc.collect()
        gc.freeze()

    async def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """One job's result."""
        if job["do"] == "target":
            target = Target(job["port"], [base64.b64decode(one) for one in job["requests"]])
            self._targets[job["name"]] = target
            if job.get("document") is None:
                return {"wrong": []}
            wrong = await check(target, self._data, job["document"], job["customers"])
            return {"wrong": wrong, "bytes": sum(map(len, target.answers)) // len(target.answers)}
        return await load(self._targets[job["name"]], job["concurrency"], job["seconds"], job["pids"])


async def main() -> None:
    """Jobs until standard input ends."""
    driver = Driver()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            result = await driver.run(json.loads(line))
        except (OSError, ConnectionError, TimeoutError) as error:
            result = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
