"""Conformance of somebody's system with the `rest` contract: every port read as the gateway reads it.

Keys are found in what the system's lists answer; where it has none, some must be given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

import msgspec
from pydantic import SecretStr

from app.auth.principal import SYSTEM
from app.errors import ConfigurationError, InvalidCursor, SourceRejected, TradegraphError
from app.http.client import HTTPResponse
from app.settings import BreakerSettings, SourceLimits, SourceSettings
from app.sources.changes import ChangeKind
from app.sources.conformance import (
    HOSTILE,
    WRONG_CURSORS,
    KeyedCall,
    Nonconformance,
    check_cursors,
    check_hostile_keys,
    check_pages,
    check_reads_by_keys,
    read_all,
    require,
    require_keys,
    stable,
)
from app.sources.rest import contract, source_of
from app.sources.rest.client import RESTClient
from app.sources.rest.mapping import Mapper
from app.sources.rest.operation_checks import CHECKS, AbsentCheck, FeedCheck, KeyedCheck, PagedCheck, WholeCheck
from app.sources.rest.sample_keys import GIVEN, KeyKind, SampleKeys
from app.sources.source import Source
from app.sources.values import PageRequest, utc_now

PROTOCOL = "protocol"
"""What is checked of the system as a whole, named beside its ports."""

EXAMPLE = "example"
"""The check that reads an operation's example request; its keys need not exist."""

MOST_SAMPLES = 20
"""Keys whose lists are read until one has enough rows to page."""
FEW = 4
"""Known keys in one check."""

NOT_SERVED = frozenset({404, 405, 501})
UNKNOWN = "tradegraph-no-such-key"
UNREADABLE = b'{"keys": ['
Request = tuple[str, str, bytes | None]
"""Method, path and body."""

_OPERATIONS = {operation.path: operation for operation in contract.OPERATIONS}


class Conformance(StrEnum):
    """What came of a check, or of all checks of a port."""

    FAIL = "fail"
    PASS = "pass"  # noqa: S105 - not a password
    MISSING = "missing"
    UNTESTED = "untested"


@dataclass(frozen=True, slots=True)
class ConformanceCheck:
    """A check of one operation. `request` is the last request that was sent, where the check failed."""

    port: str
    operation: str
    check: str
    outcome: Conformance
    detail: str | None = None
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class PortConformance:
    """All checks of a port. It is missing if the system serves none of its operations, and fails if it lacks some; it
    is untested while no row of it was read."""

    port: str
    checks: tuple[ConformanceCheck, ...]

    @property
    def outcome(self) -> Conformance:
        """What the checks of the port amount to."""
        outcomes = {check.outcome for check in self.checks}
        served = any(check.outcome is Conformance.PASS for check in self.checks)
        if Conformance.FAIL in outcomes or (served and Conformance.MISSING in outcomes and self.port != PROTOCOL):
            return Conformance.FAIL
        if any(check.outcome is Conformance.PASS and check.check != EXAMPLE for check in self.checks):
            return Conformance.PASS
        return Conformance.UNTESTED if served else Conformance.MISSING


class RecordingClient(RESTClient):
    """A client that remembers the last request."""

    last: tuple[contract.ContractOperation, object] | None = None

    async def _send(self, operation: contract.ContractOperation, body: object) -> HTTPResponse:
        self.last = operation, body
        return await super()._send(operation, body)

    async def send_unreadable(self, operation: contract.ContractOperation) -> int:
        """The status of the answer to a body that is no JSON."""
        headers = {"Content-Type": "application/json"}
        response = await self._http.request(
            "POST", operation.path, content=UNREADABLE, headers=headers, call="unreadable", accept={400, 422, 500}
        )
        return response.status


