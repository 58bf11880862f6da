"""Which items of a mapped argument need which branches of its source, where item i is not simply branch i."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import FanOutError
from .seal import is_scalar


class Join(Protocol):
    """Both directions between the branches of a source and the items of an argument."""

    def items(self, source: int) -> Sequence[int]:
        """The items that need a branch of the source."""

    def sources(self, item: int) -> Sequence[int]:
        """The branches of the source that an item needs."""


class Order(Join):
    """Items in call order of a source whose branches are numbered as they became known."""

    __slots__ = ("_items", "_sources")

    def __init__(self, order: Sequence[int]) -> None:
        self._sources = array("I", order)
        self._items = array("I", bytes(4 * len(order)))
        for item, source in enumerate(order):
            self._items[source] = item

    def items(self, source: int) -> Sequence[int]:
        """The one item of a branch."""
        return self._items[source : source + 1]

    def sources(self, item: int) -> Sequence[int]:
        """The one branch of an item."""
        return self._sources[item : item + 1]


class Groups(Join):
    """Item i is the group of all branches with the i-th distinct value, in the order in which values first appear."""

    __slots__ = ("_group", "_members", "keys")

    def __init__(self, values: Sequence[Any], order: Sequence[int]) -> None:
        numbers: dict[Any, int] = {}
        self._group = array("I", bytes(4 * len(values)))
        self._members: list[array[int]] = []
        for branch in order:
            number = numbers.setdefault(values[branch], len(numbers))
            if number == len(self._members):
                self._members.append(array("I"))
            self._group[branch] = number
            self._members[number].append(branch)
        self.keys: tuple[Any, ...] = tuple(numbers)

    def items(self, source: int) -> Sequence[int]:
        """The group of a branch."""
        return self._group[source : source + 1]

    def sources(self, item: int) -> Sequence[int]:
        """The branches of a group."""
        return self._members[item]


def grouped(node: str, argument: str, values: Sequence[Any], order: Sequence[int]) -> Groups:
    """The groups of a node's branches by the values of an argument. Raises FanOutError for values that name nothing."""
    for value in values:
        if not is_scalar(value):
            kind = getattr(value, "type", None) or type(value).__name__  # a stored value says what it is
            raise FanOutError(
                f"'{node}' cannot be grouped by '{argument}': a {kind} names no group",
                do="group by an argument of numbers, texts or dates",
            )
    return Groups(values, order)


class Tree:
    """The calls that make `size` items one: of neighbours, level by level; an odd last one waits for the next level.

    Calls are numbered level by level, the one that gives the result last. There are `size - 1` of them.
    """

    __slots__ = ("_bases", "_sizes", "calls", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.calls = max(size - 1, 0)
        self._sizes = [size]  # how many items each level has
        self._bases = [0]  # the number of each level's first call
        while self._sizes[-1] > 1:
            self._bases.append(self._bases[-1] + self._sizes[-1] // 2)
            self._sizes.append(-(-self._sizes[-1] // 2))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and other.size == self.size

    def __hash__(self) -> int:
        return hash(self.size)

    def place(self, call: int) -> tuple[int, int]:
        """A call's level, and its number there."""
        level = bisect_right(self._bases, call, 0, len(self._bases) - 1) - 1 if len(self._bases) > 1 else 0
        return level, call - self._bases[level]

    def taker(self, level: int, item: int) -> int | None:
        """The call that takes an item of a level; None for the result."""
        while level + 1 < len(self._sizes):
            if item // 2 < self._sizes[level] // 2:
                return self._bases[level] + item // 2
            level, item = level + 1, item // 2
        return None

    def operands(self, call: int) -> tuple[tuple[bool, int], tuple[bool, int]]:
        """What a call takes: twice, whether it is one of the items, and the number of that item or call."""
        level, number = self.place(call)
        return self._giver(level, 2 * number), self._giver(level, 2 * number + 1)

    def _giver(self, level: int, item: int) -> tuple[bool, int]:
        while level > 0:
            if item < self._sizes[level - 1] // 2:
                return False, self._bases[level - 1] + item
            level, item = level - 1, 2 * item
        return True, item


class Leaves(Join):
    """Which call of a reduce takes which of its items; a single item is taken by the one branch that passes it on."""

    __slots__ = ("_order", "_tree")

    def __init__(self, tree: Tree, order: Join | None = None) -> None:
        self._tree, self._order = tree, order

    def items(self, source: int) -> Sequence[int]:
        """The call that takes an item."""
        item = source if self._order is None else self._order.items(source)[0]
        return (self._tree.taker(0, item) or 0,)

    def sources(self, item: int) -> Sequence[int]:
        """The items that a call takes."""
        if self._tree.size == 1:
            found = [0]
        else:
            found = [number for is_item, number in self._tree.operands(item) if is_item]
        return found if self._order is None else [self._order.sources(number)[0] for number in found]


class Calls(Join):
    """Which call of a reduce takes what another one gave."""

    __slots__ = ("_tree",)

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def items(self, source: int) -> Sequence[int]:
        """The call that takes a call's value."""
        level, number = self._tree.place(source)
        taker = self._tree.taker(level + 1, number)
        return () if taker is None else (taker,)

    def sources(self, item: int) -> Sequence[int]:
        """The calls whose values a call takes."""
        if self._tree.size < 2:
            return ()
        return [number for is_item, number in self._tree.operands(item) if not is_item]
