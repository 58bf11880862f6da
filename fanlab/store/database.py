"""The database of runs: events go in as rows, and come out as the record of a run."""

from __future__ import annotations

import contextlib
import os
import pickle
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from typing import Any

import cloudpickle

from ..core.events import Event, Expanded, Finished, Logged, Lost, NodeInfo, RunEnded, RunStarted, Status
from ..core.record import Record
from ..errors import NotFound, StoreError, near
from . import location
from .artifacts import Artifacts

VERSION = 1
_SCHEMA = """
create table runs(number integer primary key, id text unique, name text unique, pipeline text, status text,
  started blob, start real, end real, process integer);
create index runs_by_pipeline on runs(pipeline, start);
create table nodes(run integer, position integer, info blob, shape blob, status integer, because text, failure blob,
  primary key(run, position)) without rowid;
create table branches(run integer, node integer, branch integer, status integer, attempt integer, worker integer,
  begun real, ended real, peak integer, outputs blob, failure blob, metadata blob, because text,
  primary key(run, node, branch)) without rowid;
create table logs(run integer, node integer, branch integer, stream text, text text, time real);
create index logs_by_run on logs(run);
"""


class Store:
    """A store's folder: its artifacts and its runs. Opening one means trusting who wrote it: it holds pickles."""

    def __init__(self, root: str | None = None) -> None:
        self.root = root or location.current()
        location.prepare(self.root)
        self.artifacts = Artifacts(self.root)
        self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        path = os.path.join(self.root, "runs.sqlite")
        try:
            database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            with contextlib.suppress(sqlite3.OperationalError):  # another process may be switching at this moment
                database.execute("pragma journal_mode=wal")
            database.execute("pragma synchronous=normal")  # survives the end of any process; see SQLite's own page
            self._make(database)
        except sqlite3.Error as error:
            raise StoreError(
                f"the store {self.root} cannot be opened: {error}",
                do="move it away to start a new one, or set FANLAB_STORE to another folder",
            ) from error
        return database

    def _make(self, database: sqlite3.Connection) -> None:
        if database.execute("pragma user_version").fetchone()[0] == 0:
            database.execute("begin immediate")
            if database.execute("pragma user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.split(";"):
                    database.execute(statement)
                database.execute(f"pragma user_version={VERSION}")
            database.execute("commit")
        version = database.execute("pragma user_version").fetchone()[0]
        if version != VERSION:
            database.close()
            raise StoreError(
                f"the store {self.root} was made by another version of fanlab (format {version}, not {VERSION})",
                do="use that version, or set FANLAB_STORE to another folder",
            )

    def close(self) -> None:
        """Give the database back."""
        self._database.close()

    def write(self, run: str, events: Iterable[Event]) -> None:
        """Keep events of a run, in one transaction: they are on disk when this returns."""
        try:
            self._database.execute("begin immediate")
            try:
                for event in events:
                    self._write(run, event)
            except BaseException:
                self._database.execute("rollback")
                raise
            self._database.execute("commit")
        except sqlite3.Error as error:
            raise StoreError(
                f"the store {self.root} cannot be written: {error}",
                do="make room on the disk or give the folder back its rights, then run again",
            ) from error

    def run_names(
        self,
        pipeline: str | None = None,
        status: str | None = None,
        since: float | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Names of runs, the latest first. `status` is compared as `record` tells it."""
        rows = self._database.execute(
            "select name, status, process from runs where (?1 is null or pipeline = ?1) and (?2 is null or start >= ?2)"
            " order by start desc, number desc",
            (pipeline, since),
        )
        found = (name for name, kept, process in rows if status is None or _honest(kept, process) == status)
        return [name for name, _ in zip(found, range(limit), strict=False)] if limit is not None else list(found)

    def pipelines(self) -> list[str]:
        """Names of pipelines that have runs."""
        return [name for (name,) in self._database.execute("select distinct pipeline from runs order by pipeline")]

    def find(self, name: str) -> int:
        """The number of the run with this name, id or unique prefix of a name. Raises NotFound with the nearest."""
        rows = self._database.execute("select number, id, name from runs order by number desc").fetchall()
        exact = [number for number, key, known in rows if name in (key, known)]
        begin = (
            [number for number, key, known in rows if known.startswith(name) or key.startswith(name)] if name else []
        )
        if exact or len(begin) == 1:
            return int((exact or begin)[0])
        names = [known for _, _, known in rows]
        latest = {known.rsplit("-", 2)[0]: known for known in reversed(names)}  # of each pipeline
        hint = near(name, names) or near(name.partition("-")[0], latest)
        if begin:
            raise NotFound(f"{len(begin)} runs have names that start with '{name}'", do="give more of the name")
        raise NotFound(
            f"there is no run '{name}' in the store",
            do=hint or (f"the latest run is '{names[0]}'" if names else "the store has no runs yet"),
        )

    def delete(self, number: int) -> None:
        """Forget a run and its branches. Its artifacts stay: other runs may hold equal values."""
        self._database.execute("begin immediate")
        for table, column in (("branches", "run"), ("nodes", "run"), ("logs", "run"), ("runs", "number")):
            self._database.execute(f"delete from {table} where {column} = ?", (number,))
        self._database.execute("commit")

    def record(self, number: int) -> Record:
        """A run as it stands in the store."""
        record = Record()
        for event in self.events(number):
            record.apply(event)
        (process,) = self._database.execute("select process from runs where number = ?", (number,)).fetchone()
        record.status = _honest(record.status, process)
        return record

    def events(self, number: int) -> Iterator[Event]:
        """What is kept of a run's events, in an order in which they can be replayed."""
        row = self._database.execute("select started, status, end from runs where number = ?", (number,)).fetchone()
        started, status, end = row
        nodes = self._database.execute(
            "select info, shape, status, because, failure from nodes where run = ? order by position", (number,)
        ).fetchall()
        begun: RunStarted = pickle.loads(started)
        infos: list[NodeInfo] = [pickle.loads(info) for info, *_ in nodes]
        yield RunStarted(
            begun.id,
            begun.name,
            begun.pipeline,
            begun.parameters,
            tuple(infos),
            begun.returned,
            begun.time,
            begun.process,
        )
        for info, (_, shape, lost, because, failure) in zip(infos, nodes, strict=True):
            if shape is not None:
                yield pickle.loads(shape)
            elif lost is not None:
                yield Lost(info.name, 0, None, Status(lost), because, _opened(failure))
        yield from self._branch_events(number, [info.name for info in infos])
        if status != "running":
            yield RunEnded(status, end)

    def _branch_events(self, number: int, names: list[str]) -> Iterator[Event]:
        rows = self._database.execute(
            "select node, branch, status, attempt, worker, begun, ended, peak, outputs, failure, metadata, because"
            " from branches where run = ? order by node, branch",
            (number,),
        )
        for node, branch, status, attempt, worker, begun, ended, peak, outputs, failure, metadata, because in rows:
            if because is not None:
                yield Lost(names[node], branch, branch + 1, Status(status), because)
                continue
            yield Finished(
                names[node], branch, bytes([status]), attempt, worker, array("d", [begun]), array("d", [ended]),
                array("q", [peak]), (outputs,),
                {branch: _opened(failure)} if failure else {},
                {branch: pickle.loads(metadata)} if metadata else {},
            )  # fmt: skip
        logs = self._database.execute(
            "select node, branch, stream, text, time from logs where run = ? order by rowid", (number,)
        )
        for node, branch, stream, text, when in logs:
            yield Logged(names[node], branch, stream, text, when)

    def _write(self, run: str, event: Event) -> None:
        match event:
            case Finished():
                self._write_finished(run, event)
            case Logged(node, branch, stream, text, when):
                number, position = self._position(run, node)
                self._database.execute(
                    "insert into logs values(?,?,?,?,?,?)", (number, position, branch, stream, text, when)
                )
            case Expanded(node):
                number, position = self._position(run, node)
                self._database.execute(
                    "update nodes set shape = ? where run = ? and position = ?", (_closed(event), number, position)
                )
            case Lost():
                self._write_lost(run, event)
            case RunStarted():
                self._begin(event)
            case RunEnded(status, when):
                self._database.execute("update runs set status = ?, end = ? where id = ?", (status, when, run))

    def _begin(self, event: RunStarted) -> None:
        bare = RunStarted(
            event.id, event.name, event.pipeline, event.parameters, (), event.returned, event.time, event.process
        )
        cursor = self._database.execute(
            "insert into runs(id, name, pipeline, status, started, start, process) values(?,?,?,?,?,?,?)",
            (event.id, event.name, event.pipeline, "running", _closed(bare), event.time, event.process),
        )
        number = cursor.lastrowid
        rows = ((number, position, _closed(info)) for position, info in enumerate(event.nodes))
        self._database.executemany("insert into nodes(run, position, info) values(?,?,?)", rows)
        self._positions = {event.id: (number, {info.name: i for i, info in enumerate(event.nodes)})}

    _positions: dict[str, tuple[int | None, dict[str, int]]]

    def _position(self, run: str, node: str) -> tuple[int | None, int]:
        number, positions = self._positions[run]
        return number, positions[node]

    def _write_finished(self, run: str, event: Finished) -> None:
        number, position = self._position(run, event.node)
        failures, metadata = event.failures, event.metadata
        columns = zip(event.statuses, event.begun, event.ended, event.peaks, event.outputs, strict=True)
        rows = (
            (
                number, position, branch, status, event.attempt, event.worker, begun, ended, peak, outputs,
                _closed(failures[branch]) if branch in failures else None,
                _closed(metadata[branch]) if branch in metadata else None,
            )
            for branch, (status, begun, ended, peak, outputs) in enumerate(columns, event.start)
        )  # fmt: skip
        self._database.executemany("insert or replace into branches values(?,?,?,?,?,?,?,?,?,?,?,?,null)", rows)

    def _write_lost(self, run: str, event: Lost) -> None:
        number, position = self._position(run, event.node)
        if event.stop is None:
            self._database.execute(
                "update nodes set status = ?, because = ?, failure = ? where run = ? and position = ?",
                (event.status, event.because, _closed(event.failure) if event.failure else None, number, position),
            )
            return
        rows = ((number, position, branch, event.status, event.because) for branch in range(event.start, event.stop))
        self._database.executemany(
            "insert or replace into branches(run, node, branch, status, because) values(?,?,?,?,?)", rows
        )


def _closed(value: Any) -> bytes:
    closed: bytes = cloudpickle.dumps(value, 5)
    return closed


def _opened(blob: bytes | None) -> Any:
    return pickle.loads(blob) if blob is not None else None


def _honest(status: str, process: int) -> str:
    """A run that still counts as running although its process has ended was interrupted."""
    return "interrupted" if status == "running" and not _alive(process) else status


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
