"""A run in plain text: the record, the same for every run with the same outcome, and a line of progress."""

from __future__ import annotations

import reprlib

from ..core.events import Status
from ..core.record import NodeRecord, Record
from .failures import groups, one_line

# A glyph and a word tell a status; colour comes third.
GLYPHS = {
    Status.QUEUED: "○",
    Status.RUNNING: "◐",
    Status.COMPLETED: "✓",
    Status.CACHED: "✓",  # as a completed one: the record is the same for a cold and a warm run
    Status.FAILED: "✗",
    Status.SKIPPED: "⊘",
    Status.CANCELLED: "■",
}
MOST_ERRORS = 3
MOST_STEPS = 200  # rows of a record
_NAME_LENGTH = 80
_NOT_DONE = (Status.FAILED, Status.SKIPPED, Status.CANCELLED)


def record_text(record: Record) -> str:
    """The record: a line per node with how many of its branches are done, then the first errors and their lines.

    It holds no clock, id, path or cached count, so that a notebook which shows it can be compared.
    """
    nodes = list(record.nodes.values())[:MOST_STEPS]
    names = [step_name(node) for node in nodes]
    width = max(map(len, names), default=0)
    lines = [f"{one_line(record.pipeline, _NAME_LENGTH)}: {record.status}"]
    lines += [
        f"  {GLYPHS[node.overall()]} {name.ljust(width)}  {node_text(node)}"
        for node, name in zip(nodes, names, strict=True)
    ]
    if len(record.nodes) > len(nodes):
        lines.append(f"  and {len(record.nodes) - len(nodes):,} more steps")
    return "\n".join([*lines, *(f"  {line}" for line in error_lines(record))])


def step_name(node: NodeRecord) -> str:
    """A node's name, fit to be shown."""
    return one_line(node.info.name, _NAME_LENGTH)


def node_text(node: NodeRecord) -> str:
    """How one node stands: `completed`, or `8 of 10 completed, 2 failed` for a fan-out."""
    status = node.overall()
    word = "completed" if status is Status.CACHED else status.word
    if not node.mapped or node.shape is None:
        return word
    done = node.count(Status.COMPLETED, Status.CACHED)
    rest = [f", {node.count(status):,} {status.word}" for status in _NOT_DONE if node.count(status)]
    return f"{done:,} of {node.shape.size:,} completed{''.join(rest)}"


def error_lines(record: Record) -> list[str]:
    """The first errors, those of one kind together, each with the line that raised; and a count of the rest."""
    found = groups(record)
    lines = []
    for group in found[:MOST_ERRORS]:
        lines += [f"{who}: {error}" for who, error in group.told]
        if group.rest:
            lines.append(group.rest)
        if group.place:
            lines.append(f"  {group.place}")
    rest = sum(group.all.count for group in found[MOST_ERRORS:])
    return [*lines, f"and {rest:,} more failed"] if rest else lines


def progress_line(record: Record, seconds: float) -> str:
    """One line while the run goes on: counts and the time since its start."""
    counts = record.counts()
    total = sum(counts.values())
    done = counts[Status.COMPLETED] + counts[Status.CACHED]
    parts = [f"{one_line(record.pipeline, _NAME_LENGTH)}: {done:,} of {total:,} done"]
    parts += [f"{counts[s]:,} {s.word}" for s in (Status.RUNNING, Status.FAILED, Status.SKIPPED) if counts[s]]
    return " · ".join([*parts, f"{seconds:.0f} s"])


def short_repr(value: object) -> str:
    """A value in a few characters."""
    told = reprlib.Repr()
    told.maxstring = told.maxother = told.maxlong = 40
    try:
        return told.repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return f"<{type(value).__name__} that is too long to be shown>"