async def run_conformance(
    url: str,
    token: str,
    ports: Collection[str],
    given: Iterable[tuple[KeyKind, str]] = (),
    *,
    compile_reads: Callable[[Source], Source],
) -> list[PortConformance]:
    """Check the ports of the system at `url`, and what is the same for all of them; `given` are keys that it holds.
    `compile_reads` adds the gateway's checks of rows to a source."""

    @asynccontextmanager
    async def connected(*, token: str = token, batch: bool = False) -> AsyncIterator[RecordingClient]:
        settings = SourceSettings(
            vendor="rest",
            base_url=url,
            timeout=30,
            credentials={"token": SecretStr(token)},
            options={"batch": batch},
            limits=SourceLimits(retries=0),
            breaker=BreakerSettings(enabled=False),
        )
        client = RecordingClient("backend", settings, Mapper("backend", utc_now))
        try:
            yield client
        finally:
            await client.aclose()

    async with connected() as client:
        run = ConformanceRun(compile_reads(source_of(client)), client, SampleKeys())
        for kind, key in given:
            run.samples.add(kind, key)
        for port in ports:
            await run.check_port(port)
        await run.check_protocol(connected)
    by_port = [*ports, PROTOCOL]
    checks = {port: tuple(result for result in run.results if result.port == port) for port in by_port}
    return [PortConformance(port, found) for port, found in checks.items() if found]


def ports_named(names: Collection[str] | None) -> tuple[str, ...]:
    """The ports of these names, in the contract's order; for None all that have operations. Raises ConfigurationError
    for others."""
    tested = tuple(dict.fromkeys(operation.port for operation in contract.OPERATIONS))
    for name in names or ():
        if name not in tested:
            raise ConfigurationError("--port", name, f"choose from {', '.join(tested)}")
    return tuple(port for port in tested if names is None or port in names)


def keys_named(given: Iterable[str]) -> list[tuple[KeyKind, str]]:
    """Keys written as KIND=KEY. Raises ConfigurationError."""
    kinds = {kind.name: kind for kind in GIVEN}
    found = []
    for text in given:
        name, _, key = text.partition("=")
        if name not in kinds or not key:
            raise ConfigurationError("--key", text, f"should be KIND=KEY, with a kind of {', '.join(kinds)}")
        found.append((kinds[name], key))
    return found


