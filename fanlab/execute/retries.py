"""Attempts that are made again: when, and which number they have."""

from __future__ import annotations

import heapq
import time

from ..core.events import Event, Failure, Finished, Retried
from ..core.graph import Graph
from ..core.schedule import Schedule
from ..core.spec import Options


class Retries:
    """The branches of one run that have failed and are tried again."""

    def __init__(self, graph: Graph, schedule: Schedule) -> None:
        self._graph, self._schedule = graph, schedule
        self._closed = False  # no failure is tried again any more
        self._attempts: dict[tuple[str, int], int] = {}  # which attempt is next
        self._later: list[tuple[float, str, int]] = []  # heap of those that wait for their time

    @property
    def wait(self) -> float | None:
        """Seconds until the next one may start; None where none waits."""
        return max(0.0, self._later[0][0] - time.time()) if self._later else None

    def wake(self) -> None:
        """Let those start whose time has come."""
        while self._later and self._later[0][0] <= time.time():
            _, name, branch = heapq.heappop(self._later)
            self._schedule.again(name, branch)

    def close(self) -> None:
        """Try nothing again any more: what waits is queued, to be dropped with everything that has not started."""
        self._closed = True
        later, self._later = self._later, []
        for _, name, branch in later:
            self._schedule.again(name, branch)

    def same_attempt(self, name: str, start: int, stop: int) -> tuple[int, int]:
        """The attempt of the first branch, and where those end that share it: the others are ready again."""
        attempt = self._attempts.get((name, start), 1)
        if self._attempts:
            same = next((b for b in range(start, stop) if self._attempts.get((name, b), 1) != attempt), stop)
            for branch in range(same, stop):
                self._schedule.again(name, branch)
            stop = same
        return attempt, stop

    def sift(self, event: Finished) -> list[Event]:
        """A finished range with those taken out that are tried again."""
        options = self._graph.nodes[event.node].step.options
        found: list[Event] = []
        start = event.start
        for branch in sorted(event.failures):
            failure = event.failures[branch]
            if not self.may(failure, event.attempt, options):
                continue
            if start < branch:
                found.append(event.part(start, branch))
            found.append(self.again(event.node, branch, event.attempt, failure))
            start = branch + 1
        if start < event.start + len(event.statuses):
            found.append(event.part(start, event.start + len(event.statuses)))
        return found

    def may(self, failure: Failure, attempt: int, options: Options) -> bool:
        """Whether a failed attempt is followed by another one."""
        return failure.retry and attempt <= options.retries and not self._closed

    def again(self, node: str, branch: int, attempt: int, failure: Failure) -> Retried:
        """Have a branch tried once more, after its step's delay."""
        due = time.time() + self._graph.nodes[node].step.options.delay(attempt)
        self._attempts[node, branch] = attempt + 1
        heapq.heappush(self._later, (due, node, branch))
        return Retried(node, branch, attempt, failure, due)
