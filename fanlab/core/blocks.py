"""The items of a fan-out's branches as one row of branches, which grows as those branches end."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, NamedTuple


class Block(NamedTuple):
    """The items of one branch of the source; for one that has none to give, a single branch stands for them."""

    position: tuple[int, ...]  # where the source's branch stands, level by level
    path: tuple[Any, ...]  # the same with keys where there are some: its items' names begin with it
    size: int
    keys: tuple[Any, ...] | None = None  # of the items, where they were a dict
    lost: bool = False  # the source's branch has no items to give


class Blocks:
    """Branches numbered as they become known. Call order is told by where the items stand, not by their numbers.

    It only ever grows at its end: what is known of a branch stays.
    """

    __slots__ = ("_blocks", "_found", "_order", "_starts", "keyed", "size")

    def __init__(self, *, keyed: bool = False) -> None:
        self._blocks: list[Block] = []
        self._starts = array("I")
        self._order: list[int] | None = None
        self._found: dict[tuple[Any, ...], int] | None = None
        self.size = 0
        self.keyed = keyed  # whether a fan-in receives a dict

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blocks) and other._blocks == self._blocks and other.keyed == self.keyed

    __hash__ = None  # type: ignore[assignment]

    def extend(self, blocks: Iterable[Block]) -> None:
        """Take in more of them."""
        self._order = self._found = None
        for block in blocks:
            self._blocks.append(block)
            self._starts.append(self.size)
            self.size += block.size
            self.keyed = self.keyed or block.keys is not None

    def since(self, other: Blocks) -> list[Block]:
        """What another one, which has grown with this one, does not have yet."""
        return self._blocks[len(other._blocks) :]

    def path(self, branch: int) -> tuple[Any, ...]:
        """A branch's key: the path to its item."""
        block, offset = self._at(branch)
        if block.lost:
            return block.path
        return (*block.path, offset if block.keys is None else block.keys[offset])

    def position(self, branch: int) -> tuple[int, ...]:
        """The same in numbers."""
        block, offset = self._at(branch)
        return block.position if block.lost else (*block.position, offset)

    def find(self, path: tuple[Any, ...]) -> int | None:
        """The branch of a path; None where there is none."""
        if self._found is None:
            self._found = {self.path(branch): branch for branch in range(self.size)}
        return self._found.get(path)

    def order(self) -> list[int]:
        """All branches in call order."""
        if self._order is None:
            starts = sorted(range(len(self._blocks)), key=lambda i: self._blocks[i].position)
            self._order = [
                branch for i in starts for branch in range(self._starts[i], self._starts[i] + self._blocks[i].size)
            ]
        return self._order

    def _at(self, branch: int) -> tuple[Block, int]:
        found = bisect_right(self._starts, branch) - 1
        return self._blocks[found], branch - self._starts[found]
