"""The executor that runs branches one after the other, here in the process that asks."""

from __future__ import annotations

from concurrent.futures import Future

from ..core.batch import Batch
from .base import Blobs, Deliver
from .capture import AT_HOME
from .page import Status
from .worker import Bench


class Sequential:
    """For tests, debugging and pipelines inside steps. It cannot kill a branch, nor outlive one that exits."""

    name = "sequential"
    slots = 1
    can_kill = False
    immediate = True

    def __init__(self, deliver: Deliver) -> None:
        self._bench = Bench(lambda _, message, __: deliver(message), AT_HOME, interrupts=True)

    def room(self) -> int:
        """One: submit returns when the batch has ended."""
        return 1

    def submit(self, batch: Batch, blobs: Blobs, seconds: float | None) -> Future[None]:  # noqa: ARG002
        """Run a batch now. A KeyboardInterrupt passes through."""
        future: Future[None] = Future()
        self._bench.receive({key: blobs[key] for key in batch.blobs})
        self._bench.run(batch)
        future.set_result(None)
        return future

    def release(self, number: int) -> None:
        """Nothing runs but in submit."""

    def running(self, number: int) -> Status | None:  # noqa: ARG002
        """Nothing runs but in submit."""
        return None

    def kill(self, number: int) -> None:
        """Nothing runs but in submit."""

    def shutdown(self) -> None:
        """Nothing is held."""
