"""Imports a stock file of a million rows in random order, as the gateway does, and prints time, CPU and memory.

    .venv/bin/python -m bench.trials.files [ROWS]

The import runs in a process of its own. The second one finds every row changed in place.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from app.sources.files.import_job import PROGRAM, ImportJob, ImportOutcome
from app.sources.files.importing import TakenFile
from app.sources.files.options import Feed, Limits

ROWS = 1_000_000
COLUMNS = {"sku": "ITEM", "warehouse": "WHS", "uom": "UOM", "on_hand": "QTY", "reserved": "RES"}


def write_stock(path: Path, rows: int, seed: int) -> None:
    """A file of stock; keys are in random order, as an ERP's export need not be sorted."""
    order = list(range(rows))
    chance = random.Random(seed)
    chance.shuffle(order)
    with path.open("w") as file:
        file.write("ITEM,WHS,UOM,QTY,RES\n")
        file.writelines(f"SKU-{n:07d},WH-{n % 4},EA,{chance.randrange(977)}.{n % 10},{n % 13}\n" for n in order)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    feed = Feed(dataset="stock", files="*", columns={**COLUMNS})
    cpu_before = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number in (1, 2):
            path, now = Path(folder) / f"stock-{number}.csv", datetime.now(UTC)
            write_stock(path, rows, number)
            taken = TakenFile(id=str(number), feed="stock", name=path.name, path=str(path), as_of=now)
            job = ImportJob(
                source="warehouse",
                database=f"{folder}/warehouse.sqlite",
                taken=taken,
                feed=feed,
                limits=Limits(),
                now=now,
            )
            started = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM], input=msgspec.json.encode(job), stdout=subprocess.PIPE, check=True
            )
            seconds = time.perf_counter() - started
            outcome = msgspec.json.decode(done.stdout, type=ImportOutcome)
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = used.ru_utime + used.ru_stime
            taken_rows = outcome.record.rows if outcome.record else 0
            print(
                f"{path.name}: {taken_rows:,} rows, {path.stat().st_size / 1e6:.0f} MB, {seconds:.1f} s, "
                f"{cpu - cpu_before:.1f} s CPU, {used.ru_maxrss / 1024:.0f} MiB at most"
            )
            cpu_before = cpu


if __name__ == "__main__":
    main()
