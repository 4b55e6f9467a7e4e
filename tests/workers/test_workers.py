"""Several workers that are one gateway: they are kept running, replaced without a loss, and share what they may."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import ConfigurationError
from app.sandbox import Sandbox
from app.settings import Settings, SourceSettings
from app.telemetry import merge_metrics
from app.workers.limits_per_worker import divide_limits
from tests.support.gateway import CSR, OPERATIONS, Graph
from tests.support.processes import Running, serve, served

pytestmark = pytest.mark.timeout(300)

WORKERS = 4
ITEM = {"query": '{ item(by: {sku: "SKU-0001"}) { sku name } }'}
MEASURED = {
    "budgets": {"mode": "measure"},
    "audit": {"enabled": True},
    "events": {"poll": 0, "poll_webhooks": 0},  # Requests to the sources are counted.
}


@asynccontextmanager
async def workers(sandbox: Sandbox, folder: Path, count: int = 2, **sections: Any) -> AsyncIterator[Running]:
    patient = {"workers": count, "connections": {"header_timeout": 60}}  # 1,000 clients in one process are slow
    environment = served(sandbox, data_dir=folder, server=patient, **{**MEASURED, **sections})
    async with serve(environment) as running:
        yield running


def sharing(url: str) -> dict[str, Any]:
    return {
        "redis": {"url": url},
        "cache": {"store": "redis", "redis_timeout": 2},  # Redis, too, shares the processors.
        "budgets": {"mode": "measure", "store": "redis"},
    }


async def ask(client: httpx.AsyncClient, body: Any = ITEM) -> Any:
    return (await client.post("/graphql", json=body, headers=CSR)).json()


def pids(running: Running) -> dict[int, int]:
    """The process of each worker that answered last."""
    return {line["worker"]: line["pid"] for line in running.logged("worker_ready")}


async def metrics_of(client: httpx.AsyncClient, workers: int) -> str:
    """What all workers count: one that is busy may miss its turn to tell."""
    async with asyncio.timeout(120):
        while True:
            text = (await client.get("/metrics", headers=OPERATIONS)).text
            if len(re.findall(r'^process_open_fds{worker="\d"}', text, re.MULTILINE)) == workers:
                return text
            await asyncio.sleep(0.05)


async def answered_by(client: httpx.AsyncClient) -> Counter[str]:
    """Operations that each of four workers has answered."""
    text = await metrics_of(client, WORKERS)
    stop = re.findall(r'tradegraph_requests_total{worker="(\d)",operation="anonymous",outcome="ok"} (\S+)', text)
    return Counter({worker: int(float(count)) for worker, count in stop})


def children(pid: int) -> set[int]:
    """Processes that this one has started."""
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


@pytest.mark.long
async def test_thousand_cold_requests_over_four_workers_make_one_call(
    graph: Graph, dated_sandbox: Sandbox, redis_url: str, tmp_path: Path
):
    async with workers(dated_sandbox, tmp_path, WORKERS, **sharing(redis_url)) as running, running.client() as client:
        connections = 0
        while len(await answered_by(client)) < 2:  # Who takes a connection is up to the kernel.
            connections += 100
            await asyncio.gather(*(ask(client, {"query": "{ __typename }"}) for _ in range(connections)))
        before = await answered_by(client)
        await graph.forget()
        await graph.turn("erp", delayMs=300)
        answers = await asyncio.gather(*(ask(client) for _ in range(1000)))
        await graph.turn("erp")
        assert {answer["data"]["item"]["sku"] for answer in answers} == {"SKU-0001"}
        assert (await graph.requests())["erp"] == 1
        after = await answered_by(client)
        text = await metrics_of(client, WORKERS)
    assert (after - before).total() == 1000
    assert len(after - before) > 1, "more than one of them answered"
    assert set(re.findall(r'process_open_fds{worker="(\d)"}', text)) == {"0", "1", "2", "3"}


async def test_killed_worker_is_replaced_and_the_others_go_on(dated_sandbox: Sandbox, tmp_path: Path):
    async with workers(dated_sandbox, tmp_path) as running, running.client() as client:
        before = pids(running)
        os.kill(before[0], signal.SIGKILL)
        for _ in range(20):  # on connections of their own, which the other one takes
            async with running.client() as other:
                assert (await ask(other))["data"]["item"]["sku"] == "SKU-0001"
        (ended,) = await running.logs_until("worker_exited")
        assert (ended["worker"], ended["pid"], ended["exit_code"]) == (0, before[0], -signal.SIGKILL)
        await running.logs_until("worker_ready", 3)
        assert pids(running).keys() == {0, 1}
        assert pids(running)[0] != before[0]
        text = await metrics_of(client, 2)
    assert set(re.findall(r'process_open_fds{worker="(\d)"}', text)) == {"0", "1"}


async def test_worker_killed_before_it_answers_is_started_again(dated_sandbox: Sandbox, tmp_path: Path):
    environment = served(dated_sandbox, data_dir=tmp_path, server={"workers": 3}, **MEASURED)
    async with serve(environment, until="worker_ready") as running, running.client() as client:
        first = pids(running)[0]
        async with asyncio.timeout(120):
            while not (starting := children(running.process.pid) - {first}):
                await asyncio.sleep(0.01)
        os.kill(min(starting), signal.SIGKILL)
        (failed,) = await running.logs_until("worker_start_failed")
        assert failed["exit_code"] == -signal.SIGKILL
        await running.logs_until("workers_ready")
        assert pids(running).keys() == {0, 1, 2}
        assert pids(running)[0] == first
        assert (await ask(client))["data"]["item"]["sku"] == "SKU-0001"


async def test_workers_are_replaced_on_hup_without_losing_a_request(
    graph: Graph, dated_sandbox: Sandbox, tmp_path: Path
):
    async with workers(dated_sandbox, tmp_path) as running, running.client() as client:
        before = pids(running)
        done = asyncio.Event()
        outcomes: Counter[Any] = Counter()

        async def load() -> None:
            while not done.is_set():
                answer = await ask(client)
                outcomes[answer["data"]["item"]["sku"]] += 1
                await asyncio.sleep(0.02)

        loads = [asyncio.create_task(load()) for _ in range(8)]
        running.process.send_signal(signal.SIGHUP)
        await running.logs_until("workers_replaced")
        done.set()
        await asyncio.gather(*loads)
        assert set(pids(running).values()).isdisjoint(before.values())
        assert running.logged("worker_exited") == []
    assert outcomes.keys() == {"SKU-0001"}
    assert outcomes["SKU-0001"] > 50


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.05)


async def test_workers_end_with_their_supervisor_however_it_ends(dated_sandbox: Sandbox, tmp_path: Path):
    async with workers(dated_sandbox, tmp_path) as running:
        started = list(pids(running).values())
        running.process.kill()
        await running.process.wait()
        await until(lambda: not any(map(alive, started)))


async def test_term_ends_all_once_they_have_answered(graph: Graph, dated_sandbox: Sandbox, tmp_path: Path):
    async with workers(dated_sandbox, tmp_path) as running:
        started = list(pids(running).values())
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(running.client()) for _ in range(40)]
            for client in clients:  # Each has a connection from now on.
                await ask(client, {"query": "{ __typename }"})
            await graph.turn("erp", delayMs=700)
            sent = asyncio.Semaphore(0)

            async def trace(event: str, _: Any) -> None:
                if event == "http11.send_request_body.complete":
                    sent.release()

            extensions = {"trace": trace}
            begun = [
                asyncio.create_task(client.post("/graphql", json=ITEM, headers=CSR, extensions=extensions))
                for client in clients
            ]
            for _ in clients:
                await sent.acquire()
            running.process.send_signal(signal.SIGTERM)
            answers = [answer.json() for answer in await asyncio.gather(*begun)]
        assert {answer["data"]["item"]["sku"] for answer in answers} == {"SKU-0001"}
        assert await asyncio.wait_for(running.process.wait(), 120) == 0
        assert not any(map(alive, started))


async def test_new_worker_that_does_not_start_leaves_the_old_ones(dated_sandbox: Sandbox, tmp_path: Path):
    config = tmp_path / "tradegraph.toml"
    config.write_text("")
    environment = served(dated_sandbox, data_dir=tmp_path, server={"workers": 2}, **MEASURED)
    async with serve(environment | {"TRADEGRAPH_CONFIG": str(config)}) as running, running.client() as client:
        before = pids(running)
        config.write_text("engine = 'steam'\n")
        running.process.send_signal(signal.SIGHUP)
        (stop,) = await running.logs_until("worker_replacement_failed")
        assert stop["exit_code"] == 2
        assert pids(running) == before
        assert (await ask(client))["data"]["item"]["sku"] == "SKU-0001"


async def test_wrong_setting_is_reported_once_and_stops_the_start(dated_sandbox: Sandbox, tmp_path: Path):
    environment = served(dated_sandbox, data_dir=tmp_path, server={"workers": 3})
    few = environment["TRADEGRAPH_SOURCES"].replace('"concurrency": 64', '"concurrency": 2')
    with pytest.raises(AssertionError):
        async with serve(environment | {"TRADEGRAPH_SOURCES": few}):
            pass
    said = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("tradegraph:")]
    wrong = "sources.erp.concurrency = 2: is fewer than the 3 workers, each of which needs a place"
    assert said == [f"tradegraph: {wrong}; raise it, or lower server.workers"]


def test_worker_has_its_part_of_what_a_source_bears():
    source = SourceSettings(vendor="rest", base_url="http://127.0.0.1", concurrency=10, limits={"rate": 6, "burst": 10})  # type: ignore[arg-type]
    part = divide_limits(Settings(sources={"erp": source}), 4).sources["erp"]
    assert (part.concurrency, part.limits.rate, part.limits.burst) == (2, 1.5, 2)
    with pytest.raises(ConfigurationError, match=r"sources\.erp\.concurrency"):
        divide_limits(Settings(sources={"erp": source}), 11)


def test_metrics_of_workers_are_one_text():
    one = b'# HELP a_total Of a.\n# TYPE a_total counter\na_total 1.0\n# HELP b Of b.\n# TYPE b gauge\nb{x="{ y"} 2.0\n'
    two = b"# HELP a_total Of a.\n# TYPE a_total counter\na_total 5.0\n"
    assert merge_metrics({"0": one, "1": two}).decode().splitlines() == [
        "# HELP a_total Of a.",
        "# TYPE a_total counter",
        'a_total{worker="0"} 1.0',
        'a_total{worker="1"} 5.0',
        "# HELP b Of b.",
        "# TYPE b gauge",
        'b{worker="0",x="{ y"} 2.0',
    ]
