"""The errors of a run as a person reads them: equal ones together, each with the user's line that raised."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from dataclasses import dataclass

from ..core.events import Failure, Frame
from ..core.record import Record
from ..place import file_label, is_own
from .harmless import harmless

MOST_NAMES = 3  # of branches with equal errors; the others are counted
_LINE_LENGTH, _NAME_LENGTH = 300, 80


@dataclass(slots=True)
class Group:
    """Branches that failed with the same error at the same line."""

    failure: Failure  # of the first one
    node: str  # its node
    names: list[str]  # of the first ones, fit to be shown
    count: int

    @property
    def who(self) -> str:
        """The branches: `fit[0], fit[3] and 2 more`."""
        rest = self.count - len(self.names)
        return f"{', '.join(self.names)} and {rest:,} more" if rest else ", ".join(self.names)

    @property
    def error(self) -> str:
        """The last line of the traceback."""
        return one_line(self.failure.line, _LINE_LENGTH)

    @property
    def place(self) -> str:
        """Where it was raised, with the line's text; "" where that is not known."""
        return one_line(where(self.failure) or "", _LINE_LENGTH)


def groups(record: Record) -> list[Group]:
    """The errors of a run in call order of their first branch."""
    found: dict[tuple[str, str, int], Group] = {}
    for node, branch, failure in record.failures():
        frame = _frame(failure)
        key = (failure.line, *((frame.file, frame.line) if frame is not None else ("", 0)))
        group = found.get(key)
        if group is None:
            group = found[key] = Group(failure, node.info.name, [], 0)
        group.count += 1
        if len(group.names) < MOST_NAMES:
            group.names.append(one_line(node.name(branch), _NAME_LENGTH))
    return list(found.values())


def where(failure: Failure) -> str | None:
    """The user's line that raised, with its text: the innermost frame outside installed packages.

    Where that is a function that the step called, the step's own line is told too.
    """
    frame = _frame(failure)
    if frame is None:
        return None
    text = line_text(frame)
    told = _place(frame) + (f": {text}" if text else "")
    outer = next((found for found in failure.frames if is_own(found.file)), frame)
    return told if outer.function == frame.function else f"{told} (called at {_place(outer)})"


def _place(frame: Frame) -> str:
    return f"{file_label(frame.file)}, line {frame.line}, in {frame.function}"


def traceback_lines(failure: Failure) -> Iterator[str]:
    """Every frame as a line with its place, then one with its text; then the error's own lines."""
    for frame in failure.frames:
        yield _place(frame)
        text = line_text(frame)
        if text:
            yield f"    {text}"
    yield from f"{failure.type}: {failure.message}".rstrip(": ").splitlines()


def one_line(text: str, most: int) -> str:
    """A user's text fit to be shown on one line."""
    return harmless(text, most).replace("\n", " ")


def line_text(frame: Frame) -> str:
    """The text of a frame's line: as it was carried here, else as the file has it."""
    return frame.text or linecache.getline(frame.file, frame.line).strip()


def _frame(failure: Failure) -> Frame | None:
    """The innermost frame of the user's own code, else the innermost one."""
    for frame in reversed(failure.frames):
        if is_own(frame.file):
            return frame
    return failure.frames[-1] if failure.frames else None
