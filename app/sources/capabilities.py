"""What a source can, by port and read, and the limitations that its adapter declares.

An adapter declares a `Limitation` only for what no code can tell: a capability that the vendor lacks, one that has to
be probed, and one that answers from a copy. `app/sources/pipeline/derived_capabilities.py` derives everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.errors import NotSupported


class CapabilityStatus(StrEnum):
    """Whether a source has a capability."""

    SERVED = "SERVED"
    UNPROBED = "UNPROBED"
    MISSING = "MISSING"


@dataclass(slots=True)
class Probe:
    """Whether a capability was found at the last probe; None before the first one. The adapter sets it at `ping`, and
    whenever a call shows it."""

    found: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limitation:
    """What cannot be derived of a port, or of one of its reads.

    `missing` is why the vendor lacks it: the read is then never called, whatever the adapter has of that name. With a
    `probe`, which says whether the system has it, it is the reason if it has not. `stale` is which copy it answers
    from, by design. A limitation of a port holds for all of its reads.
    """

    missing: str | None = None
    stale: str | None = None
    probe: Probe | None = None

    @property
    def is_missing(self) -> bool:
        """Whether it is missing by the vendor, not by a probe."""
        return self.missing is not None and self.probe is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """A read of a port, or a port that has no described reads. `filters`, `sorts` and `totals` are those of a list."""

    port: str
    read: str | None = None
    is_implemented: bool
    limitation: Limitation = Limitation()
    filters: tuple[str, ...] = ()
    sorts: tuple[str, ...] = ()
    totals: bool | None = None

    @property
    def name(self) -> str:
        return self.port if self.read is None else f"{self.port}.{self.read}"

    @property
    def status(self) -> CapabilityStatus:
        probe = self.limitation.probe
        if not self.is_implemented or (probe is not None and probe.found is False):
            return CapabilityStatus.MISSING
        return CapabilityStatus.UNPROBED if probe is not None and probe.found is None else CapabilityStatus.SERVED

    @property
    def missing_reason(self) -> str | None:
        """Why it is missing; None if it is served, or if nobody declared why."""
        return self.limitation.missing if self.status is CapabilityStatus.MISSING else None

    @property
    def stale_reason(self) -> str | None:
        """Which copy it answers from, if it is served from one."""
        return self.limitation.stale if self.is_implemented else None


def not_supported(source: str, name: str, reason: str | None) -> NotSupported:
    """The error of a capability that a source lacks, such as `prices` or `orders.search`."""
    return NotSupported(f"The source '{source}' does not support {name}{f': {reason}' if reason else ''}.")
