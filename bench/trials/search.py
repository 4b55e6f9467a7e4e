"""The search index at the size of a distributor's catalogue: time and memory of a build, latency of searches.

The items are the sandbox's families under many brands. Searches are made from words of random items, as people type
them: whole, half, with a typo, codes; each with facets, categories and a count, and hardly one twice.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.sandbox import catalog
from app.search.build import BuildEnd, BuildProcess
from app.search.documents import IndexDocument, item_document
from app.search.evaluation import search_items
from app.search.stores.postgres_index import PostgresIndex
from app.search.stores.sqlite_index import SQLiteIndex
from app.search.stores.store import IndexStore
from app.settings import PostgresSettings, SearchSettings
from app.sources.items import Attribute, Item, ItemContent
from app.sources.search import ItemSearchQuery
from app.sources.values import PageRequest

BUILD_LIMIT, LATENCY_LIMIT, MEMORY_LIMIT = 60.0, 20.0, 200.0
"""Seconds of a build, milliseconds that 95 of 100 searches take at most, megabytes of any process."""

PAGE = 500
BRANDS = ("Kestrel", "Norvik", "Tarn", "Haldor", "Brisk", "Oakfield", "Pentland", "Quarry", "Ravel", "Sigma")


def documents(items: int) -> Iterator[IndexDocument]:
    """So many items: the sandbox's 5,000 again and again, each time of other brands."""
    articles = catalog.articles(random.Random(1))
    numbers = count(1)
    for repetition in count():
        for article in articles:
            number = next(numbers)
            if number > items:
                return
            brand = f"{BRANDS[repetition % len(BRANDS)]} {article.family.brand}"
            sku = f"SKU-{number:06d}"
            item = Item(
                sku=sku,
                name=article.name,
                base_uom="EA",
                gtin=catalog.gtin13(f"4099{number:08d}"),
                manufacturer_part=f"{brand[:2].upper()}-{article.family.code}-{number * 37 % 1_000_000:06d}",
                category=article.family.category,
                attributes=tuple(
                    Attribute(code=code, value=value, unit=unit) for code, value, unit in article.attributes
                ),
            )
            words = ", ".join(f"{code} {value}" for code, value, _ in article.attributes)
            content = ItemContent(
                sku=sku,
                description=f"{brand} {article.name}: {words} for industrial use.",
                attributes=(Attribute(code="brand", value=brand),),
            )
            yield item_document(item, content, None)


def typed(rng: random.Random, articles: list[catalog.Article]) -> str:
    """A search as somebody types it."""
    article = rng.choice(articles)
    words = article.name.replace(",", "").split()
    kind = rng.random()
    if kind < 0.1:
        return article.sku.replace("SKU-", f"SKU-{rng.randint(0, 19):02d}"[:6])
    chosen = words[: rng.randint(1, min(5, len(words)))]
    if kind < 0.3:
        chosen[-1] = chosen[-1][: max(2, len(chosen[-1]) - 2)]
    elif kind < 0.45:
        place = max(range(len(chosen)), key=lambda at: len(chosen[at]))
        word, at = chosen[place], rng.randrange(1, max(2, len(chosen[place]) - 1))
        chosen[place] = word[:at] + word[at + 1 :]
    elif kind < 0.6:
        rng.shuffle(chosen)
    return " ".join(chosen)


def open_store(place: str) -> IndexStore:
    """A store by its folder or address."""
    cache = SearchSettings().memory_megabytes * 1024 * 1024
    if place.startswith("postgresql:"):
        return PostgresIndex(PostgresSettings(url=SecretStr(place), connections=10, timeout=60), "items", cache)
    return SQLiteIndex(Path(place), "items", cache)


async def build(place: str, items: int) -> dict[str, float]:
    """Build an index; seconds from the first document to the swap, without those that making documents took."""
    store, batch, batches = open_store(place), [], []
    start = time.perf_counter()
    for document in documents(items):
        batch.append(document)
        if len(batch) == PAGE:
            batches, batch = [*batches, batch], []
    batches.append(batch)
    making = time.perf_counter() - start
    start = time.perf_counter()
    target = await store.begin_build()
    process = await BuildProcess.start(target)
    peak = asyncio.create_task(peak_megabytes(process.pid))
    for some in batches:
        await process.add(some)
    await process.finish(BuildEnd(cursor="0", started_at=datetime.now(UTC)))
    await store.finish_build(target)
    seconds = time.perf_counter() - start
    state = await store.state()
    await store.close()
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "items": items,
        "made_in": round(making, 1),
        "seconds": round(seconds, 1),
        "processor_seconds": round(child.ru_utime + child.ru_stime, 1),
        "megabytes": round(await peak),
        "disk_megabytes": round((state.bytes if state else 0) / 1024 / 1024),
    }


