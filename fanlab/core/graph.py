"""The calls of one body as a read-only graph: nodes, what each waits for, order and descendants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import GraphError
from .expand import Items
from .pending import Branches, Flattened, Gathered, Grouped, Output, Pending
from .spec import Node

Reference = Output | Branches | Gathered | Flattened | Grouped

Need = tuple[str, int | None]  # a node, and one branch of it or all


@dataclass(frozen=True, slots=True)
class Link:
    """Branches of a node need branches of `node`: its shape says which, by the argument that maps over them."""

    node: str
    argument: int  # which of the mapped arguments


class Growth(NamedTuple):
    """A node whose branches become known one after the other, from those of `node`."""

    node: str
    items: bool  # from the items of its branches, when each has ended; else branch by branch as they become known


@dataclass(frozen=True, slots=True)
class Needs:
    """What one node waits for."""

    gates: tuple[Need, ...] = ()  # before any branch may start
    links: tuple[Link, ...] = ()  # branch by branch
    items: tuple[tuple[int, int, Need], ...] = ()  # (mapped argument, item, what that item needs)
    sizes: tuple[Need, ...] = ()  # whose value says how many branches there are
    ends: tuple[str, ...] = ()  # nodes that have to have ended, well or not
    counts: tuple[str, ...] = ()  # nodes whose end, well or not, says how many branches there are
    growth: Growth | None = None

    def nodes(self) -> Iterator[str]:
        """Every node that is waited for, with repeats."""
        yield from self.strict()
        yield from self.ends

    def strict(self) -> Iterator[str]:
        """Every node whose failure this one does not survive, with repeats."""
        yield from (node for node, _ in self.gates)
        yield from (link.node for link in self.links)
        yield from (need[0] for _, _, need in self.items)
        if self.growth is not None:
            yield self.growth.node


class Graph:
    """Nodes in call order; it grows at its end while a body runs that waits for values.

    Raises GraphError on a cycle, spelled out.
    """

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes: dict[str, Node] = {}
        self._needs: dict[str, Needs] = {}
        self._depth: dict[str, int] = {}
        self._strict: set[str] = set()  # nodes whose failure somebody does not survive
        self._tolerant: set[str] = set()  # nodes that are read by somebody who expects failures
        self._exploded: dict[str, dict[str, None]] = {}
        self.extend(nodes.values())

    @property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes by name, in call order."""
        return MappingProxyType(self._nodes)

    @property
    def needs(self) -> Mapping[str, Needs]:
        """What each node waits for."""
        return MappingProxyType(self._needs)

    @property
    def depth(self) -> Mapping[str, int]:
        """The length of the longest path that leads to each node."""
        return MappingProxyType(self._depth)

    def extend(self, nodes: Iterable[Node]) -> None:
        """Take in nodes that have been recorded since."""
        new = list(nodes)
        self._nodes.update((node.name, node) for node in new)
        for node in new:
            needs = self._needs[node.name] = needs_of(node, self)
            self.read(needs.strict(), needs.ends)
            for argument in node.arguments:
                if argument.mapped and isinstance(argument.value, (Output, Flattened)):
                    self._exploded.setdefault(argument.value._node, {})[argument.value._output or ""] = None
        _measure([node.name for node in new], self._needs, self._depth)

    def read(self, strict: Iterable[str], tolerant: Iterable[str]) -> None:
        """Note that values of nodes are read, by somebody who does not or does survive their failure."""
        self._strict.update(strict)
        self._tolerant.update(tolerant)

    def edges(self) -> list[tuple[str, str]]:
        """(from, to) once for each pair, in call order."""
        return [(source, name) for name in self.nodes for source in dict.fromkeys(self.needs[name].nodes())]

    def tolerated(self) -> set[str]:
        """The nodes that are read, and only by fan-ins that expect failures: theirs are handled."""
        return self._tolerant - self._strict

    def exploded(self, name: str) -> tuple[str, ...]:
        """The outputs of a node whose items are mapped over one by one, "" for the whole value."""
        return tuple(self._exploded.get(name, ()))

    def descendants(self, name: str) -> set[str]:
        """Every node that needs `name`, directly or not."""
        readers: dict[str, list[str]] = {}
        for source, target in self.edges():
            readers.setdefault(source, []).append(target)
        found: set[str] = set()
        waiting = [name]
        while waiting:
            for reader in readers.get(waiting.pop(), ()):
                if reader not in found:
                    found.add(reader)
                    waiting.append(reader)
        return found


