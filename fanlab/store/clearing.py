"""Makes room in a store: forgets runs and what they returned, and removes files that nothing refers to any more."""

from __future__ import annotations

import contextlib
import os
import pickle
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..core.events import Keyed
from ..core.record import Record
from ..core.seal import Packed, Stored
from ..errors import StoreError
from .cache import Kept
from .codecs import is_scalar_form, unpack
from .database import Store

ROOM = 0.9  # of a limit: so much is left filled, so that the next run does not reach it at once
_SETTLED_SECONDS = 600.0  # a file that is younger may belong to a run that has not said so yet


Sizes = dict[str, tuple[int, bool]]  # by file: how large it is, and whether it is to be left alone


class Cleared(NamedTuple):
    """What has been removed."""

    runs: int
    values: int  # files
    nbytes: int

    def __str__(self) -> str:
        told = f"{self.nbytes / 1e6:.1f} MB" if self.nbytes >= 1e5 else f"{self.nbytes:,} bytes"
        return f"removed {self.runs} runs and {self.values} values: {told}"


class _Unit(NamedTuple):
    """A run with what it has left for later ones."""

    name: str
    number: int | None  # None: the run itself is gone
    start: float
    used: float
    files: frozenset[str]
    open: bool


def clear(
    store: Store, older_than: float | None = None, unused_for: float | None = None, max_size: int | None = None
) -> Cleared:
    """Forget runs that began or were of use so many seconds ago, then the least recently used ones above a size.

    Files that no run and no value refers to are removed in any case. What an open run refers to stays, and so does
    what it may find. Raises StoreError.
    """
    with store.alone() as alone, store.changing() as database:
        units = sorted(_units(store, database), key=lambda unit: unit.used)
        opened = min((unit.start for unit in units if unit.open), default=None)
        sizes = dict(_files(store, alone=alone, opened=opened))
        held = _held(database, units)
        doomed = _old(units, older_than, unused_for)
        if max_size is not None:
            doomed += _above(store, database, units, doomed, sizes, max_size)
        for unit in doomed:
            _forget(database, unit, held)
        live = {file for unit in _units(store, database) for file in unit.files}
        gone = [file for file, (_, young) in sizes.items() if file not in live and not young]
        for file in gone:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(store.root, "artifacts", file[:2], file[2:]))
    store.shrink()
    return Cleared(sum(u.number is not None for u in doomed), len(gone), sum(sizes[file][0] for file in gone))


def _old(units: Iterable[_Unit], older_than: float | None, unused_for: float | None) -> list[_Unit]:
    now = time.time()
    return [
        unit
        for unit in units
        if not unit.open
        and (
            (older_than is not None and unit.start < now - older_than)
            or (unused_for is not None and unit.used < now - unused_for)
        )
    ]


def _above(
    store: Store, database: Any, units: Iterable[_Unit], doomed: Iterable[_Unit], sizes: Sizes, most: int
) -> list[_Unit]:
    """The least recently used runs without which the store is no larger than it may be."""
    counts = Counter(file for unit in units for file in unit.files)
    for unit in doomed:
        counts.subtract(unit.files)
    total = store.nbytes() + sum(size for file, (size, _) in sizes.items() if counts[file] > 0)
    total -= sum(_rows_size(database, unit) for unit in doomed)
    found = []
    for unit in units:
        if total <= most:
            break
        if unit.open or unit in doomed:
            continue
        counts.subtract(unit.files)
        total -= sum(sizes[file][0] for file in unit.files if counts[file] <= 0 and file in sizes)
        total -= _rows_size(database, unit)
        found.append(unit)
    return found


def keep_within(store: Store, limit: int) -> None:
    """Clear a store that has grown above a limit, as far as it can be done."""
    used = store.nbytes() + sum(size for _, (size, _) in _files(store, alone=True, opened=None))
    if used > limit:
        with contextlib.suppress(StoreError):  # the run is over; a store that cannot be cleared is no fault of it
            clear(store, max_size=int(ROOM * limit))


