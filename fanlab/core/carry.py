"""What a run may take over from an earlier run of the same body: finished branches whose work is the same."""

from __future__ import annotations

from typing import Any

from .events import Finished, Status
from .expand import Shape
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

    def branches(self, name: str, shape: Shape) -> dict[int, Finished]:
        """The finished branches of a node whose branches are known now, as if they had just been found."""
        node = self._earlier.nodes.get(name)
        self._same[name] = self._is_same(name, shape)
        if node is None or not self._same[name]:
            return {}
        found = {}
        for branch in range(shape.size):
            if node.statuses[branch] in (Status.COMPLETED, Status.CACHED):
                found[branch] = Finished(
                    name, branch, bytes([Status.CACHED]), node.attempts[branch], node.workers[branch],
                    node.begun[branch : branch + 1], node.ended[branch : branch + 1], node.peaks[branch : branch + 1],
                    (node.outputs[branch],), {}, {branch: node.metadata[branch]} if branch in node.metadata else {},
                    {branch: node.items[branch]} if branch in node.items else {},
                )  # fmt: skip
        return found

    def _is_same(self, name: str, shape: Shape) -> bool:
        node = self._earlier.nodes.get(name)
        if node is None or node.shape is None or (node.shape.size, node.shape.keys) != (shape.size, shape.keys):
            return False
        before, now = self._functions.get(name), self._graph.nodes[name].step.function
        if before is not now and getattr(before, "__code__", before) is not getattr(now, "__code__", now):
            return False
        if [_told(a) for a in node.arguments] != [_told(a) for a in self._record.nodes[name].arguments]:
            return False
        return all(self._same.get(source, False) for source in self._graph.needs[name].nodes())


def _told(argument: Argument) -> Any:
    """An argument as it can be compared: stored values by their hashes."""

    def leaf(value: Any) -> Any:
        return ("stored", value.hash) if isinstance(value, Stored) else (type(value), repr(value))

    return (argument.name, rebuild(argument.value, leaf))