def megabytes(process: int | str) -> float:
    """The peak of a process's memory. getrusage's would be that of the process it was forked from."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0) / 1024


async def peak_megabytes(process: int) -> float:
    """The last peak that a process had before its end."""
    peak = 0.0
    while True:
        try:
            peak = max(peak, megabytes(process))
        except FileNotFoundError:
            return peak
        if not peak:
            return peak
        await asyncio.sleep(0.1)


def searches(place: str, seed: int, number: int, in_flight: int) -> dict[str, Any]:
    """Search in this process; milliseconds of each search and of each look at the event loop, and its memory."""
    return asyncio.run(_searches(place, seed, number, in_flight))


async def _searches(place: str, seed: int, number: int, in_flight: int) -> dict[str, Any]:
    rng, articles = random.Random(seed), catalog.articles(random.Random(1))
    texts = [typed(rng, articles) for _ in range(number)]
    store, taken, lags = open_store(place), [], []
    waiting = list(texts)

    async def search(text: str) -> None:
        query = ItemSearchQuery(page=PageRequest(first=20, count=True), text=text, facets=None, categories=True)
        await store.read(partial(search_items, query))

    for text in texts[:300]:
        await search(text)

    async def worker() -> None:
        while waiting:
            text, start = waiting.pop(), time.perf_counter()
            await search(text)
            taken.append((time.perf_counter() - start) * 1000)

    async def watch() -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0.002)
            lags.append((time.perf_counter() - start) * 1000 - 2)

    watching = asyncio.create_task(watch())
    start, processor = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    watching.cancel()
    await store.close()
    return {
        "taken": taken,
        "lags": lags,
        "seconds": seconds,
        "processor": processor,
        "megabytes": megabytes("self"),
    }


async def measure(store: str, place: str, items: int, number: int, workers: int, in_flight: int) -> dict[str, Any]:
    """The figures of one store."""
    built = await build(place, items)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        loop = asyncio.get_running_loop()
        parts = [
            loop.run_in_executor(pool, searches, place, seed, number // workers, in_flight // workers)
            for seed in range(workers)
        ]
        found = await asyncio.gather(*parts)
    taken = sorted(one for part in found for one in part["taken"])
    lags = sorted(one for part in found for one in part["lags"])
    return {
        "store": store,
        "build": built,
        "workers": workers,
        "in_flight": in_flight,
        "searches": len(taken),
        "a_second": round(len(taken) / max(part["seconds"] for part in found)),
        "processor_ms": round(1000 * sum(part["processor"] for part in found) / len(taken), 2),
        "p50": round(_quantile(taken, 0.5), 1),
        "p95": round(_quantile(taken, 0.95), 1),
        "p99": round(_quantile(taken, 0.99), 1),
        "loop_lag_p99": round(_quantile(lags, 0.99), 1),
        "megabytes": round(max(part["megabytes"] for part in found)),
    }


def _quantile(values: list[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)]


def kept(figures: dict[str, Any]) -> bool:
    """Whether the limits are kept."""
    built = figures["build"]
    return (
        built["seconds"] < BUILD_LIMIT
        and figures["p95"] < LATENCY_LIMIT
        and max(built["megabytes"], figures["megabytes"]) < MEMORY_LIMIT
    )


def as_text(rows: list[dict[str, Any]]) -> str:
    """A line for each store."""
    return "\n".join(
        f"{row['store']}: {row['build']['items']} items built in {row['build']['seconds']} s"
        f" ({row['build']['processor_seconds']} s of processor, {row['build']['megabytes']} MB,"
        f" {row['build']['disk_megabytes']} MB on disk); {row['searches']} searches, {row['in_flight']} in flight over"
        f" {row['workers']} workers: p50 {row['p50']} ms, p95 {row['p95']} ms, p99 {row['p99']} ms,"
        f" {row['a_second']}/s, {row['processor_ms']} ms of processor each; event loop late by {row['loop_lag_p99']} ms"
        f" (p99); {row['megabytes']} MB a worker; {'kept' if kept(row) else 'NOT kept'}"
        for row in rows
    )
