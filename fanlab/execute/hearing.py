"""What is heard: messages of the workers become events first, and then have their consequences."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.batch import Answer, BatchDone, BatchLost, BatchReleased
from ..core.events import Event, Finished
from .course import Course
from .endings import Endings
from .flights import Flight


class Hearing:
    """Takes in what the executor of one run delivers."""

    def __init__(self, course: Course, endings: Endings) -> None:
        self._course, self._endings = course, endings

    def receive(self, messages: Sequence[Event | Answer]) -> None:
        """Emit everything, then let it have its consequences."""
        course = self._course
        events: list[Event] = []
        for message in messages:
            if isinstance(message, Finished):
                events += self._finished(message)
            elif not isinstance(message, (BatchDone, BatchReleased, BatchLost)):
                events.append(message)
        course.journal.emit(events)
        for event in events:
            if isinstance(event, Finished):
                course.take_in(event)
        for message in messages:
            match message:
                case BatchDone(number):  # what has not been told of it by now never will be
                    self._endings.lost(course.flights.pop(number), BatchLost(number, None, "nothing told of it"))
                case BatchReleased(number, start):
                    self._released(course.flights.get(number), start)
                case BatchLost(number):
                    self._endings.lost(course.flights.pop(number), message)
                case _:
                    pass

    def _finished(self, event: Finished) -> Sequence[Event]:
        """What is to be told of branches that have ended: those that failed may start again."""
        course = self._course
        if not course.flights.heard(event):  # its worker was given up, and they have started again
            return ()
        step = course.graph.nodes[event.node].step
        course.paces[id(step.function)].heard(len(event.statuses), event.ended[-1] - event.begun[0])
        return course.retries.sift(event) if event.failures else [event]

    def _released(self, flight: Flight | None, start: int) -> None:
        """A worker gives branches back: they are ready again."""
        if flight is None:
            return
        start, stop = max(start, flight.start), flight.stop
        flight.stop = min(start, stop)
        self._course.put_back(flight.node, start, stop)
