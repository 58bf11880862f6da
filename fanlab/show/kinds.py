"""Failures by kind: equal ones are counted, so that thousands are told in a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..core.events import Failure
from ..core.record import NodeRecord
from ..place import is_own

MOST_KINDS = 3


def others(failures: Sequence[tuple[NodeRecord, int, Failure]]) -> str:
    """What an error that tells the first failure says of the rest: how many are like it, and the other kinds.

    Failures are of one kind if they are of one step, one class, and one line of it.
    """
    kinds = Counter(_kind(node, failure) for node, _, failure in failures)
    alike = kinds.pop(_kind(failures[0][0], failures[0][2])) - 1
    told = [f"{alike} more like it"] if alike else []
    if kinds:
        told.append(f"{kinds.total()} {'others' if kinds.total() > 1 else 'other'}: {_listed(kinds.most_common())}")
    return f" (and {'; '.join(told)})" if told else ""


def _kind(node: NodeRecord, failure: Failure) -> tuple[Any, ...]:
    frames = failure.frames
    frame = next((frame for frame in reversed(frames) if is_own(frame.file)), frames[-1] if frames else None)
    return node.info.step, failure.type, frame and (frame.file, frame.line)


def _listed(kinds: Iterable[tuple[tuple[Any, ...], int]]) -> str:
    names: Counter[tuple[str, str]] = Counter()  # told by step and class: their lines are in the results
    for (step, error, _), count in kinds:
        names[step, error] += count
    shown = [
        f"{error} in {step}" + (f" ({count})" if count > 1 else "")
        for (step, error), count in names.most_common(MOST_KINDS)
    ]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more {'kinds' if rest > 1 else 'kind'}" if rest > 0 else "")
