"""A session: upstream, driver and candidates running, and rounds of load over them."""

from __future__ import annotations

import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.candidates import Candidate
from bench.dataset import Dataset, build
from bench.expected import variables
from bench.gateway import Gateway, prepare
from bench.processes import ROOT, free_port, halves, peak_memory, python, running

DOCUMENTS = ROOT / "clients" / "documents"


class WrongAnswer(Exception):
    """A candidate answered something else than it should."""


@dataclass(frozen=True)
class Sample:
    """One candidate under load for a while."""

    requests: int
    wall: float
    cpu_ms: float
    """CPU milliseconds per request, of the candidate's process and those below it."""
    upstream_share: float
    """How busy the upstream was, of one processor."""
    driver_share: float
    seconds: list[float] = field(repr=False, default_factory=list)

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.wall


@dataclass
class Started:
    """A running candidate."""

    candidate: Candidate
    port: int
    pid: int
    warmed: set[str] = field(default_factory=set)


class Driver:
    """The driver's process, asked one job at a time."""

    def __init__(self, processors: set[int]) -> None:
        self._process = subprocess.Popen(
            [str(part) for part in python("-m", "bench.driver")],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(self._process.pid, processors)

    def ask(self, **job: Any) -> dict[str, Any]:
        """Run a job. Raises WrongAnswer where the driver could not."""
        assert self._process.stdin  # noqa: S101 - both are pipes
        assert self._process.stdout  # noqa: S101
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the driver ended; its error is above")
        result = json.loads(line)
        if "failed" in result:
            raise WrongAnswer(f"{job['do']} {job['name']}: {result['failed']}")
        return result

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()


def http_request(document: str, given: Any, authorization: str) -> bytes:
    """A GraphQL request as bytes on the wire."""
    body = json.dumps({"query": document, "variables": given}).encode()
    return (
        b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        b"Authorization: %s\r\nContent-Length: %d\r\n\r\n%s" % (authorization.encode(), len(body), body)
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Session:
    """Candidates under load."""

    def __init__(
        self, driver: Driver, data: Dataset, gateway: Gateway, upstream: tuple[str, int], started: Sequence[Started]
    ) -> None:
        self._driver = driver
        self._data = data
        self._gateway = gateway
        self._upstream, self._upstream_pid = upstream
        self.started = {one.candidate.name: one for one in started}
        self._known: set[str] = set()

    def delay(self, seconds: float) -> None:
        """Let every answer of the upstream wait so long."""
        url = f"{self._upstream}/bench/delay"
        request = urllib.request.Request(url, data=str(seconds).encode(), method="PUT")  # noqa: S310 - loopback
        urllib.request.urlopen(request).close()  # noqa: S310

    def know(self, name: str, document: str) -> int:
        """Make a candidate's requests for a document known and check its answer for every customer. Their mean size."""
        customers = self._data.numbers
        text = (DOCUMENTS / f"{document}.graphql").read_text()
        requests = [
            http_request(text, variables(self._data, document, number), self._gateway.authorization[number])
            for number in customers
        ]
        result = self._driver.ask(
            do="target",
            name=f"{name} {document}",
            port=self.started[name].port,
            requests=[_base64(one) for one in requests],
            document=document,
            customers=customers,
        )
        if result["wrong"]:
            raise WrongAnswer(
                f"{name} answers {document} wrongly for {len(result['wrong'])} of {len(customers)} customers; "
                f"the first: {result['wrong'][0]}"
            )
        self._known.add(f"{name} {document}")
        return int(result["bytes"])

    def load(self, name: str, document: str, concurrency: int, seconds: float) -> Sample:
        """Load a candidate, warmed up for this document. Raises WrongAnswer if a single answer was not right."""
        one = self.started[name]
        if f"{name} {document}" not in self._known:
            self.know(name, document)
        if document not in one.warmed:
            one.warmed.add(document)
            self.load(name, document, 32, one.candidate.warm)
        result = self._driver.ask(
            do="load",
            name=f"{name} {document}",
            concurrency=concurrency,
            seconds=seconds,
            pids=[one.pid, self._upstream_pid],
        )
        if result["wrong"] or result["broken"] or not result["requests"]:
            raise WrongAnswer(
                f"{name}, {document}, {concurrency} at once: {result['wrong']} wrong answers, "
                f"{result['broken']} broken connections, {result['requests']} in time"
            )
        spent, upstream = result["cpu"]
        wall = result["wall"]
        return Sample(
            requests=result["requests"],
            wall=wall,
            cpu_ms=1000 * spent / result["requests"],
            upstream_share=upstream / wall,
            driver_share=result["driver_cpu"] / wall,
            seconds=result["seconds"],
        )

    def growth(self, name: str, seconds: float = 3.0) -> float:
        """CPU for ten times the rows (two pages of 100 orders, 1,000 lines) over CPU for the sales view."""
        text = (ROOT / "bench" / "documents" / "sales_view_pages.graphql").read_text()
        given = [{"customer": {"number": number}, "after": self._cursor(name, number)} for number in self._data.large]
        answers = [self._ask(name, number, text, one) for number, one in zip(self._data.large, given, strict=True)]
        for number, answer in zip(self._data.large, answers, strict=True):
            self._check_pages(number, json.loads(answer))
        label = f"{name} sales_view_pages"
        self._driver.ask(
            do="target",
            name=label,
            port=self.started[name].port,
            requests=[
                _base64(http_request(text, one, self._gateway.authorization[number]))
                for number, one in zip(self._data.large, given, strict=True)
            ],
            answers=[_base64(answer) for answer in answers],
        )
        pids = [self.started[name].pid, self._upstream_pid]
        ratios = []
        for _ in range(3):
            one = self.load(name, "sales_view", 4, seconds / 3)
            ten = self._driver.ask(do="load", name=label, concurrency=4, seconds=seconds / 3, pids=pids)
            if ten["wrong"] or ten["broken"]:
                raise WrongAnswer(f"{label}: {ten['wrong']} wrong answers, {ten['broken']} broken connections")
            ratios.append(1000 * ten["cpu"][0] / ten["requests"] / one.cpu_ms)
        return statistics.median(ratios)

    def _check_pages(self, number: str, answer: Any) -> None:
        """Every order of the customer, each line with its price."""
        customer = (answer.get("data") or {}).get("customer") or {"orders": {"edges": []}, "more": {"edges": []}}
        nodes = [edge["node"] for page in ("orders", "more") for edge in customer[page]["edges"]]
        found = [(node["number"], [line["contractPrice"]["unitPrice"] for line in node["lines"]]) for node in nodes]
        wanted = [
            (
                order["number"],
                [
                    self._data.price(number, line["sku"], line["quantity"], line["uom"])["unitPrice"]
                    for line in order["lines"]
                ],
            )
            for order in self._data.orders[number]
        ]
        if "errors" in answer or found != wanted:
            raise WrongAnswer(f"two pages of {number}: {json.dumps(answer)[:300]}")

    def _cursor(self, name: str, number: str) -> str:
        """The cursor after a customer's first 100 orders, in the graph's own form."""
        query = "query($by: CustomerKey!) { customer(by: $by) { orders(first: 100) { pageInfo { endCursor } } } }"
        answer = json.loads(self._ask(name, number, query, {"by": {"number": number}}))
        return answer["data"]["customer"]["orders"]["pageInfo"]["endCursor"]

    def _ask(self, name: str, number: str, query: str, given: Any) -> bytes:
        """One answer's body, asked for by hand."""
        url = f"http://127.0.0.1:{self.started[name].port}/graphql"
        headers = {"Authorization": self._gateway.authorization[number], "Content-Type": "application/json"}
        body = json.dumps({"query": query, "variables": given}).encode()
        with urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers)) as answer:
            return answer.read()

    def peak(self, name: str) -> float:
        """Peak memory of a candidate so far, MB."""
        return peak_memory(self.started[name].pid)

    def upstream_alone(self, seconds: float) -> dict[str, float]:
        """What the upstream does by itself: requests a second and CPU microseconds for one, for a batch as the gateway
        sends it."""
        number = self._data.numbers[0]
        skus = self._data.usual(number)
        parts = [
            {"id": "0", "path": "/v1/items/read", "body": {"skus": skus}},
            {"id": "1", "path": "/v1/stock/read", "body": {"skus": skus}},
        ]
        body = json.dumps(parts).encode()
        request = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        self._driver.ask(
            do="target",
            name="upstream",
            port=int(self._upstream.rpartition(":")[2]),
            requests=[_base64(request)],
        )
        result = self._driver.ask(
            do="load", name="upstream", concurrency=32, seconds=seconds, pids=[self._upstream_pid]
        )
        return {
            "rate": result["requests"] / result["wall"],
            "cpu_us": 1e6 * result["cpu"][0] / result["requests"],
        }