def _units(store: Store, database: Any) -> Iterator[_Unit]:
    kept: dict[str, list[str]] = {}
    for run, blob in database.execute("select run, kept from cached join origins on origins.number = origin"):
        kept.setdefault(run, []).extend(_in_outputs(Kept(*pickle.loads(blob))))
    used = dict(database.execute("select run, used from origins").fetchall())
    for number, name, start, end in database.execute("select number, name, start, end from runs").fetchall():
        record = store.record(number)
        files = frozenset([*_in_record(record), *kept.pop(name, ())])
        latest = max(start, end or 0.0, used.pop(name, None) or 0.0)
        yield _Unit(name, number, start, latest, files, record.status == "running")
    for name, left in kept.items():  # of runs that were deleted
        yield _Unit(name, None, used.get(name) or 0.0, used.get(name) or 0.0, frozenset(left), False)


def _held(database: Any, units: Iterable[_Unit]) -> set[str]:
    """The codes of open runs: what is kept under them may be found by those yet."""
    found: set[str] = set()
    for unit in units:
        if unit.open:
            for (blob,) in database.execute("select events from events where run = ?", (unit.number,)):
                found.update(event.code for event in pickle.loads(blob) if isinstance(event, Keyed))
    return found


def _forget(database: Any, unit: _Unit, held: set[str]) -> None:
    if unit.number is not None:
        database.execute("delete from events where run = ?", (unit.number,))
        database.execute("delete from runs where number = ?", (unit.number,))
    row = database.execute("select number from origins where run = ?", (unit.name,)).fetchone()
    if row is None:
        return
    marks = ",".join("?" * len(held)) or "''"
    database.execute(f"delete from cached where origin = ? and code not in ({marks})", (*row, *held))
    if database.execute("select 1 from cached where origin = ? limit 1", row).fetchone() is None:
        database.execute("delete from origins where number = ?", row)


def _rows_size(database: Any, unit: _Unit) -> int:
    """About how many bytes of the database a run takes."""
    events = database.execute("select sum(length(events)) from events where run = ?", (unit.number,)).fetchone()[0]
    rows = database.execute(
        "select sum(length(kept) + length(keys)) from cached join origins on origins.number = origin where run = ?",
        (unit.name,),
    ).fetchone()[0]
    return int((events or 0) + (rows or 0))


def _files(store: Store, *, alone: bool, opened: float | None) -> Iterator[tuple[str, tuple[int, bool]]]:
    """Each artifact's digest with its size, and whether it may be of a run that has not told of it yet."""
    root = os.path.join(store.root, "artifacts")
    limit = None if alone else min(opened or time.time(), time.time() - _SETTLED_SECONDS)
    for folder in os.scandir(root) if os.path.isdir(root) else ():
        for entry in os.scandir(folder.path):
            with contextlib.suppress(FileNotFoundError):
                found = entry.stat()
                yield folder.name + entry.name, (found.st_size, limit is not None and found.st_ctime >= limit)


def _in_record(record: Record) -> Iterator[str]:
    yield from _in(record.parameters)
    yield from _in(record.returned)
    yield from _in(record.recipe)
    for name, node in record.nodes.items():
        calls = record.calls(name)
        yield from _in([argument.value for argument in node.info.arguments])
        yield from _in([argument.value for argument in calls.arguments])
        yield from _in_outputs(Kept(tuple(o for o in calls.outputs if o is not None), calls.begun, {}, calls.items))


def _in_outputs(kept: Kept) -> Iterator[str]:
    if not is_scalar_form(kept.outputs):
        for packed in kept.outputs:
            yield from _in(Packed(packed, None))
    for items in kept.items.values():
        yield from _in(list(items.values()))


def _in(value: Any) -> Iterator[str]:
    """The digests of the files that a sealed value refers to."""
    if isinstance(value, Stored):
        if value.inline is None:
            yield value.digest or value.hash
        return
    parts: Iterable[Any] = ()
    if isinstance(value, Packed):
        parts = unpack(value.outputs).values() if value.outputs else ()
    elif hasattr(value, "plain"):  # items
        parts = () if value.plain else value.values
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, (list, tuple)):
        parts = value
    for part in parts:
        yield from _in(part)
