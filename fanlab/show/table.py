"""A run's record as pandas tables: `results` says what came out, `profile` what it took."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from ..core.events import Status
from ..core.expand import Items, key_label
from ..core.record import NodeRecord, Record
from ..core.seal import Piece, Stored, is_scalar
from ..store.codecs import fields_of, load, unpack

if TYPE_CHECKING:  # pandas is loaded when a table is made, not when fanlab is imported
    import pandas as pd

FIXED = ("step", "branch", "status", "error")
MOST_FIELDS = 64  # a dict with more fields is a collection rather than a row: it stays one artifact

MakeArtifact = Callable[[str, Stored, str | None], Any]
_ABSENT = object()


def results(record: Record, artifact: MakeArtifact, only: Collection[str] | None = None) -> pd.DataFrame:
    """One row per node and branch in call order, equal for a cold and a cached run.

    Columns: step, branch (key), scalar arguments as passed, outputs (the fields of a dict, NamedTuple or
    dataclass; else `output`), logged metadata, status, error. A value that is no scalar is its Artifact.
    An output or metadata whose column is taken becomes `name_out` or `name_meta`, an argument `name_arg`.
    """
    import pandas as pd

    rows: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = []
    fixed: dict[str, list[Any]] = {name: [] for name in FIXED}
    names: list[str] = []
    for node, branch in record.walk():
        if only is not None and node.info.name not in only:
            continue
        failure = node.branch_failure(branch)
        status = node.branch_status(branch)
        names.append(node.name(branch))
        fixed["step"].append(node.info.step)
        fixed["branch"].append(node.shape.key(branch) if node.mapped and node.shape is not None else _ABSENT)
        fixed["status"].append("completed" if status is Status.CACHED else status.word)
        fixed["error"].append(failure.line if failure is not None else _ABSENT)
        rows.append((arguments_of(node, branch), _outputs(node, branch, artifact), dict(node.metadata.get(branch, {}))))
    columns: dict[str, Any] = {"step": _column(fixed["step"], text=True), "branch": _branch_column(fixed["branch"])}
    taken = set(FIXED)
    for position, suffix in enumerate(("arg", "out", "meta")):
        keys = dict.fromkeys(key for row in rows for key in row[position])
        renamed = {key: f"{key}_{suffix}" if key in taken else key for key in keys}
        taken.update(renamed.values())
        for key, name in renamed.items():
            columns[name] = _column([row[position].get(key, _ABSENT) for row in rows])
    columns["status"] = _column(fixed["status"], text=True)
    columns["error"] = _column(fixed["error"], text=True)
    return pd.DataFrame(columns, index=pd.Index(names, dtype="str"))


def profile(record: Record) -> pd.DataFrame:
    """Where the time went, on the index of `results`.

    Columns: status, attempts, worker (process id), queued, start, end (UTC), seconds, peak_mb (the worker's peak
    memory), nbytes (of the stored outputs). NA where a branch has not run.
    """
    import pandas as pd

    columns: dict[str, list[Any]] = {
        name: [] for name in ("status", "attempts", "worker", "queued", "start", "end", "seconds", "peak_mb", "nbytes")
    }
    names = []
    for node, branch in record.walk():
        names.append(node.name(branch))
        for name, value in _profile_row(node, branch).items():
            columns[name].append(value)
    frame: dict[str, Any] = {"status": _column(columns["status"], text=True)}
    for name in ("attempts", "worker", "nbytes"):
        frame[name] = pd.array(_with_na(columns[name]), dtype="Int64")
    for name in ("queued", "start", "end"):
        times = [None if value is _ABSENT else value for value in columns[name]]
        frame[name] = pd.to_datetime(pd.Series(times, dtype="float64"), unit="s", utc=True).array
    for name in ("seconds", "peak_mb"):
        frame[name] = pd.array(_with_na(columns[name]), dtype="Float64")
    order = ("status", "attempts", "worker", "queued", "start", "end", "seconds", "peak_mb", "nbytes")
    return pd.DataFrame({name: frame[name] for name in order}, index=pd.Index(names, dtype="str"))


def arguments_of(node: NodeRecord, branch: int) -> dict[str, Any]:
    """A branch's scalar arguments as they were passed, by name."""
    found: dict[str, Any] = {}
    mapped = 0
    for argument in node.arguments:
        value = argument.value
        if argument.mapped:
            position, mapped = mapped, mapped + 1
            if not isinstance(value, Items) or node.shape is None:
                continue
            value = value.values[node.shape.item(position, branch)]
        if is_scalar(value):
            found[argument.name] = value
    return found


