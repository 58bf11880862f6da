"""Which branches of a run a person means: by names, by patterns, or by rows of its results."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from typing import Any

from ..errors import NotFound, listed, near
from .record import Record


def chosen(record: Record, names_or_rows: Any) -> dict[str, list[int]]:
    """The numbers of the branches meant, by node. Raises NotFound with the nearest names, or for nothing at all.

    A name is that of a node (all its branches), of a branch, or a pattern for names of nodes (`fit*`).
    """
    branches = {node.name(branch): (node.info.name, branch) for node, branch in record.walk() if node.shape is not None}
    found: dict[str, list[int]] = {}
    for name in _names(names_or_rows, branches):
        for node, branch in _meant(record, branches, name):
            found.setdefault(node, []).append(branch)
    if not found:
        raise NotFound(f"nothing of run '{record.name}' is chosen", do="give names of steps, or rows of run.results")
    return found


def _meant(record: Record, branches: dict[str, tuple[str, int]], name: str) -> list[tuple[str, int]]:
    if name in record.nodes:
        return [place for place in branches.values() if place[0] == name]
    if name in branches:
        return [branches[name]]
    nodes = {node for node in record.nodes if fnmatch.fnmatchcase(node, name)}
    if not nodes:
        known = [*record.nodes, *branches]
        raise NotFound(
            f"run '{record.name}' has no step '{name}'", do=near(name, known) or f"its steps are {listed(record.nodes)}"
        )
    return [place for place in branches.values() if place[0] in nodes]


def _names(names_or_rows: Any, known: Iterable[str]) -> list[str]:
    """Names as given, or as the index of rows has them; one row has its own."""
    if isinstance(names_or_rows, str):
        return [names_or_rows]
    index = getattr(names_or_rows, "index", None)
    if index is not None and hasattr(names_or_rows, "loc"):  # a DataFrame or Series
        names = [str(name) for name in index]
        if names_or_rows.ndim == 1 and not set(names) & set(known) and names_or_rows.name is not None:
            return [str(names_or_rows.name)]
        return names
    if not isinstance(names_or_rows, Iterable):
        raise NotFound(f"{names_or_rows!r} names no steps", do="give names of steps, or rows of run.results")
    return [str(name) for name in names_or_rows]
