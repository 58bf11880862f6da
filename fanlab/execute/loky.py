"""The executor on joblib's loky: one one-worker executor a slot, so that a death costs one slot only."""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import signal
import threading
from concurrent.futures import Future
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor

from ..core.batch import Batch, BatchDone, BatchLost
from . import worker
from .base import Blobs, Deliver, Message
from .channel import Channel

IDLE_SECONDS = 300  # a worker that has had nothing to do for so long ends; joblib's own figure
_DRAIN_SECONDS = 2.0  # how long to wait for what a dead worker still told


class _Slot:
    """One worker process at a time, and which bytes it has."""

    def __init__(self, index: int, channel: Channel) -> None:
        self.index, self._channel = index, channel
        self.sent: set[bytes] = set()
        self.load = 0  # batches given to it that have not ended
        self.generation = 0  # how often it has been replaced
        self.worker = 0
        self._pool = self._new()

    def warm(self) -> None:
        """Have the worker started."""
        self._pool.submit(worker.ready)

    def probe(self) -> int:
        """Ask the worker for its process id."""
        return int(self._pool.submit(worker.ready).result(timeout=60))

    def submit(self, payload: bytes) -> Future[None]:
        """Run a batch in the worker."""
        try:
            return self._pool.submit(worker.run_batch, payload)  # type: ignore[no-any-return]
        except RuntimeError:  # it died while it was idle, or was shut down
            self.replace()
            return self._pool.submit(worker.run_batch, payload)  # type: ignore[no-any-return]

    def greet(self, process: int) -> None:
        """A new worker process has begun: it has nothing yet."""
        self.worker = process
        self.sent.clear()

    def replace(self) -> None:
        """Start over with a new worker."""
        self.generation += 1
        self.worker = 0
        self.sent.clear()
        self._pool = self._new()

    def kill(self) -> None:
        """End the worker at once."""
        if self.worker:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.worker, signal.SIGKILL)

    def close(self) -> None:
        """End the worker and the threads that serve it."""
        self._pool.shutdown(wait=True, kill_workers=True)

    def _new(self) -> Any:
        address = (self._channel.address, self._channel.key, self.index)
        return ProcessPoolExecutor(1, timeout=IDLE_SECONDS, initializer=worker.begin, initargs=address)


class Slots:
    """The worker processes of this kernel; all its runs share them."""

    def __init__(self) -> None:
        self.channel = Channel(self._greet)
        self.lock = threading.RLock()
        self._slots: list[_Slot] = []

    def take(self, count: int) -> _Slot:
        """The least busy of the first `count` slots."""
        self.grow(count)
        slot = min(self._slots[:count], key=lambda slot: slot.load)
        slot.load += 1
        return slot

    def grow(self, count: int) -> None:
        """Have at least `count` slots, their workers starting."""
        with self.lock:
            while len(self._slots) < count:
                slot = _Slot(len(self._slots), self.channel)
                self._slots.append(slot)
                slot.warm()

    def probe(self) -> int:
        """Ask the first worker for its process id."""
        return self._slots[0].probe()

    def close(self) -> None:
        """End all workers."""
        with self.lock:
            slots, self._slots = self._slots, []
        for slot in slots:
            slot.close()

    def _greet(self, index: int, process: int) -> None:
        with self.lock:
            if index < len(self._slots):
                self._slots[index].greet(process)


_slots: Slots | None = None
_lock = threading.Lock()


def slots() -> Slots:
    """This process's slots, made when first asked for."""
    global _slots
    with _lock:
        if _slots is None:
            _slots = Slots()
            atexit.register(_slots.close)
        return _slots


def probe() -> int:
    """The process id of a worker, having started one if there was none. Raises what starting it raises."""
    pool = slots()
    pool.grow(1)
    return pool.probe()


class Loky:
    """Runs batches in worker processes of this machine."""

    immediate = False

    def __init__(self, run: str, jobs: int, deliver: Deliver) -> None:
        self.slots = jobs
        self._run, self._deliver = run, deliver
        self._pool = slots()
        self._busy: dict[int, _Slot] = {}
        self._pool.channel.open(run, self._heard)
        self._pool.grow(jobs)

    def submit(self, batch: Batch, blobs: Blobs) -> Future[None]:
        """Send a batch to a free slot; bytes that its worker has are not sent again."""
        with self._pool.lock:
            slot = self._pool.take(self.slots)
            self._busy[batch.number] = slot
            needed = {key: blobs[key] for key in batch.blobs if key not in slot.sent}
            slot.sent.update(needed)
            future = slot.submit(pickle.dumps((batch, needed), 5))
            generation = slot.generation
        future.add_done_callback(lambda done: self._ended(slot, generation, batch, blobs, done))
        return future

    def kill(self) -> None:
        """End the workers that run this run's batches."""
        with self._pool.lock:
            for slot in set(self._busy.values()):
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
            slot = self._busy.pop(number, None)
            if slot is not None:
                slot.load -= 1

    def _ended(self, slot: _Slot, generation: int, batch: Batch, blobs: Blobs, done: Future[None]) -> None:
        """A batch has ended in its worker, or its worker has (called in a thread of the slot's executor)."""
        error = done.exception()
        if error is None:
            return
        self._free(batch.number)
        if isinstance(error, worker.MissingBlob):
            slot.sent.clear()
            self.submit(batch, blobs)
            return
        if slot.generation == generation:
            self._pool.channel.wait_ended(slot.worker, _DRAIN_SECONDS)
        with self._pool.lock:
            if slot.generation == generation:
                slot.replace()
        self._deliver(BatchLost(batch.number, _reason(error)))


def _reason(error: BaseException) -> str:
    """How the worker ended, as loky tells it: `SIGKILL(-9)`, `EXIT(3)`."""
    text = str(error)
    _, _, codes = text.partition("exit codes of the workers are {")
    return codes.partition("}")[0] or type(error).__name__
