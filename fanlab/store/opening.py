"""Opens a store's database: to be written, or as what it is where the folder can only be read."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import sqlite3
import tempfile
from typing import NamedTuple

from ..errors import StoreError
from . import cache

VERSION = 2
_SCHEMA = """
create table runs(number integer primary key, id text unique, name text unique, pipeline text, status text,
  start real, end real, process integer);
create index runs_by_pipeline on runs(pipeline, start);
create table events(run integer, position integer, events blob, primary key(run, position)) without rowid;
"""


class Opened(NamedTuple):
    """A database; where it is read as it was when it was opened, what its files were like then."""

    database: sqlite3.Connection
    files: tuple[object, ...] | None = None


def can_only_be_read(root: str, path: str) -> bool:
    """Whether nothing can be written in a store that is there."""
    return not os.access(root, os.W_OK) or (os.path.exists(path) and not os.access(path, os.W_OK))


def open_to_write(root: str, path: str, busy: float) -> Opened:
    """The database, made where there is none. Raises StoreError."""
    try:
        database = _connected(path, busy)
        if not database.execute("pragma page_count").fetchone()[0]:  # it holds from the first page that is written
            database.execute("pragma auto_vacuum=incremental")
        with contextlib.suppress(sqlite3.OperationalError):  # another process may be switching at this moment
            database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=normal")  # survives the end of any process; see SQLite's own page
        if _version(database) == 0:
            _make(database)
        _check(root, database)
    except sqlite3.Error as error:
        raise _unreadable(root, error) from error
    return Opened(database)


def open_to_read(root: str, path: str, busy: float) -> Opened:
    """The database of a folder in which nothing can be written, with all that is in its log. Raises StoreError.

    SQLite reads such a log where its index is there too. Without the index, nobody has the database open: then it
    is read as a file that does not change, or, if the log holds anything, from a copy in memory.
    """
    if not os.path.exists(path):
        raise StoreError(
            f"the store {root} holds no runs, and can only be read",
            do="set FANLAB_STORE, or fanlab.configure(store=...), to a folder that can be written",
        )
    address = pathlib.Path(os.path.abspath(path)).as_uri()
    log = f"{path}-wal"
    try:
        with contextlib.suppress(sqlite3.OperationalError):
            return Opened(_checked(root, f"{address}?mode=ro", busy))
        files = files_of(path)
        if not os.path.exists(log) or not os.path.getsize(log):
            return Opened(_checked(root, f"{address}?immutable=1", busy), files)
        with tempfile.TemporaryDirectory(prefix="fanlab-") as folder:
            shutil.copy(log, folder)
            with contextlib.closing(_checked(root, shutil.copy(path, folder), busy)) as copied:
                database = _connected(":memory:", busy)
                copied.backup(database)
        return Opened(database, files)
    except (sqlite3.Error, OSError) as error:
        raise _unreadable(root, error) from error


def files_of(path: str) -> tuple[object, ...]:
    """What a database's files are like: another tuple where somebody has written to them."""
    return tuple(
        (found.st_mtime_ns, found.st_size) if (found := _stat(each)) is not None else None
        for each in (path, f"{path}-wal")
    )


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _connected(address: str, busy: float) -> sqlite3.Connection:
    uri = address.startswith("file:")
    return sqlite3.connect(address, timeout=busy, isolation_level=None, check_same_thread=False, uri=uri)


def _checked(root: str, address: str, busy: float) -> sqlite3.Connection:
    database = _connected(address, busy)
    try:
        database.execute("select count(*) from runs").fetchone()
    except sqlite3.Error:
        database.close()
        raise
    _check(root, database)
    return database


def _make(database: sqlite3.Connection) -> None:
    database.execute("begin immediate")
    if _version(database) == 0:
        for statement in (_SCHEMA + cache.SCHEMA).split(";"):
            database.execute(statement)
        database.execute(f"pragma user_version={VERSION}")
    database.execute("commit")


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("pragma user_version").fetchone()[0])


def _check(root: str, database: sqlite3.Connection) -> None:
    version = _version(database)
    if version != VERSION:
        database.close()
        raise StoreError(
            f"the store {root} was made by another version of fanlab (format {version}, not {VERSION})",
            do="use that version, or set FANLAB_STORE to another folder",
        )


def _unreadable(root: str, error: Exception) -> StoreError:
    return StoreError(
        f"the store {root} cannot be opened: {error}",
        do="move it away to start a new one, or set FANLAB_STORE to another folder",
    )
