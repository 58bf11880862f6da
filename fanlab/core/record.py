"""The fold of events: what a run looks like now, as arrays per node.

Over 300 lines: each event has a short method of its own, and they share the one state.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .blocks import Blocks
from .events import (
    Combined,
    Event,
    Expanded,
    Failure,
    Finished,
    Grown,
    Keyed,
    Logged,
    Lookup,
    Lost,
    Missed,
    NodeInfo,
    Noted,
    Progressed,
    Recorded,
    Retried,
    Returned,
    RunEnded,
    RunStarted,
    Started,
    Status,
)
from .expand import CALL, GrowingItems, Items, Shape
from .spec import Argument

LogLine = tuple[str, str, float]  # stream, text, time


class NodeRecord:
    """What is known of one node: columns with one entry a branch. `shape` is None until they are told.

    A reduce is one branch; its calls, of which that is the sum, are the branches of `inner`.
    """

    __slots__ = (
        "arguments", "attempts", "because", "begun", "code", "ended", "failure", "failures", "files", "growing", "info",
        "inner",
        "items",
        "logs", "lookup", "metadata", "missed", "note", "outputs", "peaks", "progress", "queued", "shape",
        "sources", "status", "statuses", "workers",
    )  # fmt: skip

    def __init__(self, info: NodeInfo) -> None:
        self.info = info
        self.arguments: tuple[Argument, ...] = info.arguments
        self.shape: Shape | None = None
        self.growing = False  # whether more branches may become known
        self.inner: NodeRecord | None = None
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
        self.code = self.note = ""  # the digest of its code key, or why it has none
        self.lookup: Lookup | None = None  # None while its keys are not known
        self.files: Mapping[str, str] = {}
        self.missed: dict[int, str] = {}  # why a branch ran whose value was in the store
        self.sources: list[tuple[int, int, str]] = []  # branches from start up to stop, and the run that did their work

    @property
    def mapped(self) -> bool:
        """Whether the node is a fan-out."""
        return self.info.kind not in ("call", "reduce")

    @property
    def passes_on(self) -> bool:
        """Whether this is a reduce of one item, or its calls: no step runs, and the item is its value."""
        calls = self.inner or self
        return calls.shape is not None and calls.shape.tree is not None and not calls.shape.tree.calls

    def name(self, branch: int) -> str:
        """The name of a branch: the node's own where nothing fans out."""
        if not self.mapped or self.shape is None:
            return self.info.name
        return f"{self.info.name}[{self.shape.label(branch)}]"

    def branches(self) -> Sequence[int]:
        """The numbers of the branches in call order; one for a node whose branches never became known."""
        return range(1) if self.shape is None else self.shape.order()

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

    def cached_from(self, branch: int) -> str:
        """The name of the run that did the work of a branch found in the store, "" for any other."""
        if self.inner is not None:
            return self.inner.cached_from(len(self.inner.statuses) - 1)
        return next((run for start, stop, run in self.sources if start <= branch < stop), "")

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

    def expand(self, event: Expanded) -> None:
        """Make room for the branches."""
        if self.info.kind == "reduce":
            self.inner = NodeRecord(replace(self.info, kind="calls", arguments=()))
            self.inner.shape, self.inner.arguments = event.shape, event.arguments
            self.inner._add(event.shape.size)
            self.shape, self.queued = CALL, event.time
            self.arguments = tuple(replace(argument, mapped=False) for argument in event.arguments)
        else:
            self.shape, self.arguments, self.queued = event.shape, event.arguments, event.time
            self.growing = event.grows
            if event.grows:
                self.arguments = tuple(
                    replace(a, value=GrowingItems(a.value)) if a.mapped and a.value.kind else a for a in event.arguments
                )
                self.shape = replace(event.shape, blocks=Blocks(keyed=event.shape.keyed))
        self._add(self.shape.size)

    def grow(self, event: Grown) -> None:
        """Make room for more branches behind those that there are."""
        assert self.shape is not None
        blocks = self.shape.blocks
        assert blocks is not None
        old = blocks.size
        blocks.extend(event.blocks)
        size = blocks.size
        self.shape = replace(self.shape, size=size, strides=tuple((1, max(size, 1)) for _ in self.shape.strides))
        more = {argument.name: argument.value for argument in event.arguments}
        for argument in self.arguments:
            if argument.name in more:
                argument.value.extend(more[argument.name])
        self.growing = not event.last
        self._add(size - old)

    def _add(self, size: int) -> None:
        self.statuses.extend(bytes(size))
        self.attempts.extend(bytes(size))
        self.begun.frombytes(bytes(8 * size))
        self.ended.frombytes(bytes(8 * size))
        self.workers.frombytes(bytes(4 * size))
        self.peaks.frombytes(bytes(8 * size))
        self.outputs.extend([None] * size)


