"""A record as the live view's page gets it: whole each time, so that the last one is enough, and small.

A state holds a letter for each run of equal branches: 10,000 branches take 20 kB at most, and usually a few bytes.
"""

from __future__ import annotations

import re
from statistics import median
from typing import Any

from ..core.events import Status
from ..core.record import NodeRecord, Record
from .frames import framed, group_of
from .geometry import HEIGHT, WIDTH, Groups, Layouts, Needs, order, path
from .harmless import harmless

LETTERS = {
    Status.QUEUED: "q",
    Status.RUNNING: "r",
    Status.COMPLETED: "d",
    Status.CACHED: "h",
    Status.FAILED: "f",
    Status.SKIPPED: "s",
    Status.CANCELLED: "x",
}
MOST_FAILURES = 3
_NAME_LENGTH = 200
_FEWEST = 3  # finished branches before there is an estimate
_SAMPLE = 101  # finished branches whose median is taken
_TO_LETTERS = bytes(ord(LETTERS[Status(number)]) if number in tuple(Status) else 0 for number in range(256))
_SAME = re.compile(rb"(.)\1*", re.DOTALL)
_AGAIN = re.compile(r"([a-z])\d*(?:\1\d*)+")  # runs of one letter beside each other, which are one
_COUNTED = (Status.QUEUED, Status.RUNNING, Status.COMPLETED, Status.FAILED)
_BLOCK = 4096  # branches that are looked at again where one of them has changed


class Snapshots:
    """What a record looks like now, for the page; remembers what has not changed, and changes nothing."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._layouts = Layouts()
        self._told: list[_Told] = []

    @property
    def waiting(self) -> bool:
        """Whether a better graph may come although nothing has happened in the run."""
        return self._layouts.waiting

    def begin(self) -> None:
        """Have graphviz begin, so that its answer is there when the graph is asked for."""
        nodes = list(self._record.nodes.values())
        self._layouts.begin(self._needs(nodes), _groups(nodes))

    def graph(self) -> dict[str, Any]:
        """The nodes with their places, the lines between them, and the frames of inlined pipelines around them."""
        nodes = list(self._record.nodes.values())
        needs, groups = self._needs(nodes), _groups(nodes)
        picture, frames = framed(self._layouts.picture(needs, groups), groups)
        inside = {frame.name for frame in frames}
        return {
            "width": picture.width,
            "height": picture.height,
            "box": [WIDTH, HEIGHT],
            "nodes": [
                {
                    "name": harmless(node.info.name, _NAME_LENGTH),
                    "label": harmless(_label(node.info.name, groups[number], inside), _NAME_LENGTH),
                    "step": harmless(node.info.step, _NAME_LENGTH),
                    "mapped": node.mapped,
                    "needs": list(needs[number]),
                    "at": list(picture.boxes[number]),
                }
                for number, node in enumerate(nodes)
            ],
            "order": order(needs),
            "edges": [[start, stop, path(points)] for start, stop, points in picture.curves],
            "frames": [
                [harmless(frame.name, _NAME_LENGTH), frame.left, frame.top, frame.width, frame.height]
                for frame in frames
            ],
        }

    def state(self, now: float, workers: int | None = None) -> dict[str, Any]:
        """How every branch stands, the times of nodes and run, and the first failures. `now` is seconds since 1970."""
        record = self._record
        nodes = list(record.nodes.values())
        while len(self._told) < len(nodes):
            self._told.append(_Told())
        rows = [told.row(node) for told, node in zip(self._told, nodes, strict=True)]
        return {
            "pipeline": harmless(record.pipeline, _NAME_LENGTH),
            "status": record.status,
            "now": now,
            "begun": record.start,
            "ended": record.end,
            "left": None if record.end else self._left(nodes, now, workers),
            "busy": sum(told.counts[Status.RUNNING] for told in self._told),
            "workers": workers,
            "nodes": rows,
            "failures": self._failures(),
            "failed": sum(told.counts[Status.FAILED] for told in self._told),
        }

    def _needs(self, nodes: list[NodeRecord]) -> Needs:
        numbers = {node.info.name: number for number, node in enumerate(nodes)}
        return tuple(tuple(numbers[name] for name in node.info.needs if name in numbers) for node in nodes)

    def _failures(self) -> list[list[Any]]:
        found: list[list[Any]] = []
        for number, node in enumerate(self._record.nodes.values()):
            if node.failure is None and not node.failures:
                continue
            failures = {0: node.failure} if node.failure is not None else node.failures
            for branch in sorted(failures)[: MOST_FAILURES - len(found)]:
                failure = failures[branch]
                line = failure.line if failure is not None else ""
                found.append([number, branch, harmless(node.name(branch), 80), harmless(line, 300)])
            if len(found) == MOST_FAILURES:
                break
        return found

    def _left(self, nodes: list[NodeRecord], now: float, workers: int | None) -> float | None:
        """How many seconds the rest should take, from the median of finished branches; None before three are done."""
        if sum(told.done for told in self._told) < _FEWEST:
            return None
        medians = [told.median for told in self._told if told.median is not None]
        usual = median(medians) if medians else None
        if usual is None:
            return None
        work = longest = 0.0
        for told, node in zip(self._told, nodes, strict=True):
            each = told.median if told.median is not None else usual
            queued, running = told.counts[Status.QUEUED], told.counts[Status.RUNNING]
            spent = sum(min(now - begun, each) for begun in told.running(node))
            work += (queued + running) * each - spent
            if queued or running:
                longest = max(longest, each if queued else each - spent / max(running, 1))
        return max(work / max(workers or 1, 1), longest)


def _groups(nodes: list[NodeRecord]) -> Groups:
    return tuple(group_of(node.info.name, node.info.step) for node in nodes)


def _label(name: str, group: str, inside: set[str]) -> str:
    """What stands on a node: its own name where a frame tells the pipeline's."""
    return name[len(group) + 1 :] if group in inside else name


