"""The errors of a run as a person reads them: those of one kind together, each with the user's line that raised."""

from __future__ import annotations

import linecache
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from ..core.alike import Kind, kind, raised
from ..core.events import Failure, Frame
from ..core.record import Record
from ..place import file_label, is_own
from .harmless import harmless
from .local import within

MOST_NAMES = 3  # of branches with equal errors; the others are counted
MOST_LINES = 3  # of what errors of one kind say
_LINE_LENGTH, _NAME_LENGTH = 300, 80


@dataclass(slots=True)
class Told:
    """Some branches as they are named: the first ones, and how many there are."""

    names: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, name: str) -> None:
        """Take in one more."""
        self.count += 1
        if len(self.names) < MOST_NAMES:
            self.names.append(one_line(name, _NAME_LENGTH))

    def __str__(self) -> str:
        """The branches: `fit[0], fit[3] and 2 more`."""
        rest = self.count - len(self.names)
        return f"{', '.join(self.names)} and {rest:,} more" if rest else ", ".join(self.names)


@dataclass(slots=True)
class Group:
    """Branches whose failures are of one kind, see core.alike."""

    failure: Failure  # of the first one
    node: str  # its node
    all: Told = field(default_factory=Told)
    by_line: dict[str, Told] = field(default_factory=dict)  # by what their failures say, which may be much

    @property
    def who(self) -> str:
        """The branches."""
        return str(self.all)

    @property
    def error(self) -> str:
        """The last line of the first one's traceback; where others say something else, how many things."""
        others = len(self.by_line) - 1
        more = f" (and {others:,} other message{'s' if others > 1 else ''})" if others else ""
        return one_line(within(self.failure.line), _LINE_LENGTH) + more

    @property
    def told(self) -> list[tuple[str, str]]:
        """The branches for each of the first things that they say, with that."""
        first = islice(self.by_line.items(), MOST_LINES)
        return [(str(branches), one_line(within(line), _LINE_LENGTH)) for line, branches in first]

    @property
    def rest(self) -> str:
        """Says how many branches say something else; "" where none does."""
        rest = self.all.count - sum(branches.count for branches in islice(self.by_line.values(), MOST_LINES))
        return f"and {rest:,} more like these" if rest else ""

    @property
    def place(self) -> str:
        """Where it was raised, with the line's text; "" where that is not known."""
        return one_line(within(where(self.failure) or ""), _LINE_LENGTH)


def groups(record: Record) -> list[Group]:
    """The errors of a run in call order of their first branch, after what its body has raised itself."""
    found: dict[Kind, Group] = {}
    if record.failure is not None:
        body = Told()
        body.add("the body")
        found[Kind("", record.failure.type, None)] = Group(record.failure, "", body, {record.failure.line: body})
    for node, branch, failure in record.failures():
        group = found.setdefault(kind(node, failure), Group(failure, node.info.name))
        name = node.name(branch)
        group.all.add(name)
        group.by_line.setdefault(failure.line, Told()).add(name)
    return list(found.values())


def where(failure: Failure) -> str | None:
    """The user's line that raised, with its text: the innermost frame outside installed packages.

    Where that is a function that the step called, the step's own line is told too.
    """
    frame = raised(failure)
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
