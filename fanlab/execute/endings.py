"""Branches that end from outside: by their worker's death, their timeout, or the run's cancel."""

from __future__ import annotations

import time
from array import array
from dataclasses import replace

from ..core.batch import BatchLost
from ..core.events import Event, Lost, Status
from ..errors import StepTimeout, WorkerDied
from .course import Course, failed
from .failure import failure_of
from .flights import Flight

_LAST_LINES = 3  # of a branch's log, told with the death of its worker


class Endings:
    """Charges the branches of one run with what ended them."""

    def __init__(self, course: Course) -> None:
        self._course = course

    def end_overdue(self) -> None:
        """End the workers whose branch has run longer than its step's timeout."""
        executor = self._course.executor
        for flight in self._course.flights:
            timeout = flight.step.options.timeout
            if timeout is None or flight.overdue is not None:
                continue
            status = executor.running(flight.number)
            if status is not None and status.batch == flight.number and time.monotonic() - status.since > timeout:
                flight.overdue = status.branch
                executor.kill(flight.number)

    def end_all(self) -> None:
        """End what runs and drop what has not begun; what was finished stays."""
        course = self._course
        for flight in course.flights:
            status = course.executor.running(flight.number)
            if status is not None and status.batch != flight.number:  # it waits behind another run's batch
                course.executor.release(flight.number)
            else:
                course.executor.kill(flight.number)
        course.retries.close()
        course.schedule.stop()
        course.tell_dropped()
        lost: list[Event] = [
            Lost(flight.node, flight.start, flight.stop, Status.CANCELLED, "")
            for flight in course.flights
            if flight.start < flight.stop
        ]
        course.journal.emit(lost)

    def lost(self, flight: Flight | None, answer: BatchLost) -> None:
        """A worker has ended: the branch it was running is charged, those behind it start again."""
        if flight is None or flight.start >= flight.stop:
            return
        if flight.overdue is not None:  # we ended it; if the branch was done by then, nobody is to blame
            charged = answer.culprit if answer.culprit == flight.overdue else None
        else:
            charged = self._course.flights.charged(flight, answer.culprit, waited=answer.waited)
        self._course.put_back(flight.node, flight.start, flight.stop if charged is None else charged)
        if charged is not None:
            self._course.put_back(flight.node, charged + 1, flight.stop)
            self._charge(flight, charged, answer.reason)

    def _charge(self, flight: Flight, branch: int, reason: str) -> None:
        course, options = self._course, flight.step.options
        error = (
            self._overdue_error(flight, branch) if flight.overdue is not None else self._death(flight, branch, reason)
        )
        failure = failure_of(error, options.retry_on)
        if course.retries.may(failure, flight.attempt, options):
            course.journal.emit([course.retries.again(flight.node, branch, flight.attempt, failure)])
            return
        node = course.record.calls(flight.node)
        event = failed(flight.node, branch, flight.attempt, failure)
        if node.begun[branch]:
            event = replace(
                event,
                worker=node.workers[branch],
                begun=node.begun[branch : branch + 1],
                ended=array("d", [time.time()]),
            )
        course.finish(event)

    def _overdue_error(self, flight: Flight, branch: int) -> StepTimeout:
        name = self._course.record.calls(flight.node).name(branch)
        return StepTimeout(
            f"'{name}' ran longer than its timeout of {flight.step.options.timeout:g} s",
            do="give it more time with timeout=..., or less to do",
        )

    def _death(self, flight: Flight, branch: int, reason: str) -> WorkerDied:
        node = self._course.record.calls(flight.node)
        lines = [text for _, text, _ in node.logs.get(branch, [])][-_LAST_LINES:]
        told = "; it last wrote: " + " | ".join(lines) if lines else ""
        return WorkerDied(
            f"the worker that ran '{node.name(branch)}' ended with {reason}{told}",
            do="look for a crash in a library, os._exit, or too little memory (SIGKILL, if nobody sent it)",
        )
