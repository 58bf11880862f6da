"""The calls of one body as a read-only graph: nodes, what each waits for, order and descendants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..errors import GraphError
from .expand import Items
from .spec import Branches, Gathered, Node, Output

Need = tuple[str, int | None]  # a node, and one branch of it or all


@dataclass(frozen=True, slots=True)
class Link:
    """Branch i of a node needs branch `shape.item(argument, i)` of `node`."""

    node: str
    argument: int  # which of the mapped arguments


@dataclass(frozen=True, slots=True)
class Needs:
    """What one node waits for."""

    gates: tuple[Need, ...] = ()  # before any branch may start
    links: tuple[Link, ...] = ()  # branch by branch
    items: tuple[tuple[int, int, Need], ...] = ()  # (mapped argument, item, what that item needs)
    sizes: tuple[str, ...] = ()  # nodes whose value says how many branches there are
    ends: tuple[str, ...] = ()  # nodes that have to have ended, well or not

    def nodes(self) -> Iterator[str]:
        """Every node that is waited for, with repeats."""
        yield from self.strict()
        yield from self.ends

    def strict(self) -> Iterator[str]:
        """Every node whose failure this one does not survive, with repeats."""
        yield from (node for node, _ in self.gates)
        yield from (link.node for link in self.links)
        yield from (need[0] for _, _, need in self.items)


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Nodes in call order. Raises GraphError on a cycle, spelled out."""

    nodes: Mapping[str, Node]
    needs: Mapping[str, Needs] = field(init=False)
    depth: Mapping[str, int] = field(init=False)  # length of the longest path that leads to a node

    def __post_init__(self) -> None:
        needs = {name: needs_of(node) for name, node in self.nodes.items()}
        object.__setattr__(self, "nodes", MappingProxyType(dict(self.nodes)))
        object.__setattr__(self, "needs", MappingProxyType(needs))
        object.__setattr__(self, "depth", MappingProxyType(_depths(needs)))

    def edges(self) -> list[tuple[str, str]]:
        """(from, to) once for each pair, in call order."""
        return [(source, name) for name in self.nodes for source in dict.fromkeys(self.needs[name].nodes())]

    def tolerated(self) -> set[str]:
        """The nodes that are read, and only by fan-ins that expect failures: theirs are handled."""
        return {name for needs in self.needs.values() for name in needs.ends} - {
            name for needs in self.needs.values() for name in needs.strict()
        }

    def exploded(self) -> dict[str, tuple[str, ...]]:
        """Of each node that is mapped over by value: the outputs whose items are wanted, "" for the whole value."""
        found: dict[str, dict[str, None]] = {}
        for node in self.nodes.values():
            for argument in node.arguments:
                if argument.mapped and isinstance(argument.value, Output):
                    found.setdefault(argument.value._node, {})[argument.value._output or ""] = None
        return {name: tuple(outputs) for name, outputs in found.items()}

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


def references(value: Any) -> Iterator[Output | Branches | Gathered]:
    """The Outputs and Branches anywhere inside lists, tuples and dicts."""
    if isinstance(value, (Output, Branches, Gathered)):
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


def need(value: Output | Branches | Gathered) -> Need:
    """What must be completed before a reference has its value."""
    return (value._node, value._branch if isinstance(value, Output) else None)


def needs_of(node: Node) -> Needs:
    """What a node's arguments and `after` make it wait for."""
    gates: dict[Need, None] = dict.fromkeys(node.after)
    links: list[Link] = []
    items: list[tuple[int, int, Need]] = []
    sizes: list[str] = []
    ends: dict[Need, None] = {}
    mapped = 0
    for argument in node.arguments:
        value = argument.value
        if not argument.mapped:
            for found in references(value):
                (ends if isinstance(found, Gathered) else gates)[need(found)] = None
            continue
        if isinstance(value, Branches):
            links.append(Link(value._node, mapped))
        elif isinstance(value, Output):
            gates[need(value)] = None
            sizes.append(value._node)
        else:
            for position, item in enumerate(value.values if not value.plain else ()):
                items.extend((mapped, position, found) for found in dict.fromkeys(need(r) for r in references(item)))
        mapped += 1
    return Needs(tuple(gates), tuple(links), tuple(items), tuple(sizes), tuple(name for name, _ in ends))


def _depths(needs: Mapping[str, Needs]) -> dict[str, int]:
    """Longest path to each node, by a depth-first walk without recursion."""
    depth: dict[str, int] = {}
    for root in needs:
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
    return depth


def _refuse_cycle(names: list[str]) -> None:
    path = " -> ".join(f"'{name}'" for name in reversed(names))
    raise GraphError(
        f"the calls wait for each other in a circle: {path} (each runs before the next)",
        do="take one `after` or argument of the circle out",
    )
