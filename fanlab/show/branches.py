"""The branches of a node as rows to be read: which of many are shown, and their arguments in a few words."""

from __future__ import annotations

from typing import Any

from ..core.events import Status
from ..core.record import NodeRecord
from .failures import one_line
from .local import local
from .table import arguments_of

_MOST_ARGUMENTS, _VALUE_LENGTH, _NAME_LENGTH = 12, 80, 120
_GOOD = (Status.COMPLETED, Status.CACHED)


def chosen(node: NodeRecord, most: int) -> list[int]:
    """At most so many branches, in order; those without a value come before the others."""
    if node.shape is None or node.shape.size <= most:
        return list(node.branches())
    without = [branch for branch, status in enumerate(node.statuses) if status not in _GOOD][:most]
    room, left_out = most - len(without), set(without)
    others = (branch for branch in node.branches() if branch not in left_out)
    return sorted([*without, *(branch for branch, _ in zip(others, range(room), strict=False))])


def branch_name(node: NodeRecord, branch: int) -> str:
    """A branch's name, fit to be shown."""
    return one_line(node.name(branch), _NAME_LENGTH)


def branch_word(node: NodeRecord, branch: int) -> str:
    """A branch's status as a record tells it: a cached one is completed."""
    status = node.branch_status(branch)
    return Status.COMPLETED.word if status is Status.CACHED else status.word


def arguments_text(node: NodeRecord, branch: int) -> str:
    """The scalar arguments of a branch as they were passed: `alpha=0.1, kind='ridge'`."""
    found = list(arguments_of(node, branch).items())
    parts = [f"{name}={value_text(value)}" for name, value in found[:_MOST_ARGUMENTS]]
    if len(found) > len(parts):
        parts.append(f"and {len(found) - len(parts)} more")
    return ", ".join(parts)


def value_text(value: Any) -> str:
    """A scalar's repr, fit to be shown; a NumPy one as the plain number that it is, a path as in show.local."""
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        value = value.item()
    try:
        return one_line(repr(local(value)), _VALUE_LENGTH)
    except Exception as error:  # noqa: BLE001 (a repr of a user's class)
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
