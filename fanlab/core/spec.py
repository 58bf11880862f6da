"""Step, Node, Output, Branches and unmapped: frozen values that describe calls.

Over 300 lines, since each operator that Output and Branches refuse is named.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from typing import Any, NoReturn, Protocol

from ..errors import FanOutError, NoValueYet, StepCallError, near
from ..place import Place, here
from .expand import Shape, record_columns

RESERVED = ("id", "after", "probe")


@dataclass(frozen=True, slots=True)
class Options:
    """How a step runs. Delays are seconds; attempt k waits `retry_delay * retry_backoff**(k-1)`."""

    retries: int = 0
    retry_delay: float = 0.0
    retry_backoff: float = 1.0
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = Exception
    timeout: float | None = None
    enable_cache: bool | None = None
    max_parallel: int | None = None
    version: str | None = None

    def delay(self, attempt: int) -> float:
        """Seconds to wait after this attempt has failed."""
        return self.retry_delay * self.retry_backoff ** (attempt - 1)


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

    def shape(self, node: str) -> Shape | None:
        """The branches of a node, where they are known already."""

    def unpack(self, node: str, count: int) -> tuple[str, ...]:
        """Give a node `count` outputs and return their names."""

    def group(self, name: str, enable_cache: bool) -> AbstractContextManager[None]:
        """Record what follows under the name of an inlined pipeline."""


RECORDER: ContextVar[Recorder | None] = ContextVar("fanlab_recorder", default=None)


@dataclass(frozen=True, eq=False, repr=False)
class Step:
    """A function marked `@step`. In a pipeline's body a call is recorded; elsewhere it is a plain call."""

    function: Callable[..., Any]
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

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function; in a pipeline's body, record the call and return its Output.

        There, `id=` names the node and `after=` (an Output, Branches, a node's name, or a list of
        them) orders it without data.
        """
        __tracebackhide__ = True
        recorder = RECORDER.get()
        if recorder is None:
            return self.function(*args, **kwargs)
        name, after = kwargs.pop("id", None), kwargs.pop("after", None)
        return recorder.call(self, args, kwargs, name, after)

    def map(self, *args: Any, id: str | None = None, after: Any = None, probe: bool = False, **kwargs: Any) -> Branches:
        """One branch per item: lists, tuples, ranges, dicts, arrays, Outputs and Branches go in step.

        Everything else is shared by all branches, and so is `unmapped(value)`. A dict's keys name the
        branches. With `{}` in it, `id` is a template for branch names (`id="{alpha}"`). `probe=True` runs
        branch 0 first and the others only if it succeeds.
        Raises FanOutError where nothing can be mapped over or lengths differ.
        """
        return self._recording("map").fan_out(self, "map", args, kwargs, id, after, probe)

    def product(
        self, *args: Any, id: str | None = None, after: Any = None, probe: bool = False, **kwargs: Any
    ) -> Branches:
        """One branch per combination of items, the last argument fastest; otherwise as `map`."""
        return self._recording("product").fan_out(self, "product", args, kwargs, id, after, probe)

    def map_records(
        self, rows: Any, *, id: str | None = None, after: Any = None, probe: bool = False, **shared: Any
    ) -> Branches:
        """One branch per record: a list of dicts, a DataFrame's rows, or scikit-learn's ParameterGrid.

        A record's fields are keyword arguments; `shared` ones are the same for all branches.
        """
        recorder = self._recording("map_records")
        columns = record_columns(self.function, self.name, rows, shared)
        kwargs = {**columns, **{name: Unmapped(value) for name, value in shared.items()}}
        return recorder.fan_out(self, "map", (), kwargs, id, after, probe)

    def with_options(self, *, name: str | None = None, **options: Any) -> Step:
        """A copy with other options: the arguments of `@step`."""
        known = [f.name for f in fields(Options)]
        for option in options:
            if option not in known:
                raise StepCallError(
                    f"with_options of step '{self.name}' has no option '{option}'",
                    do=near(option, known) or f"the options are name, {', '.join(known)}",
                )
        made = Step(self.function, name or self.name, self.outputs, replace(self.options, **options))
        made.__dict__["__wrapped__"] = self.__dict__["__wrapped__"]  # for a %%step cell, what shows its source
        return made

    def _recording(self, method: str) -> Recorder:
        recorder = RECORDER.get()
        if recorder is None:
            raise StepCallError(
                f"{self.name}.{method}() has been called outside a pipeline",
                where=str(here()),
                do=f"call it in a @pipeline function or a %%pipeline cell; here, [{self.name}(x) for x in items] works",
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
    kind: str  # "call", "map" or "product"
    arguments: tuple[Argument, ...]
    outputs: tuple[str, ...]
    after: tuple[tuple[str, int | None], ...]  # (node, branch) whose completion this one awaits
    label: str | None  # template of branch names
    probe: bool  # branch 0 first, the others only if it succeeds
    enable_cache: bool
    place: Place


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Pending:
    """What Output and Branches share: every use as a value says that there is none yet."""

    _recorder: Recorder
    _node: str
    _output: str | None = None  # None: the whole value of a step with several outputs

    def _refuse(self, use: str) -> NoReturn:
        raise NoValueYet(
            f"{self!r} has no value yet, so {use}",
            where=str(here()),
            do="move this into a step: a pipeline's body is recorded first, and its steps run afterwards",
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse(f"its attribute '{name}' cannot be read")

    def __eq__(self, other: object) -> NoReturn:
        self._refuse("it cannot be compared")

    __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__

    def __hash__(self) -> int:
        return id(self)

    def __reduce__(self) -> NoReturn:
        self._refuse("it cannot be copied or sent inside a value that is not a list, tuple or dict")

    def _calculate(self, *_: object) -> NoReturn:
        self._refuse("it cannot be calculated with")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __matmul__ = __rmatmul__ = _calculate
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _calculate
    __pow__ = __rpow__ = __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _calculate
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = __divmod__ = __rdivmod__ = _calculate
    __neg__ = __pos__ = __abs__ = __invert__ = __int__ = __float__ = __index__ = __round__ = _calculate

    def __contains__(self, item: object) -> NoReturn:
        self._refuse("`in` cannot look into it")


class Output(_Pending):
    """The value that a recorded call will have: pass it to other steps; it has no value in the body."""

    __slots__ = ("_branch",)
    _branch: int | None

    def __init__(self, recorder: Recorder, node: str, output: str | None = None, branch: int | None = None) -> None:
        _Pending.__init__(self, recorder, node, output)
        object.__setattr__(self, "_branch", branch)

    def __repr__(self) -> str:
        at = "" if self._branch is None else f"[{self._branch}]"
        return f"<Output of '{self._node}{at}'{_suffix(self._output)}>"

    def __bool__(self) -> NoReturn:
        self._refuse("`if`, `while`, `and`, `or` and `not` cannot test it")

    def __len__(self) -> NoReturn:
        self._refuse("it has no length to count")

    def __iter__(self) -> NoReturn:
        self._refuse(f"it cannot be iterated or unpacked: map a step over it, or use .unpack(n) on '{self._node}'")

    def __getitem__(self, key: object) -> NoReturn:
        self._refuse("it cannot be indexed")

    def _call(self, *_: object, **__: object) -> NoReturn:
        self._refuse("it cannot be called")

    __call__ = _call

    def unpack(self, count: int) -> tuple[Output, ...]:
        """The `count` items that the step returns, each as an Output (`train, test = split(x).unpack(2)`)."""
        names = self._recorder.unpack(self._node, count)
        return tuple(Output(self._recorder, self._node, name, self._branch) for name in names)


class Branches(_Pending):
    """The branches of a map or product. A step that gets them receives a list (a dict, where one was mapped).

    `len`, iteration and `branches[key]` work where the number of branches is known in the body.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Branches of '{self._node}'{_suffix(self._output)}>"

    def _shape(self, use: str) -> Shape:
        shape = self._recorder.shape(self._node)
        if shape is None:
            self._refuse(f"{use}: how many branches there are is known only when it runs")
        return shape

    def __bool__(self) -> bool:
        return self._shape("it cannot be tested").size > 0

    def __len__(self) -> int:
        return self._shape("it has no length").size

    def __iter__(self) -> Iterator[Output]:
        size = self._shape("it cannot be iterated").size
        return (Output(self._recorder, self._node, self._output, branch) for branch in range(size))

    def __getitem__(self, key: Any) -> Output:
        branch = self._shape("it cannot be indexed").position(key)
        if branch is None:
            shape = self._shape("")
            raise FanOutError(
                f"{self!r} has no branch {key!r}",
                where=str(here()),
                do=f"its keys are {', '.join(repr(k) for k in shape.keys[:5])}"
                if shape.keys is not None
                else f"it has {shape.size} branches, counted from 0",
            )
        return Output(self._recorder, self._node, self._output, branch)

    def successful(self, at_least: float = 0.0) -> Gathered:
        """Only the branches that have a value: a list, or a dict where one was mapped.

        The step that gets it runs once all branches have ended, and fails if fewer than the share `at_least`
        of them have a value.
        """
        if not 0.0 <= at_least <= 1.0:
            raise StepCallError(
                f"successful(at_least={at_least!r}) of '{self._node}' takes a share between 0 and 1", where=str(here())
            )
        return Gathered(self, "successful", at_least)

    @property
    def results(self) -> Gathered:
        """A DataFrame with a row per branch, failed ones included: key, arguments, outputs, status, error."""
        return Gathered(self, "results")

    def unpack(self, count: int) -> tuple[Branches, ...]:
        """For branches that each return `count` items: one Branches for each item."""
        names = self._recorder.unpack(self._node, count)
        return tuple(Branches(self._recorder, self._node, name) for name in names)


class Gathered(_Pending):
    """The branches of a fan-out as a tolerant fan-in receives them, whatever became of them."""

    __slots__ = ("_at_least", "_kind")
    _kind: str  # "successful" or "results"
    _at_least: float

    def __init__(self, branches: Branches, kind: str, at_least: float = 0.0) -> None:
        _Pending.__init__(self, branches._recorder, branches._node, branches._output)
        object.__setattr__(self, "_kind", kind)
        object.__setattr__(self, "_at_least", at_least)

    def __repr__(self) -> str:
        return f"<{self._kind} of '{self._node}'{_suffix(self._output)}>"


def _suffix(output: str | None) -> str:
    return "" if output in (None, "output") else f", '{output}'"
