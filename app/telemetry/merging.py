"""The metrics of several processes as one text."""

from __future__ import annotations

from collections.abc import Mapping


def merge_metrics(texts: Mapping[str, bytes]) -> bytes:
    """Texts in Prometheus' format by worker as one, in which each sample has the label `worker`. They are not added up:
    that is for who asks, since of some the sum means nothing."""
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
