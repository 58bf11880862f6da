"""The database of runs: events go in as rows, and come out as the record of a run.

Over 300 lines: all that is said to SQLite, so that one place knows its tables, its transactions and its faults.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import pickle
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from ..core.events import Event, Progressed, RunEnded, RunStarted, Started
from ..core.record import Record
from ..errors import NotFound, StoreError, near
from . import cache, location
from .artifacts import Artifacts
from .opening import can_only_be_read, files_of, open_to_read, open_to_write
from .travel import dumps

BUSY_SECONDS = 30.0  # how long is waited for another process that writes
_CLOCK_SECONDS = 2.0  # how far the time of the boot and the clock may be apart
# By the run's id: its number is another run's by now where it was deleted meanwhile, and then nothing is to be kept.
_EVENTS = """
insert into events select number, coalesce((select max(position) + 1 from events where run = number), 0), ?2
  from runs where id = ?1
"""


class Store:
    """A store's folder: its artifacts and its runs. Opening one means trusting who wrote it: it holds pickles."""

    def __init__(self, root: str | None = None) -> None:
        self.root = root or location.current()
        location.prepare(self.root)
        self.artifacts = Artifacts(self.root)
        self._lock = threading.RLock()  # of the connection: runs of this process share it
        self._path = os.path.join(self.root, "runs.sqlite")
        self.read_only = can_only_be_read(self.root, self._path)
        how = open_to_read if self.read_only else open_to_write
        self._database, self._files = how(self.root, self._path, BUSY_SECONDS)
        found = os.stat(self._path)
        self._file = (found.st_dev, found.st_ino)
        self._names: dict[str, str] = {}  # of runs that are written, by id

    def replaced(self) -> bool:
        """Whether the database is no longer the file that was opened, or has to be opened anew to be seen as it is."""
        try:
            found = os.stat(self._path)
        except OSError:
            return True
        if (found.st_dev, found.st_ino) != self._file or can_only_be_read(self.root, self._path) != self.read_only:
            return True
        return self._files is not None and self._files != files_of(self._path)

    def close(self) -> None:
        """Give the database back."""
        self._database.close()

    def write(
        self,
        run: str,
        events: Sequence[Event],
        taken: cache.Taken | None = None,
    ) -> None:
        """Keep events of a run, in one transaction: they are on disk when this returns.

        A run is kept as what happened in it, a row for each call of this, since a row for each branch
        took more time than all the rest of a run of many short ones.
        """
        kept = [event for event in events if not isinstance(event, (Started, Progressed))]
        if not kept:
            return
        try:
            with self._transaction():
                self._write(run, kept)
                if taken is not None:
                    cache.add(self._database, self._names[run], time.time(), taken)
        except sqlite3.Error as error:
            raise self._unwritable(error) from error

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """The database within a transaction. Raises StoreError."""
        try:
            with self._transaction():
                yield self._database
        except sqlite3.Error as error:
            raise self._unwritable(error) from error

    def run_name(self, pipeline: str) -> str:
        """A name for a run that begins now: the pipeline's, and the time (UTC) to the microsecond.

        The time is taken while no other process can take one, so that of two runs that begin together each has a
        name of its own. Raises StoreError.
        """
        with self.changing():
            now = dt.datetime.now(dt.UTC)
        return f"{pipeline}-{now.strftime('%Y_%m_%d-%H_%M_%S_%f')}"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let nobody believe that the store is not in use. Raises StoreError for one that can only be read."""
        self._refuse_read_only()
        handle = open_lock(self.root, fcntl.LOCK_SH)
        try:
            yield
        finally:
            if handle is not None:
                os.close(handle)

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether no run of any process goes on, and none can begin meanwhile."""
        handle = open_lock(self.root, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield handle is not None
        finally:
            if handle is not None:
                os.close(handle)

    def nbytes(self) -> int:
        """How much room the database takes."""
        (pages,), (free,), (size,) = (
            self._select(f"pragma {name}")[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def shrink(self) -> None:
        """Give the room of what was removed back to the disk."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._database.executescript("pragma incremental_vacuum")  # execute() would take a single step: one page
            self._database.execute("pragma wal_checkpoint(truncate)").fetchall()

    def _refuse_read_only(self) -> None:
        if self.read_only:
            raise StoreError(
                f"the store {self.root} can only be read",
                do="set FANLAB_STORE, or fanlab.configure(store=...), to a folder that can be written, and run again",
            )

    def _unwritable(self, error: sqlite3.Error) -> StoreError:
        if "locked" in str(error):
            return StoreError(
                f"the store {self.root} is locked by another process for more than {BUSY_SECONDS:.0f} s",
                do="end the program that holds it open, or set FANLAB_STORE to another folder",
            )
        return StoreError(
            f"the store {self.root} cannot be written: {error}",
            do="make room on the disk or give the folder back its rights, then run again",
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._refuse_read_only()
        with self._lock:
            try:  # from here on: an interrupt during a wait for another process arrives when the transaction has begun
                self._database.execute("begin immediate")
                yield
                self._database.execute("commit")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("rollback")
                raise

    def _select(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._reading():
            return self._database.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except sqlite3.Error as error:
            raise StoreError(
                f"the store {self.root} cannot be read: {error}",
                do="move it away to start a new one; its artifacts stay readable where they are",
            ) from error

    def known(self, code: str) -> cache.Known:
        """What finished branches of one code returned."""
        with self._reading():
            return cache.Known(cache.rows(self._database, code), self._kept)

    def _kept(self, number: int) -> cache.Kept:
        with self._reading():
            return cache.kept(self._database, number)

    def blob(self, digest: str) -> bytes | None:
        """The bytes that an event refers to."""
        rows = self._select("select blob from blobs where digest = ?", (digest,))
        return rows[0][0] if rows else None

    def earlier(self, pipeline: str, start: float, id: str, limit: int) -> list[int]:
        """The numbers of a pipeline's runs that began before one of its runs, the latest first."""
        rows = self._select(
            "select number from runs where pipeline = ? and start <= ? and id != ? order by start desc, number desc"
            " limit ?",
            (pipeline, start, id, limit),
        )
        return [number for (number,) in rows]

    def run_names(
        self,
        pipeline: str | None = None,
        status: str | None = None,
        since: float | None = None,
        limit: int | None = None,
    ) -> list[str]:
        """Names of runs, the latest first. `status` is compared as `record` tells it."""
        rows = self._select(
            "select name, status, process, start from runs"
            " where (?1 is null or pipeline = ?1) and (?2 is null or start >= ?2)"
            " order by start desc, number desc",
            (pipeline, since),
        )
        found = (
            name for name, kept, process, start in rows if status is None or _honest(kept, process, start) == status
        )
        return [name for name, _ in zip(found, range(limit), strict=False)] if limit is not None else list(found)

    def pipelines(self) -> list[str]:
        """Names of pipelines that have runs."""
        return [name for (name,) in self._select("select distinct pipeline from runs order by pipeline")]

    def find(self, name: str) -> int:
        """The number of the run with this name, id or unique prefix of a name. Raises NotFound with the nearest."""
        rows = self._select("select number, id, name from runs order by number desc")
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
        """Forget a run. Its artifacts stay: other runs may hold equal values."""
        with self.changing() as database:
            database.execute("delete from events where run = ?", (number,))
            database.execute("delete from runs where number = ?", (number,))

    def record(self, number: int) -> Record:
        """A run as it stands in the store."""
        record = Record()
        for event in self.events(number):
            record.apply(event)
        record.status = _honest(record.status, record.process, record.start)
        return record

    def events(self, number: int) -> Iterator[Event]:
        """What happened in a run, in order."""
        rows = self._select("select events from events where run = ? order by position", (number,))
        for (blob,) in rows:
            yield from pickle.loads(blob)

    def _write(self, run: str, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, RunStarted):
                self._database.execute(
                    "insert into runs(id, name, pipeline, status, start, process) values(?,?,?,?,?,?)",
                    (event.id, event.name, event.pipeline, "running", event.time, event.process),
                )
                self._names[run] = event.name
            elif isinstance(event, RunEnded):
                self._database.execute(
                    "update runs set status = ?, end = ? where id = ?", (event.status, event.time, run)
                )
        self._database.execute(_EVENTS, (run, dumps(tuple(events))))


def shared(root: str | None = None) -> Store:
    """The store of a folder, opened once a process: opening one and closing it take longer than a short run.

    It is opened anew where the folder has been replaced meanwhile, and in a fork.
    """
    folder = root or location.current()
    with _stores_lock:
        found = _stores.get((os.getpid(), folder))
        if found is None or found.replaced():
            found = _stores[os.getpid(), folder] = Store(folder)
            while len(_stores) > _STORES_KEPT:
                del _stores[next(iter(_stores))]  # whoever uses it still keeps it open
        return found


_STORES_KEPT = 4
_stores: dict[tuple[int, str], Store] = {}
_stores_lock = threading.Lock()


def open_lock(root: str, how: int) -> int | None:
    """A handle that holds the store's lock until it is closed; None where it is taken, or cannot be had here."""
    try:
        handle = os.open(os.path.join(root, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(handle, how)
    except OSError:
        os.close(handle)
        return None
    return handle


def _honest(status: str, process: int, start: float) -> str:
    """A run that still counts as running although its process has ended was interrupted."""
    return "interrupted" if status == "running" and not _runs(process, start) else status


def _runs(process: int, start: float) -> bool:
    """Whether the process that began a run at `start` still runs, and is not another one with its number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's: not the one that wrote this store
        return False
    try:
        with open(f"/proc/{process}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        with open("/proc/stat") as file:
            boot = next(int(line.split()[1]) for line in file if line.startswith("btime "))
    except (OSError, StopIteration):  # not Linux
        return True
    begun = boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")  # proc(5): field 22, in ticks since the boot
    return fields[0] != "Z" and begun < start + _CLOCK_SECONDS
