"""The branches that may start now, as ranges per node, and which node goes first."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Container, Iterator

from .graph import Graph

Range = tuple[int, int]


class Ready:
    """Ranges of branches that may start. Those of the deepest node go first, then call order."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._order: dict[str, int] = {}
        self._names: list[str] = []
        self._ranges: dict[str, deque[Range]] = {}
        self._heap: list[tuple[int, int]] = []  # (-depth, position) of nodes that have some, and of some that had

    def add(self, name: str) -> None:
        """Take in a node, in call order."""
        self._order[name] = len(self._names)
        self._names.append(name)
        self._ranges[name] = deque()

    def next(self, blocked: Container[str]) -> str | None:
        """The node whose branches should start next, or None while none may; `blocked` ones are passed over."""
        passed = []
        found = None
        while self._heap and found is None:
            name = self._names[self._heap[0][1]]
            if self._ranges[name] and name not in blocked:
                found = name
            else:
                entry = heapq.heappop(self._heap)
                if self._ranges[name]:
                    passed.append(entry)
        for entry in passed:
            heapq.heappush(self._heap, entry)
        return found

    def take(self, name: str, most: int) -> Range:
        """Take away the first branches of a node that has some: a range of up to `most`."""
        ranges = self._ranges[name]
        start, stop = ranges[0]
        if stop - start <= most:
            return ranges.popleft()
        ranges[0] = (start + most, stop)
        return start, start + most

    def of(self, name: str) -> list[Range]:
        """The ranges of a node, in the order in which they start."""
        return list(self._ranges[name])

    def put(self, name: str, start: int, stop: int) -> None:
        """Add a range behind the others of its node."""
        ranges = self._ranges[name]
        if ranges and ranges[-1][1] == start:
            ranges[-1] = (ranges[-1][0], stop)
        else:
            ranges.append((start, stop))
        self._announce(name)

    def put_first(self, name: str, branch: int) -> None:
        """Add a branch before the others of its node."""
        ranges = self._ranges[name]
        start, stop = ranges[0] if ranges else (-1, -1)
        if branch == stop:
            ranges[0] = (start, branch + 1)
        elif branch + 1 == start:
            ranges[0] = (branch, stop)
        else:
            ranges.appendleft((branch, branch + 1))
        self._announce(name)

    def drop(self, name: str, start: int, stop: int) -> None:
        """Take a range away, as far as it is there."""
        self._ranges[name] = deque(_without(self._ranges[name], start, stop))

    def clear(self, name: str) -> None:
        """Take away all of a node."""
        self._ranges[name].clear()

    def _announce(self, name: str) -> None:
        heapq.heappush(self._heap, (-self._graph.depth[name], self._order[name]))


def _without(ranges: deque[Range], start: int, stop: int) -> Iterator[Range]:
    for first, last in ranges:
        for part in ((first, min(last, start)), (max(first, stop), last)):
            if part[0] < part[1]:
                yield part
