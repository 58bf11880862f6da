"""The state machine of a run: given what has happened, which branches may start.

It knows no clock, process or value, so that any order of finishing can be tried on it. The state of a
fan-out is held as arrays per node and ranges of branches, not as an object per branch.

Over 300 lines: all that can happen to a branch before it starts is one machine, and reads as one.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice

from .events import Status
from .expand import CALL, Shape
from .graph import Graph, Link
from .losses import Dropped, Losses
from .ready import Range, Ready
from .standing import COUNT, GOOD, Fresh, Reader, Standing, State, runs_of


class Schedule:
    """Feed it `expand` and `finish`; it answers with `next` and `take`, and tells what it drops.

    Each branch starts once, after everything it needs; exactly what depends on a failure is dropped.
    Ready branches of the deepest node go first, then call order.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._ready = Ready(graph)
        self._standing = Standing()
        self._states = self._standing.states
        self._losses = Losses(self._standing, self._settle_now, self._complete)
        self._expandable: deque[str] = deque()
        self._arrived: deque[tuple[str, int, int]] = deque()
        self._unsettled = 0
        self._stopped = False
        self.extend()

    def extend(self) -> None:
        """Take in the nodes that the graph has got since."""
        new = list(islice(self._graph.nodes, len(self._states), None))
        for name in new:
            self._ready.add(name)
            self._standing.add(name, probe=self._graph.nodes[name].probe)
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
        found, self._losses.dropped = self._losses.dropped, []
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
            state.fresh = list(self._standing.ended_branches(needs.growth.node)) if needs.growth.items else []
            self._standing.growers[needs.growth.node][name] = needs.growth.items
            self._standing.growable[name] = None
        for reader in self._standing.begun[name]:
            self._count_down_size(reader)
        if not state.growing:
            self._complete(name)
        if state.gates == 0:
            self._open(name)
        self._settle(name)

    def growable(self) -> Iterator[tuple[str, list[Fresh], bool]]:
        """Nodes of which more branches can be told, from what, and whether those are the last; answer with `grow`."""
        growable = self._standing.growable
        while growable:
            name = next(iter(growable))
            del growable[name]
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
        self._standing.let_grow(name)
        self._settle(name)

    def lose(self, name: str, branch: int, because: str) -> None:
        """Say that a branch which has not started will not run: what it would have come from is lost."""
        self._ready.drop(name, branch, branch + 1)
        self._losses.branch(name, branch, because)
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
        self._losses.node(name, because or name, Status.SKIPPED if because else Status.FAILED)

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
        return bool(self._expandable or self._standing.growable or self._arrived)

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
            self._probed(name, state, statuses[0] in GOOD)
        if statuses.count(Status.COMPLETED) + statuses.count(Status.CACHED) == len(statuses):
            self._release(name, start, stop)
        else:
            for branch, status in enumerate(statuses, start):
                if status in GOOD:
                    self._release(name, branch, branch + 1)
                else:
                    self._losses.ended(name, branch)
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
                self._losses.dropped.append(Dropped(name, 0, None, Status.CANCELLED, ""))
                continue
            state.growing = False
            self._ready.clear(name)
            for start, stop in runs_of(state.status, Status.QUEUED):
                state.status[start:stop] = bytes([Status.CANCELLED]) * (stop - start)
                state.left -= stop - start
                self._losses.dropped.append(Dropped(name, start, stop, Status.CANCELLED, ""))
            self._settle(name)

    def _probed(self, name: str, state: State, good: bool) -> None:
        """Branch 0 has ended: let the others go, or drop them all."""
        held, state.held = state.held or [], None
        if good:
            for start, stop in held:
                self._push(name, start, stop)
        else:
            self._losses.behind_probe(name)

    # how needs are met

    def _connect(self, name: str) -> None:
        """Have a new node told of what it needs, as far as that has not happened yet."""
        needs, state = self._graph.needs[name], self._states[name]
        because = [self._await_value(name, source, branch) for source, branch in needs.gates]
        for source, branch in needs.sizes:
            if not self._states[source].is_good(branch):
                state.unsized += 1
                self._standing.readers(source, branch).append((name, COUNT))
        for argument, item, (source, branch) in needs.items:
            self._standing.readers(source, branch).append((name, (argument, item)))
        for link in needs.links:
            self._standing.links[link.node].append((name, link))
            if needs.growth is None:
                because.append(self._await_size(name, link.node, self._standing.sized))
        if needs.growth is not None:
            because.append(self._await_size(name, needs.growth.node, self._standing.begun))
        self._await_ends(name)
        if self._graph.nodes[name].kind == "reduce":
            self._standing.links[name].append((name, Link(name, 1)))
        if any(because):
            self._losses.node(name, next(filter(None, because)), Status.SKIPPED)

    def _await_value(self, name: str, source: str, branch: int | None) -> str:
        """Let a node wait for another or a branch of it; the node because of which that will never have a value."""
        if self._states[source].is_good(branch):
            return ""
        self._states[name].gates += 1
        self._standing.readers(source, branch).append((name, None))
        return self._standing.lost_because(source, branch)

    def _await_ends(self, name: str) -> None:
        """Let a node wait until others have ended, well or not."""
        needs, state = self._graph.needs[name], self._states[name]
        waited = [source for source in needs.ends if not self._states[source].settled]
        counted = [source for source in needs.counts if not self._states[source].settled]
        state.gates += len(waited)
        state.unsized += len(counted)
        for source in waited:
            self._standing.ends[source].append((name, False))
        for source in counted:
            self._standing.ends[source].append((name, True))

    def _await_size(self, name: str, source: str, readers: dict[str, list[str]]) -> str:
        """Let a node wait until the branches of another are known; the node because of which they never will be."""
        found = self._states[source]
        readers[source].append(name)
        if found.shape is not None and (not found.growing or readers is self._standing.begun):
            return ""
        self._states[name].unsized += 1
        return (found.broken or source) if found.settled else ""

    def _links_of(self, name: str) -> tuple[Link, ...]:
        """What a node needs branch by branch; of a reduce its own calls too."""
        links = self._graph.needs[name].links
        return (*links, Link(name, 1)) if self._graph.nodes[name].kind == "reduce" else links

    def _complete(self, name: str) -> None:
        """All branches of a node are known."""
        for reader in self._standing.sized[name]:
            self._count_down_size(reader)

    def _await(self, name: str, branches: Iterable[int], source: str, branch: int | None) -> None:
        """Let branches of `name` wait for a node or one branch of it, unless that has ended already."""
        state, upstream = self._states[name], self._states[source]
        if state.waiting is None or upstream.is_good(branch):
            return
        lost = upstream.is_lost(branch)
        for i in branches:
            if lost:
                self._losses.branch(name, i, source)
            else:
                state.waiting[i] += 1

    def _await_link(self, name: str, link: Link, shape: Shape, start: int = 0) -> None:
        state, upstream = self._states[name], self._states[link.node]
        if state.waiting is None:
            return
        straight = shape.straight(link.argument)
        for i in range(start, shape.size):
            for source in (i,) if straight else shape.sources(link.argument, i):
                if upstream.status[source] in GOOD:
                    continue
                if upstream.is_lost(source):
                    self._losses.branch(name, i, upstream.broken or link.node)
                else:
                    state.waiting[i] += 1

    def _release(self, name: str, start: int, stop: int) -> None:
        """Branches have their values: let those that need one of them go on."""
        standing = self._standing
        for reader, link in standing.links[name]:
            shape = self._states[reader].shape
            if shape is None:
                continue
            if shape.straight(link.argument):
                self._count_down(reader, range(start, min(stop, shape.size)))
            else:
                for source in range(start, stop):
                    self._count_down(reader, shape.targets(link.argument, source))
        if standing.growers[name]:
            standing.add_fresh(name, Fresh(start, stop, ""))
        if standing.single:
            for branch in range(start, stop):
                self._notify(standing.single.get((name, branch), ()))

    def _notify(self, readers: Iterable[Reader]) -> None:
        for reader, item in readers:
            state = self._states[reader]
            if item is COUNT:
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
        for start, stop in runs_of(free, 1):
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
        self._notify(self._standing.whole[name])

    def _settle_now(self, name: str) -> None:
        self._states[name].settled = True
        self._unsettled -= 1
        for reader, counts in self._standing.ends[name]:
            self._notify([(reader, COUNT if counts else None)])
        self._standing.let_grow(name)
