"""The batches that workers have: which branches of them are still to come, and what to do when one is lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..core.events import Finished
from ..core.spec import Step

RESTARTS = 3  # how often a batch is sent again whose worker ended before it began anything


@dataclass(slots=True)
class Flight:
    """One batch: branches from `start` on are still to come."""

    number: int
    node: str
    step: Step
    start: int
    stop: int
    attempt: int
    sent: float = field(default_factory=time.monotonic)
    asked: bool = False  # for what it has not started
    overdue: int | None = None  # the branch for whose timeout its worker was ended


class Flights:
    """All batches of a run that workers have."""

    def __init__(self) -> None:
        self._flights: dict[int, Flight] = {}
        self._parallel: Counter[int] = Counter()  # flights of each step's function
        self._restarts: Counter[tuple[str, int]] = Counter()

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[Flight]:
        return iter(list(self._flights.values()))

    def add(self, flight: Flight) -> None:
        """A batch goes to a worker."""
        self._flights[flight.number] = flight
        self._parallel[id(flight.step.function)] += 1

    def pop(self, number: int) -> Flight | None:
        """A batch has come back; None if it did before."""
        flight = self._flights.pop(number, None)
        if flight is not None:
            self._parallel[id(flight.step.function)] -= 1
        return flight

    def get(self, number: int) -> Flight | None:
        """A batch that is on its way."""
        return self._flights.get(number)

    def heard(self, event: Finished) -> bool:
        """Some branches of a batch have come back; False where no batch waits for all of them any more."""
        stop = event.start + len(event.statuses)
        for flight in self._flights.values():
            # One that has come back whole, and has not been answered yet, waits for nothing: the next begins there.
            # And what comes late of a batch that has been sent again, in other parts, is not for those.
            waits = flight.start < flight.stop and stop <= flight.stop and flight.attempt == event.attempt
            if flight.node == event.node and flight.start == event.start and waits:
                flight.start = stop
                return True
        return False

    def full(self, step: Step) -> bool:
        """Whether a step has as many batches on their way as its max_parallel allows."""
        most = step.options.max_parallel
        return most is not None and self._parallel[id(step.function)] >= most

    def charged(self, flight: Flight, culprit: int | None, *, waited: bool) -> int | None:
        """The branch that answers for its worker's end: the running one, or the first if none runs time and again.

        None does where the batch `waited` behind another one.
        """
        if culprit is not None and flight.start <= culprit < flight.stop:
            return culprit
        if waited:
            return None
        key = (flight.node, flight.start)
        self._restarts[key] += 1
        return flight.start if self._restarts[key] > RESTARTS else None
