"""A body's calls become a Graph: the one recorder, active while a pipeline's body runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from ..errors import FanOutError, GraphError, StepCallError, listed, near
from ..place import here
from .bind import bind, copied, mapped, placed, refuse_nothing_to_map
from .expand import CALL, Items, Shape, Source, combine, label_fields, unique_names
from .graph import Graph, need, references
from .spec import RECORDER, Argument, Branches, Node, Output, Step


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a body recorded: its graph, the branches that are known already, and what it returned."""

    graph: Graph
    shapes: Mapping[str, Shape]
    returned: Any


class Tracer:
    """Records the calls of one body. It is the only thing that makes Nodes."""

    def __init__(self, enable_cache: bool = True) -> None:
        self._nodes: dict[str, Node] = {}
        self._shapes: dict[str, Shape] = {}
        self._later: list[tuple[str, str, str]] = []  # (node, group, name in its `after`)
        self._groups: list[tuple[str, bool]] = [("", enable_cache)]
        self._next: dict[str, int] = {}  # the suffix at which the next repeat of a name starts to look

    def call(self, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any], id: str | None, after: Any) -> Any:
        """Record one call; the Output of its value, or one for each of several outputs."""
        arguments = tuple(replace(argument, value=copied(argument.value)) for argument in bind(step, "", args, kwargs))
        name = self._add(step, "call", arguments, id or step.name, id is not None, after)
        self._shapes[name] = CALL
        if len(step.outputs) == 1:
            return Output(self, name)
        return tuple(Output(self, name, output) for output in step.outputs)

    def fan_out(
        self,
        step: Step,
        kind: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        id: str | None,
        after: Any,
        probe: bool,
    ) -> Branches:
        """Record a map or product over the arguments that hold several items."""
        arguments = tuple(mapped(step, kind, argument) for argument in bind(step, kind, args, kwargs))
        if not any(argument.mapped for argument in arguments):
            refuse_nothing_to_map(step, kind, arguments)
        template = id if id is not None and "{" in id else None
        base = step.name if template else id or step.name
        shape = self._shape_of(base, kind, arguments)
        if template is not None:
            shape = _labelled(base, template, arguments, shape)
        name = self._add(step, kind, arguments, base, id is not None and not template, after, template, probe)
        if shape is not None:
            self._shapes[name] = shape
        return Branches(self, name)

    def shape(self, node: str) -> Shape | None:
        """A node's branches where they are known in the body."""
        return self._shapes.get(node)

    def unpack(self, node: str, count: int) -> tuple[str, ...]:
        """Let a node have `count` outputs named output_0, output_1, …; those it names itself are kept."""
        known = self._nodes[node].outputs
        if len(known) == 1 and count > 1:
            known = tuple(f"output_{i}" for i in range(count))
            self._nodes[node] = replace(self._nodes[node], outputs=known)
        if len(known) != count:
            raise StepCallError(
                f"'{node}' has {len(known)} outputs, so it cannot be unpacked into {count}", str(here())
            )
        return known

    @contextmanager
    def group(self, name: str, enable_cache: bool) -> Iterator[None]:
        """Record an inlined pipeline: its nodes' names start with its own, numbered from the second call on."""
        prefix = self._groups[-1][0]
        taken = {
            node[len(prefix) :].split(".")[0]
            for node in self._nodes
            if node.startswith(prefix) and "." in node[len(prefix) :]
        }
        self._groups.append((f"{prefix}{_numbered(name, taken)}.", enable_cache))
        try:
            yield
        finally:
            self._groups.pop()

    def finish(self, pipeline: str, returned: Any) -> Trace:
        """The graph of everything recorded. Raises GraphError for no steps, an unknown `after`, a cycle."""
        if not self._nodes:
            raise GraphError(
                f"pipeline '{pipeline}' has no steps: its body called none",
                do="call a @step function in it",
            )
        for node, group, name in self._later:
            found = name if not group else next((n for n in _outward(group, name) if n in self._nodes), name)
            if found not in self._nodes:
                place = self._nodes[node].place
                raise GraphError(
                    f"after={name!r} of '{node}' is not a node of this pipeline",
                    where=str(place),
                    do=near(name, self._nodes) or f"the nodes are {listed(self._nodes)}",
                )
            self._nodes[node] = replace(self._nodes[node], after=(*self._nodes[node].after, (found, None)))
        return Trace(Graph(self._nodes), dict(self._shapes), copied(returned))

    def _add(
        self,
        step: Step,
        kind: str,
        arguments: tuple[Argument, ...],
        id: str,
        explicit: bool,
        after: Any,
        label: str | None = None,
        probe: bool = False,
    ) -> str:
        group, enable_cache = self._groups[-1]
        name = f"{group}{id}"
        place = here()
        if not explicit:
            name = self._free(name)
        elif name in self._nodes:
            first = self._nodes[name]
            raise GraphError(
                f"id '{id}' is taken: step '{first.step.name}' has it at {first.place}",
                where=f"step '{step.name}' asks for it at {place}",
                do="give each call an id of its own, or leave id out to have them numbered",
            )
        if step.options.enable_cache is not None:
            enable_cache = step.options.enable_cache
        self._own(step, arguments)
        now, later = self._after(name, group, after)
        self._later += later
        self._nodes[name] = Node(name, step, kind, arguments, step.outputs, now, label, probe, enable_cache, place)
        return name

    def _free(self, name: str) -> str:
        if name not in self._nodes:
            return name
        count = self._next.get(name, 2)
        while f"{name}_{count}" in self._nodes:
            count += 1
        self._next[name] = count + 1
        return f"{name}_{count}"

    def _own(self, step: Step, arguments: tuple[Argument, ...]) -> None:
        for argument in arguments:
            for found in references(argument.value):
                if found._recorder is not self:
                    raise StepCallError(
                        f"argument '{argument.name}' of step '{step.name}' is {found!r} of another pipeline's body",
                        where=str(here()),
                        do="run that pipeline first and pass the value: run.load()",
                    )

    def _after(
        self, node: str, group: str, after: Any
    ) -> tuple[tuple[tuple[str, int | None], ...], list[tuple[str, str, str]]]:
        now: list[tuple[str, int | None]] = []
        later: list[tuple[str, str, str]] = []
        for item in _flat(after):
            if isinstance(item, (Output, Branches)):
                now.append(need(item))
            elif isinstance(item, str):
                later.append((node, group, item))
            elif item is not None:
                raise StepCallError(
                    f"after= of '{node}' holds {type(item).__name__} {item!r}",
                    where=str(here()),
                    do="it takes Outputs, Branches, names of nodes, and lists of them",
                )
        return tuple(now), later

    def _shape_of(self, node: str, kind: str, arguments: tuple[Argument, ...]) -> Shape | None:
        sources = [known_source(argument, self._shapes) for argument in arguments if argument.mapped]
        known = [source for source in sources if source is not None]
        if len(known) < len(sources):
            return None
        try:
            return combine(kind, node, known)
        except FanOutError as error:
            raise placed(error) from None


