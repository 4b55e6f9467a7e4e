"""The capabilities of a source, derived from the ports and lists that its adapter implements and its limitations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from app.sources.capabilities import Capability, Limitation
from app.sources.lists import ListCapability
from app.sources.port_registry import PORTS
from app.sources.ports import Port, Read
from app.sources.source import Source

OTHER_PORTS = ("order_writer", "downloads", "changes", "webhooks")
"""The ports of a source that do not consist of described reads: writes, whole downloads, polled changes, push."""


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
