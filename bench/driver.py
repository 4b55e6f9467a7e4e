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

LONGEST = 60.0
"""Seconds after which a window ends, however few answers it holds."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


@dataclass
class Target:
    """Requests of one candidate and document, as bytes, each with the answer that it must get."""

    port: int
    requests: list[bytes]
    answers: list[bytes] = field(default_factory=list)


class Tally:
    """What happened within the window.

    The window begins and ends with an answer, and holds as many as are in flight, or a multiple: requests that run
    side by side end in waves, and half a wave would put the CPU of one on the account of another.
    """

    def __init__(self, concurrency: int = 1, seconds: float = 0.0, pids: Sequence[int] = ()) -> None:
        self.seconds: list[float] = []
        self.wrong = 0
        self.broken = 0
        self.wall = self.spent = 0.0
        self.used: list[float] = []
        self.ended = asyncio.get_running_loop().create_future()
        self._concurrency = concurrency
        self._least = seconds
        self._trees = [tree(pid) for pid in pids]
        self._open = self._begun = False

    def open(self) -> None:
        """Begin with the next answer."""
        self._open = True

    def answered(self, sent: float, *, right: bool) -> None:
        """Take note of an answer."""
        now = time.perf_counter()
        if not right:
            self.wrong += 1
        if not self._open:
            return
        if not self._begun:
            self._begun = True
            self._start = self._clocks()
            return
        self.seconds.append(now - sent)
        if now - self._start[0] >= self._least and len(self.seconds) % self._concurrency == 0:
            self.close()

    def close(self) -> None:
        """End the window."""
        if self._open and self._begun:
            start, end = self._start, self._clocks()
            self.wall, self.spent = end[0] - start[0], end[1] - start[1]
            self.used = [after - before for before, after in zip(start[2], end[2], strict=True)]
        self._open = False
        if not self.ended.done():
            self.ended.set_result(None)

    def _clocks(self) -> tuple[float, float, list[float]]:
        return time.perf_counter(), time.process_time(), [cpu_seconds(pids) for pids in self._trees]


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
        answers = self._target.answers
        self._tally.answered(self._sent, right=status == 200 and (not answers or body == answers[self._place]))
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
    tally = Tally(concurrency, seconds, pids)
    connections: list[Connection] = []
    for place in range(concurrency):
        # Neighbours in flight are different customers, and each connection meets every customer in turn.
        made = Connection(target, tally, place * 7, 1 if concurrency == 1 else 5)
        await loop.create_connection(lambda made=made: made, "127.0.0.1", target.port)
        connections.append(made)
    await asyncio.sleep(min(RAMP, seconds))
    tally.open()
    await asyncio.wait({tally.ended}, timeout=max(LONGEST, 2 * seconds))
    tally.close()
    for connection in connections:
        connection.stop()
    await asyncio.gather(*(connection.closed for connection in connections))
    return {
        "requests": len(tally.seconds),
        "wall": tally.wall,
        "cpu": tally.used,
        "driver_cpu": tally.spent,
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
            requests = [base64.b64decode(one) for one in job["requests"]]
            target = Target(job["port"], requests, [base64.b64decode(one) for one in job.get("answers", ())])
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
