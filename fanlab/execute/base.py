"""The one protocol of executors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Protocol

from ..core.batch import Batch, BatchDone, BatchLost
from ..core.events import Event

Message = Event | BatchDone | BatchLost
Deliver = Callable[[Message], None]  # takes what the workers tell of one run; may be called from any thread
Blobs = Mapping[bytes, bytes]  # what batches refer to, by digest


class Executor(Protocol):
    """Runs batches. What happens in them arrives through the `deliver` that it was made with."""

    slots: int  # how many batches run at once
    immediate: bool  # whether submit returns only when the batch has ended

    def submit(self, batch: Batch, blobs: Blobs) -> Future[None]:
        """Start a batch. Every batch is answered by one BatchDone or BatchLost."""

    def kill(self) -> None:
        """End the workers that run this run's batches, if the executor can."""

    def shutdown(self) -> None:
        """Give back what this run held; warm workers stay."""