def references(value: Any) -> Iterator[Reference]:
    """The Outputs and Branches anywhere inside lists, tuples and dicts."""
    if isinstance(value, (Output, Branches, Gathered, Flattened, Grouped)):
        yield value
    elif isinstance(value, Items):
        if not value.plain:
            yield from references(value.values)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from references(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)


def need(value: Pending) -> Need:
    """What must be completed before a reference has its value."""
    return (value._node, value._branch if isinstance(value, Output) else None)


def needs_of(node: Node, graph: Graph) -> Needs:
    """What a node's arguments and `after` make it wait for."""
    growth = _growth(node, graph)
    gates: dict[Need, None] = dict.fromkeys(node.after)
    ends: dict[str, None] = {}
    for found in references([argument.value for argument in node.arguments if not argument.mapped]):
        if isinstance(found, Gathered):
            ends[found._node] = None
        else:
            gates[need(found)] = None
    links: list[Link] = []
    items: list[tuple[int, int, Need]] = []
    sizes: list[Need] = []
    counts: list[str] = []
    for position, argument in enumerate(argument for argument in node.arguments if argument.mapped):
        match argument.value:
            case Branches() as value if node.kind == "records":
                sizes.append(need(value))
            case Branches() | Grouped() as value:
                links.append(Link(value._node, position))
                if isinstance(value, Grouped) and _computed(graph.nodes[value._node], value._by):
                    sizes.append(need(value))
            case Gathered() as value:
                ends[value._node] = None
                counts.append(value._node)
            case Output() as value:
                sizes.append(need(value))
            case Flattened() as value:
                sizes += [need(value)] if growth is None else []
            case value:
                items += _item_needs(position, value)
    gates.update(dict.fromkeys(sizes))
    return Needs(tuple(gates), tuple(links), tuple(items), tuple(sizes), tuple(ends), tuple(counts), growth)


def _item_needs(position: int, items: Items) -> Iterator[tuple[int, int, Need]]:
    for number, item in enumerate(items.values if not items.plain else ()):
        for found in dict.fromkeys(need(reference) for reference in references(item)):
            yield position, number, found


def _growth(node: Node, graph: Graph) -> Growth | None:
    """Where a node's branches become known from, if that can be one after the other.

    Only a map of one source can: lengths are compared, products numbered, names compared and a first branch
    chosen when everything is known. Several outputs of one source are as long as each other branch by branch.
    """
    if node.kind != "map" or node.label is not None or node.probe:
        return None
    values = [argument.value for argument in node.arguments if argument.mapped]
    first = values[0]
    if not isinstance(first, (Flattened, Branches)):
        return None
    if any(type(v) is not type(first) or v._node != first._node for v in values if v is not first):
        return None
    if isinstance(first, Flattened):
        return Growth(first._node, True)
    return Growth(first._node, False) if graph.needs[first._node].growth is not None else None


def _computed(node: Node, argument: str) -> bool:
    """Whether an argument's values are what other steps' branches give, one by one."""
    return any(a.name == argument and a.mapped and isinstance(a.value, (Branches, Grouped)) for a in node.arguments)


def _measure(names: Iterable[str], needs: Mapping[str, Needs], depth: dict[str, int]) -> None:
    """Longest path to each node, by a depth-first walk without recursion."""
    for root in names:
        stack: list[tuple[str, Iterator[str]]] = []
        if root not in depth:
            stack.append((root, iter(dict.fromkeys(needs[root].nodes()))))
        open_nodes = dict.fromkeys(name for name, _ in stack)
        while stack:
            name, sources = stack[-1]
            for source in sources:
                if source in open_nodes:
                    _refuse_cycle([*list(open_nodes)[list(open_nodes).index(source) :], source])
                if source not in depth:
                    open_nodes[source] = None
                    stack.append((source, iter(dict.fromkeys(needs[source].nodes()))))
                    break
            else:
                depth[name] = 1 + max((depth[source] for source in needs[name].nodes()), default=-1)
                del open_nodes[name]
                stack.pop()


def _refuse_cycle(names: list[str]) -> None:
    path = " -> ".join(f"'{name}'" for name in reversed(names))
    raise GraphError(
        f"the calls wait for each other in a circle: {path} (each runs before the next)",
        do="take one `after` or argument of the circle out",
    )
