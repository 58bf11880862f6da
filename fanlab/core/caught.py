"""Which failures the body of a pipeline has met in its `load()`s, and gone on after."""

from __future__ import annotations

from collections.abc import Iterator

from .events import Status
from .graph import Graph, Need
from .record import Record

_LOST = (Status.FAILED, Status.SKIPPED, Status.CANCELLED)


class Caught:
    """The values that a body has been told it will not get."""

    def __init__(self) -> None:
        self._needs: dict[Need, None] = {}

    def add(self, need: Need) -> None:
        """A `load()` raises, because this has no value."""
        self._needs.pop(need, None)
        self._needs[need] = None

    def let_go(self) -> tuple[str, ...]:
        """What has been raised last has not been caught: it ends the body. The node, if there is one."""
        return (self._needs.popitem()[0][0],) if self._needs else ()

    def handled(self, graph: Graph, record: Record) -> set[str]:
        """Nodes whose failures the body has met, and everything that is lost with them: it expects them all."""
        if not self._needs:
            return set()
        met = self._met(graph, record)
        readers: dict[str, set[str]] = {name: set() for name in graph.nodes}
        for name, needs in graph.needs.items():
            for source in needs.strict() if record.nodes[name].count(*_LOST) else ():
                readers[source].add(name)
        found: set[str] = set()
        for name in sorted(graph.nodes, key=graph.depth.__getitem__, reverse=True):  # readers before what they read
            if readers[name] <= found and met.issuperset((name, branch) for branch in _lost(record, name)):
                found.add(name)
        return {name for name in found if record.nodes[name].count(Status.FAILED)}

    def _met(self, graph: Graph, record: Record) -> set[tuple[str, int]]:
        """Every lost branch that the body knows of: those it has been told of, and what they are lost because of."""
        met: set[tuple[str, int]] = set()
        waiting = [(node, lost) for node, branch in self._needs for lost in _lost(record, node, branch)]
        while waiting:
            place = waiting.pop()
            if place not in met:
                met.add(place)
                waiting += _causes(graph, record, *place)
        return met


def _lost(record: Record, name: str, branch: int | None = None) -> Iterator[int]:
    """The branches of a node without a value, or the one that is asked for."""
    node = record.nodes[name]
    known = node.branches() if branch is None or node.shape is None else (branch,)
    return (number for number in known if node.branch_status(number) in _LOST)


def _causes(graph: Graph, record: Record, name: str, branch: int) -> Iterator[tuple[str, int]]:
    """The lost branches that one has needed."""
    needs, shape = graph.needs[name], record.nodes[name].shape
    wanted: list[Need] = list(needs.gates)
    if shape is None or needs.growth is not None or graph.nodes[name].kind == "reduce":
        wanted += [(source, None) for source in needs.strict()]
    else:
        wanted += [(link.node, source) for link in needs.links for source in shape.sources(link.argument, branch)]
        wanted += [need for argument, item, need in needs.items if branch in shape.targets(argument, item)]
    return ((source, lost) for source, number in wanted for lost in _lost(record, source, number))
