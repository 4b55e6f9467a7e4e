"""Reads that are asked for together travel together: one streamed batch request, one answer for each.

Reads of one request of ours (one telemetry scope) that are issued before the event loop comes to rest join one batch;
so a cascade of dataloaders becomes one call. Reads of different requests never share one, because deadlines differ.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app import telemetry
from app.errors import SourceMalformed, SourceTimeout, SourceUnavailable
from app.http.client import HTTPClient, HTTPResponse
from app.http.errors import outcome_of, outcome_of_status
from app.http.resilience.guard import BreakerPermit, CallClass
from app.http.response import ResponseDecoder
from app.sources.rest.contract import BATCH, MAX_PARTS, Operation, Part, PartAnswer

QUIET_TURNS = 4
"""Turns of the event loop without a new read, after which a batch leaves. Dataloaders need two to hand on."""

_line = msgspec.json.Decoder(PartAnswer)

_USUAL = re.compile(rb'\{"id":"(\d{1,3})","status":(2\d\d),"body":')
"""How most systems write the beginning of a line. What is left of it but the last brace is the body then."""


class SlicedResponse(HTTPResponse, frozen=True):
    """An answer cut out of its line by how the line begins and ends: to look through a body for its end takes as long
    as decoding it. If the cut proves wrong, because something follows the body, it is found in the line."""

    line: bytes

    def decode_with(self, decoder: ResponseDecoder) -> Any:
        """See `HTTPResponse.decode_with`."""
        try:
            return HTTPResponse.decode_with(self, decoder)
        except SourceMalformed:
            try:
                body = bytes(_line.decode(self.line).body)
            except (msgspec.DecodeError, UnicodeDecodeError):
                body = self.body
            if body == self.body:
                raise
            return HTTPResponse(self.source, self.status, self.headers, body).decode_with(decoder)


@dataclass(slots=True, eq=False)
class PendingRead:
    """A read that waits for its answer."""

    operation: Operation
    body: object
    keys: int
    future: asyncio.Future[HTTPResponse]
    permit: BreakerPermit


@dataclass(slots=True)
class PendingBatch:
    """The reads of one request that are on their way into a batch."""

    key: int
    reads: list[PendingRead] = field(default_factory=list)
    seen: int = 0
    quiet: int = 0


class ReadBatcher:
    """Gathers reads and sends them. `single` sends a read that is alone; `named` is the name of its call.

    A kind of read that fails within batches is held back by itself, so that the others of its batch need not wait for
    it."""

    def __init__(
        self,
        http: HTTPClient,
        single: Callable[[Operation, object], Awaitable[HTTPResponse]],
        named: Callable[[Operation], str],
    ) -> None:
        self._http = http
        self._single = single
        self._named = named
        self._call_classes: dict[str, CallClass] = {}
        self._pending: dict[int, PendingBatch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, operation: Operation, body: object, keys: int) -> HTTPResponse:
        """The answer to a read for so many keys. Being cancelled takes only this read out of the batch."""
        permit = self._call_class(operation).acquire()
        loop = asyncio.get_running_loop()
        key = id(telemetry.scope.get())
        batch = self._pending.get(key)
        if batch is None:
            batch = self._pending[key] = PendingBatch(key)
            loop.call_soon(self._turn, batch)
        pending = PendingRead(operation, body, keys, loop.create_future(), permit)
        batch.reads.append(pending)
        try:
            return await (self._probed(pending) if permit.probe else pending.future)
        finally:
            permit.record("cancelled")  # If nothing else was said of it.

    async def _probed(self, pending: PendingRead) -> HTTPResponse:
        seconds = self._http.guard.probe_timeout
        try:
            async with asyncio.timeout(seconds):
                return await pending.future
        except TimeoutError:
            pending.permit.record("timeout")
            detail = f"{self._named(pending.operation)}: no answer within {seconds:g} s, in which it was to show itself"
            raise SourceTimeout(self._http.source, detail=detail) from None

    def _call_class(self, operation: Operation) -> CallClass:
        found = self._call_classes.get(operation.path)
        if found is None:
            found = self._call_classes[operation.path] = self._http.guard.call_class(f"batch:{self._named(operation)}")
        return found

    async def aclose(self) -> None:
        """End what is under way; its readers get an error."""
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _turn(self, batch: PendingBatch) -> None:
        """Wait as long as reads keep coming, then send. Runs in the context of the first reader."""
        if len(batch.reads) > batch.seen:
            batch.seen, batch.quiet = len(batch.reads), 0
        else:
            batch.quiet += 1
        if batch.quiet < QUIET_TURNS and len(batch.reads) < MAX_PARTS:
            asyncio.get_running_loop().call_soon(self._turn, batch)
            return
        del self._pending[batch.key]
        reads = [read for read in batch.reads if not read.future.done()]
        for start in range(0, len(reads), MAX_PARTS):
            self._start(reads[start : start + MAX_PARTS])

    def _start(self, reads: list[PendingRead]) -> None:
        task = asyncio.create_task(self._send(reads))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        def given_up(_: asyncio.Future[HTTPResponse]) -> None:
            if all(read.future.done() for read in reads) and any(read.future.cancelled() for read in reads):
                task.cancel()

        for read in reads:
            read.future.add_done_callback(given_up)

    async def _send(self, reads: Sequence[PendingRead]) -> None:
        error: Exception = SourceUnavailable(self._http.source, detail="the client was closed")
        try:
            if len(reads) == 1:
                reads[0].permit.record("cancelled")  # It is a call of its own.
                _settle(reads[0], await self._single(reads[0].operation, reads[0].body))
            else:
                error = await self._stream(reads)
        except Exception as raised:  # noqa: BLE001 -- whatever it is, the readers must hear of it.
            error = raised
        finally:
            # What happened to all of them says nothing of one.
            outcome = outcome_of(error) if any(read.permit.recorded for read in reads) else "cancelled"
            for read in reads:
                if not read.future.done():
                    read.permit.record(outcome)
                    read.future.set_exception(error)

    async def _stream(self, reads: Sequence[PendingRead]) -> Exception:
        """Settle each read by its line; what is wrong with those that got none."""
        waiting = {str(part_id): read for part_id, read in enumerate(reads)}
        parts = [Part(id=part_id, method=read.operation.method, path=read.operation.path, body=read.body)
                 for part_id, read in waiting.items()]  # fmt: skip
        trouble = "the batch ended early"
        size = len(reads), sum(read.keys for read in reads)
        async with self._http.stream_lines("POST", BATCH, json=parts, call="batch", batch=size) as lines:
            async for line in lines:
                try:
                    part, answer = _read(self._http.source, line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    trouble = f"a line of the batch cannot be read ({error}): {line[:200].decode(errors='replace')}"
                    continue
                if (read := waiting.pop(part, None)) is not None:
                    _settle(read, answer)
        return SourceMalformed(self._http.source, detail=f"{trouble}; {len(waiting)} of {len(reads)} reads unanswered")


def _read(source: str, line: bytes) -> tuple[str, HTTPResponse]:
    """A line's part and its answer. Raises msgspec.DecodeError, UnicodeDecodeError."""
    head = _USUAL.match(line)
    if head is not None and line.endswith(b"}"):
        return head[1].decode(), SlicedResponse(source, int(head[2]), {}, line[head.end() : -1], line)
    got = _line.decode(line)
    return got.id, HTTPResponse(source, got.status, {}, bytes(got.body))


def _settle(read: PendingRead, answer: HTTPResponse) -> None:
    read.permit.record(outcome_of_status(answer.status))
    if not read.future.done():
        read.future.set_result(answer)
