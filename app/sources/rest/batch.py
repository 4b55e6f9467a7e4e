"""Batches reads: one streamed request, and a line of its response for each read.

Reads of one request of ours (one telemetry scope) that are issued before the event loop becomes idle join one batch; so
a cascade of dataloaders becomes one call. Reads of different requests never share one, because deadlines differ.
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
from app.sources.rest.contract import BATCH, MAX_PARTS, ContractOperation, Part, PartAnswer

IDLE_TICKS = 4
"""Turns of the event loop without a new read, after which a batch is sent. Dataloaders need two to dispatch."""

_line = msgspec.json.Decoder(PartAnswer)

_USUAL = re.compile(rb'\{"id":"(\d{1,3})","status":(2\d\d),"body":')
"""How most systems write the beginning of a line: the rest of it, without the last brace, is the body."""


class SlicedResponse(HTTPResponse, frozen=True):
    """A response sliced out of its line by how the line begins and ends: scanning a body for its end would take as long
    as decoding it. If the slice proves wrong, because something follows the body, the line is decoded."""

    line: bytes

    def decode_with(self, decoder: ResponseDecoder) -> Any:
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
    """A read that waits for its response: None if it is alone, and so sends a request of its own."""

    operation: ContractOperation
    body: object
    keys: int
    future: asyncio.Future[HTTPResponse | None]
    permit: BreakerPermit


@dataclass(slots=True)
class PendingBatch:
    """The reads of one request that are not yet sent."""

    key: int
    reads: list[PendingRead] = field(default_factory=list)
    seen: int = 0
    quiet: int = 0


class ReadBatcher:
    """Batches reads. `send_single` sends a read that is alone; `call_name` is the name of its call.

    The reads of each class within batches have a breaker of their own, so that a failing one does not stop the rest."""

    def __init__(
        self,
        http: HTTPClient,
        send_single: Callable[[ContractOperation, object], Awaitable[HTTPResponse]],
        call_name: Callable[[ContractOperation], str],
    ) -> None:
        self._http = http
        self._send_single = send_single
        self._call_name = call_name
        self._call_classes: dict[str, CallClass] = {}
        self._batches: dict[int, PendingBatch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, operation: ContractOperation, body: object, keys: int) -> HTTPResponse:
        """The response to a read for so many keys. Cancellation takes only this read out of the batch."""
        permit = self._call_class(operation).acquire()
        loop = asyncio.get_running_loop()
        key = id(telemetry.scope.get())
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches[key] = PendingBatch(key)
            loop.call_soon(self._tick, batch)
        read = PendingRead(operation, body, keys, loop.create_future(), permit)
        batch.reads.append(read)
        try:
            return await (self._probe(read) if permit.probe else self._response(read))
        finally:
            permit.record("cancelled")  # Unless it has an outcome.

    async def aclose(self) -> None:
        """Cancel the batches under way; their reads raise SourceUnavailable."""
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _response(self, read: PendingRead) -> HTTPResponse:
        response = await read.future
        if response is not None:
            return response
        read.permit.record("cancelled")  # The request has a permit of its own.
        return await self._send_single(read.operation, read.body)

    async def _probe(self, read: PendingRead) -> HTTPResponse:
        seconds = self._http.guard.probe_timeout
        try:
            async with asyncio.timeout(seconds):
                return await self._response(read)
        except TimeoutError:
            read.permit.record("timeout")
            detail = f"{self._call_name(read.operation)}: the probe was not answered within {seconds:g} s"
            raise SourceTimeout(self._http.source, detail=detail) from None

    def _call_class(self, operation: ContractOperation) -> CallClass:
        found = self._call_classes.get(operation.path)
        if found is None:
            name = f"batch:{self._call_name(operation)}"
            found = self._call_classes[operation.path] = self._http.guard.call_class(name)
        return found

    def _tick(self, batch: PendingBatch) -> None:
        """Wait as long as reads are added, then send. Runs in the context of the first reader."""
        if len(batch.reads) > batch.seen:
            batch.seen, batch.quiet = len(batch.reads), 0
        else:
            batch.quiet += 1
        if batch.quiet < IDLE_TICKS and len(batch.reads) < MAX_PARTS:
            asyncio.get_running_loop().call_soon(self._tick, batch)
            return
        del self._batches[batch.key]
        reads = [read for read in batch.reads if not read.future.done()]
        for start in range(0, len(reads), MAX_PARTS):
            self._start(reads[start : start + MAX_PARTS])

    def _start(self, reads: list[PendingRead]) -> None:
        if len(reads) == 1:
            reads[0].future.set_result(None)
            return
        task = asyncio.create_task(self._send(reads))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

        def cancel_unread(_: asyncio.Future[HTTPResponse | None]) -> None:
            if all(read.future.done() for read in reads) and any(read.future.cancelled() for read in reads):
                task.cancel()

        for read in reads:
            read.future.add_done_callback(cancel_unread)

    async def _send(self, reads: Sequence[PendingRead]) -> None:
        error: Exception = SourceUnavailable(self._http.source, detail="the client was closed")
        try:
            error = await self._stream(reads)
        except Exception as raised:  # noqa: BLE001 -- whatever it is, the reads must raise it.
            error = raised
        finally:
            # What happened to the whole batch says nothing of one class.
            outcome = outcome_of(error) if any(read.permit.recorded for read in reads) else "cancelled"
            for read in reads:
                if not read.future.done():
                    read.permit.record(outcome)
                    read.future.set_exception(error)

    async def _stream(self, reads: Sequence[PendingRead]) -> Exception:
        waiting = {str(index): read for index, read in enumerate(reads)}
        parts = [Part(id=index, method=read.operation.method, path=read.operation.path, body=read.body)
                 for index, read in waiting.items()]  # fmt: skip
        failure = "the batch ended early"
        size = len(reads), sum(read.keys for read in reads)
        async with self._http.stream_lines("POST", BATCH, json=parts, call="batch", batch=size) as lines:
            async for line in lines:
                try:
                    part, response = _read(self._http.source, line)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    failure = f"a line of the batch cannot be read ({error}): {line[:200].decode(errors='replace')}"
                    continue
                if (read := waiting.pop(part, None)) is not None:
                    _settle(read, response)
        return SourceMalformed(self._http.source, detail=f"{failure}; {len(waiting)} of {len(reads)} reads unanswered")


def _read(source: str, line: bytes) -> tuple[str, HTTPResponse]:
    head = _USUAL.match(line)
    if head is not None and line.endswith(b"}"):
        return head[1].decode(), SlicedResponse(source, int(head[2]), {}, line[head.end() : -1], line)
    decoded = _line.decode(line)
    return decoded.id, HTTPResponse(source, decoded.status, {}, bytes(decoded.body))


def _settle(read: PendingRead, response: HTTPResponse) -> None:
    read.permit.record(outcome_of_status(response.status))
    if not read.future.done():
        read.future.set_result(response)
