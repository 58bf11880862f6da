"""What a cell prints, line by line, while it appears in the cell all the same."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def copied(target: Callable[[str, str], None]) -> Iterator[None]:
    """Tell `target` each line (the stream's name, and the line) that this thread writes until the block ends."""
    real = sys.stdout, sys.stderr
    copies = _Copied("stdout", real[0], target), _Copied("stderr", real[1], target)
    sys.stdout, sys.stderr = copies
    try:
        yield
    finally:
        for name, copy, stream in zip(("stdout", "stderr"), copies, real, strict=True):
            if getattr(sys, name) is copy:  # else the cell has put something of its own there
                setattr(sys, name, stream)
            copy.end()


class _Copied(io.TextIOBase):
    """Writes to a stream, and tells what it writes."""

    def __init__(self, name: str, real: Any, target: Callable[[str, str], None]) -> None:
        self._name, self._real, self._target = name, real, target
        self._thread = threading.get_ident()
        self._held = ""  # of a line whose end has not been written yet

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._real, "encoding", None) or "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._real.write(text)
        if threading.get_ident() == self._thread:
            *lines, self._held = (self._held + text).split("\n")
            for line in lines:
                self._tell(line)
        return len(text)

    def end(self) -> None:
        """Tell what has no end of line yet."""
        if self._held:
            self._tell(self._held)
        self._held = ""

    def _tell(self, line: str) -> None:
        self._target(self._name, line.rstrip("\r").rpartition("\r")[2])  # a progress bar's last state

    def flush(self) -> None:
        self._real.flush()

    def isatty(self) -> bool:
        return bool(self._real.isatty())

    def fileno(self) -> int:
        return int(self._real.fileno())
