"""StepRun and Artifact: one branch of a run, and one of its stored values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .core.expand import Items, Shape
from .core.record import NodeRecord
from .core.seal import Packed, Ref, Stored
from .errors import NotAvailable, listed
from .execute.here import call_here
from .show.table import arguments_of
from .store.codecs import fields_of, unpack
from .store.database import Store, shared
from .store.logged import opened

if TYPE_CHECKING:
    from .runs import Run


class Artifact:
    """A stored value: `load()` gives it. Two artifacts are equal if their values' hashes are."""

    def __init__(
        self, store: Store, stored: Stored, name: str, field: str | None = None, type: str | None = None
    ) -> None:
        self._store, self._stored, self._field = store, stored, field
        self.name = name if field is None else f"{name}.{field}"
        self.type = type or stored.type
        self.nbytes = stored.nbytes  # of the whole stored value
        self.hash = stored.hash if field is None else f"{stored.hash}.{field}"

    @property
    def path(self) -> str | None:
        """The file that holds the value, or None for a small one, which the database holds."""
        return self._store.artifacts.path(self._stored)

    def load(self) -> Any:
        """The value, anew at each call. Raises StoreError if its file is missing or damaged."""
        value = self._store.artifacts.get(self._stored)
        return value if self._field is None else (fields_of(value) or {})[self._field]

    def __repr__(self) -> str:
        return f"<{self.type} {self.hash[:8]}>"

    def __reduce__(self) -> Any:
        name = self.name if self._field is None else self.name.removesuffix(f".{self._field}")
        return _artifact, (self._store.root, self._stored, name, self._field, self.type)

    def __eq__(self, other: object) -> bool:
        return self.hash == other.hash if isinstance(other, Artifact) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.hash)


class StepRun:
    """One call, or one branch of a fan-out, in a run. It shows how things stand whenever it is asked."""

    def __init__(self, run: Run, node: NodeRecord, branch: int) -> None:
        self._run, self._node, self._number = run, node, branch

    def __repr__(self) -> str:
        return f"<step run {self.name}: {self.status}>"

    @property
    def name(self) -> str:
        """The name under which `run.steps` has it: `fit`, `fit[2]`, `fit[us]`."""
        return self._node.name(self._number)

    @property
    def step(self) -> str:
        """The name of the step that was called."""
        return self._node.info.step

    @property
    def branch(self) -> Any:
        """Its key in the fan-out: what the mapped dict had, else a number; None where nothing fanned out."""
        return self._node.shape.key(self._number) if self._node.mapped and self._node.shape is not None else None

    @property
    def status(self) -> str:
        """One of queued, running, completed, cached, failed, skipped, cancelled."""
        return self._node.branch_status(self._number).word

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Its arguments as the step received them, opened; those from steps that have no value are left out."""
        found = {}
        for name, sealed in self._arguments().items():
            if all(packed.outputs for packed in _packed(self._run._values.ready(sealed))):
                found[name] = self._run._values.open(sealed)
        return MappingProxyType(found)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Its scalar arguments as they were passed."""
        return MappingProxyType(arguments_of(self._node, self._number))

    @property
    def outputs(self) -> dict[str, list[Artifact]]:
        """Name of the output to a list of one Artifact; empty while it runs or if it has no value."""
        packed = self._node.outputs[self._number] if self._node.shape is not None else None
        if packed is None:
            return {}
        return {name: [Artifact(self._run._store, stored, name)] for name, stored in unpack(packed).items()}

    @property
    def output(self) -> Artifact:
        """Its only output. Raises NotAvailable if it has none yet or several."""
        outputs = self.outputs
        if len(outputs) != 1:
            raise NotAvailable(
                f"'{self.name}' has {len(outputs) or 'no'} outputs"
                + (f": {listed(outputs)}" if outputs else f" ({self.status})"),
                do="use .outputs[name][0]" if outputs else "see .error and .status",
            )
        return next(iter(outputs.values()))[0]

    def load(self) -> Any:
        """Its value; a tuple where it has several outputs. Raises NotAvailable if it has none."""
        outputs = self.outputs
        if not outputs:
            raise NotAvailable(f"'{self.name}' has no value: it is {self.status}", do="see .error")
        values = tuple(artifacts[0].load() for artifacts in outputs.values())
        return values[0] if len(values) == 1 else values

    def debug(self) -> Any:
        """Call its step here, with the inputs that it had and its context, and return the value.

        What it raises is raised here, so that %debug goes to the line. Nothing is recorded.
        Raises NotAvailable where an input has no value, or where the step is not known here.
        """
        __tracebackhide__ = True
        return call_here(self)

    @property
    def start_time(self) -> dt.datetime | None:
        """When it began, in UTC."""
        return moment(self._column("begun"))

    @property
    def end_time(self) -> dt.datetime | None:
        """When it ended, in UTC."""
        return moment(self._column("ended"))

    @property
    def duration(self) -> float | None:
        """How long it ran, in seconds."""
        begun, ended = self._column("begun"), self._column("ended")
        return ended - begun if begun and ended else None

    @property
    def attempts(self) -> int:
        """How often it has been started."""
        return int(self._column("attempts"))

    @property
    def cached_from(self) -> str | None:
        """The name of the run that did its work, where the store had its value; None where it ran itself."""
        return self._node.cached_from(self._number) or None

    @property
    def error(self) -> str | None:
        """The last line of its traceback, or None."""
        failure = self._node.branch_failure(self._number)
        return failure.line if failure is not None else None

    @property
    def logs(self) -> list[str]:
        """The lines that it printed, in order."""
        return [text for _, text, _ in self._node.logs.get(self._number, [])]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What it logged with log_metadata, as it was then; a text in place of what this process cannot open."""
        return MappingProxyType(opened(self._node.metadata.get(self._number, {})))

    def _column(self, name: str) -> Any:
        return getattr(self._node, name)[self._number] if self._node.shape is not None else 0

    def _arguments(self) -> dict[str, Any]:
        node = self._node
        if node.shape is not None and node.shape.tree is not None:
            operands = node.shape.tree.operands(self._number) if node.shape.tree.calls else ()
            value = node.arguments[0].value
            return {
                f"args[{i}]": self._run._values.operand(node, value, *operand) for i, operand in enumerate(operands)
            }
        found: dict[str, Any] = {}
        mapped = 0
        for argument in node.arguments:
            value = argument.value
            if argument.mapped:
                position, mapped = mapped, mapped + 1
                if node.shape is None:
                    continue
                value = _item(value, node.shape, position, self._number)
            found[argument.name] = value.values if isinstance(value, Items) else value
        return found


def _item(value: Any, shape: Shape, position: int, branch: int) -> Any:
    """What one branch takes of a mapped argument."""
    if not isinstance(value, Ref):
        return value.values[shape.item(position, branch)]
    found = [Ref(value.node, source, value.output) for source in shape.sources(position, branch)]
    return found if value.kind == "groups" else found[0]


def moment(seconds: float) -> dt.datetime | None:
    """Seconds since the epoch as a time in UTC; None for 0."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC) if seconds else None


def _artifact(root: str, stored: Stored, name: str, field: str | None, kind: str) -> Artifact:
    """An artifact that has travelled to another process."""
    return Artifact(shared(root), stored, name, field, kind)


def _packed(value: Any) -> list[Packed]:
    if isinstance(value, Packed):
        return [value]
    if isinstance(value, Stored):
        return []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [packed for item in items for packed in _packed(item)]
