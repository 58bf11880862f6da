"""The executor on joblib's loky: batches go to the worker processes of this machine."""

from __future__ import annotations

import pickle
from concurrent.futures import Future

from ..core.batch import Batch, BatchDone, BatchLost
from . import process
from .base import Blobs, Deliver, Message
from .page import Status
from .slots import Slot, slots
from .worker import MissingBlob, StaleModules

_DRAIN_SECONDS = 2.0  # how long to wait for what a dead worker still told


class Loky:
    """Runs batches in worker processes; bytes that a worker has are not sent to it again."""

    name = "loky"
    can_kill = True
    immediate = False

    def __init__(self, run: str, jobs: int, deliver: Deliver) -> None:
        self.slots = jobs
        self._run, self._deliver = run, deliver
        self._pool = slots()
        self._given: dict[int, Slot] = {}
        self._pool.channel.open(run, self._heard)
        self._pool.first(jobs)

    def room(self) -> int:
        """How many batches may be submitted now."""
        return self._pool.room(self.slots)

    def submit(self, batch: Batch, blobs: Blobs, seconds: float | None) -> Future[None]:
        """Send a batch to the slot that should be idle first."""
        with self._pool.lock:
            slot = self._pool.take(self.slots, batch.number, seconds)
            self._given[batch.number] = slot
            needed = {key: blobs[key] for key in batch.blobs if key not in slot.sent}
            future = slot.call(process.run_batch, pickle.dumps((batch, needed), 5))
            slot.sent.update(needed)
            generation = slot.generation
        future.add_done_callback(lambda done: self._ended(slot, generation, batch, blobs, done))
        return future

    def release(self, number: int) -> None:
        """Ask the worker that has a batch for what it has not started of it."""
        slot = self._given.get(number)
        if slot is not None and slot.worker:
            self._pool.channel.ask(slot.worker, (self._run, number))

    def running(self, number: int) -> Status | None:
        """What the worker of a batch runs now: this batch, or one before it."""
        with self._pool.lock:  # a death closes the page
            slot = self._given.get(number)
            return slot.status() if slot is not None else None

    def kill(self, number: int) -> None:
        """End the worker that has a batch."""
        slot = self._given.get(number)
        if slot is not None:
            slot.kill()

    def shutdown(self) -> None:
        """Hear no more of the run; the workers stay warm."""
        self._pool.channel.close(self._run)

    def _heard(self, message: Message) -> None:
        """Pass on what a worker told; a batch that is done frees its slot before loky says so."""
        if isinstance(message, BatchDone):
            self._free(message.number)
        self._deliver(message)

    def _free(self, number: int) -> None:
        with self._pool.lock:
            slot = self._given.pop(number, None)
            if slot is not None:
                slot.batches.pop(number, None)

    def _renew(self, slot: Slot, generation: int) -> None:
        """Have a new worker in a slot: the one that it has imported something that has changed since."""
        with self._pool.lock:
            if slot.generation == generation:
                slot.kill()
                slot.replace()

    def _ended(self, slot: Slot, generation: int, batch: Batch, blobs: Blobs, done: Future[None]) -> None:
        """A batch has ended in its worker, or its worker has (called in a thread of the slot's executor)."""
        error = done.exception()
        if error is None:
            return
        if isinstance(error, (MissingBlob, StaleModules)):
            self._free(batch.number)
            slot.sent.clear()
            if isinstance(error, StaleModules):
                self._renew(slot, generation)
            self.submit(batch, blobs, None)
            return
        # Another batch may have put a new worker in the slot already; what the old one has told still comes first.
        with self._pool.lock:
            worker = slot.worker_of(generation)
        self._pool.channel.wait_ended(worker, _DRAIN_SECONDS)
        with self._pool.lock:
            status = slot.status(generation)
            if slot.generation == generation:
                slot.replace()
        self._free(batch.number)
        culprit = status.branch if status is not None and status.batch == batch.number else None
        waited = status is not None and status.batch != batch.number
        self._deliver(BatchLost(batch.number, culprit, _reason(error), waited))


def _reason(error: BaseException) -> str:
    """How the worker ended, as loky tells it: `SIGKILL(-9)`, `EXIT(3)`."""
    _, _, codes = str(error).partition("exit codes of the workers are {")
    return codes.partition("}")[0] or type(error).__name__
