"""Which view a run gets: in a notebook's kernel, on a terminal, in plain lines, or none."""

from __future__ import annotations

from typing import Protocol

from ..core.context import RUNNING
from ..core.events import Event
from ..core.record import Record
from ..place import shell
from .html import bundle
from .kernel import Controls, InKernel
from .terminal import InLines, InTerminal, Nowhere, has_terminal


class View(Protocol):
    """A watcher that also shows the end of a run."""

    def see(self, event: Event) -> None:
        """Take an event in."""

    def pulse(self) -> None:
        """Show how the run stands, if it is time."""

    def make_way(self) -> None:
        """Something is about to be printed where the view may stand."""

    def close(self) -> None:
        """Show how the run has ended, in the view's place."""


def view(record: Record, controls: Controls) -> View:
    """The view that fits where this process runs."""
    if getattr(shell(), "kernel", None) is not None:
        return InKernel(record, controls, bundle)
    if RUNNING.get() is not None:  # what a step writes is its log
        return Nowhere(record)
    return InTerminal(record) if has_terminal() else InLines(record)
