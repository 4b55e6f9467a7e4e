"""What one process at a time may do, of all that run tests in this tree."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusively(lock: Path) -> Iterator[bool]:
    """One process at a time; tells whether another one had to be waited for."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        waited = False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waited = True
            fcntl.flock(file, fcntl.LOCK_EX)
        yield waited
