"""What a pipeline cell leaves in the notebook: plain values, lazy branches, and Missing where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, overload

from .core.events import Status
from .core.expand import Items, Shape
from .core.pending import Branches, Flattened, Gathered, Grouped, Output
from .core.record import NodeRecord
from .core.seal import Packed, Unsendable
from .errors import NotAvailable, NotFound, near
from .runs import Run

if TYPE_CHECKING:
    import pandas as pd


def export(names: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """A body's names with every Output and Branches in them replaced by what the run has for it."""
    return {name: value_of(value, run) for name, value in names.items()}


def value_of(value: Any, run: Run) -> Any:
    """One value of a body as it is after the run; lists, tuples and dicts that hold no Output stay what they are."""
    if isinstance(value, Output):
        return _output(value, run)
    if isinstance(value, Branches):
        node = run._record.nodes[value._node]
        return BranchList(run, node, value._output) if node.shape is not None else _missing(node, 0)
    if isinstance(value, (Gathered, Flattened, Grouped)):
        return _made_of(value, run)
    if type(value) in (list, tuple):
        items = [value_of(item, run) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
    if type(value) is dict:
        found = {key: value_of(item, run) for key, item in value.items()}
        return value if all(found[key] is value[key] for key in value) else found
    return value


def _output(value: Output, run: Run) -> Any:
    node = run._record.nodes[value._node]
    branch = value._branch or 0
    packed = node.outputs[branch] if node.shape is not None else None
    if packed is None:
        return _missing(node, branch)
    return run._store.artifacts.value(Packed(packed, value._output))


def _made_of(value: Gathered | Flattened | Grouped, run: Run) -> Any:
    """What a fan-in would receive of branches."""
    node = run._record.nodes[value._node]
    missing = [b for b in node.branches() if node.shape is None or node.outputs[b] is None]
    if node.shape is None or (missing and not isinstance(value, Gathered)):
        return _missing(node, (missing or [0])[0])
    return run._made_of(value)


class Missing:
    """Stands for a value that a run does not have. Its repr says why; every other use raises NotAvailable."""

    _name: str
    _why: str

    def __init__(self, name: str, why: str) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_why", why)

    def __repr__(self) -> str:
        return f"<missing: {self._name} {self._why}>"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise NotAvailable(
            f"there is no value of '{self._name}': it {self._why}", do="mend its step and run the pipeline cell again"
        )

    __hash__ = _refuse
    __setattr__ = __delattr__ = __call__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __setitem__ = __delitem__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __matmul__ = __rmatmul__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refuse
    __pow__ = __rpow__ = __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = _refuse
    __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = __divmod__ = __rdivmod__ = __next__ = _refuse
    __neg__ = __pos__ = __abs__ = __invert__ = __int__ = __float__ = __index__ = __round__ = _refuse
    __enter__ = __exit__ = __array__ = __reduce__ = __str__ = __format__ = _refuse
    __bytes__ = __complex__ = __fspath__ = __trunc__ = __floor__ = __ceil__ = __reversed__ = _refuse
    __await__ = __aiter__ = __anext__ = __aenter__ = __aexit__ = _refuse


def _missing(node: NodeRecord, branch: int) -> Missing:
    status = node.branch_status(branch)
    failure = node.branch_failure(branch)
    if failure is not None:
        return Missing(node.name(branch), f"failed ({failure.line})")
    because = f" because '{node.because}' failed" if status is Status.SKIPPED and node.because else ""
    return Missing(node.name(branch), f"was {status.word}{because}")


class BranchList:
    """The values of a fan-out after its run, loaded when asked for; indexed by key where keyed, else by position."""

    def __init__(self, run: Run, node: NodeRecord, output: str | None) -> None:
        if node.shape is None:
            raise NotAvailable(f"the branches of '{node.info.name}' never became known")
        self._run, self._node, self._output = run, node, output
        self._shape: Shape = node.shape

    def __len__(self) -> int:
        return self._shape.size

    def __iter__(self) -> Iterator[Any]:
        return (self._value(branch) for branch in self._shape.order())

    @overload
    def __getitem__(self, key: slice) -> list[Any]: ...
    @overload
    def __getitem__(self, key: Any) -> Any: ...
    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice):
            return [self._value(branch) for branch in self._shape.order()[key]]
        branch = self._shape.position(key)
        if branch is None and type(key) is int and -len(self) <= key < len(self):
            numbered = any(isinstance(known, int) for known in self.keys())  # then a number can only be a key
            branch = None if numbered else self._shape.order()[key]
        if branch is None:
            keys = self.keys()
            shown = (
                f"its keys are {', '.join(map(repr, keys[:5]))}"
                if self._shape.keyed
                else f"it has {len(self)} branches"
            )
            raise NotFound(f"'{self._node.info.name}' has no branch {key!r}", do=near(str(key), keys) or shown)
        return self._value(branch)

    def __repr__(self) -> str:
        done = self._node.count(Status.COMPLETED, Status.CACHED)
        return (
            f"<{len(self)} branches of '{self._node.info.name}'{'' if done == len(self) else f', {done} with a value'}>"
        )

    def __reduce__(self) -> Any:
        """Sent or copied, it is what a fan-in receives: a list, or a dict where it has keys."""
        loaded = self.load()
        return (type(loaded), (loaded,))

    def keys(self) -> list[Any]:
        """The branches' keys; positions where nothing was keyed."""
        if self._shape.keyed:
            return [self._shape.key(branch) for branch in self._shape.order()]
        return list(range(len(self)))

    def load(self) -> list[Any] | dict[Any, Any]:
        """All values: a list in branch order, a dict where a dict was mapped. Missing stands where there is none."""
        return dict(zip(self.keys(), self, strict=True)) if self._shape.keyed else list(self)

    @property
    def results(self) -> pd.DataFrame:
        """The branches' rows of `run.results`: key, arguments, outputs, status, error."""
        return self._run._table(self._run._record, self._node.info.name)

    def fanlab_items(self) -> Items:
        """Its branches as items to map over, by their stored values."""
        return Items(
            tuple(self._packed(branch) for branch in self._shape.order()),
            tuple(self.keys()) if self._shape.keyed else None,
        )

    def _packed(self, branch: int) -> Packed | Unsendable:
        packed = self._node.outputs[branch]
        if packed is None:
            return Unsendable(f"{_missing(self._node, branch)!r} cannot be sent")
        return Packed(packed, self._output)

    def _value(self, branch: int) -> Any:
        packed = self._node.outputs[branch]
        if packed is None:
            return _missing(self._node, branch)
        return self._run._store.artifacts.value(Packed(packed, self._output))
