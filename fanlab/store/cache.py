"""What finished branches returned, found again by their keys: rows of many branches each, by the code they ran."""

from __future__ import annotations

import pickle
import sqlite3
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.expand import Items
from ..core.keys import split
from ..core.record import LogLine
from .travel import dumps

_SHIFT = 24  # a place is a row's position, shifted, plus the branch's offset in it
_OFFSET = (1 << _SHIFT) - 1

SCHEMA = """
create table origins(number integer primary key, run text unique, used real);
create table cached(number integer primary key, code text, origin integer, node blob, start integer, made real,
  repeated integer, plain integer, keys blob, kept blob);
create index cached_by_code on cached(code);
create index cached_by_origin on cached(origin);
create table blobs(digest text primary key, blob blob) without rowid;
"""


class Kept(NamedTuple):
    """What is kept of branches in a row: outputs and seconds for each, by offset what only some have."""

    outputs: tuple[bytes, ...]
    seconds: array[float]
    metadata: Mapping[int, Mapping[str, Any]] = {}
    items: Mapping[int, Mapping[str, Items]] = {}
    logs: Mapping[int, Sequence[LogLine]] = {}
    files: Mapping[int, Mapping[str, str]] = {}  # of paths that were returned: the digest of what they held


class Entry(NamedTuple):
    """Completed branches of one node, in a row."""

    code: str
    node: str
    start: int
    made: float  # when the first of them ended
    repeated: bool  # whether some are the second or a later one of equal calls in their run
    plain: bool  # whether there is nothing to look at but the outputs, and those are scalars
    keys: bytes
    kept: Kept


class Taken(NamedTuple):
    """What is written with the events of a run."""

    entries: Sequence[Entry] = ()
    blobs: Mapping[str, bytes] = {}  # what events refer to, by digest
    used: Collection[str] = ()  # the runs whose work was of use
    superseded: Sequence[int] = ()  # rows that nothing is found in any more


class Row(NamedTuple):
    """An entry as it is found again."""

    number: int
    run: str
    node: str
    start: int
    made: float
    plain: bool


class Known:
    """What the store has of one code, by key; what was made last is what is found."""

    def __init__(self, rows: Iterable[tuple[Any, ...]], load: Callable[[int], Kept]) -> None:
        self._load = load
        self._rows: list[Row] = []
        self._kept: dict[int, Kept] = {}
        self._places: dict[bytes, int] = {}
        self._keys = 0
        self.repeated = False
        for number, run, node, start, made, repeated, plain, blob in rows:
            keys = split(blob)
            self._keys += len(keys)
            first = len(self._rows) << _SHIFT
            self._places.update(zip(keys, range(first, first + len(keys)), strict=True))
            self._rows.append(
                Row(
                    number,
                    run or "a run that was deleted",
                    node.decode(errors="surrogatepass"),
                    start,
                    made,
                    bool(plain),
                )
            )
            self.repeated = self.repeated or bool(repeated)

    @property
    def superseded(self) -> list[int]:
        """The rows of which nothing is found any more, since all of it has been made anew."""
        if len(self._places) == self._keys:
            return []
        live = {place >> _SHIFT for place in self._places.values()}
        return [row.number for position, row in enumerate(self._rows) if position not in live]

    def places(self, keys: Sequence[bytes]) -> list[int | None]:
        """Where each key is; None where it is not."""
        return list(map(self._places.get, keys))

    def present(self, places: Sequence[int | None]) -> list[int | None]:
        """The places again, without those in rows that somebody has removed meanwhile."""
        gone = set()
        for position in {place >> _SHIFT for place in places if place is not None}:
            try:
                self.kept(position << _SHIFT)
            except KeyError:
                gone.add(position)
        return [None if place is None or place >> _SHIFT in gone else place for place in places] if gone else [*places]

    def rows(self, places: Iterable[int | None]) -> list[Row]:
        """The rows in which places are, each once."""
        return [self._rows[position] for position in {place >> _SHIFT for place in places if place is not None}]

    def row(self, place: int) -> Row:
        """The row of a place."""
        return self._rows[place >> _SHIFT]

    def branch(self, place: int) -> tuple[str, int]:
        """The node and the number of the branch that made what is there."""
        row = self.row(place)
        return row.node, row.start + (place & _OFFSET)

    def kept(self, place: int) -> tuple[Kept, int]:
        """What is kept there, and at which offset."""
        position = place >> _SHIFT
        if position not in self._kept:
            self._kept[position] = self._load(self._rows[position].number)
        return self._kept[position], place & _OFFSET

    def outputs(self, places: Sequence[int]) -> tuple[bytes, ...]:
        """The outputs at each place."""
        rows = {place >> _SHIFT: self.kept(place)[0].outputs for place in {p & ~_OFFSET for p in places}}
        return tuple([rows[place >> _SHIFT][place & _OFFSET] for place in places])


def add(database: sqlite3.Connection, run: str, time: float, taken: Taken) -> None:
    """Keep what a run has to keep beside its events, within the caller's transaction."""
    if taken.entries:
        database.execute("insert or ignore into origins(run, used) values(?,?)", (run, time))
        origin = database.execute("select number from origins where run = ?", (run,)).fetchone()[0]
        database.executemany(
            "insert into cached(code, origin, node, start, made, repeated, plain, keys, kept)"
            " values(?,?,?,?,?,?,?,?,?)",
            [
                (
                    e.code,
                    origin,
                    e.node.encode(errors="surrogatepass"),
                    e.start,
                    e.made,
                    e.repeated,
                    e.plain,
                    e.keys,
                    dumps(tuple(e.kept)),
                )
                for e in taken.entries
            ],
        )
    database.executemany("insert or ignore into blobs values(?,?)", list(taken.blobs.items()))
    database.executemany("delete from cached where number = ?", [(number,) for number in taken.superseded])
    database.executemany("update origins set used = ? where run = ?", [(time, used) for used in taken.used])


def rows(database: sqlite3.Connection, code: str) -> list[tuple[Any, ...]]:
    """The rows of one code, the oldest first."""
    return database.execute(
        "select c.number, o.run, node, start, made, repeated, plain, keys from cached c"
        " left join origins o on o.number = origin where code = ? order by c.number",
        (code,),
    ).fetchall()


def kept(database: sqlite3.Connection, number: int) -> Kept:
    """What a row keeps. Raises KeyError for one that has been removed."""
    found = database.execute("select kept from cached where number = ?", (number,)).fetchone()
    if found is None:
        raise KeyError(number)
    return Kept(*pickle.loads(found[0]))
