"""What a connected source can: derived from its ports and lists, and from the limitations that its adapter declares.

An adapter declares a `Limitation` only for what no code can tell: a capability that the vendor lacks, one that has to
be probed, and one that answers from a copy. Everything else follows from the ports that it implements.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from app.errors import NotSupported
from app.sources.lists import ListCapability
from app.sources.port_registry import PORTS

if TYPE_CHECKING:
    from app.sources.ports import Port, Read
    from app.sources.source import Source

OTHER_PORTS = ("order_writer", "downloads", "changes", "webhooks")
"""The ports of a source that do not consist of described reads: writes, whole downloads, polled changes, push."""


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


def capabilities_of(source: Source) -> tuple[Capability, ...]:
    """Each read of each port, in the order of the registry, then the other ports. The source is not yet compiled."""
    return (
        *(capability for port in PORTS.values() for capability in _of_port(source, port)),
        *(
            Capability(
                port=name,
                is_implemented=getattr(source, name) is not None,
                limitation=source.limitations.get(name, Limitation()),
            )
            for name in OTHER_PORTS
        ),
    )


def _of_port(source: Source, port: Port) -> Iterator[Capability]:
    adapter = getattr(source, port.name)
    for name, read in port:
        capability = Capability(
            port=port.name,
            read=name,
            is_implemented=adapter is not None and serves(adapter, name, read, limitation_of(source, port.name, name)),
            limitation=limitation_of(source, port.name, name),
        )
        yield capability if read.query is None else replace(capability, **_of_list(source, capability.name, read))


def serves(adapter: Any, name: str, read: Read, limitation: Limitation) -> bool:
    """Whether an adapter implements a read of its port, as far as no probe is needed."""
    return not limitation.is_missing and (not read.optional or getattr(adapter, name, None) is not None)


def limitation_of(source: Source, port: str, read: str) -> Limitation:
    """The limitation of a read, else that of its port."""
    return source.limitations.get(f"{port}.{read}") or source.limitations.get(port) or Limitation()


def _of_list(source: Source, name: str, read: Read) -> Mapping[str, Any]:
    able: ListCapability | None = source.lists.get(name)
    if able is None or read.query is None:
        return {}
    fields = {field.name: field.encode_name for field in msgspec.structs.fields(read.query)}
    return {
        "filters": tuple(sorted(fields[one] for one in able.filters)),
        "sorts": tuple(sorted(able.sorts)),
        "totals": able.totals,
    }


def not_supported(source: str, name: str, reason: str | None) -> NotSupported:
    """The error of a capability that a source lacks, such as `prices` or `orders.search`."""
    return NotSupported(f"The source '{source}' does not support {name}{f': {reason}' if reason else ''}.")
