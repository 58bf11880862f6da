"""Which branches run again when some are asked for: those, and all that depends on them."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping

from .events import Status
from .expand import Shape
from .graph import Graph, Link, Need, Needs
from .record import NodeRecord, Record


def without(record: Record, graph: Graph, chosen: Mapping[str, Collection[int]]) -> Record:
    """The record of a run as if some branches, by node, and whatever depends on them had not run."""
    changed = _Changed(record, graph, chosen)
    found = copy.copy(record)
    found.nodes = dict(record.nodes)
    for name, branches in changed.branches.items():
        if branches:
            node = found.nodes[name] = copy.copy(record.nodes[name])
            node.statuses = bytearray(node.statuses)
            for branch in branches:
                node.statuses[branch] = Status.QUEUED
            if node.inner is not None:
                node.inner = copy.copy(node.inner)
                node.inner.statuses = bytearray(len(node.inner.statuses))
    return found


class _Changed:
    """Of each node, the branches whose value may be another one."""

    def __init__(self, record: Record, graph: Graph, chosen: Mapping[str, Collection[int]]) -> None:
        self._record, self._graph = record, graph
        self.branches: dict[str, set[int]] = {}
        for name in sorted(record.nodes, key=lambda name: graph.depth.get(name, 0)):  # sources first
            node = record.nodes[name]
            self.branches[name] = set(chosen.get(name, ())) | set(self._after(name, node))

    def _after(self, name: str, node: NodeRecord) -> Iterator[int]:
        """The branches that depend on one that has changed."""
        if node.shape is None or name not in self._graph.needs:
            return
        needs = self._graph.needs[name]
        if any(map(self._has, needs.gates)) or any(self._has((source, None)) for source in needs.ends):
            yield from range(node.shape.size)
            return
        if node.inner is not None:
            if any(self.branches.get(source) for source in needs.nodes()):
                yield 0
            return
        yield from self._after_items(needs, node.shape)
        links = [link for link in needs.links if self.branches.get(link.node)]
        items = {(argument, item) for argument, item, need in needs.items if self._has(need)}
        arguments = {argument for argument, _ in items}
        for branch in range(node.shape.size) if links or items else ():
            if any(self._has_one(link, node.shape, branch) for link in links) or any(
                (argument, node.shape.item(argument, branch)) in items for argument in arguments
            ):
                yield branch

    def _after_items(self, needs: Needs, shape: Shape) -> Iterator[int]:
        """The branches that came of items of a branch that has changed."""
        if needs.growth is None or not needs.growth.items or shape.blocks is None:
            return
        source = self._record.nodes[needs.growth.node].shape
        blocks = source.blocks if source is not None else None
        changed = {
            (branch,) if blocks is None else blocks.position(branch) for branch in self.branches[needs.growth.node]
        }
        for branch in range(shape.size):
            position = shape.blocks.position(branch)
            if position[:-1] in changed or position in changed:
                yield branch

    def _has_one(self, link: Link, shape: Shape, branch: int) -> bool:
        changed = self.branches[link.node]
        return any(source in changed for source in shape.sources(link.argument, branch))

    def _has(self, need: Need) -> bool:
        node, branch = need
        changed = self.branches.get(node, ())
        return bool(changed) if branch is None else branch in changed
