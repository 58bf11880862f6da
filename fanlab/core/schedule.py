"""The state machine of a run: given what has happened, which branches may start.

It knows no clock, process or value, so that any order of finishing can be tried on it. The state of a
fan-out is held as arrays per node and ranges of branches, not as an object per branch.

Over 300 lines: readiness and loss spread over one state, and each half alone would explain nothing.
"""

from __future__ import annotations

import heapq
from array import array
from collections import deque
from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from .events import Status
from .expand import CALL, Shape
from .graph import Graph, Link, Need

_GOOD = (Status.COMPLETED, Status.CACHED)


class Dropped(NamedTuple):
    """Branches that will not run; the whole node where it is not known how many there would have been."""

    node: str
    start: int
    stop: int | None
    status: Status
    because: str  # the node whose failure is the reason; "" where there is none


class _State:
    """What is known of one node while the run goes on."""

    __slots__ = (
        "broken",
        "gates",
        "held",
        "left",
        "ready",
        "running",
        "settled",
        "shape",
        "status",
        "unsized",
        "waiting",
    )

    def __init__(self, gates: int, unsized: int, probe: bool) -> None:
        self.gates = gates  # needs of the whole node that are not completed yet
        self.unsized = unsized  # arguments whose number of items is not known yet
        self.shape: Shape | None = None
        self.status = bytearray()
        self.waiting: array[int] | None = None  # needs of each branch that are not completed yet
        self.ready: deque[tuple[int, int]] = deque()
        self.held: list[tuple[int, int]] | None = [] if probe else None  # ranges that wait for branch 0
        self.left = 0
        self.running = 0
        self.broken = ""  # the first node because of which some branch has no value
        self.settled = False


