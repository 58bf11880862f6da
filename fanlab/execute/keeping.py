"""What of a finished branch is kept for later runs, and whether what is kept may still be used."""

from __future__ import annotations

import time
from array import array
from collections.abc import Mapping, Sequence

from ..core.events import Finished
from ..core.record import LogLine
from ..store.artifacts import Artifacts
from ..store.cache import Entry, Kept, Known
from ..store.codecs import is_scalar_form, may_name_files, scalar, unpack
from ..store.files import file_digest
from ..store.named import may_be, names

AGAIN = "it was chosen to run again"
EXPIRED = "it had expired"
DAMAGED = "what it returned is missing or damaged in the store"


def entry(
    event: Finished,
    code: str,
    keys: bytes,
    repeated: bool,
    logs: Mapping[int, Sequence[LogLine]],
    artifacts: Artifacts,
) -> Entry:
    """The row of a range of completed branches."""
    outputs = tuple(packed or b"" for packed in event.outputs)
    scalars = is_scalar_form(outputs)
    files = {i: found for i in may_name_files(outputs) if (found := _files(outputs[i], artifacts))}
    start, size = event.start, len(outputs)
    lines = {branch - start: logs[branch] for branch in logs.keys() & range(start, start + size)} if logs else {}
    kept = Kept(
        outputs,
        array("d", (end - begin for begin, end in zip(event.begun, event.ended, strict=True))),
        {branch - start: values for branch, values in event.metadata.items()},
        {branch - start: values for branch, values in event.items.items()},
        lines,
        files,
    )
    plain = scalars and not (event.metadata or event.items or lines or files)
    return Entry(code, event.node, start, min(event.ended), repeated, plain, keys, kept)


def usable(
    known: Known, places: Sequence[int | None], expires: float | None, artifacts: Artifacts
) -> dict[str, list[int]]:
    """Which of the places may not be used, by the reason: expired, damaged, or a file that was returned has changed."""
    now = time.time()
    found: dict[str, list[int]] = {}
    if expires is None and all(row.plain for row in known.rows(places)):
        return found
    for offset, place in enumerate(places):
        if place is None:
            continue
        row = known.row(place)
        if expires is not None and row.made + expires < now:
            found.setdefault(EXPIRED, []).append(offset)
        elif not row.plain and (reason := _fault(known, place, artifacts)) is not None:
            found.setdefault(reason, []).append(offset)
    return found


def _fault(known: Known, place: int, artifacts: Artifacts) -> str | None:
    kept, offset = known.kept(place)
    for path, digest in kept.files.get(offset, {}).items():
        if file_digest(path) != digest:
            return f"the file '{path}' that it returned has changed"
    packed = kept.outputs[offset]
    if not is_scalar_form((packed,)) and not all(map(artifacts.intact, unpack(packed).values())):
        return DAMAGED
    return None


def _files(packed: bytes, artifacts: Artifacts) -> dict[str, str]:
    """The files that a returned value names, with the digests of what they hold."""
    plain, value = scalar(packed)
    if plain:
        told = [value] if type(value) is str and may_be(value) else []
    else:
        told = [name for stored in unpack(packed).values() for name in names(stored, artifacts)]
    return {name: digest for name in told if (digest := file_digest(name)) is not None}
