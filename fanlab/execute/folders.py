"""Temporary folders of this process; those of processes that were killed are removed by the next that makes one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile

_LOCK = "lock"  # held while the folder's process lives. A process id would not do: containers may share a /tmp
_MOST = 100  # folders that one process removes, so that none waits long; the next goes on
_locks: dict[str, int] = {}


def make_folder(prefix: str, parent: str | None = None) -> str:
    """Make a folder that only this user can open. Raises OSError where there can be none."""
    place = parent or tempfile.gettempdir()
    _sweep(place, prefix)
    folder = tempfile.mkdtemp(prefix=prefix, dir=place)
    with contextlib.suppress(OSError):  # a file system without locks: then nobody sweeps this folder
        fresh = os.path.join(folder, "new")
        _locks[folder] = os.open(fresh, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(_locks[folder], fcntl.LOCK_EX)
        os.rename(fresh, os.path.join(folder, _LOCK))  # which nobody else sees before it is held
    return folder


def remove_folder(folder: str) -> None:
    """Remove a folder that `make_folder` made, with what is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    handle = _locks.pop(folder, None)
    if handle is not None:
        os.close(handle)


def _sweep(parent: str, prefix: str) -> None:
    with contextlib.suppress(OSError), os.scandir(parent) as entries:
        removed = 0
        for found in entries:
            if removed < _MOST and found.name.startswith(prefix):
                removed += _remove_if_left(found.path)


def _remove_if_left(folder: str) -> bool:
    """Remove a folder whose process has ended. Another user's cannot be opened, and one without a lock is not ours."""
    try:
        handle = os.open(os.path.join(folder, _LOCK), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # its process lives
        return False
    else:
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(handle)