@contextmanager
def session(choose: Callable[[Gateway], Sequence[Candidate]], *, apart: bool = True) -> Iterator[Session]:
    """Upstream, driver and the chosen candidates started; stopped at the end. Candidates have a processor apart, or
    take with the others what there is."""
    ours, theirs = halves() if apart else (os.sched_getaffinity(0), os.sched_getaffinity(0))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        upstream = f"http://127.0.0.1:{port}"
        data = build()
        pid = stack.enter_context(running(python("-m", "bench.upstream", str(port)), port=port, processors=theirs))
        gateway = prepare(folder, upstream, list(data.customers))
        driver = Driver(theirs)
        stack.callback(driver.close)
        started = [_start(stack, candidate, upstream, ours, folder) for candidate in choose(gateway)]
        yield Session(driver, data, gateway, (upstream, pid), started)


def _start(stack: ExitStack, candidate: Candidate, upstream: str, processors: set[int], folder: Path) -> Started:
    port = free_port()
    environment = {name: value.format(port=port) for name, value in candidate.environment.items()}
    with (folder / f"{candidate.name}.log").open("wb") as log:
        try:
            pid = stack.enter_context(
                running(
                    candidate.started(port, upstream),
                    port=port,
                    processors=processors,
                    environment=environment,
                    output=log,
                )
            )
        except RuntimeError:
            sys.stderr.write((folder / f"{candidate.name}.log").read_text()[-2000:])
            raise
    return Started(candidate, port, pid)


def percentile(seconds: Sequence[float], part: float) -> float:
    """The value below which this part of the values lies, in milliseconds."""
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def median_ratio(theirs: Sequence[Sample], ours: Sequence[Sample]) -> float:
    """How many times more CPU a request costs there than here: the median over paired rounds."""
    return statistics.median(their.cpu_ms / our.cpu_ms for their, our in zip(theirs, ours, strict=True))
