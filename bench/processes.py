"""Processes of the benchmark: started on free ports, pinned, measured from outside, stopped by their id. Linux only."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time that processes have used, all threads, to the microsecond."""
    total = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~pid << 3) | 2)  # The kernel's number for another process's CPU clock.
    return total


def peak_memory(pid: int) -> float:
    """The most memory that a process and those below it ever held, in MB."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1])
    return total / 1024


def halves() -> tuple[set[int], set[int]]:
    """The processors for the candidates, and those for upstream and driver. One processor is shared by all."""
    known = sorted(os.sched_getaffinity(0))
    return ({known[0]}, set(known[1:])) if len(known) > 1 else (set(known), set(known))


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    port: int,
    processors: set[int],
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
) -> Iterator[int]:
    """A server that listens on `port`, as its process id; it is stopped at the end."""
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=output or subprocess.DEVNULL,
        stderr=output or subprocess.DEVNULL,
    )
    try:
        os.sched_setaffinity(process.pid, processors)
        _wait(process, port, " ".join(map(str, command)))
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, name: str) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with {process.returncode}; run it by itself to see why")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"{name} does not listen on port {port}")


def python(*arguments: str | Path) -> list[str | Path]:
    """A command for this interpreter."""
    return [sys.executable, *arguments]