def _outputs(node: NodeRecord, branch: int, artifact: MakeArtifact) -> dict[str, Any]:
    packed = node.outputs[branch] if node.shape is not None else None
    if packed is None:
        return {}
    outputs = unpack(packed)
    if len(outputs) > 1:
        return {name: _shown(name, stored, artifact) for name, stored in outputs.items()}
    ((name, stored),) = outputs.items()
    fields = _fields(stored)
    if fields is None or len(fields) > MOST_FIELDS:
        return {name: _shown(name, stored, artifact)}
    return {field: value if is_scalar(value) else artifact(name, stored, field) for field, value in fields.items()}


def _fields(stored: Stored) -> dict[str, Any] | None:
    if stored.inline is None:
        return dict(stored.fields) or None
    try:
        return fields_of(load(stored.inline))
    except Exception:  # noqa: BLE001 (a value whose class is gone is shown as its artifact)
        return None


def _shown(name: str, stored: Stored, artifact: MakeArtifact) -> Any:
    if stored.inline is not None:
        try:
            value = load(stored.inline)
        except Exception:  # noqa: BLE001 (as above)
            value = Piece("")
        if is_scalar(value):
            return _ABSENT if value is None else value
    return artifact(name, stored, None)


def _profile_row(node: NodeRecord, branch: int) -> dict[str, Any]:
    row = dict.fromkeys(("attempts", "worker", "queued", "start", "end", "seconds", "peak_mb", "nbytes"), _ABSENT)
    row["status"] = node.branch_status(branch).word
    if node.shape is None:
        return row
    row["queued"] = node.queued or _ABSENT
    if not node.attempts[branch]:
        return row
    row["attempts"] = node.attempts[branch]
    begun, ended = node.begun[branch], node.ended[branch]
    if not begun:
        return row
    row.update(worker=node.workers[branch], start=begun)
    if ended:
        row.update(end=ended, seconds=ended - begun)
    if node.peaks[branch]:
        row["peak_mb"] = node.peaks[branch] / 1024
    packed = node.outputs[branch]
    if packed is not None:
        row["nbytes"] = sum(stored.nbytes for stored in unpack(packed).values())
    return row


def _branch_column(keys: list[Any]) -> Any:
    known = [key for key in keys if key is not _ABSENT]
    if all(type(key) is int for key in known):
        return _column(keys, integer=True)
    return _column([key if key is _ABSENT else key_label(key) for key in keys], text=True)


def _column(values: list[Any], *, text: bool = False, integer: bool = False) -> Any:
    """A column with a NumPy dtype where it is complete, one of pandas' nullable ones where it is not."""
    import pandas as pd

    present = [value for value in values if value is not _ABSENT and value is not None]
    if text:
        return (
            _series(values).array
            if len(present) == len(values) and values
            else pd.array(_with_na(values), dtype="string")
        )
    if len(present) == len(values) and not (integer and not present):
        return _series(values).array
    kinds = {_kind(value) for value in present}
    if integer or kinds == {"int"}:
        return pd.array(_with_na(values), dtype="Int64")
    if kinds and kinds <= {"int", "float"}:
        return pd.array(_with_na(values), dtype="Float64")
    if kinds == {"bool"}:
        return pd.array(_with_na(values), dtype="boolean")
    if kinds == {"str"}:
        return pd.array(_with_na(values), dtype="string")
    inferred = _series(present)
    if present and inferred.dtype != object:
        return _series([None if value is _ABSENT else value for value in values]).array
    return pd.Series(_with_na(values), dtype=object).array


def _series(values: list[Any]) -> Any:
    import pandas as pd

    if any(not is_scalar(value) for value in values):
        return pd.Series(values, dtype=object)
    return pd.Series(values)


def _kind(value: Any) -> str:
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return "bool"
    if isinstance(value, str):
        return "str"
    package = type(value).__module__
    if isinstance(value, int) or (package == "numpy" and getattr(value.dtype, "kind", "") in "iu"):
        return "int"
    if isinstance(value, float) or (package == "numpy" and getattr(value.dtype, "kind", "") == "f"):
        return "float"
    return "other"


def _with_na(values: list[Any]) -> list[Any]:
    import pandas as pd

    return [pd.NA if value is _ABSENT or value is None else value for value in values]