class Record:
    """A run as its events have told it so far. Replaying the same events gives an equal record."""

    def __init__(self) -> None:
        self.id = self.name = self.pipeline = ""
        self.parameters: Mapping[str, Any] = {}
        self.nodes: dict[str, NodeRecord] = {}
        self.returned: Any = None
        self.status = "running"
        self.failure: Failure | None = None  # what the body raised after steps had run
        self.start = self.end = 0.0
        self.process = 0
        self.recipe: Any = None  # stored: what it can be made again from
        self.refused = ""  # why there is none
        self.environment: Mapping[str, Any] = {}
        self.reads = ""  # of a combine cell: the name of the run whose results it saw
        self.combined: dict[str, Combined] = {}  # by name: the combine cells that saw this run's results

    def apply(self, event: Event) -> None:
        """Take one event in."""
        match event:
            case Finished():
                self._finished(event)
            case Started() | Logged() | Progressed() | Retried():
                self._ran(event)
            case Lost():
                self._lost(event)
            case Expanded() | Grown():
                node = self.nodes[event.node]
                node.expand(event) if isinstance(event, Expanded) else node.grow(event)
            case Keyed() | Missed():
                self._looked_up(event)
            case RunStarted():
                self._begin(event)
            case Recorded():
                self._more(event)
            case Returned(value):
                self.returned = value
            case Noted() | RunEnded() | Combined():
                self._after(event)

    def _ran(self, event: Started | Logged | Progressed | Retried) -> None:
        node, branch = self.calls(event.node), event.branch
        match event:
            case Started(_, _, attempt, worker, time):
                if node.statuses[branch] >= Status.COMPLETED and attempt <= node.attempts[branch]:
                    return  # it came late: on a cluster what a branch returns may take another way, and be faster
                node.statuses[branch], node.attempts[branch] = Status.RUNNING, attempt
                node.workers[branch], node.begun[branch] = worker, time
                self._sum_up(event.node, attempt)
            case Logged(_, _, stream, text, time):
                node.logs.setdefault(branch, []).append((stream, text, time))
                if node is not self.nodes[event.node]:
                    self.nodes[event.node].logs.setdefault(0, []).append((stream, text, time))
            case Progressed(_, _, done, total):
                node.progress[branch] = (done, total)
            case Retried(_, _, attempt, _, _):
                node.statuses[branch], node.attempts[branch] = Status.QUEUED, min(attempt, 255)
                self._sum_up(event.node, attempt)

    def calls(self, name: str) -> NodeRecord:
        """The node whose branches are what runs: of a reduce its calls, else the node itself."""
        node = self.nodes[name]
        return node.inner or node

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
            calls = node.inner or node
            found = sorted(calls.failures)
            if found and calls.shape is not None and calls.shape.blocks is not None:
                found.sort(key=calls.shape.blocks.position)
            for branch in found:
                yield calls, branch, calls.failures[branch]

    def _begin(self, event: RunStarted) -> None:
        self.id, self.name, self.pipeline = event.id, event.name, event.pipeline
        self.parameters, self.returned = event.parameters, event.returned
        self.start, self.process, self.reads = event.time, event.process, event.reads
        self.nodes = {info.name: NodeRecord(info) for info in event.nodes}

    def _more(self, event: Recorded) -> None:
        self.nodes.update((info.name, NodeRecord(info)) for info in event.nodes)
        for name, handled in event.tolerated.items():
            self.nodes[name].info = replace(self.nodes[name].info, tolerated=handled)

    def _after(self, event: Noted | RunEnded | Combined) -> None:
        if isinstance(event, Noted):
            self.recipe, self.refused, self.environment = event.recipe, event.refused, event.environment
        elif isinstance(event, RunEnded):
            self.status, self.end, self.failure = event.status, event.time, event.failure
        else:
            self.combined.pop(event.name, None)  # the latest stands last
            self.combined[event.name] = event

    def _finished(self, event: Finished) -> None:
        node = self.calls(event.node)
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
        if event.cached_from:
            node.sources.append((start, stop, event.cached_from))
        self._sum_up(event.node, event.attempt, event)

    def _looked_up(self, event: Keyed | Missed) -> None:
        node = self.nodes[event.node]
        if isinstance(event, Missed):
            node.missed.update(dict.fromkeys(event.branches, event.reason))
        else:
            node.code, node.lookup, node.note, node.files = event.code, event.lookup, event.note, event.files

    def _lost(self, event: Lost) -> None:
        whole = self.nodes[event.node]
        whole.because = event.because
        if event.stop is None:
            whole.status, whole.failure = event.status, event.failure
            whole.shape, whole.growing = None, False  # of one that grows there was none yet
        else:
            node = self.calls(event.node)
            node.because = event.because
            node.statuses[event.start : event.stop] = bytes([event.status]) * (event.stop - event.start)
            self._sum_up(event.node)

    def _sum_up(self, name: str, attempt: int = 0, event: Finished | None = None) -> None:
        """Have a reduce say what its calls say together."""
        node = self.nodes[name]
        calls = node.inner
        if calls is None:
            return
        node.statuses[0] = calls.overall()
        node.attempts[0] = max(node.attempts[0], min(attempt, 255))
        node.workers[0] = calls.workers[-1]
        if event is None:
            return
        node.begun[0] = min([t for t in (node.begun[0], *event.begun) if t], default=0.0)
        node.ended[0] = max(node.ended[0], *event.ended)
        node.peaks[0] = max(node.peaks[0], *event.peaks)
        node.outputs[0] = calls.outputs[-1]
        for branch in sorted(event.failures)[:1]:
            node.failures.setdefault(0, event.failures[branch])
        for metadata in event.metadata.values():
            node.metadata[0] = {**node.metadata.get(0, {}), **metadata}
        if len(calls.statuses) - 1 in event.items:
            node.items[0] = event.items[len(calls.statuses) - 1]


def call_shape(info: NodeInfo) -> Shape | None:
    """The shape of a plain call, which is known from the start."""
    return CALL if info.kind == "call" else None