def trace(pipeline: str, body: Any, args: tuple[Any, ...], kwargs: dict[str, Any], enable_cache: bool = True) -> Trace:
    """Run a body once and return what it recorded."""
    __tracebackhide__ = True  # IPython leaves our frames out
    tracer = Tracer(enable_cache)
    token = RECORDER.set(tracer)
    try:
        returned = body(*args, **kwargs)
    finally:
        RECORDER.reset(token)
    return tracer.finish(pipeline, returned)


def known_source(argument: Argument, shapes: dict[str, Shape]) -> Source | None:
    """A mapped argument's length and keys, where they are known without running anything."""
    value = argument.value
    if isinstance(value, Items):
        return Source(argument.name, len(value.values), value.keys)
    if isinstance(value, Branches) and value._node in shapes:
        shape = shapes[value._node]
        return Source(argument.name, shape.size, shape.keys)
    return None


def labels_of(node: str, template: str, rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """Branch labels from an id template and each branch's arguments. Raises FanOutError if two agree."""
    labels = tuple(template.format(**row) for row in rows)
    unique_names(node, labels)
    return labels


def _labelled(node: str, template: str, arguments: tuple[Argument, ...], shape: Shape | None) -> Shape | None:
    used = set()
    try:
        used = set(label_fields(node, template, [argument.name for argument in arguments]))
        for argument in arguments:
            if argument.name in used and _computed(argument):
                raise FanOutError(
                    f"id={template!r} of '{node}' uses '{argument.name}', whose values are computed by other steps",
                    do="name branches from arguments that are given, or leave id out to number them",
                )
        if shape is None:
            return None
        rows = [label_row(arguments, shape, branch, used) for branch in range(shape.size)]
        return replace(shape, labels=labels_of(node, template, rows))
    except FanOutError as error:
        raise placed(error) from None


def label_row(arguments: tuple[Argument, ...], shape: Shape, branch: int, used: set[str]) -> dict[str, Any]:
    """The arguments of one branch that an id template may use, by name."""
    row = {}
    mapped = 0
    for argument in arguments:
        if argument.name in used:
            row[argument.name] = (
                argument.value.values[shape.item(mapped, branch)] if argument.mapped else argument.value
            )
        mapped += argument.mapped
    return row


def _computed(argument: Argument) -> bool:
    if argument.mapped and isinstance(argument.value, Output):
        return False  # its items are known when the branches are
    return next(references(argument.value), None) is not None


def _flat(after: Any) -> Iterator[Any]:
    if isinstance(after, (list, tuple, set, frozenset)):
        for item in after:
            yield from _flat(item)
    elif isinstance(after, dict):
        for item in after.values():
            yield from _flat(item)
    else:
        yield after


def _numbered(name: str, taken: set[str]) -> str:
    numbers = (f"{name}_{count}" for count in itertools.count(2))
    return next(free for free in itertools.chain([name], numbers) if free not in taken)


def _outward(group: str, name: str) -> Iterator[str]:
    """A name as seen from inside a group: in the group, then in each that holds it, then at the top."""
    while group:
        yield f"{group}{name}"
        group = group[: group.rstrip(".").rfind(".") + 1]
    yield name
