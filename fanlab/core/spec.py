"""Step, Node and unmapped: frozen values that describe calls. What a call returns in a body is in pending.py."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from typing import Any, Generic, Protocol, overload

from ..errors import StepCallError, check_options
from ..place import Place, here
from .expand import Shape, record_columns
from .options import Options as Options
from .pending import Branches as Branches
from .pending import Flattened as Flattened
from .pending import Gathered as Gathered
from .pending import Grouped as Grouped
from .pending import Output as Output
from .pending import Pending
from .typed import P, R

RESERVED = ("id", "after", "probe")


class Recorder(Protocol):
    """What a step calls while a pipeline's body is being traced."""

    def call(self, step: Step, args: tuple[Any, ...], kwargs: dict[str, Any], id: str | None, after: Any) -> Any:
        """Record one node and return its Output, or a tuple of them."""

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
        """Record a map or a product."""

    def records(
        self, step: Step, rows: Pending, shared: dict[str, Any], id: str | None, after: Any, probe: bool
    ) -> Branches:
        """Record a map over records that are computed."""

    def reduce(self, step: Step, items: Any, id: str | None, after: Any) -> Output:
        """Record a reduce and return the Output of its value."""

    def shape(self, node: str) -> Shape | None:
        """The branches of a node, where they are known already."""

    def check_group(self, node: str, argument: str) -> None:
        """Raise FanOutError unless the branches of a node can be grouped by this argument."""

    def load(self, value: Pending) -> Any:
        """Run what has been recorded so far until the value is there, and return it."""

    def unpack(self, node: str, count: int) -> tuple[str, ...]:
        """Give a node `count` outputs and return their names."""

    def group(self, name: str, enable_cache: bool) -> AbstractContextManager[None]:
        """Record what follows under the name of an inlined pipeline."""


RECORDER: ContextVar[Recorder | None] = ContextVar("fanlab_recorder", default=None)


@dataclass(frozen=True, eq=False, repr=False)
class Step(Generic[P, R]):
    """A function marked `@step`. In a pipeline's body a call is recorded; elsewhere it is a plain call."""

    function: Callable[P, R]
    name: str
    outputs: tuple[str, ...] = ("output",)
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        for attribute in functools.WRAPPER_ASSIGNMENTS:
            if hasattr(self.function, attribute):
                self.__dict__[attribute] = getattr(self.function, attribute)
        self.__dict__["__wrapped__"] = self.function

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(self, *args: Any, id: str, after: Any = ..., **kwargs: Any) -> Output[R]: ...
    @overload
    def __call__(self, *args: Any, after: Any, **kwargs: Any) -> Output[R]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function; in a pipeline's body, record the call and return its Output.

        There, `id=` names the node and `after=` (an Output, Branches, a node's name, or a list of
        them) orders it without data.
        """
        __tracebackhide__ = True
        recorder = RECORDER.get()
        if recorder is None:
            try:
                return self.function(*args, **kwargs)
            except TypeError as error:
                if error.__traceback__ is None or error.__traceback__.tb_next is not None:  # the step's own
                    raise
                raise self._refused(error) from None
        name, after = kwargs.pop("id", None), kwargs.pop("after", None)
        return recorder.call(self, args, kwargs, name, after)

    def map(
        self, *args: Any, id: str | None = None, after: Any = None, probe: bool = False, **kwargs: Any
    ) -> Branches[R]:
        """One branch per item: lists, tuples, ranges, dicts, arrays, Outputs and Branches go in step.

        Everything else is shared by all branches, and so is `unmapped(value)`. A dict's keys name the
        branches. With `{}` in it, `id` is a template for branch names (`id="{alpha}"`). `probe=True` runs
        branch 0 first and the others only if it succeeds.
        Raises FanOutError where nothing can be mapped over or lengths differ.
        """
        return self._recording("map").fan_out(self, "map", args, kwargs, id, after, probe)

    def product(
        self, *args: Any, id: str | None = None, after: Any = None, probe: bool = False, **kwargs: Any
    ) -> Branches[R]:
        """One branch per combination of items, the last argument fastest; otherwise as `map`."""
        return self._recording("product").fan_out(self, "product", args, kwargs, id, after, probe)

    def map_records(
        self, rows: Any, *, id: str | None = None, after: Any = None, probe: bool = False, **shared: Any
    ) -> Branches[R]:
        """One branch per record: a list of dicts, a DataFrame's rows, or scikit-learn's ParameterGrid.

        A record's fields are keyword arguments; `shared` ones are the same for all branches. The rows may be an Output
        that is such a list or DataFrame, or Branches that each return one record: then it is decided when it runs.
        """
        recorder = self._recording("map_records")
        if isinstance(rows, Pending):
            return recorder.records(self, rows, shared, id, after, probe)
        columns = record_columns(self.function, self.name, rows, shared)
        kwargs = {**columns, **{name: Unmapped(value) for name, value in shared.items()}}
        return recorder.fan_out(self, "map", (), kwargs, id, after, probe)

    def reduce(self, items: Any, *, id: str | None = None, after: Any = None) -> Output[R]:
        """All items made one by calling the step with two at a time, in a fixed tree of neighbours.

        The step is called with items 0 and 1, 2 and 3, …, then with what came of neighbours, whatever is there first.
        One item comes back as it is; none is an error. `items` are Branches, `branches.successful()`, an Output that
        is a list, or a list, which may hold Outputs.
        """
        return self._recording("reduce").reduce(self, items, id, after)

    def with_options(self, *, name: str | None = None, **options: Any) -> Step[P, R]:
        """A copy with other options: the arguments of `@step`."""
        check_options(f"with_options of step '{self.name}'", options, ["name", *(f.name for f in fields(Options))])
        return Step(self.function, name or self.name, self.outputs, replace(self.options, **options))

    def _refused(self, error: TypeError) -> StepCallError:
        """A plain call with arguments that do not fit, told at the caller's line."""
        try:
            do = f"its parameters are {inspect.signature(self.function)}"
        except ValueError:  # written in C
            do = "see its documentation"
        return StepCallError(f"step '{self.name}': {error}", where=str(here()), do=do)

    def _recording(self, method: str) -> Recorder:
        recorder = RECORDER.get()
        if recorder is None:
            plain = f"[{self.name}(x) for x in items]"
            plain = f"functools.reduce({self.name}, items)" if method == "reduce" else plain
            raise StepCallError(
                f"{self.name}.{method}() has been called outside a pipeline",
                where=str(here()),
                do=f"call it in a @pipeline function or a %%pipeline cell; here, {plain} works",
            )
        return recorder


@dataclass(frozen=True, slots=True)
class Unmapped:
    """A value that all branches of a map share."""

    value: Any


def unmapped(value: Any) -> Unmapped:
    """Mark an argument of `map` or `product` as shared by all branches."""
    return Unmapped(value)


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call: the parameter's name, and its value, which may hold Outputs and Branches."""

    name: str  # the parameter; `xs[1]` for the second of `*xs`
    value: Any  # for a mapped argument an expand.Items, an Output or Branches
    keyword: bool = False
    mapped: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One call in a graph: a step with its arguments; a map or product stands for all its branches."""

    name: str
    step: Step
    kind: str  # "call", "map", "product", "records" (a map over computed ones) or "reduce"
    arguments: tuple[Argument, ...]
    outputs: tuple[str, ...]
    after: tuple[tuple[str, int | None], ...]  # (node, branch) whose completion this one awaits
    label: str | None  # template of branch names
    probe: bool  # branch 0 first, the others only if it succeeds
    enable_cache: bool
    place: Place