@dataclass(slots=True)
class ConformanceRun:
    """One run over the ports of a system. `results` grow while it goes on."""

    source: Source
    client: RecordingClient
    samples: SampleKeys
    results: list[ConformanceCheck] = field(default_factory=list)

    async def check_port(self, port: str) -> None:
        """Run the checks of a port's operations."""
        for path, checks in CHECKS.items():
            operation = _OPERATIONS[path]
            if operation.port != port:
                continue
            if operation.write:
                self._untested(operation, "it may change something, so it is not sent")
                continue
            if await self._attempt(operation, EXAMPLE, partial(self.client.read, operation, checks.example)):
                for check in checks.checks:
                    await self._check(operation, check)

    async def _check(self, operation: contract.ContractOperation, check: Any) -> None:
        if isinstance(check, AbsentCheck):
            await self._attempt(operation, "unknown keys", partial(_check_absent, check.call(self.source)))
        elif isinstance(check, KeyedCheck):
            await self._keyed(operation, check)
        elif isinstance(check, PagedCheck):
            await self._paged(operation, check)
        elif isinstance(check, WholeCheck):
            await self._attempt(operation, "all rows", partial(self._whole, check))
        elif isinstance(check, FeedCheck):
            await self._feed(operation)

    async def _keyed(self, operation: contract.ContractOperation, check: KeyedCheck) -> None:
        kind, samples = check.kind, self.samples.of(check.kind)
        if not samples:
            self._untested(operation, f"no {kind.name} is known; name one with --key")
            return
        call = self._learning(_raising(check.call(self.source)))
        found: dict[Any, Any] = {}

        async def known() -> None:
            requested = samples[:FEW] if check.complete else samples
            found.update(await (read_all if check.complete else _read)(call, requested))
            _check_identity(check, found)

        if not await self._attempt(operation, f"rows by {kind.name}", known):
            return
        keys = list(found)[:FEW]
        if not keys:
            self._untested(operation, f"none of {len(samples)} known keys has a row; name one with --key")
            return
        unknown = kind.with_text(keys[0], UNKNOWN)
        hostile = [kind.with_text(keys[0], text) for text in HOSTILE]
        many = [*(kind.with_text(keys[0], f"{UNKNOWN}-{n}") for n in range(contract.MAX_KEYS - 1)), keys[0]]

        async def full() -> None:
            require_keys(await call(many), [keys[0]], f"a read of {contract.MAX_KEYS} keys, one of them known")

        by = f" by {kind.name}"
        await self._attempt(operation, f"unknown keys{by}", lambda: check_reads_by_keys(call, keys, unknown))
        await self._attempt(operation, f"hostile keys{by}", lambda: check_hostile_keys(call, keys[0], hostile))
        await self._attempt(operation, f"{contract.MAX_KEYS} keys{by}", full)

    async def _paged(self, operation: contract.ContractOperation, check: PagedCheck) -> None:
        arguments: list[Any] = []
        samples: Sequence[Any] = [None] if check.kind is None else self.samples.of(check.kind)
        if not samples:
            self._untested(operation, f"no {check.kind and check.kind.name} is known; name one with --key")
            return

        async def call(page: PageRequest) -> Any:
            answer = await check.call(self.source, page, *arguments)
            self.samples.learn(answer)
            return answer

        rows: list[Any] = []

        async def first() -> None:
            for sample in samples[:MOST_SAMPLES]:
                arguments[:] = [] if check.kind is None else [sample]
                rows[:] = (await call(PageRequest(first=50))).rows
                if len(rows) >= 3:
                    return

        if not await self._attempt(operation, "first page", first):
            return
        if len(rows) < 3:
            self._untested(operation, f"the list has {len(rows)} rows; paging needs 3")
            return

        async def pages() -> None:
            small = await _first_keys(call, check, size=2, pages=3)
            require(small == [check.key_of(row) for row in rows][: len(small)], "pages of 2 are not the page of 50")

        await self._attempt(operation, "pages", pages)
        await self._attempt(operation, "cursors", lambda: check_cursors(call))
        if len(rows) < 50:
            await self._attempt(operation, "whole list", lambda: check_pages(call, check.key_of, size=20))

    async def _whole(self, check: WholeCheck) -> None:
        rows = await check.call(self.source)
        self.samples.learn(rows)
        keys = [check.key_of(row) for row in rows]
        require(len(keys) > 0, "there are no rows")
        require(len(set(keys)) == len(keys), "a key is repeated")

    async def _feed(self, operation: contract.ContractOperation) -> None:
        changes, kinds = self.source.changes, frozenset(ChangeKind)

        async def start() -> None:
            page = await changes.since(SYSTEM, kinds, None)  # pyright: ignore[reportOptionalMemberAccess]
            require(not page.changes and not page.more, "a read without a cursor has changes; it starts now, with none")
            await changes.since(SYSTEM, kinds, page.cursor)  # pyright: ignore[reportOptionalMemberAccess]

        async def wrong_cursors() -> None:
            for cursor in (text for text in WRONG_CURSORS if text):
                try:
                    await changes.since(SYSTEM, kinds, cursor)  # pyright: ignore[reportOptionalMemberAccess]
                except InvalidCursor:
                    continue
                raise Nonconformance(f"the cursor {cursor!r:.40}, which the source did not make, is accepted")

        if await self._attempt(operation, "start", start):
            await self._attempt(operation, "cursors", wrong_cursors)

    async def check_protocol(self, other: Callable[..., AbstractAsyncContextManager[RecordingClient]]) -> None:
        """Check what is the same for all operations, by one that passed; `other` connects with other settings."""
        passed = {result.operation for result in self.results if result.outcome is Conformance.PASS}
        operation = next((one for one in contract.OPERATIONS if one.path in passed and one.request), None)
        if operation is None:
            return
        example = CHECKS[operation.path].example
        sent = operation.method, operation.path, msgspec.json.encode(example)

        async def wrong_token() -> None:
            async with other(token="no-such-token") as client:  # noqa: S106 - it is meant to be wrong
                try:
                    await client.read(operation, example)
                except SourceRejected as error:
                    require(error.status in {401, 403}, f"a wrong token is answered {error.status}, not 401")
                else:
                    raise Nonconformance("a wrong token is accepted")

        async def unreadable() -> None:
            status = await self.client.send_unreadable(operation)
            require(status == 400, f"a body that is no JSON is answered {status}, not 400")

        async def batch() -> None:
            async with other(batch=True) as client:
                await _same_in_batch(client, operation, example, await self.client.read(operation, example))

        await self._attempt(operation, "token", wrong_token, port=PROTOCOL, request=sent)
        await self._attempt(operation, "unreadable body", unreadable, port=PROTOCOL, request=(*sent[:2], UNREADABLE))
        parts = [contract.Part(id=str(n), path=operation.path, body=example) for n in range(2)]
        batch_request = "POST", contract.BATCH, msgspec.json.encode(parts)
        await self._attempt(operation, "batch", batch, port=PROTOCOL, request=batch_request)

    def _learning(self, call: KeyedCall) -> KeyedCall:
        async def learning(requested: Sequence[Any]) -> Mapping[Any, Any]:
            found = await call(requested)
            self.samples.learn(found)
            return found

        return learning

    def _untested(self, operation: contract.ContractOperation, detail: str) -> None:
        self.results.append(ConformanceCheck(operation.port, operation.path, "rows", Conformance.UNTESTED, detail))

    async def _attempt(
        self,
        operation: contract.ContractOperation,
        name: str,
        check: Callable[[], Awaitable[Any]],
        *,
        port: str | None = None,
        request: Request | None = None,
    ) -> bool:
        """Run a check and record its outcome, with `request`, else the last one, unless it passed. Returns whether."""
        outcome, detail = await _outcome(check)
        sent = None if outcome is Conformance.PASS else request or self._request()
        self.results.append(ConformanceCheck(port or operation.port, operation.path, name, outcome, detail, sent))
        return outcome is Conformance.PASS

    def _request(self) -> Request | None:
        if self.client.last is None:
            return None
        operation, body = self.client.last
        return operation.method, operation.path, None if body is None else msgspec.json.encode(body)


