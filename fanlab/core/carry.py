"""What a run may take over from an earlier run of the same body: finished branches whose work is the same."""

from __future__ import annotations

from typing import Any

from .events import Finished, Status
from .expand import GrowingItems, Shape
from .graph import Graph
from .record import Record
from .seal import Stored, rebuild
from .spec import Argument


class Carried:
    """Compares nodes by name: the same function, the same literal arguments, and inputs that were taken over too."""

    def __init__(self, earlier: Record, earlier_graph: Graph | None, record: Record, graph: Graph) -> None:
        self._earlier, self._record, self._graph = earlier, record, graph
        self._functions = {name: node.step.function for name, node in (earlier_graph or graph).nodes.items()}
        self._same: dict[str, bool] = {}
        self._alike: dict[str, bool] = {}  # what can be told of nodes before their branches are known

    def branches(self, name: str, shape: Shape, start: int = 0) -> dict[int, Finished]:
        """The finished branches of a node from one on, whose branches are known now, as if they had just been found.

        None of a node that is looked up by its keys: that finds what is the same, whatever it was called.
        """
        if name not in self._earlier.nodes:
            self._same[name] = False
            return {}
        node = self._earlier.calls(name)
        if start == 0:
            self._same[name] = self._is_same(name, shape)
        if not self._same[name] or self._graph.nodes[name].enable_cache:
            return {}
        found = {}
        for branch in range(start, shape.size):
            before = branch if shape.blocks is None else self._before(name, shape, branch)
            if before is not None and node.statuses[before] in (Status.COMPLETED, Status.CACHED):
                found[branch] = Finished(
                    name, branch, bytes([Status.CACHED]), node.attempts[before], node.workers[before],
                    node.begun[before : before + 1], node.ended[before : before + 1], node.peaks[before : before + 1],
                    (node.outputs[before],), {}, {branch: node.metadata[before]} if before in node.metadata else {},
                    {branch: node.items[before]} if before in node.items else {},
                    node.cached_from(before) or self._earlier.name,
                )  # fmt: skip
        return found

    def _before(self, name: str, shape: Shape, branch: int) -> int | None:
        """The earlier number of a branch that came of an item: the one with the same path and the same items."""
        earlier = self._earlier.nodes[name]
        if earlier.shape is None or earlier.shape.blocks is None:
            return None
        before = earlier.shape.blocks.find(shape.key(branch))
        if before is None:
            return None
        for old, new in zip(earlier.arguments, self._record.nodes[name].arguments, strict=True):
            if isinstance(new.value, GrowingItems) and (
                not isinstance(old.value, GrowingItems)
                or _told_value(old.value.values[before]) != _told_value(new.value.values[branch])
            ):
                return None
        return before

    def _is_same(self, name: str, shape: Shape) -> bool:
        node = self._earlier.calls(name)
        if node.shape is None or (shape.blocks is None) != (node.shape.blocks is None):
            return False
        if shape.blocks is None and (node.shape.size, node.shape.keys) != (shape.size, shape.keys):
            return False
        if not self._same_function(name):
            return False
        if [_told(a) for a in node.arguments] != [_told(a) for a in self._record.calls(name).arguments]:
            return False
        needs = self._graph.needs[name]
        if any(self._earlier.nodes[source].count(Status.FAILED, Status.SKIPPED) for source in needs.ends):
            return False  # it may be told of more now
        return all(self._is_same_source(source) for source in needs.nodes())

    def _is_same_source(self, name: str) -> bool:
        """Whether a node that is waited for is the same; a map over branches is told later than who waits for all."""
        if name in self._same:
            return self._same[name]
        if name not in self._alike:
            for found in sorted(self._graph.nodes.keys() - self._alike.keys(), key=lambda n: self._graph.depth[n]):
                self._alike[found] = self._is_alike(found)
        return self._alike[name]

    def _is_alike(self, name: str) -> bool:
        before, now = self._earlier.nodes.get(name), self._record.nodes.get(name)
        if before is None or now is None or not self._same_function(name):
            return False
        if [_told(a) for a in before.info.arguments] != [_told(a) for a in now.info.arguments]:
            return False
        return all(self._alike.get(source, False) for source in self._graph.needs[name].nodes())

    def _same_function(self, name: str) -> bool:
        before, now = self._functions.get(name), self._graph.nodes[name].step.function
        return before is now or getattr(before, "__code__", before) is getattr(now, "__code__", now)


def _told_value(value: Any) -> Any:
    """A sealed value as it can be compared: stored values by their hashes."""

    def leaf(found: Any) -> Any:
        if isinstance(found, GrowingItems):
            return "items"  # which are compared branch by branch
        return ("stored", found.hash) if isinstance(found, Stored) else (type(found), repr(found))

    return rebuild(value, leaf)


def _told(argument: Argument) -> Any:
    """An argument as it can be compared."""
    return (argument.name, _told_value(argument.value))
