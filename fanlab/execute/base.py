"""The one protocol of executors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Protocol

from ..core.batch import Answer, Batch, Unread
from ..core.events import Event
from .page import Status

Message = Event | Answer | Unread
Deliver = Callable[[Message], None]  # takes what the workers tell of one run; may be called from any thread
Blobs = Mapping[bytes, bytes]  # what batches refer to, by digest


class Executor(Protocol):
    """Runs batches. What happens in them arrives through the `deliver` that it was made with."""

    name: str
    can_kill: bool  # whether a branch can be ended: timeouts and a quick cancel need it
    immediate: bool  # whether submit returns only when the batch has ended

    @property
    def slots(self) -> int:
        """How many batches run at once."""

    def room(self) -> int:
        """How many batches may be submitted now: to idle workers, and to those that should be idle in a moment."""

    def submit(self, batch: Batch, blobs: Blobs, seconds: float | None) -> Future[None]:
        """Start a batch that should take so long. Every batch is answered by one BatchDone or BatchLost."""

    def release(self, number: int) -> None:
        """Ask for what has not been started of a batch; BatchReleased answers, if the executor can."""

    def running(self, number: int) -> Status | None:
        """What the worker of a batch runs now, where that can be told."""

    def kill(self, number: int) -> None:
        """End the worker that has a batch, if the executor can; BatchLost answers."""

    def shutdown(self) -> None:
        """Give back what this run held; warm workers stay."""
