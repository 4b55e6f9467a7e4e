"""Whether an answer is whole, honestly incomplete, or wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["whole", "labelled", "unanswered", "wrong"]

MOMENTS = frozenset({"asOf", "checkedAt", "quotedAt", "age", "cached", "cursor", "startCursor", "endCursor"})
"""Fields that differ from read to read."""

COMPOSED = frozenset({"availability", "promise", "refs"})
"""Put together from several sources; the answer names those that did not add to it in `extensions.freshness`."""

HONEST = frozenset(
    {"SOURCE_UNAVAILABLE", "SOURCE_TIMEOUT", "SOURCE_MALFORMED", "SOURCE_THROTTLED", "SOURCE_REJECTED"}
    | {"SOURCE_ERROR", "DEADLINE_EXCEEDED"}
)


@dataclass(frozen=True)
class Verdict:
    """`codes` are those of fields that are null for a fault; `difference` says where a wrong answer is so."""

    outcome: Outcome
    codes: frozenset[str] = frozenset()
    difference: str = ""


def timeless(value: Any) -> Any:
    """The answer without what differs from read to read."""
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if key not in MOMENTS}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


def errors_of(answer: Any) -> dict[tuple[Any, ...], str]:
    """Codes by path."""
    return {tuple(error.get("path") or ()): error["extensions"]["code"] for error in answer.get("errors", ())}


def judge(answer: Any, truth: Any) -> Verdict:
    """Compare an answer with the one that is right while nothing fails."""
    if not isinstance(answer, dict) or not isinstance(answer.get("data"), dict):
        return Verdict("unanswered", difference=str(answer)[:300])
    expected = errors_of(truth)
    failed = {path: code for path, code in errors_of(answer).items() if path not in expected}
    codes = frozenset(failed.values())
    if dishonest := codes - HONEST:
        return Verdict("wrong", codes, f"codes {sorted(dishonest)}")
    labels = [one for one in answer.get("extensions", {}).get("freshness", ()) if one["degraded"]]
    comparison = _Comparison(failed, labelled=bool(labels))
    difference = next(comparison.differences(timeless(answer["data"]), timeless(truth["data"]), ()), "")
    if difference:
        return Verdict("wrong", codes, difference)
    return Verdict("labelled" if failed or labels else "whole", codes)


class _Comparison:
    def __init__(self, failed: dict[tuple[Any, ...], str], *, labelled: bool) -> None:
        self._failed = failed
        self._labelled = labelled

    def differences(self, found: Any, right: Any, path: tuple[Any, ...]) -> Iterator[str]:
        """Where the answer is neither right nor says that it is not."""
        if found == right or (found is None and self._is_told(path)):
            return
        if isinstance(found, dict) and isinstance(right, dict) and found.keys() == right.keys():
            if found.get("outcome") in {"UNAVAILABLE", "STALE"}:
                return
            for key in found:
                if not (key in COMPOSED and self._labelled) and not (key == "degraded" and self._labelled):
                    yield from self.differences(found[key], right[key], (*path, key))
        elif isinstance(found, list) and isinstance(right, list) and len(found) == len(right):
            for place, (one, other) in enumerate(zip(found, right, strict=True)):
                yield from self.differences(one, other, (*path, place))
        else:
            yield f"{'.'.join(map(str, path))}: {str(found)[:150]} instead of {str(right)[:150]}"

    def _is_told(self, path: tuple[Any, ...]) -> bool:
        return any(one[: len(path)] == path for one in self._failed)
