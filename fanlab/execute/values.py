"""The values of one run: literals sealed, what steps returned opened, a value's items told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..core.batch import Column, Hole
from ..core.expand import Shape, Source, combine, items_of, label_fields
from ..core.record import Record
from ..core.seal import Packed, Ref, Stored, Unsendable, rebuild, seal, unsendable
from ..core.spec import Argument, Node
from ..core.trace import label_row, labels_of
from ..errors import CannotSend, CannotStore, FanlabError, FanOutError
from ..store.artifacts import Artifacts
from ..store.codecs import type_name

Tabulate = Callable[[Record, str], Any]  # the table of one node's branches


class Values:
    """Reads a run's record and its store's artifacts."""

    def __init__(self, record: Record, artifacts: Artifacts, tabulate: Tabulate | None = None) -> None:
        self._record, self._artifacts, self._tabulate = record, artifacts, tabulate

    def seal(self, step: str, argument: Argument) -> Argument:
        """A recorded argument as it is kept and sent."""

        def keep(value: Any) -> Stored | Unsendable:
            try:
                return self._artifacts.put(value, f"of argument '{argument.name}' of '{step}'")
            except FanlabError:
                raise
            except Exception as error:  # noqa: BLE001 (pickling raises what it likes; the branch tells it)
                return Unsendable(
                    f"argument '{argument.name}' of step '{step}', of type {type_name(value)}, cannot be sent: {error}"
                )

        return Argument(argument.name, seal(argument.value, keep), argument.keyword, argument.mapped)

    def seal_value(self, value: Any) -> Any:
        """What a body returned, as it is kept. Raises CannotStore for what cannot be."""

        def keep(value: Any) -> Stored | Unsendable:
            try:
                return self._artifacts.put(value, "that the body returned")
            except FanlabError:
                raise
            except Exception as error:  # noqa: BLE001 (as above; told when it is loaded)
                return Unsendable(f"a {type_name(value)} that the body returned cannot be stored: {error}")

        return seal(value, keep)

    def shape(self, node: Node, arguments: tuple[Argument, ...]) -> tuple[Shape, tuple[Argument, ...]]:
        """A node's branches, now that what they depend on is there; its arguments with computed items in place.

        Raises FanOutError where the values make no branches.
        """
        arguments = tuple(self._itemised(node.name, argument) for argument in arguments)
        shape = combine(node.kind, node.name, [self._source(argument) for argument in arguments if argument.mapped])
        if node.label is not None:
            used = set(label_fields(node.name, node.label, [argument.name for argument in arguments]))
            rows = [label_row(arguments, shape, branch, used) for branch in range(shape.size)]
            shape = replace(shape, labels=labels_of(node.name, node.label, rows))
        return shape, arguments

    def shared(self, arguments: tuple[Argument, ...]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments as sent to every branch, with a Hole for each mapped one. Raises CannotSend."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        mapped = 0
        for argument in arguments:
            if argument.mapped:
                value: Any = Hole(mapped)
                mapped += 1
            else:
                value = self.ready(argument.value)
            if argument.keyword:
                kwargs[argument.name] = value
            else:
                args.append(value)
        return args, kwargs

    def columns(self, arguments: tuple[Argument, ...], shape: Shape, start: int, stop: int) -> tuple[Column, ...]:
        """The values of branches from start up to stop for each mapped argument, as sent. Raises CannotSend."""
        mapped = (argument.value for argument in arguments if argument.mapped)
        return tuple(self._column(value, shape, position, start, stop) for position, value in enumerate(mapped))

    def _column(self, value: Any, shape: Shape, position: int, start: int, stop: int) -> Column:
        stride, length = shape.strides[position]
        if stride == 1 and stop <= length:
            wanted: Any = slice(start, stop)
        else:
            wanted = [shape.item(position, branch) for branch in range(start, stop)]
        if isinstance(value, Ref):
            return Column("packed", _picked(self._record.nodes[value.node].outputs, wanted), value.output)
        if value.plain:
            return Column("plain", _picked(value.values, wanted))
        return Column("sealed", tuple(self.ready(item) for item in _picked(value.values, wanted)))

    def ready(self, sealed: Any) -> Any:
        """A sealed value with its references replaced by the outputs they refer to. Raises CannotSend."""
        reason = unsendable(sealed)
        if reason is not None:
            raise CannotSend(reason, do="pass plain data, or make the object inside the step")
        return rebuild(sealed, lambda leaf: self._packed(leaf) if isinstance(leaf, Ref) else leaf)

    def open(self, sealed: Any) -> Any:
        """A sealed value opened: what a person gets. Raises CannotStore, StoreError."""

        def leaf(found: Any) -> Any:
            if isinstance(found, Ref):
                return rebuild(self._packed(found), leaf)
            if isinstance(found, Unsendable):
                raise CannotStore(found.reason)
            if isinstance(found, Packed):
                return self._artifacts.value(found)
            return self._artifacts.get(found) if isinstance(found, Stored) else found

        return rebuild(sealed, leaf)

    def _packed(self, ref: Ref) -> Any:
        node = self._record.nodes[ref.node]
        if not ref.many:
            return Packed(node.outputs[ref.branch or 0] or b"", ref.output)
        if ref.kind == "results" and self._tabulate is not None:
            return self._artifacts.put(self._tabulate(self._record, ref.node), f"of the results of '{ref.node}'")
        keys = node.shape.keys if node.shape is not None else None
        if ref.kind == "successful":
            return self._successful(ref, keys)
        packed = [Packed(outputs or b"", ref.output) for outputs in node.outputs]
        return packed if keys is None else dict(zip(keys, packed, strict=True))

    def _successful(self, ref: Ref, keys: tuple[Any, ...] | None) -> Any:
        outputs = self._record.nodes[ref.node].outputs
        good = [branch for branch, found in enumerate(outputs) if found is not None]
        if outputs and len(good) < ref.at_least * len(outputs):
            raise FanOutError(
                f"only {len(good)} of {len(outputs)} branches of '{ref.node}' have a value, "
                f"fewer than the share of {ref.at_least:g} that is asked for",
                do="mend the failed branches, or ask for less with successful(at_least=...)",
            )
        packed = [Packed(outputs[branch] or b"", ref.output) for branch in good]
        return packed if keys is None else dict(zip((keys[branch] for branch in good), packed, strict=True))

    def _source(self, argument: Argument) -> Source:
        if isinstance(argument.value, Ref):
            shape = self._record.nodes[argument.value.node].shape
            assert shape is not None  # the schedule asks only when it is known
            return Source(argument.name, shape.size, shape.keys)
        return Source(argument.name, len(argument.value.values), argument.value.keys)

    def _itemised(self, node: str, argument: Argument) -> Argument:
        """An argument that maps over a step's output, with that output's items."""
        ref = argument.value
        if not argument.mapped or not isinstance(ref, Ref) or ref.many:
            return argument
        told = self._record.nodes[ref.node].items.get(ref.branch or 0, {}).get(ref.output or "")
        if told is not None:
            return replace(argument, value=told)
        value = self.open(ref)
        items = items_of(value)
        if items is None:
            raise FanOutError(
                f"'{node}' maps over the output of '{ref.node}', which is a {type_name(value)}",
                do=f"let '{ref.node}' return a list, range, dict, tuple or 1-D array",
            )
        sealed = self.seal(node, Argument(argument.name, items, argument.keyword, mapped=True))
        return replace(argument, value=sealed.value)


def _picked(values: Sequence[Any], wanted: Any) -> tuple[Any, ...]:
    return tuple(values[wanted]) if isinstance(wanted, slice) else tuple(values[i] for i in wanted)


def opener(record: Record, artifacts: Artifacts) -> Callable[[Any], Any]:
    """What opens the sealed values of a run."""
    return Values(record, artifacts).open
