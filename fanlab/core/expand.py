"""Map and product over values: which branches there are, their keys and their names."""

from __future__ import annotations

import inspect
import string
from collections import Counter
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import FanOutError, listed, near
from ..place import here

if TYPE_CHECKING:
    from .blocks import Blocks
    from .joins import Join, Tree

LONGEST_TEXT = 4096  # characters or bytes; a longer one is stored, so that a graph stays small
_PLAIN_TYPES = {type(None), bool, int, float, complex, str}


@dataclass(frozen=True, slots=True)
class Items:
    """What a mapped argument holds, one value a branch, in order; keyed where it was a dict."""

    values: tuple[Any, ...]
    keys: tuple[Any, ...] | None = None
    plain: bool = field(init=False, compare=False)  # numbers and short texts only: nothing to look into

    def __post_init__(self) -> None:
        kinds = set(map(type, self.values))
        plain = kinds <= _PLAIN_TYPES
        if plain and str in kinds:
            plain = all(len(value) <= LONGEST_TEXT for value in self.values if type(value) is str)
        object.__setattr__(self, "plain", plain)


class GrowingItems:
    """The items of a mapped argument that become known one after the other. It only ever grows at its end."""

    __slots__ = ("plain", "ref", "values")
    keys = None

    def __init__(self, ref: Any) -> None:
        self.ref = ref  # to the branches whose items they are
        self.values: list[Any] = []
        self.plain = True

    def extend(self, items: Items) -> None:
        """Take in more of them."""
        self.values += items.values
        self.plain = self.plain and items.plain


@dataclass(frozen=True, slots=True)
class Source:
    """One mapped argument, as far as the number of branches is concerned."""

    argument: str
    length: int
    keys: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """The branches of one node. Branch i takes item `(i // stride) % length` of each mapped argument."""

    size: int
    keys: tuple[Any, ...] | None = None  # one per branch; None: branches are numbered from 0
    strides: tuple[tuple[int, int], ...] = ()  # (stride, length) per mapped argument
    labels: tuple[str, ...] | None = None  # what stands in the brackets; None: the key or number
    joins: tuple[Join | None, ...] = ()  # per mapped argument, where an item is not simply a branch of its source
    blocks: Blocks | None = None  # of a map over items: their keys and order
    tree: Tree | None = None  # of a reduce

    @property
    def keyed(self) -> bool:
        """Whether a fan-in receives a dict."""
        return self.keys is not None if self.blocks is None else self.blocks.keyed

    @property
    def named(self) -> bool:
        """Whether something else than a branch's number stands in its brackets."""
        return self.labels is not None or self.keys is not None or self.blocks is not None or self.tree is not None

    def item(self, argument: int, branch: int) -> int:
        """The position of a branch's item in its `argument`-th mapped argument."""
        stride, length = self.strides[argument]
        return branch // stride % length

    def targets(self, argument: int, source: int) -> Iterator[int]:
        """The branches that need branch `source` of what the `argument`-th mapped argument maps over."""
        join = self.joins[argument] if self.joins else None
        stride, length = self.strides[argument]
        for item in (source,) if join is None else join.items(source):
            for block in range(item * stride, self.size, stride * length):
                yield from range(block, min(block + stride, self.size))

    def sources(self, argument: int, branch: int) -> Sequence[int]:
        """The branches of what an argument maps over that a branch needs."""
        join = self.joins[argument] if self.joins else None
        item = self.item(argument, branch)
        return (item,) if join is None else join.sources(item)

    def straight(self, argument: int) -> bool:
        """Whether branch i simply needs branch i of what the argument maps over."""
        stride, length = self.strides[argument]
        return stride == 1 and length >= self.size and not (self.joins and self.joins[argument] is not None)

    def order(self) -> Sequence[int]:
        """The branches in call order."""
        return range(self.size) if self.blocks is None else self.blocks.order()

    def key(self, branch: int) -> Any:
        """A branch's key, its number where nothing was keyed; of an item of a branch, the path to it."""
        if self.blocks is not None:
            return self.blocks.path(branch)
        return branch if self.keys is None else self.keys[branch]

    def label(self, branch: int) -> str:
        """What stands in a branch's brackets."""
        if self.labels is not None:
            return self.labels[branch]
        return key_label(self.key(branch) if self.tree is None else self.tree.place(branch))

    def position(self, key: Any) -> int | None:
        """The branch of a key, or of a position where nothing was keyed; None where there is none."""
        if self.blocks is not None and isinstance(key, tuple):
            return self.blocks.find(key)
        if self.keyed:
            return next((i for i in self.order() if self.key(i) == key), None)
        if isinstance(key, int) and -self.size <= key < self.size:
            return self.order()[key]
        return None


CALL = Shape(1)


def key_label(key: Any) -> str:
    """A key as it stands in a name: the parts of a product's key with commas between."""
    return ",".join(map(str, key)) if type(key) is tuple else str(key)


