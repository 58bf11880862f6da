"""What a branch writes, line by line: stdout, stderr, logging and warnings, in whatever thread it writes."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

Target = Callable[[str, str], None]  # takes the stream's name and one line


class _Targets(threading.local):
    """Where this thread's lines go."""

    target: Target | None = None


class Capture:
    """Stands in for the process's streams while branches run; threads that run none write where they always did."""

    def __init__(self, *, whole_process: bool = False) -> None:
        self.whole = whole_process  # in a worker, threads that a step starts belong to its branch
        self._here = _Targets()
        self._shared: Target | None = None
        self._users = 0
        self._streams: dict[str, Any] = {}  # those that it stands in for
        self.held: dict[tuple[str, int], str] = {}  # by stream and thread: what has been written of an unended line
        self._lock = threading.Lock()
        self._handler = _LogHandler(self)

    def target(self) -> Target | None:
        """Where lines of the current thread go; None: to the real streams."""
        return self._here.target or (self._shared if self.whole else None)

    @contextlib.contextmanager
    def to(self, target: Target) -> Iterator[None]:
        """Send this thread's lines to `target`."""
        before = self._here.target, self._shared
        self._here.target = self._shared = target
        self._enter()
        try:
            yield
        finally:
            end_lines()
            self._leave()
            self._here.target, self._shared = before

    def _enter(self) -> None:
        """Stand in for what is there now: somebody may have replaced it while a branch in another thread still runs."""
        with self._lock:
            self._users += 1
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if not (isinstance(stream, _Lines) and stream.capture is self):
                    self._streams[name] = stream
                    setattr(sys, name, _Lines(name, stream, self))
            if warnings.showwarning != self._warned:
                self._show = warnings.showwarning
                warnings.showwarning = self._warned
            logging.getLogger().addHandler(self._handler)

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for name, stream in self._streams.items():
                    setattr(sys, name, stream)
                warnings.showwarning = self._show
                logging.getLogger().removeHandler(self._handler)

    def _warned(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        target = self.target()
        if target is None or file is not None:
            self._show(message, category, filename, lineno, file, line)
        else:
            target("warning", f"{filename}:{lineno}: {category.__name__}: {message}")


class _LogHandler(logging.Handler):
    """Sends log records of a branch to its log; those of other threads find their own handlers."""

    def __init__(self, capture: Capture) -> None:
        super().__init__()
        self._capture = capture
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        target = self._capture.target()
        if target is not None:
            for line in self.format(record).splitlines():
                target("logging", line)


class _Lines(io.TextIOBase):
    """Stands in for a stream: whole lines of a branch go to its target, everything else to the real stream."""

    def __init__(self, name: str, real: Any, capture: Capture) -> None:
        self._name, self._real, self.capture = name, real, capture

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._real, "encoding", None) or "utf-8"

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        target = self.capture.target()
        if target is None:
            if self._real is not None:
                self._real.write(text)
            return len(text)
        key = (self._name, threading.get_ident())
        held = self.capture.held
        *lines, rest = (held.pop(key, "") + text).split("\n")
        for line in lines:
            target(self._name, line.rstrip("\r").rpartition("\r")[2])  # a progress bar's last state
        if rest:
            held[key] = rest
        return len(text)

    def end(self) -> None:
        """Send what has no end of line yet: of this thread, and of all threads where they are the branch's own."""
        target, held = self.capture.target(), self.capture.held
        here = threading.get_ident()
        for stream, thread in list(held):  # other threads write meanwhile
            if stream != self._name or not (self.capture.whole or thread == here):
                continue
            rest = held.pop((stream, thread), "")
            if rest and target is not None:
                target(self._name, rest.rpartition("\r")[2])

    def flush(self) -> None:
        if self._real is not None and self.capture.target() is None:
            self._real.flush()

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return int(self._real.fileno())


def end_lines() -> None:
    """Send what this thread has written without an end of line: called after each branch."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _Lines):
            stream.end()


AT_HOME = Capture()  # of the kernel itself: one, since runs that overlap share the process's streams
