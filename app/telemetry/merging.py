"""Metrics of several processes in one exposition."""

from __future__ import annotations

from collections.abc import Mapping


def merge_metrics(texts: Mapping[str, bytes]) -> bytes:
    """Merge expositions by worker; each sample gets the label `worker`. Values are not summed: for some the sum has no
    meaning."""
    families: dict[str, tuple[list[str], list[str]]] = {}
    for worker, text in texts.items():
        heads: list[str] = []
        samples: list[str] = []
        for line in text.decode().splitlines():
            if line.startswith("# HELP "):
                heads, samples = families.setdefault(line.split(" ", 3)[2], ([], []))
            if not line.startswith("#"):
                samples.append(_labelled(line, worker))
            elif line not in heads:
                heads.append(line)
    return "".join(f"{line}\n" for heads, samples in families.values() for line in heads + samples).encode()


def _labelled(sample: str, worker: str) -> str:
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
