"""A body's calls become a Graph: the one recorder, active while a pipeline's body runs.

Over 300 lines: whatever a body can do is recorded by the one recorder.
"""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..errors import FanOutError, GraphError, NotAvailable, StepCallError, listed, near
from ..place import Place, here, is_own
from .bind import bind, copied, mapped, placed, reduced, refuse_nothing_to_map
from .expand import CALL, Items, Shape, Source, combine, label_fields, unique_names
from .graph import Graph, need, references
from .pending import Branches, Flattened, Output, Pending
from .spec import RECORDER, Argument, Node, Step
from .stand_in import stood_in


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a body recorded: its graph, the branches that are known already, and what it returned."""

    graph: Graph  # of a body that waits for values: so far; it grows
    shapes: Mapping[str, Shape]
    returned: Any
    stopped: Place | None = None  # where a body that only plans has stopped, since it needs a value there


class Loader(Protocol):
    """What runs a body's steps while the body waits."""

    def load(self, trace: Trace, value: Pending) -> Any:
        """Run what has been recorded so far until a value is there, and return it."""

    def shape(self, node: str) -> Shape | None:
        """The branches of a node that has run, once they are known."""


class _Stopped(BaseException):
    """A body that only plans needs a value. Not an Exception, so that no body takes it for one of its own."""


class Tracer:
    """Records the calls of one body. It is the only thing that makes Nodes."""

    def __init__(self, pipeline: str, enable_cache: bool = True, loader: Loader | None = None) -> None:
        self._pipeline, self._loader = pipeline, loader
        self._graph = Graph({})  # what has been handed over, and does not change any more
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
        known = self._shapes.get(node)
        return known if known is not None or self._loader is None else self._loader.shape(node)

    def records(
        self, step: Step, rows: Pending, shared: dict[str, Any], id: str | None, after: Any, probe: bool
    ) -> Branches:
        """Record a map over records that are computed."""
        if not isinstance(rows, (Output, Branches, Flattened)):
            raise FanOutError(
                f"{step.name}.map_records() takes rows, not {rows!r}",
                str(here()),
                "give it an Output that is a list of dicts or a DataFrame, or Branches that each return a dict",
            )
        arguments = (
            Argument("rows", rows, keyword=True, mapped=True),
            *(Argument(name, copied(value), keyword=True) for name, value in shared.items()),
        )
        template = id if id is not None and "{" in id else None
        explicit = id is not None and not template
        base = step.name if template else id or step.name
        return Branches(self, self._add(step, "records", arguments, base, explicit, after, template, probe))

    def reduce(self, step: Step, items: Any, id: str | None, after: Any) -> Output:
        """Record a reduce: the Output of the one value that is left."""
        argument = reduced(step, items)
        source = known_source(argument, self._shapes)
        if source is not None and source.length == 0:
            raise FanOutError(
                f"{step.name}.reduce() has nothing to reduce: there are no items",
                str(here()),
                "give it at least one, or put a first value in front of the items",
            )
        return Output(self, self._add(step, "reduce", (argument,), id or step.name, id is not None, after))

    def check_group(self, node: str, argument: str) -> None:
        """Raise FanOutError unless a node's branches map over this argument."""
        arguments = {a.name: a for a in self._nodes[node].arguments}
        if argument in arguments and arguments[argument].mapped:
            return
        mapped = [a.name for a in arguments.values() if a.mapped]
        shared = f"'{argument}' of '{node}' is shared by all its branches"
        raise FanOutError(
            shared if argument in arguments else f"'{node}' has no argument '{argument}' to group by",
            str(here()),
            near(argument, mapped) or f"it maps over {listed(mapped)}",
        )

    def load(self, value: Pending) -> Any:
        """Run what has been recorded so far until a value is there, and return it."""
        __tracebackhide__ = True
        if RECORDER.get() is not self:
            raise NotAvailable(
                f"{value!r} cannot be loaded here: its pipeline's body has ended",
                where=str(here()),
                do="use run.load() for what the body returned, or run['name'].load() for one step",
            )
        if self._loader is None:
            raise _Stopped
        return self._loader.load(self.so_far("this load()"), value)

    def unpack(self, node: str, count: int) -> tuple[str, ...]:
        """Let a node have `count` outputs named output_0, output_1, …; those it names itself are kept."""
        known = self._nodes[node].outputs
        if node in self._graph.nodes and len(known) != count:
            raise StepCallError(
                f"'{node}' has been started as one output, so it cannot be unpacked into {count} any more",
                str(here()),
                "call .unpack(n) before the load() that starts it",
            )
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

    def finish(self, returned: Any) -> Trace:
        """The graph of everything recorded. Raises GraphError for no steps, an unknown `after`, a cycle."""
        if not self._nodes:
            raise GraphError(
                f"pipeline '{self._pipeline}' has no steps: its body called none",
                do="call a @step function in it",
            )
        return replace(self.so_far(), returned=copied(returned))

    def so_far(self, at: str = "") -> Trace:
        """The graph of what has been recorded so far: to be run `at` a place in the body, or at its end."""
        for node, group, name in self._later:
            found = name if not group else next((n for n in _outward(group, name) if n in self._nodes), name)
            if found not in self._nodes:
                place = self._nodes[node].place
                raise GraphError(
                    f"after={name!r} of '{node}' is not a node of this pipeline{f' before {at}' if at else ''}",
                    where=str(here() if at else place),
                    do=near(name, self._nodes) or f"the nodes are {listed(self._nodes)}",
                )
            self._nodes[node] = replace(self._nodes[node], after=(*self._nodes[node].after, (found, None)))
        self._later.clear()
        self._graph.extend(itertools.islice(self._nodes.values(), len(self._graph.nodes), None))
        return Trace(self._graph, self._shapes, None)

    def stop(self, place: Place) -> Trace:
        """The graph up to where a body needs a value that a plan has not."""
        self._later = [later for later in self._later if later[2] in self._nodes]
        return replace(self.so_far(), stopped=place)

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
        step = stood_in(step, self)
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


def trace(
    pipeline: str,
    body: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    enable_cache: bool = True,
    loader: Loader | None = None,
) -> Trace:
    """Run a body once and return what it recorded.

    Without a `loader` nothing runs: a body that needs a value stops there, and `stopped` says where.
    """
    __tracebackhide__ = True  # IPython leaves our frames out
    tracer = Tracer(pipeline, enable_cache, loader)
    token = RECORDER.set(tracer)
    try:
        returned = body(*args, **kwargs)
    except _Stopped as stopped:
        return tracer.stop(_user_line(stopped))
    finally:
        RECORDER.reset(token)
    return tracer.finish(returned)


def _user_line(error: BaseException) -> Place:
    """The innermost line outside fanlab that an exception has passed."""
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [(frame.f_code.co_filename, line) for frame, line in frames if is_own(frame.f_code.co_filename)]
    return Place(*own[-1]) if own else Place("", 0)


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
    if argument.mapped and isinstance(argument.value, (Output, Flattened)):
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
