"""Files that a step is given: each counts by what it holds, which is read once as long as it stays as it is."""

from __future__ import annotations

import os
import stat
import threading
import time

import xxhash

_CHUNK = 4 << 20
_SETTLED_NS = 2_000_000_000  # a file system may give the same time to two writes that are closer to one another
_KEPT = 100_000
_Stamp = tuple[int, int, int]
_known: dict[str, tuple[_Stamp, str]] = {}
_lock = threading.Lock()


def file_digest(path: str | os.PathLike[str]) -> str | None:
    """The digest of what a file holds; None for what names no file that can be read: a folder, or any other text.

    Remembered by the file's size, time of change and inode, unless it has been changed just now.
    """
    name = os.fspath(path)
    if not isinstance(name, str) or not name or "\0" in name:
        return None
    try:
        found = os.stat(name)
        if not stat.S_ISREG(found.st_mode):
            return None
        whole = os.path.abspath(name)
        known = _known.get(whole)
        if known is not None and known[0] == _stamp(found):
            return known[1]
        digest = _read(name)
        same = _stamp(os.stat(name)) == _stamp(found)
    except (OSError, ValueError):
        return None
    if same and time.time_ns() - found.st_mtime_ns > _SETTLED_NS:
        with _lock:
            if len(_known) >= _KEPT:
                _known.clear()
            _known[whole] = (_stamp(found), digest)
    return digest


def _stamp(found: os.stat_result) -> _Stamp:
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _read(name: str) -> str:
    state = xxhash.xxh3_128()
    with open(name, "rb", buffering=0) as file:
        while piece := file.read(_CHUNK):
            state.update(piece)
    return state.hexdigest()
