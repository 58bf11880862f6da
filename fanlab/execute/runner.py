"""Drives one run: schedule, executor and store, with events as the only way out."""

from __future__ import annotations

import contextlib
import os
import queue
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ..core.batch import BatchDone, BatchLost
from ..core.events import (
    Event,
    Expanded,
    Failure,
    Finished,
    Lost,
    NodeInfo,
    RunEnded,
    RunStarted,
    Started,
    Status,
)
from ..core.expand import CALL, Shape
from ..core.graph import Graph
from ..core.record import Record
from ..core.schedule import Schedule
from ..core.spec import Argument
from ..core.trace import Trace
from ..errors import FanlabError, WorkerDied
from ..store.database import Store
from .base import Deliver, Executor, Message
from .dispatch import Dispatch
from .values import Values
from .worker import failure_of

PULSE_SECONDS = 0.1  # how long the loop waits at most before watchers may show something
_RESTARTS = 3  # how often a batch is sent again whose worker ended before it began anything


class Watcher(Protocol):
    """Something that shows or keeps what happens in a run."""

    def see(self, event: Event) -> None:
        """Take an event in; called after it is stored."""

    def pulse(self) -> None:
        """Called in the thread that runs, at least every PULSE_SECONDS while it waits."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a runner is asked to run."""

    id: str
    name: str
    pipeline: str
    parameters: dict[str, Any]
    trace: Trace


@dataclass(slots=True)
class _Flight:
    """A batch that a worker has."""

    node: str
    start: int
    stop: int
    attempt: int
    begun: int = -1  # the branch that was last said to have started


