"""A run on a terminal's stderr: a live tree of its steps; a few plain lines where there is no terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..core.events import Event, Status
from ..core.record import NodeRecord, Record
from .failures import groups, one_line
from .text import GLYPHS, error_lines, node_text, progress_line

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

FIRST_SECONDS = 0.3  # a run shorter than this shows its end only, without a flash, or nothing in plain lines
EVERY_SECONDS = 0.1
LINE_SECONDS = 10.0  # between plain lines; more as the run gets long
_BAR = 24  # characters
_NAME_LENGTH = 40
_STYLES = {
    Status.QUEUED: "dim",
    Status.RUNNING: "blue",
    Status.COMPLETED: "green",
    Status.CACHED: "green",
    Status.FAILED: "red",
    Status.SKIPPED: "dim",
    Status.CANCELLED: "yellow",
}
_RUN_STYLES = {"completed": "green", "running": "blue", "failed": "red"}
_LAST = (Status.COMPLETED, Status.CACHED, Status.QUEUED, Status.SKIPPED)  # the first to go where room is short


def has_terminal() -> bool:
    """Whether stderr is a terminal that a picture can be painted on, and somebody is there to see it."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false") or os.environ.get("TERM") == "dumb":
        return False
    return sys.stderr is not None and sys.stderr.isatty()


