"""What is sent: ready branches to the executor, in batches, and asked back where a worker is idle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from ..core.batch import Batch
from ..core.events import Event, Finished, Status
from ..core.graph import Needs
from ..core.pace import Pace
from ..errors import FanlabError
from .course import Course, failed
from .dispatch import Dispatch
from .failure import failure_of
from .flights import Flight

SLOW_SECONDS = 0.1  # a branch that runs for so long keeps those behind it waiting: idle workers get them

LookUp = Callable[[str, int, int], Iterable[Event]]  # of a node's branches from start up to stop


class Sending:
    """Gives the executor of one run what it can take."""

    def __init__(
        self,
        course: Course,
        dispatch: Dispatch,
        passed_on: Callable[[str], Finished | None],
        look_up: LookUp,
    ) -> None:
        self._course, self._dispatch, self._passed_on, self._look_up = course, dispatch, passed_on, look_up
        self._limited: list[str] = []

    def extend(self, names: Sequence[str]) -> None:
        """Take in nodes."""
        nodes = self._course.graph.nodes
        self._limited += [name for name in names if nodes[name].step.options.max_parallel is not None]

    def start(self, may: Callable[[], bool]) -> None:
        """Send as much as the executor has room for, the deepest first, while it `may` be."""
        course = self._course
        course.retries.wake()
        self._find()
        while self._room() and may() and (name := course.schedule.next(self._blocked())) is not None:
            self._take(name)
            self._find()
        if len(course.flights) and course.executor.room() > 0:
            self._ask_back()

    def _find(self) -> None:
        """Look up what has become ready: what is known is finished here and now."""
        course = self._course
        for name, start, stop in course.schedule.arrived():
            if course.graph.nodes[name].kind == "reduce" and (passed := self._passed_on(name)) is not None:
                course.journal.emit([passed])
                course.schedule.take_over(name, 0, Status(passed.statuses[0]))
                course.halt(passed)
                continue
            events = list(self._look_up(name, start, stop))
            course.journal.emit(events)
            known = [(e.start, e.start + len(e.statuses)) for e in events if isinstance(e, Finished)]
            if known:
                course.schedule.take_known(name, start, stop, known)

    def _room(self) -> bool:
        """Whether a batch may go out; where a failure stops the run, none may wait behind another."""
        executor = self._course.executor
        if self._course.halts and len(self._course.flights) >= executor.slots:
            return False
        return executor.room() > 0

    def _blocked(self) -> set[str]:
        nodes, flights = self._course.graph.nodes, self._course.flights
        return {name for name in self._limited if flights.full(nodes[name].step)}

    def _take(self, name: str) -> None:
        """Take the next batch of a node's ready branches."""
        course = self._course
        step = course.graph.nodes[name].step
        pace = course.paces.setdefault(id(step.function), Pace())
        start, stop = course.schedule.take(name, pace.size(course.schedule.waiting(name), course.executor.slots))
        attempt, stop = course.retries.same_attempt(name, start, stop)
        self._send(name, start, stop, attempt, pace)

    def _send(self, name: str, start: int, stop: int, attempt: int, pace: Pace) -> None:
        step = self._course.graph.nodes[name].step
        try:
            batch = self._dispatch.batch(self._course.record.calls(name), step, start, stop, attempt)
        except FanlabError as error:
            if stop - start > 1:  # only those that cannot be sent fail
                for branch in range(start, stop):
                    self._send(name, branch, branch + 1, attempt, pace)
            else:
                self._course.finish(failed(name, start, attempt, failure_of(error)))
            return
        self._submit(Flight(batch.number, name, step, start, stop, attempt), batch, pace.seconds(stop - start))

    def _submit(self, flight: Flight, batch: Batch, seconds: float | None) -> None:
        course = self._course
        if course.graph.needs[flight.node] != Needs() or not course.flights:
            course.journal.save()
        course.flights.add(flight)
        course.executor.submit(batch, self._dispatch.blobs, seconds)

    def _ask_back(self) -> None:
        """A worker is idle and nothing is ready: ask for what waits behind a branch that takes long."""
        now = time.monotonic()
        executor = self._course.executor
        for flight in self._course.flights:
            if flight.asked or flight.stop - flight.start < 1 or now - flight.sent < SLOW_SECONDS:
                continue
            status = executor.running(flight.number)
            if status is None:
                continue
            waits = status.batch != flight.number
            if waits or (now - status.since > SLOW_SECONDS and status.branch + 1 < flight.stop):
                flight.asked = True
                executor.release(flight.number)