class Schedule:
    """Feed it `expand` and `finish`; it answers with `next` and `take`, and tells what it drops.

    Each branch starts once, after everything it needs; exactly what depends on a failure is dropped.
    Ready branches of the deepest node go first, then call order.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._order = {name: i for i, name in enumerate(graph.nodes)}
        self._names = list(graph.nodes)
        self._states: dict[str, _State] = {}
        self._whole: dict[str, list[tuple[str, tuple[int, int] | None]]] = {name: [] for name in graph.nodes}
        self._single: dict[Need, list[tuple[str, tuple[int, int] | None]]] = {}
        self._ends: dict[str, list[str]] = {name: [] for name in graph.nodes}  # who waits until a node has ended
        self._links: dict[str, list[tuple[str, Link]]] = {name: [] for name in graph.nodes}
        self._sized: dict[str, list[str]] = {
            name: [] for name in graph.nodes
        }  # who takes its number from a node's branches
        self._counted: dict[str, list[str]] = {
            name: [] for name in graph.nodes
        }  # who takes its number from a node's value
        self._ready: list[tuple[int, int]] = []  # heap of (-depth, position)
        self._expandable: deque[str] = deque()
        self._dropped: list[Dropped] = []
        self._unsettled = len(graph.nodes)
        for name in graph.nodes:
            self._connect(name)
        for name, state in self._states.items():
            if state.unsized == 0:
                self._expandable.append(name)

    @property
    def done(self) -> bool:
        """Whether nothing is left to start or to wait for."""
        return self._unsettled == 0

    @property
    def dropped(self) -> list[Dropped]:
        """What has been dropped since this was last asked."""
        found, self._dropped = self._dropped, []
        return found

    def expandable(self) -> Iterator[str]:
        """Nodes whose branches can now be told; answer each with `expand` or `fail`."""
        while self._expandable:
            name = self._expandable.popleft()
            if not self._states[name].settled:
                yield name

    def expand(self, name: str, shape: Shape = CALL) -> None:
        """Say which branches a node has."""
        state, needs = self._states[name], self._graph.needs[name]
        state.shape, state.left = shape, shape.size
        state.status = bytearray(shape.size)
        if needs.links or needs.items:
            state.waiting = array("I", bytes(4 * shape.size))
        for argument, item, (source, branch) in needs.items:
            self._await(name, self._targets(shape, argument, item), source, branch)
        for link in needs.links:
            self._await_link(name, link, shape)
        for reader in self._sized[name]:
            self._count_down_size(reader)
        if state.gates == 0:
            self._open(name)
        self._settle(name)

    def fail(self, name: str) -> None:
        """Say that a node has no branches, because they cannot be told: it fails as a whole."""
        self._drop_whole(name, name, Status.FAILED)

    def next(self, blocked: Container[str] = ()) -> str | None:
        """The node whose branches should start next, or None while none may; `blocked` ones are passed over."""
        passed = []
        found = None
        while self._ready and found is None:
            name = self._names[self._ready[0][1]]
            if self._states[name].ready and name not in blocked:
                found = name
            else:
                entry = heapq.heappop(self._ready)
                if self._states[name].ready:
                    passed.append(entry)
        for entry in passed:
            heapq.heappush(self._ready, entry)
        return found

    def take(self, name: str, most: int) -> tuple[int, int]:
        """Start up to `most` branches of a node that `next` named: a range of them."""
        state = self._states[name]
        start, stop = state.ready[0]
        if stop - start <= most:
            state.ready.popleft()
        else:
            stop = start + most
            state.ready[0] = (stop, state.ready[0][1])
        state.status[start:stop] = bytes([Status.RUNNING]) * (stop - start)
        state.running += stop - start
        return start, stop

    def waiting(self, name: str) -> int:
        """How many branches of a node are ready to start."""
        return sum(stop - start for start, stop in self._states[name].ready)

    def again(self, name: str, branch: int) -> None:
        """Say that a started branch has to start once more: before those that have not started at all."""
        state = self._states[name]
        state.status[branch] = Status.QUEUED
        state.running -= 1
        start, stop = state.ready[0] if state.ready else (-1, -1)
        if branch == stop:
            state.ready[0] = (start, branch + 1)
        elif branch + 1 == start:
            state.ready[0] = (branch, stop)
        else:
            state.ready.appendleft((branch, branch + 1))
        heapq.heappush(self._ready, (-self._graph.depth[name], self._order[name]))

    def take_over(self, name: str, branch: int) -> None:
        """Say that a branch has its value already, from before this run."""
        state = self._states[name]
        if state.status[branch] != Status.QUEUED:
            return
        state.ready = deque(_without(state.ready, branch))
        state.running += 1
        self.finish(name, branch, bytes([Status.CACHED]))

    def finish(self, name: str, start: int, statuses: bytes) -> None:
        """Say how a range of started branches ended: one Status each."""
        state = self._states[name]
        stop = start + len(statuses)
        state.status[start:stop] = statuses
        state.left -= stop - start
        state.running -= stop - start
        if state.held is not None and start == 0:
            self._probed(name, state, statuses[0] in _GOOD)
        if statuses.count(Status.COMPLETED) + statuses.count(Status.CACHED) == len(statuses):
            self._release(name, start, stop)
        else:
            for branch, status in enumerate(statuses, start):
                if status in _GOOD:
                    self._release(name, branch, branch + 1)
                else:
                    self._lose([(name, branch)], name)
        self._settle(name)

    def stop(self) -> None:
        """Drop everything that has not started, as cancelled."""
        for name, state in self._states.items():
            if state.settled:
                continue
            state.broken = state.broken or name
            if state.shape is None:
                self._settle_now(name)
                self._dropped.append(Dropped(name, 0, None, Status.CANCELLED, ""))
                continue
            state.ready.clear()
            for start, stop in _ranges(state.status, Status.QUEUED):
                state.status[start:stop] = bytes([Status.CANCELLED]) * (stop - start)
                state.left -= stop - start
                self._dropped.append(Dropped(name, start, stop, Status.CANCELLED, ""))
            self._settle(name)

    def _probed(self, name: str, state: _State, good: bool) -> None:
        """Branch 0 has ended: let the others go, or drop them all."""
        held, state.held = state.held or [], None
        if good:
            for start, stop in held:
                self._push(name, start, stop)
        else:
            self._lose(self._drop_branches(name, range(1, len(state.status)), name), name)

    # how needs are met

    def _connect(self, name: str) -> None:
        needs = self._graph.needs[name]
        for source, branch in needs.gates:
            self._readers(source, branch).append((name, None))
        for argument, item, (source, branch) in needs.items:
            self._readers(source, branch).append((name, (argument, item)))
        for link in needs.links:
            self._links[link.node].append((name, link))
            self._sized[link.node].append(name)
        for source in needs.ends:
            self._ends[source].append(name)
        for source in needs.sizes:
            self._counted[source].append(name)
        self._states[name] = _State(
            len(needs.gates) + len(needs.ends), len(needs.links) + len(needs.sizes), self._graph.nodes[name].probe
        )

    def _readers(self, node: str, branch: int | None) -> list[tuple[str, tuple[int, int] | None]]:
        return self._whole[node] if branch is None else self._single.setdefault((node, branch), [])

    def _await(self, name: str, branches: Iterable[int], source: str, branch: int | None) -> None:
        """Let branches of `name` wait for a node or one branch of it, unless that has ended already."""
        state, upstream = self._states[name], self._states[source]
        if state.waiting is None or self._is_good(upstream, branch):
            return
        lost = bool(upstream.broken) if branch is None else self._is_lost(upstream, branch)
        for i in branches:
            if lost:
                self._lose_branch(name, i, source)
            else:
                state.waiting[i] += 1

    def _await_link(self, name: str, link: Link, shape: Shape) -> None:
        state, upstream = self._states[name], self._states[link.node]
        if state.waiting is None:
            return
        for i in range(shape.size):
            source = shape.item(link.argument, i)
            if upstream.status[source] in _GOOD:
                continue
            if self._is_lost(upstream, source):
                self._lose_branch(name, i, upstream.broken or link.node)
            else:
                state.waiting[i] += 1

    @staticmethod
    def _is_good(state: _State, branch: int | None) -> bool:
        if branch is None:
            return state.settled and not state.broken
        return branch < len(state.status) and state.status[branch] in _GOOD

    @staticmethod
    def _is_lost(state: _State, branch: int) -> bool:
        return branch < len(state.status) and state.status[branch] >= Status.FAILED

    @staticmethod
    def _targets(shape: Shape, argument: int, item: int) -> Iterator[int]:
        """The branches that take one item of a mapped argument."""
        stride, length = shape.strides[argument]
        for block in range(item * stride, shape.size, stride * length):
            yield from range(block, min(block + stride, shape.size))

    def _release(self, name: str, start: int, stop: int) -> None:
        """Branches have their values: let those that need one of them go on."""
        for reader, link in self._links[name]:
            shape = self._states[reader].shape
            if shape is None:
                continue
            if shape.strides[link.argument][0] == 1 and shape.strides[link.argument][1] >= shape.size:
                self._count_down(reader, range(start, stop))
            else:
                for item in range(start, stop):
                    self._count_down(reader, self._targets(shape, link.argument, item))
        if self._single:
            for branch in range(start, stop):
                self._notify(self._single.get((name, branch), ()))

    def _notify(self, readers: Iterable[tuple[str, tuple[int, int] | None]]) -> None:
        for reader, item in readers:
            state = self._states[reader]
            if item is None:
                state.gates -= 1
                if state.gates == 0 and state.shape is not None:
                    self._open(reader)
            elif state.shape is not None:
                self._count_down(reader, self._targets(state.shape, *item))

    def _count_down(self, name: str, branches: Iterable[int]) -> None:
        state = self._states[name]
        waiting = state.waiting
        if waiting is None:
            return
        first = last = -1
        for i in branches:
            waiting[i] -= 1
            if waiting[i] or state.gates or state.status[i] != Status.QUEUED:
                continue
            if i != last:
                self._push(name, first, last)
                first = i
            last = i + 1
        self._push(name, first, last)

    def _count_down_size(self, name: str) -> None:
        state = self._states[name]
        state.unsized -= 1
        if state.unsized == 0 and not state.settled:
            self._expandable.append(name)

    def _open(self, name: str) -> None:
        """Nothing holds the whole node any more: every branch that waits for nothing is ready."""
        state = self._states[name]
        if state.settled:
            return
        if state.waiting is None:
            self._push(name, 0, len(state.status))
            self._settle(name)
            return
        free = bytes(not w and s == Status.QUEUED for w, s in zip(state.waiting, state.status, strict=True))
        for start, stop in _ranges(free, 1):
            self._push(name, start, stop)
        self._settle(name)

    def _push(self, name: str, start: int, stop: int) -> None:
        if start >= stop:
            return
        held = self._states[name].held
        if held is not None:
            if start > 0 or stop > 1:
                held.append((max(start, 1), stop))
            if start > 0:
                return
            stop = 1
        ready = self._states[name].ready
        if ready and ready[-1][1] == start:
            ready[-1] = (ready[-1][0], stop)
        else:
            ready.append((start, stop))
        heapq.heappush(self._ready, (-self._graph.depth[name], self._order[name]))

    def _settle(self, name: str) -> None:
        """A node has ended as a whole when its last branch has; one without branches, when it could have begun."""
        state = self._states[name]
        if (
            state.settled
            or state.shape is None
            or state.left
            or (state.gates and not state.status and not state.broken)
        ):
            return
        self._settle_now(name)
        if state.broken:
            return
        self._notify(self._whole[name])
        for reader in self._counted[name]:
            self._count_down_size(reader)

    # how losses spread

    def _lose(self, lost: list[tuple[str, int | None]], because: str) -> None:
        """Branches (or whole nodes) have no value: drop everything that needs them, without recursion."""
        while lost:
            name, branch = lost.pop()
            state = self._states[name]
            if not state.broken:
                state.broken = because
                lost += self._drop_readers(self._whole[name], because)
            if branch is None:
                continue
            lost += self._drop_readers(self._single.get((name, branch), ()), because)
            for reader, link in self._links[name]:
                shape = self._states[reader].shape
                if shape is not None:
                    lost += self._drop_branches(reader, self._targets(shape, link.argument, branch), because)

    def _drop_readers(
        self, readers: Iterable[tuple[str, tuple[int, int] | None]], because: str
    ) -> list[tuple[str, int | None]]:
        lost: list[tuple[str, int | None]] = []
        for reader, item in readers:
            state = self._states[reader]
            if item is None:
                lost += self._drop_all(reader, because, Status.SKIPPED)
            elif state.shape is not None:
                lost += self._drop_branches(reader, self._targets(state.shape, *item), because)
        return lost

    def _drop_branches(self, name: str, branches: Iterable[int], because: str) -> list[tuple[str, int | None]]:
        state = self._states[name]
        lost: list[tuple[str, int | None]] = []
        for i in branches:
            if state.status[i] == Status.QUEUED:
                state.status[i] = Status.SKIPPED
                state.left -= 1
                self._dropped.append(Dropped(name, i, i + 1, Status.SKIPPED, because))
                lost.append((name, i))
        if state.left == 0 and not state.settled:
            self._settle_now(name)
            if not state.status:  # without branches there is none to lose: the node itself is lost
                lost.append((name, None))
        return lost

    def _drop_all(self, name: str, because: str, status: Status) -> list[tuple[str, int | None]]:
        state = self._states[name]
        if state.shape is not None:
            return self._drop_branches(name, range(len(state.status)), because)
        if state.settled:
            return []
        self._settle_now(name)
        self._dropped.append(Dropped(name, 0, None, status, because))
        lost: list[tuple[str, int | None]] = [(name, None)]
        for reader in [*self._sized[name], *self._counted[name]]:  # their number can never be known now
            lost += self._drop_all(reader, because, Status.SKIPPED)
        return lost

    def _drop_whole(self, name: str, because: str, status: Status) -> None:
        self._lose(self._drop_all(name, because, status), because or name)

    def _lose_branch(self, name: str, branch: int, because: str) -> None:
        self._lose(self._drop_branches(name, [branch], because), because)

    def _settle_now(self, name: str) -> None:
        self._states[name].settled = True
        self._unsettled -= 1
        self._notify((reader, None) for reader in self._ends[name])


def _without(ranges: Iterable[tuple[int, int]], branch: int) -> Iterator[tuple[int, int]]:
    """Ranges with one branch taken out."""
    for start, stop in ranges:
        for part in ((start, min(stop, branch)), (max(start, branch + 1), stop)):
            if part[0] < part[1]:
                yield part


def _ranges(states: bytes | bytearray, wanted: int) -> Iterator[tuple[int, int]]:
    """The runs of one value."""
    stop = 0
    while (start := states.find(wanted, stop)) >= 0:
        stop = start
        while stop < len(states) and states[stop] == wanted:
            stop += 1
        yield start, stop
