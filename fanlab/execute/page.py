"""A worker's status page: which branch it runs and since when, in a mapped file that outlives a worker process."""

from __future__ import annotations

import mmap
import os
import struct
from typing import NamedTuple

_LAYOUT = struct.Struct("<qqd")  # batch number, branch, time.monotonic() of its start
_IDLE = -1
_NEVER = float("inf")


class Status(NamedTuple):
    """What a page says."""

    batch: int
    branch: int
    since: float  # time.monotonic(), which is one clock for all processes of a machine


class Note:
    """What a page says, for a worker that is a thread of the process that reads it."""

    def __init__(self) -> None:
        self._status: Status | None = None

    def write(self, batch: int, branch: int, since: float) -> None:
        """Say which branch starts now."""
        self._status = Status(batch, branch, since)

    def idle(self) -> None:
        """Say that no branch runs."""
        self._status = None

    def read(self) -> Status | None:
        """What the worker runs, None while it runs nothing."""
        return self._status


class Page:
    """One page. The worker writes it before each branch (0.2 µs); the kernel reads it, above all after a death."""

    def __init__(self, path: str, *, create: bool = False) -> None:
        self.path = path
        flags = os.O_RDWR | (os.O_CREAT | os.O_TRUNC if create else 0)
        descriptor = os.open(path, flags, 0o600)
        try:
            if create:
                os.ftruncate(descriptor, _LAYOUT.size)
            self._map = mmap.mmap(descriptor, _LAYOUT.size)
        finally:
            os.close(descriptor)
        if create:
            self.idle()

    def write(self, batch: int, branch: int, since: float) -> None:
        """Say which branch starts now."""
        _LAYOUT.pack_into(self._map, 0, batch, branch, since)

    def idle(self) -> None:
        """Say that no branch runs."""
        _LAYOUT.pack_into(self._map, 0, _IDLE, _IDLE, _NEVER)  # who reads in the middle of a write finds no old time

    def read(self) -> Status | None:
        """What the worker runs, None while it runs nothing."""
        status = Status(*_LAYOUT.unpack_from(self._map, 0))
        return None if status.batch == _IDLE else status

    def detach(self) -> None:
        """In a fork of the worker: write where nobody reads."""
        self._map = mmap.mmap(-1, _LAYOUT.size)

    def close(self) -> None:
        """Give the page back and remove its file."""
        self._map.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
