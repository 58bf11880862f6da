"""Drives one run: the loop in which everything that happens to it meets."""

from __future__ import annotations

import contextlib
import os
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..core.events import Event, Expanded, Finished, Lost, NodeInfo, RunEnded, RunStarted
from ..core.expand import CALL, Shape
from ..core.graph import Graph
from ..core.record import Record
from ..core.schedule import Schedule
from ..core.settings import settings
from ..core.spec import Argument
from ..core.trace import Trace
from ..errors import FanlabError, StepCallError, StoreError
from ..store.database import Store
from .base import Deliver, Executor, Message
from .course import Course
from .dispatch import Dispatch
from .endings import Endings
from .failure import failure_of
from .hearing import Hearing
from .journal import Journal, Watcher
from .retries import Retries
from .sending import LookUp, Sending
from .values import Tabulate, Values

PULSE_SECONDS = 0.1  # how long the loop waits at most before watchers may show something
CLOCK_SECONDS = 0.02  # the same while a branch has a timeout, or may have to be given back


@dataclass(frozen=True, slots=True)
class Job:
    """What a runner is asked to run."""

    id: str
    name: str
    pipeline: str
    parameters: dict[str, Any]
    trace: Trace
    stop_on_failure: bool = False


class _Cancel:
    """In the inbox: somebody asks for the run's end."""


