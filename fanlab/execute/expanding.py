"""Tells the branches of nodes, where what decides them is there."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Mapping, Sequence

from ..core.events import Event, Expanded, Failure, Finished, Grown, Lost, Status
from ..core.expand import CALL, Shape
from ..core.seal import Unsendable
from ..core.spec import Argument, Node
from ..core.standing import Fresh
from ..errors import CannotSend, FanlabError
from ..store.codecs import type_name
from .course import Course, failed
from .failure import failure_of
from .faults import Faults
from .shaping import Losses, Shaping, Unknown
from .values import Values

Keep = Callable[[str, Shape, int], dict[int, Finished]]  # of a node's branches from one on: those finished before


class Expanding:
    """Expands the nodes of one run."""

    def __init__(self, course: Course, values: Values, keep: Keep | None = None) -> None:
        self._course, self._values, self._keep = course, values, keep
        self._shaping = Shaping(course.record, values)
        self._sealed: dict[str, tuple[Argument, ...]] = {}
        self._known: dict[str, Shape] = {}

    def seal(self, names: list[str], known: Mapping[str, Shape]) -> dict[str, tuple[Argument, ...]]:
        """Take in nodes, and the branches of those that were known in the body; returns their sealed arguments."""
        for name in names:
            node = self._course.graph.nodes[name]
            self._sealed[name] = tuple(self._values.seal(node.step.name, argument) for argument in node.arguments)
        self._known.update((name, known[name]) for name in names if name in known)
        return {name: self._sealed[name] for name in names}

    def expand(self) -> None:
        """Tell whatever can be told."""
        course = self._course
        while True:
            events: list[Event] = []
            for name in course.schedule.expandable():
                events = self._expand(name, events)
            course.journal.emit(events)
            grown = False
            for name, fresh, last in course.schedule.growable():
                grown = True
                self._grow(name, fresh, last)
            if not grown:
                return

    def _expand(self, name: str, events: list[Event]) -> list[Event]:
        """Tell the branches of one node, after the events that are to be told first; those left to be told."""
        course = self._course
        node, growth = course.graph.nodes[name], course.graph.needs[name].growth
        arguments = self._sealed[name]
        try:
            _refuse_unsendable(node, arguments)
            if name in self._known:
                shape = self._known[name]
            elif growth is not None:
                shape = self._shaping.beginning(growth, arguments)
            elif node.kind == "call":
                shape = CALL
            else:
                shape, arguments = self._shaping.shape(node, arguments)
            _refuse_keys(node, shape)
        except Unknown as unknown:
            course.schedule.fail(name, str(unknown))
            return [*events, *(Lost(*each) for each in course.schedule.dropped)]
        except FanlabError as error:
            course.schedule.fail(name)
            lost = course.schedule.dropped
            return [*events, *(Lost(*each, failure_of(error) if each.node == name else None) for each in lost)]
        events.append(Expanded(name, shape, arguments, time.time(), growth is not None))
        course.journal.emit(events)  # nodes that follow ask the record for its shape
        course.schedule.expand(name, shape)
        self._keep_finished(name, shape, 0)
        return []

    def _grow(self, name: str, fresh: list[Fresh], last: bool) -> None:
        course = self._course
        growth, shape = course.graph.needs[name].growth, course.record.nodes[name].shape
        assert growth is not None
        assert shape is not None
        old = shape.size
        blocks, arguments, losses = self._shaping.grow(name, growth, fresh)
        course.journal.emit([Grown(name, blocks, arguments, last, time.time())])
        grown = course.record.nodes[name].shape
        assert grown is not None
        course.schedule.grow(name, grown, last=last)
        self._lose(name, losses)
        self._keep_finished(name, grown, old)

    def _lose(self, name: str, losses: Losses) -> None:
        """Branches that stand for what has no items: skipped, or failed where its value is not one that has."""
        for branch, why in losses.items():
            if isinstance(why, Failure):
                event = failed(name, branch, 1, why)
                self._course.journal.emit([event])
                self._course.schedule.take_over(name, branch, Status.FAILED)
                self._course.halt(event)
            else:
                self._course.schedule.lose(name, branch, why)

    def _keep_finished(self, name: str, shape: Shape, start: int) -> None:
        """Take over what an earlier run has finished."""
        kept = self._keep(name, shape, start) if self._keep is not None else {}
        self._course.journal.emit(list(kept.values()))
        for branch, finished in kept.items():
            self._course.schedule.take_over(finished.node, branch)

    def passed_on(self, name: str) -> Finished | None:
        """The value of a reduce of one item, which no call makes; None for any other node."""
        node = self._course.record.calls(name)
        if not node.passes_on:
            return None
        nothing = array("d", [0.0])
        try:
            value = self._values.only(node)
        except FanlabError as error:
            return failed(name, 0, 1, failure_of(error))
        return Finished(name, 0, bytes([Status.COMPLETED]), 0, 0, nothing, nothing, array("q", [0]), (value,))


_DO = "give the dict keys that are text or numbers"


def _refuse_unsendable(node: Node, arguments: Sequence[Argument]) -> None:
    """Raise CannotSend where the keys of a dict that is mapped over do not arrive in another process."""
    for argument in arguments:
        if argument.mapped and isinstance(argument.value, Unsendable):
            raise CannotSend(argument.value.reason, str(node.place), _DO)


def _refuse_keys(node: Node, shape: Shape) -> None:
    """Raise CannotSend where the keys that the branches would bear do not arrive, wherever they come from."""
    found = Faults.of_keys(shape.keys or ())
    if found is not None:
        key, why = found
        raise CannotSend(
            f"a key of the branches of '{node.name}', of type {type_name(key)}, cannot be sent: {why}",
            str(node.place),
            _DO,
        )