class Runner:
    """Runs a traced pipeline. `run` returns when everything has ended, and raises only what is not a step's fault."""

    def __init__(
        self,
        job: Job,
        store: Store,
        record: Record,
        executor: Callable[[str, Deliver], Executor],
        watchers: list[Watcher],
    ) -> None:
        self._job, self._store, self._record, self._watchers = job, store, record, watchers
        self._graph: Graph = job.trace.graph
        self._schedule = Schedule(self._graph)
        self._values = Values(record, store.artifacts)
        self._dispatch = Dispatch(job.id, job.name, job.pipeline, store.root, self._values)
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._flights: dict[int, _Flight] = {}
        self._restarts: dict[str, int] = {}
        self._sealed: dict[str, tuple[Argument, ...]] = {}
        self._make_executor = executor

    def run(self) -> None:
        """Run to the end. On an interrupt: end the workers, keep what is finished, and raise it again."""
        self._executor = self._make_executor(self._job.id, self._deliver)
        self._begin()
        status = "cancelled"
        try:
            while True:
                self._expand()
                self._start()
                self._drop()
                if self._schedule.done and not self._flights:
                    break
                self._wait()
            status = "failed" if self._record.counts()[Status.FAILED] else "completed"
        except BaseException:
            self._cancel()
            raise
        finally:
            self._executor.shutdown()
            self._emit([RunEnded(status, time.time())])

    def _begin(self) -> None:
        job = self._job
        for name, node in self._graph.nodes.items():
            self._sealed[name] = tuple(self._values.seal(node.step.name, argument) for argument in node.arguments)
        infos = tuple(
            NodeInfo(
                name, node.step.name, node.kind, node.outputs, self._sealed[name],
                tuple(dict.fromkeys(self._graph.needs[name].nodes())),
            )
            for name, node in self._graph.nodes.items()
        )  # fmt: skip
        returned = self._values.seal_value(job.trace.returned)
        parameters = {name: self._values.seal_value(value) for name, value in job.parameters.items()}
        self._emit([RunStarted(job.id, job.name, job.pipeline, parameters, infos, returned, time.time(), os.getpid())])

    def _emit(self, events: list[Event]) -> None:
        """The one way out: into the store, then the record, then to the watchers."""
        if not events:
            return
        self._store.write(self._job.id, events)
        for event in events:
            self._record.apply(event)
            for watcher in self._watchers:
                watcher.see(event)

    def _expand(self) -> None:
        for name in self._schedule.expandable():
            try:
                shape, arguments = self._shape(name)
            except FanlabError as error:
                self._schedule.fail(name)
                dropped = self._schedule.dropped
                self._emit([Lost(*lost, failure_of(error) if lost.node == name else None) for lost in dropped])
                continue
            self._emit([Expanded(name, shape, arguments, time.time())])
            self._schedule.expand(name, shape)

    def _shape(self, name: str) -> tuple[Shape, tuple[Argument, ...]]:
        node = self._graph.nodes[name]
        known = self._job.trace.shapes.get(name)
        if known is not None:
            return known, self._sealed[name]
        return self._values.shape(node, self._sealed[name]) if node.kind != "call" else (CALL, self._sealed[name])

    def _start(self) -> None:
        """Give the executor as much as it can run at once, the deepest first."""
        while len(self._flights) < self._executor.slots and (name := self._schedule.next()) is not None:
            start, stop = self._schedule.take(name, 1)
            try:
                batch = self._dispatch.batch(self._record.nodes[name], self._graph.nodes[name].step, start, stop, 1)
            except FanlabError as error:
                self._fail(name, start, stop, failure_of(error))
                continue
            self._flights[batch.number] = _Flight(name, start, stop, 1)
            self._executor.submit(batch, self._dispatch.blobs)

    def _drop(self) -> None:
        self._emit([Lost(*lost) for lost in self._schedule.dropped])

    def _wait(self) -> None:
        """Take in what has been told since, or wait a moment for it."""
        with contextlib.suppress(queue.Empty):
            self._receive([self._inbox.get(timeout=PULSE_SECONDS), *self._told()])
        for watcher in self._watchers:
            watcher.pulse()

    def _told(self) -> Iterator[Message]:
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._inbox.get_nowait()

    def _deliver(self, message: Message) -> None:
        """What executors call: from their threads, or in this one while submit has not returned."""
        if not self._executor.immediate:
            self._inbox.put(message)
            return
        self._receive([message])
        for watcher in self._watchers:
            watcher.pulse()

    def _receive(self, messages: list[Message]) -> None:
        self._emit([m for m in messages if not isinstance(m, (BatchDone, BatchLost))])
        for message in messages:
            match message:
                case Finished(node, start, statuses):
                    self._schedule.finish(node, start, statuses)
                    for flight in self._flights.values():
                        if flight.node == node and flight.start == start:
                            flight.start += len(statuses)
                case Started(node, branch):
                    for flight in self._flights.values():
                        if flight.node == node and flight.start <= branch < flight.stop:
                            flight.begun = branch
                case BatchDone(number):
                    self._flights.pop(number, None)
                case BatchLost(number, reason):
                    self._lost(self._flights.pop(number, None), reason)
                case _:
                    pass

    def _lost(self, flight: _Flight | None, reason: str) -> None:
        """A worker has ended: the branch it was running is charged, those behind it start again."""
        if flight is None or flight.start >= flight.stop:
            return
        culprit = flight.begun if flight.begun >= flight.start else -1
        if culprit < 0:
            self._restarts[flight.node] = self._restarts.get(flight.node, 0) + 1
            if self._restarts[flight.node] > _RESTARTS:
                culprit = flight.start
        for branch in range(flight.start, flight.stop):
            if branch != culprit:
                self._schedule.again(flight.node, branch)
        if culprit >= 0:
            name = self._record.nodes[flight.node].name(culprit)
            error = WorkerDied(
                f"the worker that ran '{name}' ended: {reason}",
                do="look for a crash in a library, an os._exit, or too little memory",
            )
            self._fail(flight.node, culprit, culprit + 1, failure_of(error))

    def _fail(self, node: str, start: int, stop: int, failure: Failure) -> None:
        count = stop - start
        nothing = bytes(8 * count)
        finished = Finished(
            node, start, bytes([Status.FAILED]) * count, 1, 0, array("d", nothing), array("d", nothing),
            array("q", nothing), (None,) * count, dict.fromkeys(range(start, stop), failure),
        )  # fmt: skip
        self._emit([finished])
        self._schedule.finish(node, start, finished.statuses)

    def _cancel(self) -> None:
        """End what runs and drop what has not begun; what was finished stays."""
        self._receive(list(self._told()))
        self._executor.kill()
        self._schedule.stop()
        running = [
            Lost(flight.node, flight.start, flight.stop, Status.CANCELLED, "")
            for flight in self._flights.values()
            if flight.start < flight.stop
        ]
        self._emit([*running, *(Lost(*lost) for lost in self._schedule.dropped)])
