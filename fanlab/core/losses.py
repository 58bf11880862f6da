"""How losses spread: whatever needs a branch or a node that will have no value is dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from .events import Status
from .standing import COUNT, Fresh, Reader, Standing

_Lost = list[tuple[str, int | None]]  # a node and its branch; None: the node itself


class Dropped(NamedTuple):
    """Branches that will not run; the whole node where it is not known how many there would have been."""

    node: str
    start: int
    stop: int | None
    status: Status
    because: str  # the node whose failure is the reason; "" where there is none


class Losses:
    """Drops what depends on failures, and keeps what has been dropped until it is told.

    `settle` is called with a node that has ended as a whole, `complete` with one that will have no more branches.
    """

    def __init__(self, standing: Standing, settle: Callable[[str], None], complete: Callable[[str], None]) -> None:
        self._standing, self._states = standing, standing.states
        self._settle, self._complete = settle, complete
        self.dropped: list[Dropped] = []

    def branch(self, name: str, branch: int, because: str) -> None:
        """A branch that has not started is lost, if it is not already."""
        self._spread(self._drop_branches(name, [branch], because), because)

    def behind_probe(self, name: str) -> None:
        """The first branch of a node has failed: the others are not tried."""
        self._spread(self._drop_branches(name, range(1, len(self._states[name].status)), name), name)

    def ended(self, name: str, branch: int) -> None:
        """A branch has ended without a value."""
        self._spread([(name, branch)], name)

    def node(self, name: str, because: str, status: Status) -> None:
        """A node is lost: all its branches that have not started, or itself where they are not known."""
        self._spread(self._drop_all(name, because, status), because)

    def _spread(self, lost: _Lost, because: str) -> None:
        """Branches (or whole nodes) have no value: drop everything that needs them, without recursion."""
        standing = self._standing
        while lost:
            name, branch = lost.pop()
            state = self._states[name]
            if not state.broken:
                state.broken = because
                lost += self._drop_readers(standing.whole[name], because)
            if branch is None:
                continue
            lost += self._drop_readers(standing.single.get((name, branch), ()), because)
            for reader, link in standing.links[name]:
                shape = self._states[reader].shape
                if shape is not None:
                    lost += self._drop_branches(reader, shape.targets(link.argument, branch), because)
            if standing.growers[name]:
                standing.add_fresh(name, Fresh(branch, branch + 1, because))

    def _drop_readers(self, readers: Iterable[Reader], because: str) -> _Lost:
        lost: _Lost = []
        for reader, item in readers:
            state = self._states[reader]
            if item is None or item is COUNT:
                lost += self._drop_all(reader, because, Status.SKIPPED)
            elif state.shape is not None:
                lost += self._drop_branches(reader, state.shape.targets(*item), because)
        return lost

    def _drop_branches(self, name: str, branches: Iterable[int], because: str) -> _Lost:
        state = self._states[name]
        lost: _Lost = []
        for i in branches:
            if state.status[i] == Status.QUEUED:
                state.status[i] = Status.SKIPPED
                state.left -= 1
                self.dropped.append(Dropped(name, i, i + 1, Status.SKIPPED, because))
                lost.append((name, i))
        if state.left == 0 and not state.settled and not state.growing:
            self._settle(name)
            if not state.status:  # without branches there is none to lose: the node itself is lost
                lost.append((name, None))
        return lost

    def _drop_all(self, name: str, because: str, status: Status) -> _Lost:
        state = self._states[name]
        if state.shape is not None and not (state.growing and not state.status):
            if state.growing:  # there will be no more
                state.growing = False
                self._complete(name)
                self._standing.let_grow(name)
            return self._drop_branches(name, range(len(state.status)), because)
        if state.settled:
            return []
        state.growing = False
        self._settle(name)
        self.dropped.append(Dropped(name, 0, None, status, because))
        lost: _Lost = [(name, None)]
        for reader in [*self._standing.sized[name], *self._standing.begun[name]]:  # their number can never be known now
            lost += self._drop_all(reader, because, Status.SKIPPED)
        return lost
