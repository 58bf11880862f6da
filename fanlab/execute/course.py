"""What the rooms of one run share: its schedule, its batches on their way, and how it stands."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from ..core.events import Event, Failure, Finished, Lost, Status
from ..core.graph import Graph
from ..core.pace import Pace
from ..core.record import Record
from ..core.schedule import Schedule
from .base import Executor
from .flights import Flights
from .journal import Journal
from .retries import Retries


@dataclass(slots=True)
class Course:
    """One run while it goes on."""

    graph: Graph
    record: Record
    journal: Journal
    schedule: Schedule
    retries: Retries
    halts: bool  # whether a failure stops the run
    executor: Executor = field(init=False)  # made when the run begins
    flights: Flights = field(default_factory=Flights)
    paces: dict[int, Pace] = field(default_factory=dict)  # of each step's function
    stopped: bool = False  # nothing new starts

    def finish(self, event: Finished) -> None:
        """Tell of branches that have ended without a worker's word, and let that have its consequences."""
        self.journal.emit([event])
        self.take_in(event)

    def take_in(self, event: Finished) -> None:
        """Let what has been told of branches that ended have its consequences."""
        self.schedule.finish(event.node, event.start, event.statuses)
        self.halt(event)

    def put_back(self, node: str, start: int, stop: int) -> None:
        """Have branches of a batch that have not been begun start once more; in a run that stops they never do."""
        if self.stopped and start < stop:
            self.journal.emit([Lost(node, start, stop, Status.CANCELLED, "")])
            self.schedule.finish(node, start, bytes([Status.CANCELLED]) * (stop - start))
            return
        for branch in range(start, stop):
            self.schedule.again(node, branch)

    def halt(self, event: Finished) -> None:
        """Start nothing more, if a failure stops the run and this is one."""
        if self.halts and event.failures and not self.stopped:
            self.stopped = True
            self.retries.close()
            self.schedule.stop()
            for flight in self.flights:
                self.executor.release(flight.number)

    def tell_dropped(self) -> None:
        """Tell which branches will not run."""
        lost: list[Event] = [Lost(*dropped) for dropped in self.schedule.dropped]
        self.journal.emit(lost)


def failed(node: str, branch: int, attempt: int, failure: Failure) -> Finished:
    """A branch that has failed without having come back from a worker."""
    nothing = array("d", [0.0])
    return Finished(
        node, branch, bytes([Status.FAILED]), attempt, 0, nothing, nothing, array("q", [0]), (None,), {branch: failure}
    )
