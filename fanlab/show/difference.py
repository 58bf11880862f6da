"""Where two runs differ, as a table of the branches whose arguments, outputs, status or code are not the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..core.events import Status
from ..core.record import NodeRecord, Record
from ..core.seal import Packed
from ..errors import FanlabError
from ..execute.telling import Telling
from ..execute.values import Tabulate, Values
from ..store.artifacts import Artifacts
from ..store.codecs import unpack
from .columns import ABSENT, nullable
from .table import arguments_of
from .text import short_repr

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("step", "differs", "arguments", "arguments_other", "output", "output_other", "status", "status_other")
_Place = tuple[NodeRecord, int]


class Side:
    """One of the two runs."""

    def __init__(self, record: Record, artifacts: Artifacts, tabulate: Tabulate) -> None:
        self.record, self._artifacts = record, artifacts
        self._values = Values(record, artifacts, tabulate)
        self._tellings: dict[str, Telling] = {}
        self.places = {node.name(branch): (node, branch) for node, branch in record.walk()}

    def texts(self, node: NodeRecord, branch: int) -> Any:
        """What a branch's arguments are, so that it can be compared; None where they are not known."""
        name = node.info.name
        telling = self._tellings.setdefault(name, Telling(self._values, node.files.get))
        try:
            shared, mapped = telling.arguments(node, branch, branch + 1)
        except (FanlabError, AssertionError):
            return None
        return {**shared, **{key: texts[0] for key, texts in mapped.items()}}

    def row(self, place: _Place | None) -> tuple[Any, Any, Any]:
        """Arguments, output and status as a person reads them."""
        if place is None:
            return ABSENT, ABSENT, ABSENT
        node, branch = place
        arguments = ", ".join(f"{name}={short_repr(value)}" for name, value in arguments_of(node, branch).items())
        packed = node.outputs[branch] if node.shape is not None else None
        return arguments, ABSENT if packed is None else self._told(packed), _status(node, branch)

    def _told(self, packed: bytes) -> str:
        outputs = unpack(packed)
        if any(stored.inline is None for stored in outputs.values()):
            return ", ".join(f"{stored.type} {stored.hash[:8]}" for stored in outputs.values())
        try:
            return short_repr(self._artifacts.value(Packed(packed, None)))
        except Exception:  # noqa: BLE001 (a value whose class is gone is told by its type)
            return ", ".join(stored.type for stored in outputs.values())


def difference(now: Side, other: Side) -> pd.DataFrame:
    """One row for each branch that differs, on its name; the columns `..._other` are those of the other run.

    `differs` names what does: arguments, outputs, status, code, or "only here" and "only in the other".
    """
    import pandas as pd

    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    names = []
    for name in dict.fromkeys([*now.places, *other.places]):
        one, two = now.places.get(name), other.places.get(name)
        differs = ", ".join(_differs(now, one, other, two))
        if not differs:
            continue
        names.append(name)
        found = one or two
        assert found is not None  # it is a name of one of them
        pairs = zip(now.row(one), other.row(two), strict=True)
        values = (found[0].info.step, differs, *(value for pair in pairs for value in pair))
        for column, value in zip(COLUMNS, values, strict=True):
            columns[column].append(value)
    frame = {name: nullable(values, "string") for name, values in columns.items()}
    return pd.DataFrame(frame, index=pd.Index(names, dtype="str"))


def _differs(now: Side, one: _Place | None, other: Side, two: _Place | None) -> Iterator[str]:
    if one is None or two is None:
        yield "only here" if one is not None else "only in the other"
        return
    if now.texts(*one) != other.texts(*two):
        yield "arguments"
    if _hashes(*one) != _hashes(*two):
        yield "outputs"
    if _status(*one) != _status(*two):
        yield "status"
    if one[0].code and two[0].code and one[0].code != two[0].code:
        yield "code"


def _status(node: NodeRecord, branch: int) -> str:
    status = node.branch_status(branch)
    return "completed" if status is Status.CACHED else status.word


def _hashes(node: NodeRecord, branch: int) -> Any:
    packed = node.outputs[branch] if node.shape is not None else None
    return None if packed is None else {name: stored.hash for name, stored in unpack(packed).items()}
