"""A run's results as a pandas table: a row per branch, a column per argument and output."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..core.events import Status
from ..core.expand import LONGEST_TEXT, GrowingItems, Items
from ..core.record import NodeRecord, Record
from ..core.seal import Piece, Stored, is_scalar
from ..store.codecs import fields_of, glimpse, load, short_form, sole_inline, type_name, unpack
from ..store.logged import opened
from .columns import ABSENT, branch_column, column, spelled, text_column

if TYPE_CHECKING:  # pandas is loaded when a table is made, not when fanlab is imported
    import pandas as pd

FIXED = ("step", "branch", "status", "error")
MOST_FIELDS = 64  # a dict with more fields is a collection rather than a row: it stays one artifact

MakeArtifact = Callable[[str, Stored, str | None, str | None], Any]  # output, value, field of it, the field's type
Columns = dict[str, list[Any]]  # by name; a value or ABSENT for each row
_WORDS = [status.word if status is not Status.CACHED else Status.COMPLETED.word for status in Status]


def results(record: Record, artifact: MakeArtifact, only: Collection[str] | None = None) -> pd.DataFrame:
    """One row per node and branch in call order, equal for a cold and a cached run.

    Columns: step, branch (key), scalar arguments as passed, outputs (the fields of a dict, NamedTuple or
    dataclass; else `output`), logged metadata, status, error. A value that is no scalar is its Artifact.
    An output or metadata whose column is taken becomes `name_out` or `name_meta`, an argument `name_arg`.
    With `only`: the rows of these nodes, and the columns that they have.
    """
    import pandas as pd

    nodes = [node for name, node in record.nodes.items() if only is None or name in only]
    rows = [node.branches() for node in nodes]
    sizes = [len(branches) for branches in rows]
    found = list(zip(nodes, rows, strict=True))
    columns: dict[str, Any] = {
        "step": text_column(_flat([node.info.step] * size for node, size in zip(nodes, sizes, strict=True))),
        "branch": branch_column(_flat(_keys(node, branches) for node, branches in found)),
    }
    taken = set(FIXED)
    for suffix, parts in (
        ("arg", [_arguments(node, branches) for node, branches in found]),
        ("out", [_outputs(node, branches, artifact) for node, branches in found]),
        (
            "meta",
            [
                _spread((opened(node.metadata.get(b, _NOTHING)) for b in branches), len(branches))
                if node.metadata
                else {}
                for node, branches in found
            ],
        ),
    ):
        keys = dict.fromkeys(key for part in parts for key in part)
        names = {key: f"{key}_{suffix}" if key in taken else key for key in keys}
        taken.update(names.values())
        for key, name in names.items():
            columns[name] = column(
                _flat(part.get(key) or [ABSENT] * size for part, size in zip(parts, sizes, strict=True))
            )
    columns["status"] = text_column(_flat(_statuses(node, branches) for node, branches in found))
    columns["error"] = text_column(_flat(_errors(node, branches) for node, branches in found))
    return pd.DataFrame(columns, index=index_of(record, only))


def index_of(record: Record, only: Collection[str] | None = None) -> pd.Index:
    """The names of the rows: of the nodes, and of the branches of each."""
    import pandas as pd

    nodes = (node for name, node in record.nodes.items() if only is None or name in only)
    names = _flat(map(_names, nodes))
    try:
        index: pd.Index = pd.Index(names, dtype="str")
    except UnicodeEncodeError:
        index = pd.Index(spelled(names), dtype="str")
    return index


def arguments_of(node: NodeRecord, branch: int) -> dict[str, Any]:
    """A branch's scalar arguments as they were passed, by name."""
    return {name: values[0] for name, values in _arguments(node, [branch]).items()}


def _flat(parts: Iterable[list[Any]]) -> list[Any]:
    return list(chain.from_iterable(parts))


def _names(node: NodeRecord) -> list[str]:
    if not node.mapped or node.shape is None:
        return [node.name(branch) for branch in node.branches()]
    name, label = node.info.name, node.shape.label
    return [f"{name}[{label(branch)}]" for branch in node.branches()]


def _keys(node: NodeRecord, branches: Sequence[int]) -> list[Any]:
    if not node.mapped or node.shape is None:
        return [ABSENT] * len(branches)
    return [node.shape.key(branch) for branch in branches]


def _statuses(node: NodeRecord, branches: Sequence[int]) -> list[str]:
    if node.shape is None:
        return [_WORDS[node.status]]
    return [_WORDS[node.statuses[branch]] for branch in branches]


