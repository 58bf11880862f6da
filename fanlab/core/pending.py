"""Output, Branches and what is made of them: the values that a body holds while it is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn

from ..errors import FanOutError, NoValueYet, StepCallError
from ..place import here
from .typed import Passable, R_co

if TYPE_CHECKING:
    from .expand import Shape
    from .spec import Recorder


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pending(Passable):
    """What Output and Branches share: every use as a value says that there is none yet."""

    _recorder: Recorder
    _node: str
    _output: str | None = None  # None: the whole value of a step with several outputs

    def _refuse(self, use: str) -> NoReturn:
        raise NoValueYet(
            f"{self!r} has no value yet, so {use}",
            where=str(here()),
            do="move this into a step, which runs later, or wait for the value here with .load()",
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


class Output(Pending, Generic[R_co]):
    """The value that a recorded call will have: pass it to other steps; it has no value in the body."""

    __slots__ = ("_branch",)
    _branch: int | None

    def __init__(self, recorder: Recorder, node: str, output: str | None = None, branch: int | None = None) -> None:
        Pending.__init__(self, recorder, node, output)
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

    def load(self) -> R_co:
        """The value, now: everything recorded so far is started, and the body goes on when this value is there.

        Raises PipelineError if it failed. So a body may test a result, loop until one is small enough, or map
        over as many items as one says.
        """
        __tracebackhide__ = True
        value: R_co = self._recorder.load(self)
        return value

    def unpack(self, count: int) -> tuple[Output, ...]:
        """The `count` items that the step returns, each as an Output (`train, test = split(x).unpack(2)`)."""
        names = self._recorder.unpack(self._node, count)
        return tuple(Output(self._recorder, self._node, name, self._branch) for name in names)


class Branches(Pending, Generic[R_co]):
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

    def __iter__(self) -> Iterator[Output[R_co]]:
        branches = self._shape("it cannot be iterated").order()
        return (Output(self._recorder, self._node, self._output, branch) for branch in branches)

    def __getitem__(self, key: Any) -> Output[R_co]:
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

    def flatten(self) -> Flattened:
        """The items of all branches, which each return a list, tuple or dict: to map over, or as one argument.

        A map over them is as long as they are together, decided when it runs; its branches are named by the
        branch that an item comes from and its place there (`one[2,0]`), and start when that branch is done.
        """
        return Flattened(self._recorder, self._node, self._output)

    def group_by(self, argument: str) -> Grouped:
        """The branches by the values of one of the arguments that they map over: to map over.

        A map over them has a branch for each distinct value, which names it; it receives the list of its group's
        values and starts when they are complete. Raises FanOutError for what is no such argument.
        """
        self._recorder.check_group(self._node, argument)
        return Grouped(self, argument)

    def load(self) -> Any:
        """The values, now: a list, or a dict where one was mapped. Otherwise as `load` of an Output."""
        __tracebackhide__ = True
        return self._recorder.load(self)

    def unpack(self, count: int) -> tuple[Branches, ...]:
        """For branches that each return `count` items: one Branches for each item."""
        names = self._recorder.unpack(self._node, count)
        return tuple(Branches(self._recorder, self._node, name) for name in names)


class Gathered(Pending):
    """The branches of a fan-out as a tolerant fan-in receives them, whatever became of them."""

    __slots__ = ("_at_least", "_kind")
    _kind: str  # "successful" or "results"
    _at_least: float

    def __init__(self, branches: Branches, kind: str, at_least: float = 0.0) -> None:
        Pending.__init__(self, branches._recorder, branches._node, branches._output)
        object.__setattr__(self, "_kind", kind)
        object.__setattr__(self, "_at_least", at_least)

    def __repr__(self) -> str:
        return f"<{self._kind} of '{self._node}'{_suffix(self._output)}>"

    def load(self) -> Any:
        """What a step would receive, now, once all branches have ended. Otherwise as `load` of an Output."""
        __tracebackhide__ = True
        return self._recorder.load(self)


class Flattened(Pending):
    """The items of all branches of a fan-out. A step that gets them receives one list (a dict, where keyed)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<items of '{self._node}'{_suffix(self._output)}>"

    def load(self) -> Any:
        """The items, now: a list, or a dict where one was mapped. Otherwise as `load` of an Output."""
        __tracebackhide__ = True
        return self._recorder.load(self)


class Grouped(Pending):
    """The branches of a fan-out by the values of one argument: to map over."""

    __slots__ = ("_by",)
    _by: str

    def __init__(self, branches: Branches, by: str) -> None:
        Pending.__init__(self, branches._recorder, branches._node, branches._output)
        object.__setattr__(self, "_by", by)

    def __repr__(self) -> str:
        return f"<groups of '{self._node}'{_suffix(self._output)} by '{self._by}'>"


def _suffix(output: str | None) -> str:
    return "" if output in (None, "output") else f", '{output}'"
