"""The executor that runs branches one after the other, here in the process that asks."""

from __future__ import annotations

from concurrent.futures import Future

from ..core.batch import Batch
from .base import Blobs, Deliver
from .worker import Bench


class Sequential:
    """For tests, debugging and pipelines inside steps. It cannot kill a branch, nor outlive one that exits."""

    slots = 1
    immediate = True

    def __init__(self, deliver: Deliver) -> None:
        self._bench = Bench(lambda _, event: deliver(event), at_home=True)

    def submit(self, batch: Batch, blobs: Blobs) -> Future[None]:
        """Run a batch now. A KeyboardInterrupt passes through."""
        future: Future[None] = Future()
        self._bench.receive({key: blobs[key] for key in batch.blobs})
        self._bench.run(batch)
        future.set_result(None)
        return future

    def kill(self) -> None:
        """Nothing runs but in submit."""

    def shutdown(self) -> None:
        """Nothing is held."""
