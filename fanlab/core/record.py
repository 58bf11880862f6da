"""The fold of events: what a run looks like now, as arrays per node."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from typing import Any

from .events import (
    Combined,
    Event,
    Expanded,
    Failure,
    Finished,
    Logged,
    Lost,
    NodeInfo,
    Progressed,
    Retried,
    RunEnded,
    RunStarted,
    Started,
    Status,
)
from .expand import CALL, Items, Shape
from .spec import Argument

LogLine = tuple[str, str, float]  # stream, text, time


class NodeRecord:
    """What is known of one node: columns with one entry a branch. `shape` is None until they are told."""

    __slots__ = (
        "arguments", "attempts", "because", "begun", "ended", "failure", "failures", "info",
        "items",
        "logs", "metadata", "outputs", "peaks", "progress", "queued", "shape", "status", "statuses", "workers",
    )  # fmt: skip

    def __init__(self, info: NodeInfo) -> None:
        self.info = info
        self.arguments: tuple[Argument, ...] = info.arguments
        self.shape: Shape | None = None
        self.status = Status.QUEUED  # of the node as a whole, while its branches are not known
        self.failure: Failure | None = None  # of the node as a whole
        self.because = ""
        self.queued = 0.0
        self.statuses = bytearray()
        self.attempts = bytearray()
        self.begun: array[float] = array("d")
        self.ended: array[float] = array("d")
        self.workers: array[int] = array("i")
        self.peaks: array[int] = array("q")
        self.outputs: list[bytes | None] = []
        self.failures: dict[int, Failure] = {}
        self.metadata: dict[int, Mapping[str, Any]] = {}
        self.items: dict[int, Mapping[str, Items]] = {}
        self.logs: dict[int, list[LogLine]] = {}
        self.progress: dict[int, tuple[float, float | None]] = {}

    @property
    def mapped(self) -> bool:
        """Whether the node is a fan-out."""
        return self.info.kind != "call"

    def name(self, branch: int) -> str:
        """The name of a branch: the node's own where nothing fans out."""
        if not self.mapped or self.shape is None:
            return self.info.name
        return f"{self.info.name}[{self.shape.label(branch)}]"

    def branches(self) -> range:
        """The numbers of the branches; one for a node whose branches never became known."""
        return range(1 if self.shape is None else self.shape.size)

    def branch_status(self, branch: int) -> Status:
        """How one branch stands."""
        return self.status if self.shape is None else Status(self.statuses[branch])

    def branch_failure(self, branch: int) -> Failure | None:
        """Why one branch failed."""
        return self.failure if self.shape is None else self.failures.get(branch)

    def count(self, *wanted: Status) -> int:
        """How many branches have one of these statuses."""
        if self.shape is None:
            return int(self.status in wanted)
        return sum(self.statuses.count(status) for status in wanted)

    def overall(self) -> Status:
        """One status for the node: the first of failed, running, cancelled, skipped, queued that any branch has."""
        for status in (Status.FAILED, Status.RUNNING, Status.CANCELLED, Status.SKIPPED, Status.QUEUED):
            if self.count(status):
                if status is Status.QUEUED and self.count(Status.COMPLETED, Status.CACHED):
                    return Status.RUNNING
                return status
        if self.shape is not None and self.shape.size and self.count(Status.CACHED) == self.shape.size:
            return Status.CACHED
        return Status.COMPLETED

    def expand(self, shape: Shape, arguments: tuple[Argument, ...], time: float) -> None:
        """Make room for the branches."""
        size = shape.size
        self.shape, self.arguments, self.queued = shape, arguments, time
        self.statuses, self.attempts = bytearray(size), bytearray(size)
        self.begun, self.ended = array("d", bytes(8 * size)), array("d", bytes(8 * size))
        self.workers, self.peaks = array("i", bytes(4 * size)), array("q", bytes(8 * size))
        self.outputs = [None] * size


