"""The state machine of a run: given what has happened, which branches may start.

It knows no clock, process or value, so that any order of finishing can be tried on it. The state of a
fan-out is held as arrays per node and ranges of branches, not as an object per branch.

Over 300 lines: what is met and what is lost spreads over one state, and each half alone would explain nothing.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from .events import Status
from .expand import CALL, Shape
from .graph import Graph, Link, Need
from .ready import Range, Ready

_GOOD = (Status.COMPLETED, Status.CACHED)
_Reader = tuple[str, tuple[int, int] | None]  # a node, and which of its items; None: all of it
_COUNT = (-1, -1)  # in place of an item: the node takes the number of its branches from a value


class Dropped(NamedTuple):
    """Branches that will not run; the whole node where it is not known how many there would have been."""

    node: str
    start: int
    stop: int | None
    status: Status
    because: str  # the node whose failure is the reason; "" where there is none


class Fresh(NamedTuple):
    """Branches that have ended whose items make new branches of another node; of lost ones, because of which node."""

    start: int
    stop: int
    because: str


class _State:
    """What is known of one node while the run goes on."""

    __slots__ = (
        "broken",
        "fresh",
        "gates",
        "growing",
        "held",
        "left",
        "running",
        "settled",
        "shape",
        "status",
        "unsized",
        "waiting",
    )

    def __init__(self, probe: bool) -> None:
        self.gates = 0  # needs of the whole node that are not completed yet
        self.unsized = 0  # arguments whose number of items is not known yet
        self.growing = False  # whether more branches may become known
        self.fresh: list[Fresh] = []  # what they will become known from
        self.shape: Shape | None = None
        self.status = bytearray()
        self.waiting: array[int] | None = None  # needs of each branch that are not completed yet
        self.held: list[Range] | None = [] if probe else None  # ranges that wait for branch 0
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
        self._ready = Ready(graph)
        self._states: dict[str, _State] = {}
        self._whole: dict[str, list[_Reader]] = {}
        self._single: dict[Need, list[_Reader]] = {}
        self._ends: dict[str, list[tuple[str, bool]]] = {}  # who waits until a node has ended; or counts by it
        self._links: dict[str, list[tuple[str, Link]]] = {}
        self._sized: dict[str, list[str]] = {}  # who takes its number from a node's branches
        self._begun: dict[str, list[str]] = {}  # who begins to grow when a node's first branches are known
        self._growers: dict[str, list[str]] = {}  # who grows with a node
        self._expandable: deque[str] = deque()
        self._growable: dict[str, None] = {}
        self._arrived: deque[tuple[str, int, int]] = deque()
        self._dropped: list[Dropped] = []
        self._unsettled = 0
        self._stopped = False
        self.extend()

    def extend(self) -> None:
        """Take in the nodes that the graph has got since."""
        new = list(islice(self._graph.nodes, len(self._states), None))
        for name in new:
            self._ready.add(name)
            self._states[name] = _State(self._graph.nodes[name].probe)
            self._whole[name], self._ends[name], self._links[name] = [], [], []
            self._sized[name], self._begun[name], self._growers[name] = [], [], []
        self._unsettled += len(new)
        for name in new:
            self._connect(name)
        for name in new:
            if self._states[name].unsized == 0 and not self._states[name].settled:
                self._expandable.append(name)
        if self._stopped:
            self.stop()

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
        links = self._links_of(name)
        if links or needs.items:
            state.waiting = array("I", bytes(4 * shape.size))
        for argument, item, (source, branch) in needs.items:
            self._await(name, shape.targets(argument, item), source, branch)
        for link in links:
            self._await_link(name, link, shape)
        if needs.growth is not None:
            state.growing = True
            state.fresh = list(self._ended_branches(needs.growth.node)) if needs.growth.items else []
            self._growers[needs.growth.node].append(name)
            self._growable[name] = None
        for reader in self._begun[name]:
            self._count_down_size(reader)
        if not state.growing:
            self._complete(name)
        if state.gates == 0:
            self._open(name)
        self._settle(name)

    def growable(self) -> Iterator[tuple[str, list[Fresh], bool]]:
        """Nodes of which more branches can be told, from what, and whether those are the last; answer with `grow`."""
        while self._growable:
            name = next(iter(self._growable))
            del self._growable[name]
            state, growth = self._states[name], self._graph.needs[name].growth
            if state.growing and growth is not None:
                source = self._states[growth.node]
                fresh, state.fresh = state.fresh, []
                yield name, fresh, source.settled if growth.items else not source.growing

    def grow(self, name: str, shape: Shape, *, last: bool) -> None:
        """Say which branches a node has by now: those before, and new ones behind them."""
        state = self._states[name]
        old, state.shape = len(state.status), shape
        state.left += shape.size - old
        state.status.extend(bytes(shape.size - old))
        if state.waiting is not None:
            state.waiting.extend([0] * (shape.size - old))
        for link in self._graph.needs[name].links:
            self._await_link(name, link, shape, old)
        if state.gates == 0:
            self._push_free(name, old)
        if last:
            state.growing = False
            self._complete(name)
        self._growable.update(dict.fromkeys(self._growers[name]))
        self._settle(name)

    def lose(self, name: str, branch: int, because: str) -> None:
        """Say that a branch which has not started will not run: what it would have come from is lost."""
        self._ready.drop(name, branch, branch + 1)
        self._lose_branch(name, branch, because)
        self._settle(name)

    def ended(self, name: str, branch: int | None = None) -> bool:
        """Whether a node, or one branch of it, has ended."""
        state = self._states[name]
        return state.settled or (
            branch is not None and branch < len(state.status) and state.status[branch] >= Status.COMPLETED
        )

    def fail(self, name: str, because: str = "") -> None:
        """Say that a node has no branches, because they cannot be told: it fails as a whole.

        Where another node's failure is the reason, it is skipped.
        """
        self._drop_whole(name, because or name, Status.SKIPPED if because else Status.FAILED)

    def next(self, blocked: Container[str] = ()) -> str | None:
        """The node whose branches should start next, or None while none may; `blocked` ones are passed over."""
        return self._ready.next(blocked)

    def take(self, name: str, most: int) -> tuple[int, int]:
        """Start up to `most` branches of a node that `next` named: a range of them."""
        state = self._states[name]
        start, stop = self._ready.take(name, most)
        state.status[start:stop] = bytes([Status.RUNNING]) * (stop - start)
        state.running += stop - start
        return start, stop

    def waiting(self, name: str) -> int:
        """How many branches of a node are ready to start."""
        return sum(stop - start for start, stop in self._ready.of(name))

    def ready(self, name: str) -> list[Range]:
        """The ranges of a node's branches that are ready to start."""
        return self._ready.of(name)

    def again(self, name: str, branch: int) -> None:
        """Say that a started branch has to start once more: before those that have not started at all."""
        state = self._states[name]
        state.status[branch] = Status.QUEUED
        state.running -= 1
        self._ready.put_first(name, branch)

    def take_over(self, name: str, branch: int, status: Status = Status.CACHED) -> None:
        """Say that a branch that waits has ended without having been started, with its value from before if not so."""
        state = self._states[name]
        if state.status[branch] != Status.QUEUED:
            return
        self._ready.drop(name, branch, branch + 1)
        state.running += 1
        self.finish(name, branch, bytes([status]))

    @property
    def moved(self) -> bool:
        """Whether there is something that `expandable`, `growable` or `arrived` has not told yet."""
        return bool(self._expandable or self._growable or self._arrived)

    def arrived(self) -> Iterator[tuple[str, int, int]]:
        """Ranges of branches that have become ready since this was last asked, each told once."""
        while self._arrived:
            yield self._arrived.popleft()

    def take_known(self, name: str, start: int, stop: int, known: Sequence[Range]) -> None:
        """Say that of a range of branches some ranges, in order, have their values already, from before this run."""
        state = self._states[name]
        self._ready.drop(name, start, stop)
        at = start
        for first, last in known:
            self._back(name, at, first)
            at = last
        self._back(name, at, stop)
        for first, last in known:
            state.running += last - first
            self.finish(name, first, bytes([Status.CACHED]) * (last - first))

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
        self._stopped = True
        for name, state in self._states.items():
            if state.settled:
                continue
            state.broken = state.broken or name
            if state.shape is None or (state.growing and not state.status):
                self._settle_now(name)
                self._dropped.append(Dropped(name, 0, None, Status.CANCELLED, ""))
                continue
            state.growing = False
            self._ready.clear(name)
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
        """Have a new node told of what it needs, as far as that has not happened yet."""
        needs, state = self._graph.needs[name], self._states[name]
        because = [self._await_value(name, source, branch) for source, branch in needs.gates]
        for source, branch in needs.sizes:
            if not self._is_good(self._states[source], branch):
                state.unsized += 1
                self._readers(source, branch).append((name, _COUNT))
        for argument, item, (source, branch) in needs.items:
            self._readers(source, branch).append((name, (argument, item)))
        for link in needs.links:
            self._links[link.node].append((name, link))
            if needs.growth is None:
                because.append(self._await_size(name, link.node, self._sized))
        if needs.growth is not None:
            because.append(self._await_size(name, needs.growth.node, self._begun))
        self._await_ends(name)
        if self._graph.nodes[name].kind == "reduce":
            self._links[name].append((name, Link(name, 1)))
        if any(because):
            self._drop_whole(name, next(filter(None, because)), Status.SKIPPED)

    def _await_value(self, name: str, source: str, branch: int | None) -> str:
        """Let a node wait for another or a branch of it; the node because of which that will never have a value."""
        if self._is_good(self._states[source], branch):
            return ""
        self._states[name].gates += 1
        self._readers(source, branch).append((name, None))
        return self._lost_because(source, branch)

    def _await_ends(self, name: str) -> None:
        """Let a node wait until others have ended, well or not."""
        needs, state = self._graph.needs[name], self._states[name]
        waited = [source for source in needs.ends if not self._states[source].settled]
        counted = [source for source in needs.counts if not self._states[source].settled]
        state.gates += len(waited)
        state.unsized += len(counted)
        for source in waited:
            self._ends[source].append((name, False))
        for source in counted:
            self._ends[source].append((name, True))

    def _await_size(self, name: str, source: str, readers: dict[str, list[str]]) -> str:
        """Let a node wait until the branches of another are known; the node because of which they never will be."""
        found = self._states[source]
        readers[source].append(name)
        if found.shape is not None and (not found.growing or readers is self._begun):
            return ""
        self._states[name].unsized += 1
        return (found.broken or source) if found.settled else ""

    def _links_of(self, name: str) -> tuple[Link, ...]:
        """What a node needs branch by branch; of a reduce its own calls too."""
        links = self._graph.needs[name].links
        return (*links, Link(name, 1)) if self._graph.nodes[name].kind == "reduce" else links

    def _readers(self, node: str, branch: int | None) -> list[_Reader]:
        return self._whole[node] if branch is None else self._single.setdefault((node, branch), [])

    def _lost_because(self, source: str, branch: int | None) -> str:
        """The node because of which another, or a branch of it, has no value; "" where it may have one."""
        state = self._states[source]
        lost = bool(state.broken) if branch is None else self._is_lost(state, branch)
        return (state.broken or source) if lost else ""

    def _ended_branches(self, name: str) -> Iterator[Fresh]:
        state = self._states[name]
        for branch, status in enumerate(state.status):
            if status >= Status.COMPLETED:
                yield Fresh(branch, branch + 1, "" if status in _GOOD else state.broken or name)

    def _complete(self, name: str) -> None:
        """All branches of a node are known."""
        for reader in self._sized[name]:
            self._count_down_size(reader)

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

    def _await_link(self, name: str, link: Link, shape: Shape, start: int = 0) -> None:
        state, upstream = self._states[name], self._states[link.node]
        if state.waiting is None:
            return
        straight = shape.straight(link.argument)
        for i in range(start, shape.size):
            for source in (i,) if straight else shape.sources(link.argument, i):
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
        if state.settled and branch >= len(state.status):
            return True
        return branch < len(state.status) and state.status[branch] >= Status.FAILED

    def _release(self, name: str, start: int, stop: int) -> None:
        """Branches have their values: let those that need one of them go on."""
        for reader, link in self._links[name]:
            shape = self._states[reader].shape
            if shape is None:
                continue
            if shape.straight(link.argument):
                self._count_down(reader, range(start, min(stop, shape.size)))
            else:
                for source in range(start, stop):
                    self._count_down(reader, shape.targets(link.argument, source))
        if self._growers[name]:
            self._add_fresh(name, Fresh(start, stop, ""))
        if self._single:
            for branch in range(start, stop):
                self._notify(self._single.get((name, branch), ()))

    def _add_fresh(self, name: str, fresh: Fresh) -> None:
        for reader in self._growers[name]:
            growth = self._graph.needs[reader].growth
            if growth is not None and growth.items:
                self._states[reader].fresh.append(fresh)
                self._growable[reader] = None

    def _notify(self, readers: Iterable[_Reader]) -> None:
        for reader, item in readers:
            state = self._states[reader]
            if item is _COUNT:
                self._count_down_size(reader)
            elif item is None:
                state.gates -= 1
                if state.gates == 0 and state.shape is not None:
                    self._open(reader)
            elif state.shape is not None:
                self._count_down(reader, state.shape.targets(*item))

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
        self._push_free(name, 0)
        self._settle(name)

    def _push_free(self, name: str, first: int) -> None:
        """Those branches of a node from `first` on that wait for nothing are ready."""
        state = self._states[name]
        waiting = state.waiting[first:] if state.waiting is not None else bytes(len(state.status) - first)
        free = bytes(not w and s == Status.QUEUED for w, s in zip(waiting, state.status[first:], strict=True))
        for start, stop in _ranges(free, 1):
            self._push(name, first + start, first + stop)

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
        self._arrived.append((name, start, stop))
        self._ready.put(name, start, stop)

    def _back(self, name: str, start: int, stop: int) -> None:
        """Make ready again what had been before."""
        if start < stop:
            self._ready.put(name, start, stop)

    def _settle(self, name: str) -> None:
        """A node has ended as a whole when its last branch has; one without branches, when it could have begun."""
        state = self._states[name]
        if (
            state.settled
            or state.shape is None
            or state.left
            or state.growing
            or (state.gates and not state.status and not state.broken)
        ):
            return
        self._settle_now(name)
        if state.broken:
            return
        self._notify(self._whole[name])

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
                    lost += self._drop_branches(reader, shape.targets(link.argument, branch), because)
            if self._growers[name]:
                self._add_fresh(name, Fresh(branch, branch + 1, because))

    def _drop_readers(self, readers: Iterable[_Reader], because: str) -> list[tuple[str, int | None]]:
        lost: list[tuple[str, int | None]] = []
        for reader, item in readers:
            state = self._states[reader]
            if item is None or item is _COUNT:
                lost += self._drop_all(reader, because, Status.SKIPPED)
            elif state.shape is not None:
                lost += self._drop_branches(reader, state.shape.targets(*item), because)
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
        if state.left == 0 and not state.settled and not state.growing:
            self._settle_now(name)
            if not state.status:  # without branches there is none to lose: the node itself is lost
                lost.append((name, None))
        return lost

    def _drop_all(self, name: str, because: str, status: Status) -> list[tuple[str, int | None]]:
        state = self._states[name]
        if state.shape is not None and not (state.growing and not state.status):
            if state.growing:  # there will be no more
                state.growing = False
                self._complete(name)
                self._growable.update(dict.fromkeys(self._growers[name]))
            return self._drop_branches(name, range(len(state.status)), because)
        if state.settled:
            return []
        state.growing = False
        self._settle_now(name)
        self._dropped.append(Dropped(name, 0, None, status, because))
        lost: list[tuple[str, int | None]] = [(name, None)]
        for reader in [*self._sized[name], *self._begun[name]]:  # their number can never be known now
            lost += self._drop_all(reader, because, Status.SKIPPED)
        return lost

    def _drop_whole(self, name: str, because: str, status: Status) -> None:
        self._lose(self._drop_all(name, because, status), because or name)

    def _lose_branch(self, name: str, branch: int, because: str) -> None:
        self._lose(self._drop_branches(name, [branch], because), because)

    def _settle_now(self, name: str) -> None:
        self._states[name].settled = True
        self._unsettled -= 1
        for reader, counts in self._ends[name]:
            self._notify([(reader, _COUNT if counts else None)])
        self._growable.update(dict.fromkeys(self._growers[name]))


def _ranges(states: bytes | bytearray, wanted: int) -> Iterator[Range]:
    """The runs of one value."""
    stop = 0
    while (start := states.find(wanted, stop)) >= 0:
        stop = start
        while stop < len(states) and states[stop] == wanted:
            stop += 1
        yield start, stop
