"""What a run would do: of each node how many branches are in the store, and why the others would run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import listed

PASSES_ON = "nothing to run: its only item is its value"
MOST_REASONS = 3  # that are told of a node


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node. Branches that are neither in the store nor sure to run depend on what others return."""

    name: str
    step: str
    branches: int | None  # None: how many there are depends on what others return
    cached: int
    runs: int  # branches whose inputs are known, and that are not in the store
    reasons: tuple[tuple[int, str], ...]  # how many of those run for which reason
    waits: tuple[str, ...]  # the nodes that the other branches depend on
    seconds: float | None  # what its branches that may run took each in earlier runs, together; None: nobody knows
    fails: str = ""  # why it has no branches
    passes_on: bool = False  # a reduce of one item: no step runs for it

    @property
    def status(self) -> str:
        """One of cached, run, depends, passes on, fails; where there are several kinds the first of run, depends."""
        if self.fails:
            return "fails"
        if self.passes_on:
            return "passes on"
        if self.runs:
            return "run"
        return "depends" if self.branches is None or self.cached < self.branches else "cached"

    @property
    def text(self) -> str:
        """What is told of it in a line: `2 of 3 cached; 1 runs: the argument x changed from 1 to 2`."""
        if self.fails:
            return f"fails: {self.fails}"
        if self.passes_on:
            return PASSES_ON
        parts = []
        single = self.branches == 1
        if self.status == "cached":
            return "cached" if single or not self.branches else f"{self.branches} cached"
        if self.cached:
            parts.append(f"{self.cached} of {self.branches} cached")
        for count, reason in self.reasons[:MOST_REASONS]:
            who = "runs" if single else f"{count} run{'' if count > 1 else 's'}"
            parts.append(f"{who}: {reason}")
        if len(self.reasons) > MOST_REASONS:
            parts.append(f"{sum(count for count, _ in self.reasons[MOST_REASONS:])} more run")
        if self.waits:
            rest = (self.branches or 0) - self.cached - self.runs
            who = "" if self.branches is None or rest == self.branches else f"{rest} "
            parts.append(f"{who}depend{'' if rest > 1 else 's'} on {listed(self.waits)}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Forecast:
    """The nodes of a pipeline in call order, as far as its body could be followed."""

    pipeline: str
    nodes: tuple[NodePlan, ...]
    workers: int
    stopped: str = ""  # the node whose value the body waits for, which is not in the store

    @property
    def seconds(self) -> float | None:
        """About how long the run would take; None where some node that may run never did."""
        open_nodes = [node for node in self.nodes if node.status not in ("cached", "passes on")]
        if self.stopped or any(node.seconds is None for node in open_nodes):
            return None
        return sum(_length(node, self.workers) for node in open_nodes)

    @property
    def text(self) -> str:
        """A line for all, and one for each node."""
        counts = self.counts
        told = [f"{count} {word}" for word, count in zip(("cached", "to run"), counts[:2], strict=True) if count]
        if counts[2]:
            told.append(f"{counts[2]} to be seen")
        seconds = self.seconds
        if seconds is not None and seconds >= 1 and (counts[1] or counts[2]):
            told.append(f"about {duration(seconds)}")
        width = max((len(node.name) for node in self.nodes), default=0)
        lines = [f"{self.pipeline}: {', '.join(told) or 'nothing to run'}"]
        lines += [f"  {node.name.ljust(width)}  {node.text}" for node in self.nodes]
        if self.stopped:
            lines.append(f"  what the body does next depends on the value of '{self.stopped}'")
        return "\n".join(lines)

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many branches are cached, are sure to run, and depend on others, as far as they are known."""
        cached, runs = sum(node.cached for node in self.nodes), sum(node.runs for node in self.nodes)
        counted = [node for node in self.nodes if not node.fails and not node.passes_on]
        known = sum(node.branches if node.branches is not None else 1 for node in counted)
        return cached, runs, known - cached - runs


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(0.2), duration(42), duration(5400)
    ('less than a second', '42 s', '90 min')
    """
    if seconds < 1:
        return "less than a second"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def grouped(reasons: Sequence[str]) -> tuple[tuple[int, str], ...]:
    """Each reason with the number of branches that have it, the most frequent first."""
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return tuple(sorted(((count, reason) for reason, count in counts.items()), key=lambda pair: -pair[0]))


def _length(node: NodePlan, workers: int) -> float:
    """How long a node takes with so many workers."""
    at_once = max(1, min(workers, (node.branches or 1) - node.cached))
    return (node.seconds or 0.0) / at_once