class Record:
    """A run as its events have told it so far. Replaying the same events gives an equal record."""

    def __init__(self) -> None:
        self.id = self.name = self.pipeline = ""
        self.parameters: Mapping[str, Any] = {}
        self.nodes: dict[str, NodeRecord] = {}
        self.returned: Any = None
        self.status = "running"
        self.start = self.end = 0.0
        self.process = 0
        self.reads = ""  # of a combine cell: the name of the run whose results it saw
        self.combined: dict[str, Combined] = {}  # by name: the combine cells that saw this run's results

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case Finished():
                self._finished(event)
            case Started(node, branch, attempt, worker, time):
                found = self.nodes[node]
                found.statuses[branch], found.attempts[branch] = Status.RUNNING, attempt
                found.workers[branch], found.begun[branch] = worker, time
            case Logged(node, branch, stream, text, time):
                self.nodes[node].logs.setdefault(branch, []).append((stream, text, time))
            case Progressed(node, branch, done, total):
                self.nodes[node].progress[branch] = (done, total)
            case Expanded(node, shape, arguments, time):
                self.nodes[node].expand(shape, arguments, time)
            case Retried(node, branch, attempt, _, _):
                found = self.nodes[node]
                found.statuses[branch], found.attempts[branch] = Status.QUEUED, min(attempt, 255)
            case Lost():
                self._lost(event)
            case RunStarted():
                self._begin(event)
            case RunEnded() | Combined():
                self._after(event)

    def walk(self) -> Iterator[tuple[NodeRecord, int]]:
        """Every branch in call order, with its node."""
        for node in self.nodes.values():
            for branch in node.branches():
                yield node, branch

    def counts(self) -> dict[Status, int]:
        """How many branches have each status."""
        return {status: sum(node.count(status) for node in self.nodes.values()) for status in Status}

    def unhandled(self) -> bool:
        """Whether a branch failed whose failure is not expected by all that read it."""
        return any(node.count(Status.FAILED) and not node.info.tolerated for node in self.nodes.values())

    def handled(self) -> int:
        """How many branches failed whose failure is expected by all that read them."""
        return sum(node.count(Status.FAILED) for node in self.nodes.values() if node.info.tolerated)

    def failures(self) -> Iterator[tuple[NodeRecord, int, Failure]]:
        """Every branch that failed, in call order."""
        for node in self.nodes.values():
            if node.failure is not None:
                yield node, 0, node.failure
            for branch in sorted(node.failures):
                yield node, branch, node.failures[branch]

    def _begin(self, event: RunStarted) -> None:
        self.id, self.name, self.pipeline = event.id, event.name, event.pipeline
        self.parameters, self.returned = event.parameters, event.returned
        self.start, self.process, self.reads = event.time, event.process, event.reads
        self.nodes = {info.name: NodeRecord(info) for info in event.nodes}

    def _after(self, event: RunEnded | Combined) -> None:
        if isinstance(event, RunEnded):
            self.status, self.end = event.status, event.time
        else:
            self.combined.pop(event.name, None)  # the latest stands last
            self.combined[event.name] = event

    def _finished(self, event: Finished) -> None:
        node = self.nodes[event.node]
        start, stop = event.start, event.start + len(event.statuses)
        node.statuses[start:stop] = event.statuses
        node.attempts[start:stop] = bytes([min(event.attempt, 255)]) * len(event.statuses)
        node.begun[start:stop], node.ended[start:stop] = event.begun, event.ended
        node.workers[start:stop] = array("i", [event.worker]) * len(event.statuses)
        node.peaks[start:stop] = event.peaks
        node.outputs[start:stop] = event.outputs
        node.failures.update(event.failures)
        node.metadata.update(event.metadata)
        node.items.update(event.items)

    def _lost(self, event: Lost) -> None:
        node = self.nodes[event.node]
        node.because = event.because
        if event.stop is None:
            node.status, node.failure = event.status, event.failure
        else:
            node.statuses[event.start : event.stop] = bytes([event.status]) * (event.stop - event.start)


def call_shape(info: NodeInfo) -> Shape | None:
    """The shape of a plain call, which is known from the start."""
    return CALL if info.kind == "call" else None
