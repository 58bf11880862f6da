"""The user's modules in a worker: those that it has imported itself, and those that the kernel lends it."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Mapping
from types import ModuleType

from ..core import origin

_Stamp = tuple[int, int, int]
_TICK = 0.01  # seconds that a file's time may be behind the clock


class Imported:
    """Watches the files of the modules that a worker process has imported."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[_Stamp, str]] = {}  # as they were when they were first seen
        self._lent: dict[str, ModuleType | None] = {}  # by name: what was there before
        self._count = -1
        self._looked = time.time()  # when the batch began that may have imported what is not known yet
        self._doubtful = False

    def stale(self) -> bool:
        """Whether a module would be another one if it were imported now."""
        if len(sys.modules) != self._count:
            self._take_in()
        self._looked = time.time()
        for file, (stamp, digest) in self._files.items():
            if _stamp(file) != stamp and _digest(file) != digest:
                return True
        return self._doubtful

    def _take_in(self) -> None:
        """See which modules are there. Of one whose file has been changed meanwhile nobody knows which it is."""
        self._count = len(sys.modules)
        for module in origin.own_modules():
            file = getattr(module, "__file__", None)
            if file is None or file in self._files or module.__name__ in self._lent:
                continue
            stamp = _stamp(file) or (0, 0, 0)
            self._doubtful |= stamp[0] / 1e9 >= self._looked - _TICK
            self._files[file] = (stamp, _digest(file))

    def lend(self, modules: Mapping[str, ModuleType]) -> None:
        """Have import statements find modules of the kernel's."""
        for name, module in modules.items():
            self._lent[name] = sys.modules.get(name)
            sys.modules[name] = module

    def take_back(self) -> None:
        """Let import statements find again what was there before."""
        for name, before in self._lent.items():
            if before is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = before
        self._lent.clear()


def _stamp(file: str) -> _Stamp | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _digest(file: str) -> str:
    try:
        with open(file, "rb") as opened:
            return hashlib.blake2b(opened.read(), digest_size=16).hexdigest()
    except OSError:
        return ""
