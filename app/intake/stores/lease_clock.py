"""The clock of leases in an SQLite file: one for all processes of the machine, which no correction of its time moves.

It is the time since the machine's boot, plus an offset that the first process of a boot stores: the time of day then.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

TABLE = "CREATE TABLE IF NOT EXISTS boots (id text PRIMARY KEY, time_of_day double precision NOT NULL)"
INSERT = "INSERT INTO boots (id, time_of_day) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"
TIME_OF_DAY = "SELECT time_of_day FROM boots WHERE id = ?"


class Boot(NamedTuple):
    """A boot of the machine, and the seconds since it, those of suspension included."""

    id: str
    seconds: Callable[[], float]


def current_boot() -> Boot | None:
    """This boot; None where the system does not say which it is: then leases follow the time of day."""
    try:
        clock = time.CLOCK_BOOTTIME
        return Boot(BOOT_ID.read_text().strip(), lambda: time.clock_gettime(clock))
    except (AttributeError, OSError):
        return None


def lease_clock(sql: sqlite3.Connection, boot: Boot, time_of_day: Callable[[], float]) -> Callable[[], float]:
    """The clock that all processes of this boot share over the file of `sql`, in seconds since 1970. Run it in a write
    transaction."""
    since_boot = boot.seconds()
    sql.execute(TABLE)
    sql.execute(INSERT, (boot.id, time_of_day() - since_boot))
    (booted,) = sql.execute(TIME_OF_DAY, (boot.id,)).fetchone()
    return lambda: booted + boot.seconds()
