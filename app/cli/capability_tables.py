"""The capabilities of sources as a table for a terminal, as JSON, and as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from app.sources.capabilities import Capability, CapabilityStatus

HEAD = """\
# Capabilities of the vendors

Printed by `./run sources describe --markdown` from what the adapters implement and declare; a test fails while it
differs. `./run sources describe` prints the same for the configured sources, and `Source.capabilities` answers it to
operators. A read that a source lacks answers `NOT_SUPPORTED`, naming the source, and never an empty list.

`yes` is served, `2 of 4` are that many reads of the port, `probed` depends on what the system offers and is found out
when the gateway connects, `copy` is answered from a copy that lags by design, `-` is not served.
"""

Described = Mapping[str, Sequence[Capability]]
"""The capabilities of sources, by the name of a source or vendor."""


def as_rows(found: Described) -> list[tuple[object, ...]]:
    """One row for each capability, with a head."""
    rows: list[tuple[object, ...]] = [("SOURCE", "CAPABILITY", "STATUS", "FILTERS", "SORTS", "TOTALS", "NOTE")]
    for source, capabilities in found.items():
        for one in capabilities:
            totals = None if one.totals is None else "yes" if one.totals else "no"
            filters, sorts = ",".join(one.filters), ",".join(one.sorts)
            rows.append((source, one.name, one.status.value, filters, sorts, totals, _note(one)))
    return rows


def as_json(found: Described) -> dict[str, list[dict[str, object]]]:
    """The fields of each capability, by source."""
    return {
        source: [
            {
                "port": one.port,
                "read": one.read,
                "status": one.status.value,
                "missingReason": one.missing_reason,
                "staleReason": one.stale_reason,
                "filters": list(one.filters),
                "sorts": list(one.sorts),
                "totals": one.totals,
            }
            for one in capabilities
        ]
        for source, capabilities in found.items()
    }


def _note(one: Capability) -> str:
    return one.missing_reason or (f"copy: {one.stale_reason}" if one.stale_reason else "")


def as_markdown(found: Described) -> str:
    """A page: ports by vendors, then the details of each vendor."""
    ports = list(dict.fromkeys(one.port for capabilities in found.values() for one in capabilities))
    lines = [HEAD, f"| port | {' | '.join(found)} |", "|---" * (len(found) + 1) + "|"]
    for port in ports:
        cells = [_cell([one for one in capabilities if one.port == port]) for capabilities in found.values()]
        lines.append(f"| `{port}` | {' | '.join(cells)} |")
    for vendor, capabilities in found.items():
        lines += ["", f"## {vendor}", "", *_details(capabilities)]
    return "\n".join([*lines, ""])


def _cell(reads: Sequence[Capability]) -> str:
    served = [one for one in reads if one.status is not CapabilityStatus.MISSING]
    if not served:
        return "-"
    words = ["yes" if len(served) == len(reads) else f"{len(served)} of {len(reads)}"]
    words += ["probed"] if any(one.status is CapabilityStatus.UNPROBED for one in served) else []
    words += ["copy"] if any(one.stale_reason for one in served) else []
    return ", ".join(words)


def _details(capabilities: Sequence[Capability]) -> Iterator[str]:
    served = {one.port for one in capabilities if one.status is not CapabilityStatus.MISSING}
    lists = [one for one in capabilities if one.totals is not None and one.status is not CapabilityStatus.MISSING]
    if lists:
        yield "| list | filters | sorts | totals |"
        yield "|---|---|---|---|"
        for one in lists:
            yield f"| `{one.name}` | {_codes(one.filters)} | {_codes(one.sorts)} | {'yes' if one.totals else 'no'} |"
        yield ""
    missing: dict[str, str] = {}
    for one in capabilities:
        if one.stale_reason:
            yield f"- `{one.name}` is answered from a copy: {one.stale_reason}."
        if one.status is CapabilityStatus.UNPROBED:
            yield f"- `{one.name}` is probed; without it: {one.limitation.missing}."
        if one.status is CapabilityStatus.MISSING and (one.missing_reason or one.port in served):
            name = one.name if one.port in served else one.port
            missing[name] = one.missing_reason or "not served by the adapter"
    for name, reason in missing.items():
        yield f"- `{name}` is missing: {reason}."
    if not (lists or missing or any(one.stale_reason for one in capabilities)):
        yield "Ports that are served are served whole."


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "-"
