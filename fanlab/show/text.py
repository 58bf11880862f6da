"""A run in plain text: the record, the same for every run with the same outcome, and a line of progress."""

from __future__ import annotations

from ..core.events import Status
from ..core.record import NodeRecord, Record

MOST_ERRORS = 3
_NOT_DONE = (Status.FAILED, Status.SKIPPED, Status.CANCELLED)


def record_text(record: Record) -> str:
    """The record: a line per node with how many of its branches are done, then the first errors.

    It holds no clock, id, path or cached count, so that a notebook which shows it can be compared.
    """
    lines = [f"{record.pipeline}: {record.status}"]
    width = max((len(node.info.name) for node in record.nodes.values()), default=0)
    lines += [f"  {node.info.name.ljust(width)}  {node_text(node)}" for node in record.nodes.values()]
    lines += [f"  {line}" for line in error_lines(record)]
    return "\n".join(lines)


def node_text(node: NodeRecord) -> str:
    """How one node stands: `completed`, or `8 of 10 completed, 2 failed` for a fan-out."""
    status = node.overall()
    word = "completed" if status is Status.CACHED else status.word
    if not node.mapped or node.shape is None:
        return word
    done = node.count(Status.COMPLETED, Status.CACHED)
    rest = [f", {node.count(status)} {status.word}" for status in _NOT_DONE if node.count(status)]
    return f"{done} of {node.shape.size} completed{''.join(rest)}"


def error_lines(record: Record) -> list[str]:
    """The first errors, one line each, and a count of the rest."""
    failures = [f"{node.name(branch)}: {failure.line}" for node, branch, failure in record.failures()]
    shown = failures[:MOST_ERRORS]
    if len(failures) > MOST_ERRORS:
        shown.append(f"and {len(failures) - MOST_ERRORS} more failed")
    return shown


def progress_line(record: Record, seconds: float) -> str:
    """One line while the run goes on: counts and the time since its start."""
    counts = record.counts()
    total = sum(counts.values())
    done = counts[Status.COMPLETED] + counts[Status.CACHED]
    parts = [f"{record.pipeline}: {done} of {total} done"]
    parts += [f"{counts[s]} {s.word}" for s in (Status.RUNNING, Status.FAILED, Status.SKIPPED) if counts[s]]
    return " · ".join([*parts, f"{seconds:.0f} s"])