class Nowhere:
    """No view: the run of a pipeline that a running step has called."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._begun = time.monotonic()

    def see(self, event: Event) -> None:
        """Nothing is shown of single events."""

    def pulse(self) -> None:
        """Nothing is shown now and then."""

    def make_way(self) -> None:
        """Nothing is in the way."""

    def close(self) -> None:
        """Nothing is shown at the end."""

    def _seconds(self) -> float:
        return time.monotonic() - self._begun


class InLines(Nowhere):
    """Plain lines on stderr, few of them: that it has begun, how it stands every so often, and how it has ended.

    A short run writes none.
    """

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self._told = False
        self._next = FIRST_SECONDS

    def pulse(self) -> None:
        """Write a line if it is time."""
        seconds = self._seconds()
        if seconds < self._next or self._record.status != "running":
            return
        self._next = seconds + max(LINE_SECONDS, seconds / 4)
        if self._told:
            self._write(progress_line(self._record, seconds))
        else:
            self._told = True
            steps = len(self._record.nodes)
            self._write(f"{_name(self._record)}: started, {steps:,} step{'s' if steps != 1 else ''}")

    def close(self) -> None:
        """Write how a run has ended that was not short, and its first errors where no exception tells them."""
        seconds = self._seconds()
        if self._record.id and seconds >= FIRST_SECONDS:
            errors = error_lines(self._record) if self._record.status == "completed" else []
            self._write(_ending(self._record, seconds), *(f"  {line}" for line in errors))

    def _write(self, *lines: str) -> None:
        with contextlib.suppress(Exception):  # a run that cannot write of itself still runs
            sys.stderr.write("".join(f"fanlab: {line}\n" for line in lines))
            sys.stderr.flush()


class InTerminal(Nowhere):
    """A tree on stderr that is painted over while the run goes on, and stays when it has ended."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self._next = FIRST_SECONDS
        self._height = 0  # lines that stand there now
        self._console: Any = None

    def pulse(self) -> None:
        """Paint the tree anew if it is time."""
        seconds = self._seconds()
        if seconds >= self._next and self._record.id:
            self._paint(seconds)
            self._next = seconds + max(EVERY_SECONDS, 10 * (self._seconds() - seconds))  # a tenth of the time at most

    def make_way(self) -> None:
        """Take the tree away, since something is about to be printed; the next pulse paints it below."""
        if self._height:
            with contextlib.suppress(Exception):
                sys.stderr.write(f"\x1b[{self._height}A\x1b[J")
                sys.stderr.flush()
            self._height, self._next = 0, 0.0

    def close(self) -> None:
        """Paint the tree as it stays."""
        if self._record.id:
            self._paint(self._seconds())
            self._height = 0

    def _paint(self, seconds: float) -> None:
        with contextlib.suppress(Exception):  # a run that cannot draw still runs
            lines = self._lines(seconds)
            up = f"\x1b[{self._height}A" if self._height else ""
            sys.stderr.write(up + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
            sys.stderr.flush()
            self._height = len(lines)

    def _lines(self, seconds: float) -> list[str]:
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
        with self._console.capture() as captured:
            self._console.print(
                tree(self._record, seconds, room=self._console.size.height - 3), no_wrap=True, overflow="ellipsis"
            )
        return str(captured.get()).splitlines()


def tree(record: Record, seconds: float, room: int = 1000) -> Tree:
    """The run as a tree of `room` lines at most: inlined pipelines are branches of it, steps are leaves."""
    from rich.text import Text
    from rich.tree import Tree

    head = Text(_name(record), style="bold")
    head.append(f" {record.status}", style=_RUN_STYLES.get(record.status, "yellow"))
    head.append(f"  {_counted(record)}  {duration(seconds)}", style="dim")
    root = Tree(head, guide_style="dim")
    groups_of: dict[str, Tree] = {"": root}
    errors = {group.node: group for group in groups(record)[:3]} if room > 6 else {}
    nodes = list(record.nodes.values())
    shown = _fitting(nodes, max(room - 1 - len(errors), 1))
    width = max((len(_own(node)) for node in shown), default=0)
    for node in shown:
        parent = groups_of[""]
        prefix = ""
        for part in node.info.name.split(".")[:-1]:
            prefix += f"{part}."
            if prefix not in groups_of:
                groups_of[prefix] = parent.add(Text(one_line(part, _NAME_LENGTH), style="dim"))
            parent = groups_of[prefix]
        leaf = parent.add(_leaf(node, width))
        group = errors.pop(node.info.name, None)
        if group is not None:
            leaf.add(Text(f"{group.who}: {group.error}", style="red"))
    if len(shown) < len(nodes):
        root.add(Text(f"and {len(nodes) - len(shown):,} more steps", style="dim"))
    return root


def duration(seconds: float) -> str:
    """Seconds as a person says them: `0.42 s`, `12 s`, `3 min 05 s`, `2 h 07 min`.

    >>> duration(0.418), duration(75), duration(7620)
    ('0.42 s', '1 min 15 s', '2 h 07 min')
    """
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds >= 0.001 else "0 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _leaf(node: NodeRecord, width: int) -> Text:
    from rich.text import Text

    status = node.overall()
    style = _STYLES[status]
    text = Text()
    text.append(f"{GLYPHS[status]} ", style=style)
    text.append(f"{_own(node).ljust(width)}  ", style="dim" if status is Status.QUEUED else "")
    if node.mapped and node.shape is not None and node.shape.size:
        for part, part_style in _bar(node):
            text.append(part, style=part_style)
        text.append("  ")
    text.append(node_text(node), style=style)
    return text


def _bar(node: NodeRecord) -> Iterable[tuple[str, str]]:
    size = node.shape.size if node.shape is not None else 1
    room = _BAR
    parts = ((Status.COMPLETED, Status.CACHED), (Status.FAILED,), (Status.CANCELLED,), (Status.SKIPPED,))
    for statuses in parts:
        count = node.count(*statuses)
        length = min(room, max(1, _BAR * count // size)) if count else 0
        room -= length
        yield "━" * length, _STYLES[statuses[0]]
    yield "╌" * room, "dim"


def _fitting(nodes: list[NodeRecord], room: int) -> list[NodeRecord]:
    """As many nodes as fit, in order: those that run or have failed before those that are done or wait."""
    if len(nodes) <= room:
        return nodes
    ranked = sorted(range(len(nodes)), key=lambda number: (nodes[number].overall() in _LAST, number))
    return [nodes[number] for number in sorted(ranked[: max(room - 1, 1)])]


def _own(node: NodeRecord) -> str:
    return one_line(node.info.name.rpartition(".")[2], _NAME_LENGTH)


def _name(record: Record) -> str:
    return one_line(record.pipeline, 80)


def _counted(record: Record) -> str:
    counts = record.counts()
    return f"{counts[Status.COMPLETED] + counts[Status.CACHED]:,} of {sum(counts.values()):,}"


def _ending(record: Record, seconds: float) -> str:
    counts = record.counts()
    rest = [
        f", {counts[status]:,} {status.word}"
        for status in (Status.FAILED, Status.SKIPPED, Status.CANCELLED)
        if counts[status]
    ]
    cached = f", {counts[Status.CACHED]:,} of them cached" if counts[Status.CACHED] else ""
    return f"{_name(record)}: {record.status}, {_counted(record)} done{cached}{''.join(rest)}, in {duration(seconds)}"
