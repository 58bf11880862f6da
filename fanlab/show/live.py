"""A plain line of progress while a run goes on, and its record at the end: in a kernel, in a terminal, or nowhere."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Protocol

from ..core.events import Event
from ..core.record import Record
from ..place import shell
from .html import bundle
from .kernel import Controls, InKernel
from .text import progress_line

EVERY_SECONDS = 0.2
FIRST_SECONDS = 0.3  # a run shorter than this shows its record only, without a flash


class View(Protocol):
    """A watcher that also shows the end of a run."""

    def see(self, event: Event) -> None:
        """Take an event in."""

    def pulse(self) -> None:
        """Show how the run stands, if it is time."""

    def close(self) -> None:
        """Take the line away and show the record."""


def view(record: Record, controls: Controls) -> View:
    """The view that fits where this process runs."""
    if getattr(shell(), "kernel", None) is not None:
        return InKernel(record, controls, bundle)
    return InTerminal(record) if sys.stderr is not None and sys.stderr.isatty() else Nowhere(record)


class Nowhere:
    """No view: output goes to a file or a pipe."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._begun = self._last = time.monotonic()

    def see(self, event: Event) -> None:
        """Nothing is shown of single events."""

    def pulse(self) -> None:
        """Show the line if the last one is old enough."""
        now = time.monotonic()
        if now - self._begun >= FIRST_SECONDS and now - self._last >= EVERY_SECONDS:
            self._last = now
            with contextlib.suppress(Exception):  # a run that cannot draw still runs
                self._show(progress_line(self._record, now - self._begun))

    def close(self) -> None:
        """Nothing to take away."""

    def _show(self, line: str) -> None:
        pass


class InTerminal(Nowhere):
    """One line on stderr, written over and taken away at the end."""

    _shown = False

    def _show(self, line: str) -> None:
        self._shown = True
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()

    def close(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