def _errors(node: NodeRecord, branches: Sequence[int]) -> list[Any]:
    if node.shape is not None and not node.failures:
        return [ABSENT] * len(branches)
    failures = map(node.branch_failure, branches)
    return [failure.line if failure is not None else ABSENT for failure in failures]


def _arguments(node: NodeRecord, branches: Sequence[int]) -> Columns:
    """Scalar arguments as they were passed; one that is no scalar in any branch has no column."""
    found: Columns = {}
    mapped = 0
    for argument in node.arguments:
        value = argument.value
        if not argument.mapped:
            if is_scalar(value):
                found[argument.name] = [value] * len(branches)
            continue
        position, mapped = mapped, mapped + 1
        if not isinstance(value, (Items, GrowingItems)) or node.shape is None or node.shape.tree is not None:
            continue
        item = node.shape.item
        values = [value.values[item(position, branch)] for branch in branches]
        if not value.plain:
            values = [one if is_scalar(one) else ABSENT for one in values]
        if any(one is not ABSENT for one in values):
            found[argument.name] = values
    return found


def _outputs(node: NodeRecord, branches: Sequence[int], artifact: MakeArtifact) -> Columns:
    if node.shape is None:
        return {}
    packed = [node.outputs[branch] for branch in branches]
    prefix = short_form(node.info.outputs[0])
    if len(node.info.outputs) == 1 and all(one is not None and one.startswith(prefix) for one in packed):
        begin = len(prefix)  # numbers and short texts only, as of many branches that do little
        values = [pickle.loads(one[begin:]) for one in packed if one is not None]
        if not any(type(value) is str and len(value) > LONGEST_TEXT for value in values):
            return {node.info.outputs[0]: values} if values else {}
    return _spread((_plain(one) or _row(one, artifact) if one is not None else _NOTHING for one in packed), len(packed))


def _spread(rows: Iterable[Mapping[str, Any]], size: int) -> Columns:
    """Rows as columns, in the order in which their names first come."""
    found: Columns = {}
    for position, row in enumerate(rows):
        for name, value in row.items():
            try:
                found[name][position] = value
            except KeyError:
                found[name] = [ABSENT] * size
                found[name][position] = value
    return found


def _plain(packed: bytes) -> dict[str, Any] | None:
    """A dict of numbers and short texts as it is, as most rows of large tables are; None for anything else."""
    inline = sole_inline(packed)
    if inline is None or len(inline) > LONGEST_TEXT:  # so short a pickle holds no long text
        return None
    try:
        value = pickle.loads(inline)
    except Exception:  # noqa: BLE001 (a value whose class is gone)
        return None
    if type(value) is not dict or len(value) > MOST_FIELDS or not _PLAIN.issuperset(map(type, value.values())):
        return None
    return value if _TEXT.issuperset(map(type, value)) else None


def _row(packed: bytes, artifact: MakeArtifact) -> dict[str, Any]:
    """The outputs of one branch as they are shown."""
    outputs = unpack(packed)
    if len(outputs) > 1:
        return {name: _shown(name, stored, artifact) for name, stored in outputs.items()}
    ((name, stored),) = outputs.items()
    fields = _fields(stored)
    if fields is None or len(fields) > MOST_FIELDS:
        return {name: _shown(name, stored, artifact)}
    return {
        field: value if is_scalar(value) else artifact(name, stored, field, _type(value))
        for field, value in fields.items()
    }


_NOTHING: Mapping[str, Any] = {}
_TEXT = {str}
_PLAIN = {bool, int, float, str, type(None)}  # which need no further look


def _type(value: Any) -> str:
    return value.type if isinstance(value, Piece) else type_name(value)


def _fields(stored: Stored) -> dict[str, Any] | None:
    if stored.inline is None:
        return dict(stored.fields) or None
    for way in (load, glimpse):  # the latter where a field's class is gone: the other fields are there all the same
        try:
            return fields_of(way(stored.inline))
        except Exception:  # noqa: BLE001 (a value that cannot be read at all is shown as its artifact)
            continue
    return None


def _shown(name: str, stored: Stored, artifact: MakeArtifact) -> Any:
    if stored.inline is not None:
        try:
            value = load(stored.inline)
        except Exception:  # noqa: BLE001 (as above)
            value = Piece("")
        if is_scalar(value):
            return ABSENT if value is None else value
    return artifact(name, stored, None, None)
