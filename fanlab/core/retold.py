"""The graph of a run as its record tells it: what needed what, without the functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..place import Place
from .graph import Graph, references
from .pending import Branches, Flattened, Gathered, Grouped, Output
from .record import NodeRecord, Record
from .seal import Ref, rebuild
from .spec import Node, Step


def retold(record: Record) -> Graph:
    """The graph. An `after` that waited for one branch waits for its whole node here: a record has no more of it."""
    return Graph({name: _node(found) for name, found in record.nodes.items()})


def _node(found: NodeRecord) -> Node:
    info = found.info
    arguments = tuple(replace(argument, value=rebuild(argument.value, _pending)) for argument in info.arguments)
    needed = {reference._node for argument in arguments for reference in references(argument.value)}
    after = tuple((name, None) for name in info.needs if name not in needed)
    grew = found.shape is not None and found.shape.blocks is not None
    return Node(
        info.name, Step(_gone, info.step), info.kind, arguments, info.outputs, after,
        label=None, probe=info.kind == "map" and not grew, enable_cache=False, place=Place("", 0),
    )  # fmt: skip


def _pending(leaf: Any) -> Any:
    """A reference as the body held it; it belongs to no recorder any more."""
    if not isinstance(leaf, Ref):
        return leaf
    nobody: Any = None
    if not leaf.many:
        return Output(nobody, leaf.node, leaf.output, leaf.branch)
    branches = Branches(nobody, leaf.node, leaf.output)
    match leaf.kind:
        case "items":
            return Flattened(nobody, leaf.node, leaf.output)
        case "groups":
            return Grouped(branches, leaf.by)
        case "":
            return branches
        case kind:
            return Gathered(branches, kind, leaf.at_least)


def _gone(*args: Any, **kwargs: Any) -> Any:
    """In place of a step's function, which only the process of the run had."""
    raise NotImplementedError