def items_of(value: Any) -> Items | None:
    """The items of a value that is mapped over by its type, or None for one that all branches share.

    Iterators and dict views are listed. Raises FanOutError for a set, which has no order.
    """
    exported = getattr(type(value), "fanlab_items", None)  # the branches of an earlier run
    if exported is not None:
        return exported(value)  # type: ignore[no-any-return]
    if isinstance(value, dict):
        return Items(tuple(value.values()), tuple(value))
    if isinstance(value, (list, range)) or type(value) is tuple:
        return Items(tuple(value))
    if isinstance(value, (Iterator, KeysView, ValuesView, ItemsView)) and not hasattr(value, "read"):
        return Items(tuple(value))
    if isinstance(value, (set, frozenset)):
        raise FanOutError(
            "a set cannot be mapped over, since it has no order",
            do="use sorted(...) to give it one, or unmapped(...) to share it",
        )
    if _is_one_dimensional(value):
        return Items(tuple(value))
    return None


def _is_one_dimensional(value: Any) -> bool:
    """A 1-D NumPy array, a pandas Series or Index: told by their own `ndim`, so that neither is imported."""
    package = type(value).__module__.partition(".")[0]
    return package in ("numpy", "pandas") and getattr(value, "ndim", None) == 1 and hasattr(value, "__iter__")


def combine(kind: str, node: str, sources: Sequence[Source]) -> Shape:
    """The branches that a map ("map") or product ("product") over `sources` makes.

    Raises FanOutError for a map over arguments of unequal lengths or keys.
    """
    if kind == "product":
        return _product(sources)
    first = sources[0]
    if any(source.length != first.length for source in sources):
        lengths = ", ".join(f"{source.argument} has {source.length}" for source in sources)
        raise FanOutError(
            f"the mapped arguments of '{node}' differ in length: {lengths}",
            do="give them equal lengths, mark a shared one with unmapped(...), or combine them with .product(...)",
        )
    keyed = [source for source in sources if source.keys is not None]
    for source in keyed[1:]:
        if source.keys != keyed[0].keys:
            raise FanOutError(
                f"the keyed arguments of '{node}' differ in keys: {keyed[0].argument} has "
                f"{listed(keyed[0].keys or ())}, {source.argument} has {listed(source.keys or ())}",
                do="give both dicts the same keys in the same order",
            )
    keys = keyed[0].keys if keyed else None
    return Shape(first.length, keys, tuple((1, max(first.length, 1)) for _ in sources))


def _product(sources: Sequence[Source]) -> Shape:
    size = 1
    strides: list[tuple[int, int]] = []
    for source in reversed(sources):
        strides.append((size, max(source.length, 1)))
        size *= source.length
    strides = [(max(stride, 1), length) for stride, length in reversed(strides)]
    if all(source.keys is None for source in sources):
        return Shape(size, None, tuple(strides))

    def key(branch: int) -> tuple[Any, ...]:
        parts = ((s, branch // stride % length) for s, (stride, length) in zip(sources, strides, strict=True))
        return tuple(i if s.keys is None else s.keys[i] for s, i in parts)

    if len(sources) == 1:
        return Shape(size, sources[0].keys, tuple(strides))
    return Shape(size, tuple(key(branch) for branch in range(size)), tuple(strides))


def label_fields(node: str, template: str, parameters: Sequence[str]) -> list[str]:
    """The argument names that an id template uses. Raises FanOutError for one that is no argument."""
    try:
        names = [
            str(name).split(".")[0].split("[")[0]
            for _, name, _, _ in string.Formatter().parse(template)
            if name is not None
        ]
    except ValueError as error:
        raise FanOutError(
            f"id={template!r} of '{node}' is not a template: {error}",
            do='write it like id="{alpha}", with {{ and }} for braces of your own',
        ) from None
    for name in names:
        if name not in parameters:
            raise FanOutError(
                f"id={template!r} of '{node}' uses '{name}', which is not one of its arguments",
                do=near(name, parameters) or f"the arguments are {listed(parameters)}",
            )
    return names


def unique_names(node: str, labels: Sequence[str]) -> None:
    """Raise FanOutError if two branches would bear one name."""
    if len(set(labels)) == len(labels):
        return
    twice = [label for label, count in Counter(labels).items() if count > 1]
    raise FanOutError(
        f"branches of '{node}' would share names: {listed(f'{node}[{label}]' for label in twice)}",
        do="use an id template that tells them apart, or leave it out to number them",
    )


def record_columns(
    function: Callable[..., Any], step: str, rows: Any, shared: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """Records turned into one list per field. Raises FanOutError for rows that are no records or differ in fields."""
    if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
        rows = rows.to_dict("records")
    records = list(rows) if hasattr(rows, "__iter__") and not isinstance(rows, (str, bytes, Mapping)) else None
    if records is None or not all(isinstance(record, Mapping) for record in records):
        raise FanOutError(
            f"{step}.map_records() takes a list of dicts, a DataFrame or a ParameterGrid, not {type(rows).__name__}",
            str(here()),
            "use .map(...) for lists of values",
        )
    if not records:  # no record tells the fields, so each required parameter maps over nothing
        parameters = inspect.signature(function).parameters.values()
        return {p.name: [] for p in parameters if p.default is p.empty and p.name not in shared}
    fields = list(records[0])
    for position, record in enumerate(records):
        if set(record) != set(fields):
            raise FanOutError(
                f"records 0 and {position} of {step}.map_records() differ: {listed(fields)} and {listed(record)}",
                str(here()),
                "give every record the same fields",
            )
    return {str(name): [record[name] for record in records] for name in fields}
