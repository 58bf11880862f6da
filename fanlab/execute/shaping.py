"""Which branches a node has, as soon as what decides it is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..core.bind import bind
from ..core.blocks import Block
from ..core.events import Failure
from ..core.expand import Items, Shape, Source, combine, items_of, key_label, label_fields, record_columns
from ..core.graph import Growth
from ..core.joins import Calls, Groups, Join, Leaves, Order, Tree, grouped
from ..core.record import Record
from ..core.seal import Ref, Unsendable
from ..core.spec import Argument, Node
from ..core.standing import Fresh
from ..core.trace import label_row, labels_of
from ..errors import CannotSend, FanlabError, FanOutError, StepCallError
from ..store.codecs import type_name
from .failure import failure_of
from .values import Values


class Unknown(Exception):  # noqa: N818
    """A node's branches will never be known, because of the node that it names."""


Losses = dict[int, Failure | str]  # by branch: what it fails with, or because of which node it is skipped


class Shaping:
    """Tells the branches of one run's nodes."""

    def __init__(self, record: Record, values: Values) -> None:
        self._record, self._values = record, values

    def shape(self, node: Node, arguments: tuple[Argument, ...]) -> tuple[Shape, tuple[Argument, ...]]:
        """A node's branches, and its arguments with computed items in place.

        Raises FanOutError where the values make no branches, Unknown where they never will.
        """
        if node.kind == "records":
            arguments = self._fields(node, arguments)
        paths: list[Any] = []  # of the items of branches, which name the branches of a map
        arguments = tuple(self._itemised(node, argument, paths) for argument in arguments)
        if node.kind == "reduce":
            return self._tree(node, arguments), arguments
        found = [self._source(argument) for argument in arguments if argument.mapped]
        shape = combine(node.kind, node.name, [source for source, _ in found])
        if any(join is not None for _, join in found):
            shape = replace(shape, joins=tuple(join for _, join in found))
        if node.label is None:
            named = node.kind == "map" and shape.keys is None and len(paths) >= shape.size > 0
            return replace(shape, labels=tuple(map(key_label, paths[: shape.size]))) if named else shape, arguments
        used = set(label_fields(node.name, node.label, [argument.name for argument in arguments]))
        rows = [label_row(arguments, shape, branch, used) for branch in range(shape.size)]
        return replace(shape, labels=labels_of(node.name, node.label, rows)), arguments

    def _fields(self, node: Node, arguments: tuple[Argument, ...]) -> tuple[Argument, ...]:
        """The arguments of a map over records, one for each of their fields. Raises FanOutError, StepCallError."""
        rows, *shared = arguments
        value = self._values.open(rows.value)
        keys = tuple(value) if isinstance(value, dict) else None
        others = {argument.name: argument.value for argument in shared}
        try:
            columns = record_columns(
                node.step.function, node.step.name, list(value.values()) if isinstance(value, dict) else value, others
            )
            bind(node.step, "map_records", (), {**columns, **others})
        except (FanOutError, StepCallError) as error:
            raise type(error)(error.what, str(node.place), error.do) from None
        found = [Argument(name, Items(tuple(column), keys), True, True) for name, column in columns.items()]
        return (*(self._values.seal(node.step.name, argument) for argument in found), *shared)

    def beginning(self, growth: Growth, arguments: tuple[Argument, ...]) -> Shape:
        """The shape of a node whose branches become known one after the other: none of them yet."""
        source = self._shape_of(growth.node)
        return Shape(0, () if source.keyed else None, tuple((1, 1) for argument in arguments if argument.mapped))

    def grow(self, name: str, growth: Growth, fresh: Sequence[Fresh]) -> tuple[tuple[Block, ...], Any, Losses]:
        """New branches of a node: where they stand, their items by argument, and those that are lost from the start."""
        node = self._record.nodes[name]
        if not growth.items:
            grown = self._shape_of(growth.node).blocks
            ours = self._shape_of(name).blocks
            assert grown is not None  # it grows too
            assert ours is not None
            return tuple(grown.since(ours)), (), {}
        mapped = [argument for argument in node.arguments if argument.mapped]
        blocks: list[Block] = []
        values: list[list[Any]] = [[] for _ in mapped]
        losses: Losses = {}
        size = self._shape_of(name).size
        for branch, because in _each(fresh):
            lost: Failure | str = because
            found = [Items((Unsendable(f"'{growth.node}' has no items here"),))] * len(mapped)
            if not because:
                try:
                    found = self._paired(name, growth.node, branch, mapped)
                except FanlabError as error:
                    lost = failure_of(error)
            blocks.append(self._block(growth.node, branch, found[0], lost=bool(lost)))
            if lost:
                losses[size] = lost
            for column, items in zip(values, found, strict=True):
                column += items.values
            size += len(found[0].values)
        more = zip(mapped, values, strict=True)
        return tuple(blocks), tuple(Argument(argument.name, Items(tuple(column))) for argument, column in more), losses

    def _paired(self, name: str, source: str, branch: int, mapped: Sequence[Argument]) -> list[Items]:
        """The items of a branch for each argument, keyed alike. Raises FanOutError where they are of unequal length."""
        found = [self._items(name, source, branch, argument.value.ref.output) for argument in mapped]
        sources = [Source(a.name, len(items.values), items.keys) for a, items in zip(mapped, found, strict=True)]
        keys = combine("map", f"{name}' over the items of '{self._record.nodes[source].name(branch)}", sources).keys
        return [replace(items, keys=keys) for items in found]

    def _block(self, source: str, branch: int, items: Items, *, lost: bool) -> Block:
        shape = self._shape_of(source)
        if shape.blocks is not None:
            return Block(
                shape.blocks.position(branch), shape.blocks.path(branch), len(items.values), items.keys, lost=lost
            )
        key = shape.key(branch)
        path = key if type(key) is tuple else (key,)
        return Block((branch,), path, len(items.values), items.keys, lost=lost)

    def _tree(self, node: Node, arguments: tuple[Argument, ...]) -> Shape:
        (argument,) = arguments
        order: Join | None = None
        if isinstance(argument.value, Ref):
            source = self._shape_of(argument.value.node)
            size = source.size
            order = Order(source.order()) if source.blocks is not None else None
        else:
            size = len(argument.value.values)
        if size == 0:
            raise FanOutError(
                f"'{node.name}' has nothing to reduce: there are no items",
                do="give it at least one, or put a first value in front of the items",
            )
        tree = Tree(size)
        branches = max(tree.calls, 1)
        return Shape(branches, strides=((1, branches),) * 2, joins=(Leaves(tree, order), Calls(tree)), tree=tree)

    def _source(self, argument: Argument) -> tuple[Source, Join | None]:
        """A mapped argument as far as the number of branches is concerned, and which of them need what."""
        ref = argument.value
        if not isinstance(ref, Ref):
            return Source(argument.name, len(ref.values), ref.keys), None
        if ref.kind == "groups":
            groups = self.groups(ref)
            return Source(argument.name, len(groups.keys), groups.keys), groups
        shape = self._shape_of(ref.node)
        keys = tuple(shape.key(branch) for branch in shape.order()) if shape.keyed else None
        return Source(argument.name, shape.size, keys), Order(shape.order()) if shape.blocks is not None else None

    def groups(self, ref: Ref) -> Groups:
        """The groups of a fan-out's branches by one of its arguments. Raises FanOutError."""
        node = self._record.nodes[ref.node]
        shape = self._shape_of(ref.node)
        position, argument = next(
            (i, a) for i, a in enumerate(a for a in node.arguments if a.mapped) if a.name == ref.by
        )
        value = argument.value
        if isinstance(value, Ref):
            found = [self._computed(value, shape, position, branch) for branch in range(shape.size)]
        else:
            found = [value.values[shape.item(position, branch)] for branch in range(shape.size)]
        if any(isinstance(one, Unsendable) for one in found):  # a branch without items: no group can be complete
            raise Unknown(node.because or ref.node)
        return grouped(ref.node, ref.by, found, shape.order())

    def _computed(self, ref: Ref, shape: Shape, position: int, branch: int) -> Any:
        """The value that a branch of another step gave a branch."""
        if ref.kind == "groups":
            return []  # which names no group
        (source,) = shape.sources(position, branch)
        return self._values.open(Ref(ref.node, source, ref.output))

    def _itemised(self, node: Node, argument: Argument, paths: list[Any]) -> Argument:
        """An argument that maps over a value, with that value's items."""
        ref = argument.value
        if not argument.mapped or not isinstance(ref, Ref) or ref.kind == "groups" or (ref.many and not ref.kind):
            return argument
        if ref.kind == "successful":
            return replace(argument, value=self._successful(ref))
        if ref.kind == "items":
            return replace(argument, value=self.flat(ref, paths))
        return replace(argument, value=self._items(node.name, ref.node, ref.branch or 0, ref.output))

    def _successful(self, ref: Ref) -> Items:
        """Those branches that have a value. Raises FanOutError where they are too few."""
        return Items(tuple(Ref(ref.node, branch, ref.output) for branch in self._values.good(ref)))

    def flat(self, ref: Ref, paths: list[Any] | None = None) -> Items:
        """The items of all branches in call order, keyed by their paths where one of them is keyed."""
        shape = self._shape_of(ref.node)
        values: list[Any] = []
        keys: list[Any] = []
        keyed = shape.keyed
        for branch in shape.order():
            items = self._items("", ref.node, branch, ref.output)
            block = self._block(ref.node, branch, items, lost=False)
            keyed = keyed or items.keys is not None
            values += items.values
            keys += [(*block.path, key) for key in (items.keys or range(len(items.values)))]
        if paths is not None:
            paths[:] = keys
        return Items(tuple(values), tuple(keys) if keyed else None)

    def _items(self, node: str, source: str, branch: int, output: str | None) -> Items:
        """The items of a branch's value, sealed. Raises FanOutError for a value that has none."""
        found = self._record.nodes[source]
        told = found.items.get(branch, {}).get(output or "")
        if told is not None:
            return told
        value = self._values.open(Ref(source, branch, output))
        items = items_of(value)
        if items is None:
            raise FanOutError(
                f"'{node}' maps over the output of '{found.name(branch)}', which is a {type_name(value)}"
                if node
                else f"the output of '{found.name(branch)}', a {type_name(value)}, has no items",
                do=f"let '{source}' return a list, range, dict, tuple or 1-D array",
            )
        sealed = self._values.seal(node, Argument("items", items, mapped=True)).value
        if isinstance(sealed, Unsendable):
            raise CannotSend(sealed.reason, do="give the dict keys that are text or numbers")
        return sealed  # type: ignore[no-any-return]

    def _shape_of(self, name: str) -> Shape:
        shape = self._record.nodes[name].shape
        assert shape is not None  # the schedule asks only when it is known
        return shape


def _each(fresh: Sequence[Fresh]) -> Iterator[tuple[int, str]]:
    for start, stop, because in fresh:
        for branch in range(start, stop):
            yield branch, because
