"""What each branch of a run took, as a pandas table on the index of its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..core.events import Status
from ..core.record import NodeRecord, Record
from ..store.codecs import short_form, unpack
from .columns import ABSENT, nullable, text_column
from .table import index_of

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {"attempts": "Int64", "worker": "Int64", "queued": "time", "start": "time", "end": "time"}
_DTYPES |= {"seconds": "Float64", "peak_mb": "Float64", "nbytes": "Int64"}


def profile(record: Record, reasons: Callable[[NodeRecord], list[str]]) -> pd.DataFrame:
    """Where the time went, on the index of `results`.

    Columns: status, reason (why it ran or did not), attempts, worker (process id), queued, start, end (UTC), seconds,
    peak_mb (the worker's peak memory), nbytes (of the stored outputs). NA where a branch has not run.
    """
    import pandas as pd

    columns: dict[str, list[Any]] = {name: [] for name in ("status", "reason", *_DTYPES)}
    for node in record.nodes.values():
        columns["reason"] += reasons(node)
        for name, values in _columns(node, node.branches()).items():
            columns[name] += values
    frame: dict[str, Any] = {"status": text_column(columns["status"])}
    frame["reason"] = text_column(columns["reason"])
    for name, dtype in _DTYPES.items():
        if dtype == "time":
            times = [None if value is ABSENT else value for value in columns[name]]
            frame[name] = pd.to_datetime(pd.Series(times, dtype="float64"), unit="s", utc=True).array
        else:
            frame[name] = nullable(columns[name], dtype)
    return pd.DataFrame(frame, index=index_of(record))


def _columns(node: NodeRecord, branches: Sequence[int]) -> dict[str, list[Any]]:
    nothing = [ABSENT] * len(branches)
    found = dict.fromkeys(_DTYPES, nothing)
    if node.shape is None:
        found["status"] = [node.status.word]
        return found
    found["status"] = [_WORDS[node.statuses[branch]] for branch in branches]
    found["queued"] = [node.queued or ABSENT] * len(branches)
    found["attempts"] = [node.attempts[branch] or ABSENT for branch in branches]
    ran = [bool(node.attempts[branch] and node.begun[branch]) for branch in branches]
    ended = [begun and bool(node.ended[branch]) for begun, branch in zip(ran, branches, strict=True)]

    def where(told: Sequence[bool], values: Sequence[Any], gap: bool = False) -> list[Any]:
        rows = zip(told, branches, strict=True)
        return [values[b] if there and (values[b] or not gap) else ABSENT for there, b in rows]

    found["worker"] = where(ran, node.workers)
    found["start"] = where(ran, node.begun)
    found["end"] = where(ended, node.ended)
    found["seconds"] = [
        node.ended[b] - node.begun[b] if there else ABSENT for there, b in zip(ended, branches, strict=True)
    ]
    found["peak_mb"] = [ABSENT if kb is ABSENT else kb / 1024 for kb in where(ran, node.peaks, gap=True)]
    prefixes = [short_form(name) for name in node.info.outputs]
    found["nbytes"] = [_nbytes(node.outputs[b], prefixes[0]) for b in branches]
    return found


def _nbytes(packed: bytes | None, prefix: bytes) -> Any:
    if packed is None:
        return ABSENT
    if packed.startswith(prefix):
        return len(packed) - len(prefix)
    return sum(stored.nbytes for stored in unpack(packed).values())


_WORDS = [status.word for status in Status]