async def _outcome(check: Callable[[], Awaitable[Any]]) -> tuple[Conformance, str | None]:
    try:
        await check()
    except Nonconformance as problem:
        return Conformance.FAIL, str(problem)
    except SourceRejected as error:
        missing = error.status in NOT_SERVED
        return (Conformance.MISSING if missing else Conformance.FAIL), error.detail or error.message
    except TradegraphError as error:
        return Conformance.FAIL, error.detail or error.message
    return Conformance.PASS, None


async def _read(call: KeyedCall, requested: Sequence[Any]) -> Mapping[Any, Any]:
    return await call(requested)


async def _check_absent(call: KeyedCall) -> None:
    require_keys(await call([UNKNOWN]), [], "a read of an unknown key")


def _raising(call: KeyedCall) -> KeyedCall:
    """The read, raising the first row that the gateway would refuse."""

    async def raising(requested: Sequence[Any]) -> Mapping[Any, Any]:
        found = await call(requested)
        for row in found.values():
            if isinstance(row, Exception):
                raise row
        return found

    return raising


def _check_identity(check: KeyedCheck, found: Mapping[Any, Any]) -> None:
    if check.identity is not None:
        for key, row in found.items():
            named = check.identity(row)
            require(named == key, f"the row of {key!r:.80} is that of {named!r:.80}")


async def _first_keys(call: Any, check: PagedCheck, *, size: int, pages: int) -> list[str]:
    keys: list[str] = []
    after: str | None = None
    for _ in range(pages):
        page = await call(PageRequest(first=size, after=after))
        keys += [check.key_of(row) for row in page.rows]
        if not page.has_next:
            break
        require(len(page.cursors) == len(page.rows), f"{len(page.rows)} rows have {len(page.cursors)} cursors")
        after = page.cursors[-1]
    return keys


async def _same_in_batch(client: RESTClient, operation: contract.ContractOperation, example: Any, alone: Any) -> None:
    for answer in await asyncio.gather(*(client.read(operation, example) for _ in range(2))):
        require(stable(answer) == stable(alone), "a read in a batch answers otherwise than the read alone")
