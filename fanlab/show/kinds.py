"""Failures by kind: equal ones are counted, so that thousands are told in a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ..core.alike import Kind, kind
from ..core.events import Failure
from ..core.record import NodeRecord

MOST_KINDS = 3


def others(failures: Sequence[tuple[NodeRecord, int, Failure]]) -> str:
    """What an error that tells the first failure says of the rest: how many are like it, and the other kinds."""
    kinds = Counter(kind(node, failure) for node, _, failure in failures)
    alike = kinds.pop(kind(failures[0][0], failures[0][2])) - 1
    told = [f"{alike} more like it"] if alike else []
    if kinds:
        told.append(f"{kinds.total()} {'others' if kinds.total() > 1 else 'other'}: {_listed(kinds.most_common())}")
    return f" (and {'; '.join(told)})" if told else ""


def _listed(kinds: Iterable[tuple[Kind, int]]) -> str:
    names: Counter[tuple[str, str]] = Counter()  # told by step and class: their lines are in the results
    for found, count in kinds:
        names[found.step, found.error] += count
    shown = [
        f"{error} in {step}" + (f" ({count})" if count > 1 else "")
        for (step, error), count in names.most_common(MOST_KINDS)
    ]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more {'kinds' if rest > 1 else 'kind'}" if rest > 0 else "")
