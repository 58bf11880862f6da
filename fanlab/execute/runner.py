"""Drives one run: schedule, executor and store, with events as the only way out.

Over 300 lines since it is the one place where all that happens to a run meets; what can be told apart
is in flights.py, dispatch.py and values.py.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import queue
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..core.batch import Batch, BatchDone, BatchLost, BatchReleased
from ..core.events import (
    Event,
    Expanded,
    Failure,
    Finished,
    Lost,
    NodeInfo,
    Retried,
    RunEnded,
    RunStarted,
    Status,
)
from ..core.expand import CALL, Shape
from ..core.graph import Graph, Needs
from ..core.pace import Pace
from ..core.record import Record
from ..core.schedule import Schedule
from ..core.spec import Argument
from ..core.trace import Trace
from ..errors import FanlabError, StepCallError, StepTimeout, StoreError, WorkerDied
from ..store.database import Store
from .base import Deliver, Executor, Message
from .dispatch import Dispatch
from .failure import failure_of
from .flights import Flight, Flights
from .values import Tabulate, Values

PULSE_SECONDS = 0.1  # how long the loop waits at most before watchers may show something
CLOCK_SECONDS = 0.02  # the same while a branch has a timeout, or may have to be given back
SAVE_SECONDS = 0.05  # how old an event may get before it is on disk
SLOW_SECONDS = 0.1  # a branch that runs for so long keeps those behind it waiting: idle workers get them
_LAST_LINES = 3  # of a branch's log, told with the death of its worker


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
    ) -> None:
        self._job, self._store, self._record, self._watchers = job, store, record, watchers
        self._graph: Graph = job.trace.graph
        self._schedule = Schedule(self._graph)
        self._values = Values(record, store.artifacts, tabulate)
        self._dispatch = Dispatch(
            job.id, job.name, job.pipeline, store.root, self._values, self._graph, halt=job.stop_on_failure
        )
        self._inbox: queue.SimpleQueue[Message | _Cancel] = queue.SimpleQueue()
        self._flights = Flights()
        self._paces: dict[int, Pace] = {}
        self._attempts: dict[tuple[str, int], int] = {}  # of branches that are tried again: which attempt is next
        self._later: list[tuple[float, str, int]] = []  # heap of retries that wait for their time
        self._sealed: dict[str, tuple[Argument, ...]] = {}
        self._unsaved: list[Event] = []
        self._saved = 0.0
        self._dependent = {name for name, needs in self._graph.needs.items() if needs != Needs()}
        self._limited = [n for n, node in self._graph.nodes.items() if node.step.options.max_parallel is not None]
        self._stopped = False
        self._keep = keep
        self._make_executor = executor

    def cancel(self) -> None:
        """Ask for the run's end, from any thread."""
        self._inbox.put(_Cancel())

    def run(self) -> None:
        """Run to the end. On an interrupt: end the workers, keep what is finished, and raise it again."""
        self._executor = self._make_executor(self._job.id, self._deliver)
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
            self._executor.shutdown()
            if self._record.id:
                self._emit([RunEnded(status, time.time())])
                self._save()

    def _over(self) -> bool:
        """Start what may start; whether nothing is left."""
        self._expand()
        self._start()
        self._emit([Lost(*lost) for lost in self._schedule.dropped])
        return self._schedule.done and not self._flights

    def _refuse_timeouts(self) -> None:
        if self._executor.can_kill:
            return
        for name, node in self._graph.nodes.items():
            if node.step.options.timeout is not None:
                raise StepCallError(
                    f"'{name}' has a timeout, which the backend '{self._executor.name}' cannot keep",
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
        self._emit([RunStarted(job.id, job.name, job.pipeline, parameters, infos, returned, time.time(), os.getpid())])

    def _emit(self, events: list[Event]) -> None:
        """The one way out: to the store, the record and the watchers."""
        self._unsaved += events
        for event in events:
            self._record.apply(event)
            for watcher in self._watchers:
                watcher.see(event)

    def _save(self) -> None:
        """Have on disk what has been emitted: before anything starts that could ask for it, and soon in any case."""
        unsaved, self._unsaved = self._unsaved, []
        self._saved = time.monotonic()
        self._store.write(self._job.id, unsaved)

    def _expand(self) -> None:
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
            self._emit(events)  # nodes that follow ask the record for its shape
            events = []
            self._schedule.expand(name, shape)
            if self._keep is not None:
                self._keep_finished(self._keep(name, shape))
        self._emit(events)

    def _keep_finished(self, kept: dict[int, Finished]) -> None:
        """Take over what an earlier run has finished."""
        self._emit(list(kept.values()))
        for branch, finished in kept.items():
            self._schedule.take_over(finished.node, branch)

    def _shape(self, name: str) -> tuple[Shape, tuple[Argument, ...]]:
        node = self._graph.nodes[name]
        known = self._job.trace.shapes.get(name)
        if known is not None:
            return known, self._sealed[name]
        return self._values.shape(node, self._sealed[name]) if node.kind != "call" else (CALL, self._sealed[name])

    # starting

    def _start(self) -> None:
        """Give the executor as much as it can take, the deepest first."""
        self._wake()
        while self._room() and self._inbox_is_quiet() and (name := self._schedule.next(self._blocked())) is not None:
            self._send(name)
        if len(self._flights) and self._executor.room() > 0:
            self._ask_back()

    def _inbox_is_quiet(self) -> bool:
        """Whether nothing has been told that could forbid to start more, where that has to be known before."""
        return self._inbox.empty() or not (self._executor.immediate or self._job.stop_on_failure)

    def _room(self) -> bool:
        """Whether a batch may go out; where a failure stops the run, none may wait behind another."""
        if self._job.stop_on_failure and len(self._flights) >= self._executor.slots:
            return False
        return self._executor.room() > 0

    def _blocked(self) -> set[str]:
        return {name for name in self._limited if self._flights.full(self._graph.nodes[name].step)}

    def _send(self, name: str) -> None:
        step = self._graph.nodes[name].step
        pace = self._paces.setdefault(id(step.function), Pace())
        start, stop = self._schedule.take(name, pace.size(self._schedule.waiting(name), self._executor.slots))
        attempt = self._attempts.get((name, start), 1)
        if self._attempts:  # branches of a batch share the number of their attempt
            same = next((b for b in range(start, stop) if self._attempts.get((name, b), 1) != attempt), stop)
            for branch in range(same, stop):
                self._schedule.again(name, branch)
            stop = same
        try:
            batch = self._dispatch.batch(self._record.nodes[name], step, start, stop, attempt)
        except FanlabError as error:
            if stop - start > 1:  # only those that cannot be sent fail
                for branch in range(start, stop):
                    self._send_one(name, branch, attempt)
            else:
                self._finish(_failed(name, start, attempt, failure_of(error)))
            return
        self._submit(Flight(batch.number, name, step, start, stop, attempt), batch, pace.seconds(stop - start))

    def _send_one(self, name: str, branch: int, attempt: int) -> None:
        step = self._graph.nodes[name].step
        try:
            batch = self._dispatch.batch(self._record.nodes[name], step, branch, branch + 1, attempt)
        except FanlabError as error:
            self._finish(_failed(name, branch, attempt, failure_of(error)))
            return
        self._submit(Flight(batch.number, name, step, branch, branch + 1, attempt), batch, None)

    def _submit(self, flight: Flight, batch: Batch, seconds: float | None) -> None:
        if flight.node in self._dependent or not self._flights:
            self._save()
        self._flights.add(flight)
        self._executor.submit(batch, self._dispatch.blobs, seconds)

    def _wake(self) -> None:
        """Let retries start whose time has come."""
        while self._later and self._later[0][0] <= time.time():
            _, name, branch = heapq.heappop(self._later)
            self._schedule.again(name, branch)

    def _ask_back(self) -> None:
        """A worker is idle and nothing is ready: ask for what waits behind a branch that takes long."""
        now = time.monotonic()
        for flight in self._flights:
            if flight.asked or flight.stop - flight.start < 1 or now - flight.sent < SLOW_SECONDS:
                continue
            status = self._executor.running(flight.number)
            if status is None:
                continue
            waits = status.batch != flight.number
            if waits or (now - status.since > SLOW_SECONDS and status.branch + 1 < flight.stop):
                flight.asked = True
                self._executor.release(flight.number)

    # hearing

    def _wait(self) -> bool:
        """Take in what has been told since, or wait a moment for it. False once the run has been cancelled."""
        with contextlib.suppress(queue.Empty):
            messages = [self._inbox.get(timeout=self._patience()), *self._told()]
            self._receive([message for message in messages if not isinstance(message, _Cancel)])
            if any(isinstance(message, _Cancel) for message in messages):
                return False
        self._tick()
        return True

    def _tick(self) -> None:
        """What is done every now and then."""
        self._end_overdue()
        if self._unsaved and time.monotonic() - self._saved > SAVE_SECONDS:
            self._save()
        for watcher in self._watchers:
            watcher.pulse()

    def _patience(self) -> float:
        if any(flight.step.options.timeout is not None or flight.stop - flight.start > 1 for flight in self._flights):
            return CLOCK_SECONDS
        if self._later:
            return min(PULSE_SECONDS, max(0.0, self._later[0][0] - time.time()))
        return PULSE_SECONDS

    def _told(self) -> Iterator[Message | _Cancel]:
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._inbox.get_nowait()

    def _deliver(self, message: Message) -> None:
        """What executors call: from their threads, or in this one while submit has not returned."""
        if not self._executor.immediate:
            self._inbox.put(message)
            return
        self._receive([message])
        self._tick()

    def _receive(self, messages: list[Message]) -> None:
        """Emit everything first, then let it have its consequences."""
        events: list[Event] = []
        for message in messages:
            if isinstance(message, Finished):
                self._flights.heard(message)
                step = self._graph.nodes[message.node].step
                self._paces[id(step.function)].heard(len(message.statuses), message.ended[-1] - message.begun[0])
                events += self._with_retries(message) if message.failures else [message]
            elif not isinstance(message, (BatchDone, BatchReleased, BatchLost)):
                events.append(message)
        self._emit(events)
        for event in events:
            if isinstance(event, Finished):
                self._schedule.finish(event.node, event.start, event.statuses)
                self._stop_if_asked(event)
        for message in messages:
            match message:
                case BatchDone(number):
                    self._flights.pop(number)
                case BatchReleased(number, start):
                    self._released(self._flights.get(number), start)
                case BatchLost(number, culprit, reason):
                    self._lost(self._flights.pop(number), culprit, reason)
                case _:
                    pass

    def _with_retries(self, event: Finished) -> list[Event]:
        """A finished range with those taken out that are tried again."""
        options = self._graph.nodes[event.node].step.options
        found: list[Event] = []
        start = event.start
        for branch in sorted(event.failures):
            failure = event.failures[branch]
            if self._stopped or not failure.retry or event.attempt > options.retries:
                continue
            if start < branch:
                found.append(event.part(start, branch))
            found.append(self._try_again(event.node, branch, event.attempt, failure))
            start = branch + 1
        if start < event.start + len(event.statuses):
            found.append(event.part(start, event.start + len(event.statuses)))
        return found

    def _try_again(self, node: str, branch: int, attempt: int, failure: Failure) -> Retried:
        due = time.time() + self._graph.nodes[node].step.options.delay(attempt)
        self._attempts[node, branch] = attempt + 1
        heapq.heappush(self._later, (due, node, branch))
        return Retried(node, branch, attempt, failure, due)

    def _finish(self, event: Finished) -> None:
        self._emit([event])
        self._schedule.finish(event.node, event.start, event.statuses)
        self._stop_if_asked(event)

    def _stop_if_asked(self, event: Finished) -> None:
        if self._job.stop_on_failure and event.failures and not self._stopped:
            self._stopped = True
            later, self._later = self._later, []
            for _, name, branch in later:  # they are queued again, to be dropped with the others
                self._schedule.again(name, branch)
            self._schedule.stop()
            for flight in self._flights:
                self._executor.release(flight.number)

    def _released(self, flight: Flight | None, start: int) -> None:
        """A worker gives branches back: they are ready again."""
        if flight is None:
            return
        start, stop = max(start, flight.start), flight.stop
        flight.stop = min(start, stop)
        if self._stopped and start < stop:
            self._emit([Lost(flight.node, start, stop, Status.CANCELLED, "")])
            self._schedule.finish(flight.node, start, bytes([Status.CANCELLED]) * (stop - start))
            return
        for branch in range(start, stop):
            self._schedule.again(flight.node, branch)

    def _end_overdue(self) -> None:
        """End the workers whose branch has run longer than its step's timeout."""
        for flight in self._flights:
            timeout = flight.step.options.timeout
            if timeout is None or flight.overdue is not None:
                continue
            status = self._executor.running(flight.number)
            if status is not None and status.batch == flight.number and time.monotonic() - status.since > timeout:
                flight.overdue = status.branch
                self._executor.kill(flight.number)

    def _lost(self, flight: Flight | None, culprit: int | None, reason: str) -> None:
        """A worker has ended: the branch it was running is charged, those behind it start again."""
        if flight is None or flight.start >= flight.stop:
            return
        if flight.overdue is not None:  # we ended it; if the branch was done by then, nobody is to blame
            charged = culprit if culprit == flight.overdue else None
        else:
            charged = self._flights.charged(flight, culprit)
        for branch in range(flight.start, flight.stop):
            if branch != charged:
                self._schedule.again(flight.node, branch)
        if charged is not None:
            self._charge(flight, charged, reason)

    def _charge(self, flight: Flight, branch: int, reason: str) -> None:
        options = flight.step.options
        error = (
            self._overdue_error(flight, branch) if flight.overdue is not None else self._death(flight, branch, reason)
        )
        failure = failure_of(error, options.retry_on)
        if failure.retry and flight.attempt <= options.retries and not self._stopped:
            self._emit([self._try_again(flight.node, branch, flight.attempt, failure)])
        else:
            node = self._record.nodes[flight.node]
            failed = _failed(flight.node, branch, flight.attempt, failure)
            told = replace(
                failed,
                worker=node.workers[branch],
                begun=node.begun[branch : branch + 1],
                ended=array("d", [time.time()]),
            )
            self._finish(told if node.begun[branch] else failed)

    def _overdue_error(self, flight: Flight, branch: int) -> StepTimeout:
        name = self._record.nodes[flight.node].name(branch)
        return StepTimeout(
            f"'{name}' ran longer than its timeout of {flight.step.options.timeout:g} s",
            do="give it more time with timeout=..., or less to do",
        )

    def _death(self, flight: Flight, branch: int, reason: str) -> WorkerDied:
        node = self._record.nodes[flight.node]
        lines = [text for _, text, _ in node.logs.get(branch, [])][-_LAST_LINES:]
        told = "; it last wrote: " + " | ".join(lines) if lines else ""
        return WorkerDied(
            f"the worker that ran '{node.name(branch)}' ended with {reason}{told}",
            do="look for a crash in a library, os._exit, or too little memory (SIGKILL, if nobody sent it)",
        )

    def _cancel(self) -> None:
        """End what runs and drop what has not begun; what was finished stays."""
        if not self._record.id:
            return
        self._receive([message for message in self._told() if not isinstance(message, _Cancel)])
        for flight in self._flights:
            status = self._executor.running(flight.number)
            if status is not None and status.batch != flight.number:  # it waits behind another run's batch
                self._executor.release(flight.number)
            else:
                self._executor.kill(flight.number)
        for _, name, branch in self._later:
            self._schedule.again(name, branch)
        self._schedule.stop()
        lost: list[Event] = [Lost(*dropped) for dropped in self._schedule.dropped]
        lost += [Lost(f.node, f.start, f.stop, Status.CANCELLED, "") for f in self._flights if f.start < f.stop]
        self._emit(lost)


def _failed(node: str, branch: int, attempt: int, failure: Failure) -> Finished:
    """A branch that has failed without having come back from a worker."""
    nothing = array("d", [0.0])
    return Finished(
        node, branch, bytes([Status.FAILED]), attempt, 0, nothing, nothing, array("q", [0]), (None,), {branch: failure}
    )