class _Told:
    """What has been worked out of one node, and from which statuses."""

    __slots__ = ("_blocks", "_last", "begun", "cells", "counts", "done", "ended", "median")

    def __init__(self) -> None:
        self._last: bytes | None = None
        self._blocks: list[str] = []
        self.cells = ""
        self.counts: dict[Status, int] = {}  # of those in _COUNTED
        self.begun = self.ended = 0.0
        self.done = 0
        self.median: float | None = None  # seconds of its finished branches

    def row(self, node: NodeRecord) -> list[Any]:
        """[number of branches, their letters, begun, ended, share done of a single call]."""
        if node.shape is None:
            self._last = None
            self.counts = {status: node.count(status) for status in _COUNTED}
            return [None, LETTERS[node.status], 0, 0, None]
        statuses = bytes(node.statuses)
        if self._last != statuses:
            self._shorten(statuses)
            self._look(node)
        return [node.shape.size, self.cells, self.begun, self.ended, _share(node)]

    def running(self, node: NodeRecord) -> list[float]:
        """When those that run now began."""
        found, at = [], node.statuses.find(Status.RUNNING)
        while at >= 0:
            found.append(node.begun[at])
            at = node.statuses.find(Status.RUNNING, at + 1)
        return found

    def _shorten(self, statuses: bytes) -> None:
        """The letters of all branches, worked out anew where a block has changed."""
        last, self._last = self._last or b"", statuses
        del self._blocks[-(-len(statuses) // _BLOCK) :]
        for number, start in enumerate(range(0, len(statuses), _BLOCK)):
            block = statuses[start : start + _BLOCK]
            if number < len(self._blocks) and block == last[start : start + _BLOCK]:
                continue
            self._blocks[number : number + 1] = [_SAME.sub(_short, block.translate(_TO_LETTERS)).decode()]
        self.cells = _AGAIN.sub(_joined, "".join(self._blocks))

    def _look(self, node: NodeRecord) -> None:
        self.counts = {status: node.count(status) for status in _COUNTED}
        self.done = self.counts[Status.COMPLETED] + self.counts[Status.FAILED]
        if not self.begun:
            self.begun = min(filter(None, node.begun), default=0.0)
        over = not self.counts[Status.QUEUED] and not self.counts[Status.RUNNING]
        self.ended = max(node.ended, default=0.0) if over else 0.0
        if self.done:
            self.median = _median(node)


def _short(found: re.Match[bytes]) -> bytes:
    """A run of one letter: `d`, `d2`, `d4711`."""
    length = found.end() - found.start()
    return found[1] if length == 1 else b"%s%d" % (found[1], length)


def _joined(found: re.Match[str]) -> str:
    """One run of what are several of the same letter: `d5` of `d4d`."""
    return f"{found[1]}{sum(int(length or 1) for length in found[0].split(found[1])[1:])}"


def _share(node: NodeRecord) -> float | None:
    if node.mapped or not node.count(Status.RUNNING):
        return None
    done, total = node.progress.get(0, (0.0, None))
    return round(min(done / total, 1.0), 3) if total else None


def _median(node: NodeRecord) -> float | None:
    """The median of how long finished branches took, from a sample that lies evenly among all."""
    size = len(node.statuses)
    step = max(1, size // (10 * _SAMPLE))
    seconds = [node.ended[branch] - node.begun[branch] for branch in range(0, size, step) if node.ended[branch]]
    return median(seconds[:: max(1, len(seconds) // _SAMPLE)]) if seconds else None