class Runner:
    """Runs a traced pipeline. `run` returns when everything has ended, and raises only what is not a step's fault."""

    def __init__(
        self,
        job: Job,
        store: Store,
        record: Record,
        executor: Callable[[str, Deliver], Executor],
        watchers: list[Watcher],
        keep: Callable[[str, Shape], dict[int, Finished]] | None = None,
        tabulate: Tabulate | None = None,
        look_up: LookUp | None = None,
    ) -> None:
        self._job, self._record = job, record
        self._graph: Graph = job.trace.graph
        self._schedule = Schedule(self._graph)
        self._journal = Journal(job.id, store, record, watchers)
        self._values = Values(record, store.artifacts, tabulate)
        self._dispatch = Dispatch(
            job.id, job.name, job.pipeline, store.root, self._values, self._graph, halt=job.stop_on_failure
        )
        self._inbox: queue.SimpleQueue[Message | _Cancel] = queue.SimpleQueue()
        self._sealed: dict[str, tuple[Argument, ...]] = {}
        self._keep = keep
        self._look_up = look_up
        self._make_executor = executor

    @property
    def workers(self) -> int:
        """How many branches run at once, from its beginning on."""
        return self._course.executor.slots

    def cancel(self) -> None:
        """Ask for the run's end, from any thread."""
        self._inbox.put(_Cancel())

    def run(self) -> None:
        """Run to the end. On an interrupt: end the workers, keep what is finished, and raise it again."""
        self._set_up()
        status = "cancelled"
        try:
            self._refuse_timeouts()
            self._begin()
            while not self._over():
                if not self._wait():
                    self._cancel()
                    break
            else:
                status = "failed" if self._record.unhandled() else "completed"
        except BaseException:
            with contextlib.suppress(StoreError):  # which may be what has ended the run
                self._cancel()
            raise
        finally:
            self._course.executor.shutdown()
            if self._record.id:
                self._journal.emit([RunEnded(status, time.time())])
                self._journal.save()

    def _set_up(self) -> None:
        executor = self._make_executor(self._job.id, self._deliver)
        retries = Retries(self._graph, self._schedule)
        self._course = Course(
            self._graph, self._record, self._journal, executor, self._schedule, retries, self._job.stop_on_failure
        )
        self._endings = Endings(self._course)
        self._hearing = Hearing(self._course, self._endings)
        self._sending = Sending(self._course, self._dispatch, self._look_up)

    def _over(self) -> bool:
        """Start what may start; whether nothing is left."""
        self._expand()
        self._sending.start(self._inbox_is_quiet)
        self._course.tell_dropped()
        return self._schedule.done and not self._course.flights

    def _refuse_timeouts(self) -> None:
        executor = self._course.executor
        if executor.can_kill or settings().inline:
            return
        for name, node in self._graph.nodes.items():
            if node.step.options.timeout is not None:
                raise StepCallError(
                    f"'{name}' has a timeout, which the backend '{executor.name}' cannot keep",
                    where=str(node.place),
                    do="use backend='loky', which can end a branch, or leave the timeout out",
                )

    def _begin(self) -> None:
        job = self._job
        for name, node in self._graph.nodes.items():
            self._sealed[name] = tuple(self._values.seal(node.step.name, argument) for argument in node.arguments)
        tolerated = self._graph.tolerated()
        infos = tuple(
            NodeInfo(
                name, node.step.name, node.kind, node.outputs, self._sealed[name],
                tuple(dict.fromkeys(self._graph.needs[name].nodes())), name in tolerated,
            )
            for name, node in self._graph.nodes.items()
        )  # fmt: skip
        returned = self._values.seal_value(job.trace.returned)
        parameters = {name: self._values.seal_value(value) for name, value in job.parameters.items()}
        self._journal.emit(
            [RunStarted(job.id, job.name, job.pipeline, parameters, infos, returned, time.time(), os.getpid())]
        )

    def _expand(self) -> None:
        """Tell the branches of nodes, where what decides them is there."""
        events: list[Event] = []
        for name in self._schedule.expandable():
            try:
                shape, arguments = self._shape(name)
            except FanlabError as error:
                self._schedule.fail(name)
                dropped = self._schedule.dropped
                events += [Lost(*lost, failure_of(error) if lost.node == name else None) for lost in dropped]
                continue
            expanded = Expanded(name, shape, arguments, time.time())
            events.append(expanded)
            self._journal.emit(events)  # nodes that follow ask the record for its shape
            events = []
            self._schedule.expand(name, shape)
            if self._keep is not None:
                self._keep_finished(self._keep(name, shape))
        self._journal.emit(events)

    def _keep_finished(self, kept: dict[int, Finished]) -> None:
        """Take over what an earlier run has finished."""
        self._journal.emit(list(kept.values()))
        for branch, finished in kept.items():
            self._schedule.take_over(finished.node, branch)

    def _shape(self, name: str) -> tuple[Shape, tuple[Argument, ...]]:
        node = self._graph.nodes[name]
        known = self._job.trace.shapes.get(name)
        if known is not None:
            return known, self._sealed[name]
        return self._values.shape(node, self._sealed[name]) if node.kind != "call" else (CALL, self._sealed[name])

    def _inbox_is_quiet(self) -> bool:
        """Whether nothing has been told that could forbid to start more, where that has to be known before."""
        return self._inbox.empty() or not (self._course.executor.immediate or self._job.stop_on_failure)

    def _wait(self) -> bool:
        """Take in what has been told since, or wait a moment for it. False once the run has been cancelled."""
        with contextlib.suppress(queue.Empty):
            messages = [self._inbox.get(timeout=self._patience()), *self._told()]
            self._hearing.receive([message for message in messages if not isinstance(message, _Cancel)])
            if any(isinstance(message, _Cancel) for message in messages):
                return False
        self._tick()
        return True

    def _tick(self) -> None:
        """What is done every now and then."""
        self._endings.end_overdue()
        self._journal.tick()

    def _patience(self) -> float:
        flights, retry = self._course.flights, self._course.retries.wait
        if any(flight.step.options.timeout is not None or flight.stop - flight.start > 1 for flight in flights):
            return CLOCK_SECONDS
        return PULSE_SECONDS if retry is None else min(PULSE_SECONDS, retry)

    def _told(self) -> Iterator[Message | _Cancel]:
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._inbox.get_nowait()

    def _deliver(self, message: Message) -> None:
        """What executors call: from their threads, or in this one while submit has not returned."""
        if not self._course.executor.immediate:
            self._inbox.put(message)
            return
        self._hearing.receive([message])
        self._tick()

    def _cancel(self) -> None:
        """End what runs and drop what has not begun; what was finished stays."""
        if not self._record.id:
            return
        self._hearing.receive([message for message in self._told() if not isinstance(message, _Cancel)])
        self._endings.end_all()
