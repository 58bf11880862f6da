"""The values of one run: literals sealed, what steps returned opened, and what each branch receives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..core.batch import Column, Hole
from ..core.expand import Shape
from ..core.record import NodeRecord, Record
from ..core.seal import Packed, Ref, Stored, Unsendable, rebuild, seal, unsendable
from ..core.spec import Argument
from ..errors import CannotSend, CannotStore, FanlabError, FanOutError, listed
from ..store.artifacts import Artifacts
from ..store.codecs import pack, type_name, unpack
from ..store.hashes import steady
from ..store.named import names
from .faults import Faults

Tabulate = Callable[[Record, str], Any]  # the table of one node's branches


class Values:
    """Reads a run's record and its store's artifacts."""

    def __init__(self, record: Record, artifacts: Artifacts, tabulate: Tabulate | None = None) -> None:
        self._record, self._artifacts, self._tabulate = record, artifacts, tabulate
        self._faults = Faults()

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

        def whole(made: Any) -> Any:
            found = self._faults.of(made)
            if found is None:
                return made
            part, bad, why = found
            return Unsendable(
                f"{part}argument '{argument.name}' of step '{step}', of type {type_name(bad)}, cannot be sent: {why}"
            )

        return Argument(argument.name, seal(argument.value, keep, whole), argument.keyword, argument.mapped)

    def seal_value(self, value: Any, what: str = "that the body returned") -> Any:
        """What a body returned, or a parameter, as it is kept; what cannot be is told where it is opened."""

        def keep(value: Any) -> Stored | Unsendable:
            try:
                return self._artifacts.put(value, what)
            except FanlabError:
                raise
            except Exception as error:  # noqa: BLE001 (as above; told when it is loaded)
                return Unsendable(f"a {type_name(value)} {what} cannot be stored: {error}")

        def whole(made: Any) -> Any:
            found = self._faults.of(made)
            if found is None:
                return made
            part, bad, why = found
            kind = type_name(bad) if not part else f"{type_name(bad)}, {part}a {type_name(made)}"
            return Unsendable(f"a {kind} {what} cannot be stored: {why}")

        return seal(value, keep, whole)

    def shared(self, node: NodeRecord) -> tuple[list[Any], dict[str, Any]]:
        """The arguments as sent to every branch, with a Hole for each mapped one. Raises CannotSend."""
        if node.shape is not None and node.shape.tree is not None:
            return [Hole(0), Hole(1)], {}
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        mapped = 0
        for argument in node.arguments:
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
        return tuple(
            self._column(argument.value, shape, position, start, stop)
            for position, argument in enumerate(argument for argument in arguments if argument.mapped)
        )

    def operands(self, node: NodeRecord, start: int, stop: int) -> tuple[Column, ...]:
        """The two values that each of a reduce's calls takes. Raises CannotSend."""
        assert node.shape is not None
        assert node.shape.tree is not None
        taken = [node.shape.tree.operands(call) for call in range(start, stop)]
        value = node.arguments[0].value
        return tuple(
            Column("sealed", tuple(self.operand(node, value, *pair[side]) for pair in taken)) for side in (0, 1)
        )

    def only(self, node: NodeRecord) -> bytes:
        """The value of a reduce of one item, as the output of its node."""
        sealed = self.operand(node, node.arguments[0].value, True, 0)
        names = node.info.outputs
        if isinstance(sealed, Packed):
            outputs = unpack(sealed.outputs)
            stored = outputs.get(sealed.output or "") or (next(iter(outputs.values())) if len(outputs) == 1 else None)
            if stored is not None and len(names) == 1:
                return pack({names[0]: stored})
            sealed = self._artifacts.value(sealed)
        value = self.open(sealed)
        if len(names) == 1:
            return pack({names[0]: self._artifacts.put(value, f"of '{node.info.name}'")})
        if not isinstance(value, (tuple, list)) or len(value) != len(names):
            raise CannotStore(
                f"'{node.info.name}' has {len(names)} outputs ({listed(names)}), but its only item is one "
                f"{type_name(value)}",
                do="let the items be like what the step returns",
            )
        return pack({n: self._artifacts.put(v, f"of '{node.info.name}'") for n, v in zip(names, value, strict=True)})

    def operand(self, node: NodeRecord, value: Any, is_item: bool, number: int) -> Any:
        """What a call of a reduce takes: one of the items, or what another call gave. Raises CannotSend."""
        if not is_item:
            return Packed(node.outputs[number] or b"", None)
        if isinstance(value, Ref):
            source = self._record.nodes[value.node]
            return Packed(source.outputs[source.branches()[number]] or b"", value.output)
        return self.ready(value.values[number])

    def _column(self, value: Any, shape: Shape, position: int, start: int, stop: int) -> Column:
        stride, length = shape.strides[position]
        wanted: Any = slice(start, stop)
        if stride != 1 or stop > length:
            wanted = [shape.item(position, branch) for branch in range(start, stop)]
        if not isinstance(value, Ref):
            if value.plain:
                return Column("plain", _picked(value.values, wanted))
            return Column("sealed", tuple(self.ready(item) for item in _picked(value.values, wanted)))
        outputs = self._record.nodes[value.node].outputs
        if shape.joins and shape.joins[position] is not None:
            sources = [shape.sources(position, branch) for branch in range(start, stop)]
            if value.kind == "groups":
                return Column("sealed", tuple([Packed(outputs[s] or b"", value.output) for s in g] for g in sources))
            wanted = [source for (source,) in sources]
        return Column("packed", _picked(outputs, wanted), value.output)

    def ready(self, sealed: Any) -> Any:
        """A sealed value with its references replaced by the outputs they refer to. Raises CannotSend."""
        reason = unsendable(sealed)
        if reason is not None:
            raise CannotSend(reason, do="pass plain data, or make the object inside the step")
        return rebuild(sealed, self._referred)

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

        with steady():
            return rebuild(sealed, leaf)

    def names(self, stored: Stored) -> list[str]:
        """What in a value may name files."""
        return names(stored, self._artifacts)

    def _packed(self, ref: Ref) -> Any:
        node = self._record.nodes[ref.node]
        if not ref.many:
            return Packed(node.outputs[ref.branch or 0] or b"", ref.output)
        if ref.kind == "results" and self._tabulate is not None:
            return self._artifacts.put(self._tabulate(self._record, ref.node), f"of the results of '{ref.node}'")
        if ref.kind in ("items", "groups"):
            return self._spread(ref)
        shape = node.shape
        branches = self.good(ref) if ref.kind == "successful" else list(node.branches())
        packed = [Packed(node.outputs[branch] or b"", ref.output) for branch in branches if shape is not None]
        if shape is None or not shape.keyed:
            return packed
        return dict(zip((shape.key(branch) for branch in branches), packed, strict=True))

    def _spread(self, ref: Ref) -> Any:
        """The items of all branches as one list or dict, or the branches in groups."""
        from .shaping import Shaping

        shaping = Shaping(self._record, self)
        outputs = self._record.nodes[ref.node].outputs
        if ref.kind == "items":
            items = rebuild(shaping.flat(ref), self._referred)
            return list(items.values) if items.keys is None else dict(zip(items.keys, items.values, strict=True))
        groups = shaping.groups(ref)
        members = ([Packed(outputs[b] or b"", ref.output) for b in groups.sources(i)] for i in range(len(groups.keys)))
        return dict(zip(groups.keys, members, strict=True))

    def _referred(self, leaf: Any) -> Any:
        return self._packed(leaf) if isinstance(leaf, Ref) else leaf

    def good(self, ref: Ref) -> list[int]:
        """The branches that have a value, in call order. Raises FanOutError for fewer than are asked for."""
        node = self._record.nodes[ref.node]
        if node.shape is None:
            return []
        found = [branch for branch in node.branches() if node.outputs[branch] is not None]
        if node.shape.size and len(found) < ref.at_least * node.shape.size:
            raise FanOutError(
                f"only {len(found)} of {node.shape.size} branches of '{ref.node}' have a value, "
                f"fewer than the share of {ref.at_least:g} that is asked for",
                do="mend the failed branches, or ask for less with successful(at_least=...)",
            )
        return found


def _picked(values: Sequence[Any], wanted: Any) -> tuple[Any, ...]:
    return tuple(values[wanted]) if isinstance(wanted, slice) else tuple(values[i] for i in wanted)


def opener(record: Record, artifacts: Artifacts) -> Callable[[Any], Any]:
    """What opens the sealed values of a run."""
    return Values(record, artifacts).open
