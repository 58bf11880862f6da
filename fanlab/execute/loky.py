"""The executor on joblib's loky: batches go to the worker processes of this machine."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ..core.batch import Batch, BatchDone, BatchLost, BatchReleased
from . import process
from .base import Blobs, Deliver, Message
from .page import Status
from .slots import Slot, slots
from .worker import MissingBlob, StaleModules

_DRAIN_SECONDS = 2.0  # how long to wait for what a dead worker still told


@dataclass(slots=True)
class _Given:
    """A batch that a worker has, and has not answered."""

    slot: Slot
    generation: int  # of the slot's worker
    future: Future[None] | None = None  # loky's own word of it
    processes: Mapping[int, Any] = field(default_factory=dict)  # loky's own of the worker

    @property
    def here(self) -> bool:
        """Whether the slot still has the worker that it was given to."""
        return self.slot.generation == self.generation


class Loky:
    """Runs batches in worker processes; bytes that a worker has are not sent to it again."""

    name = "loky"
    can_kill = True
    immediate = False

    def __init__(self, run: str, jobs: int, deliver: Deliver) -> None:
        self.slots = jobs
        self._run, self._deliver = run, deliver
        self._pool = slots()
        self._given: dict[int, _Given] = {}
        self._given_up: set[int] = set()  # batches whose worker was to be ended: they are not sent again
        self._asked: set[int] = set()  # batches of which what has not been started was asked for
        self._over = False
        self._pool.channel.open(run, self._heard)
        self._pool.first(jobs)

    def room(self) -> int:
        """How many batches may be submitted now."""
        return self._pool.room(self.slots)

    def submit(self, batch: Batch, blobs: Blobs, seconds: float | None) -> Future[None]:
        """Send a batch to the slot that should be idle first. Raises what starting a worker raises."""
        number = batch.number
        try:
            with self._pool.lock:
                slot = self._pool.take(self.slots, number, seconds)
                given = self._given[number] = _Given(slot, slot.generation)
                needed = {key: blobs[key] for key in batch.blobs if key not in slot.sent}
                future = given.future = slot.call(process.run_batch, pickle.dumps((batch, needed), 5))
                given.processes = slot.processes
                slot.sent.update(needed)
                generation = given.generation = slot.generation
            future.add_done_callback(lambda done: self._ended(slot, generation, batch, blobs, done))
        except BaseException:  # nobody would ever say that it has ended
            with self._pool.lock:
                found = self._given.get(number)
                if self._free(number) and found is not None:
                    found.slot.abandon()
            raise
        return future

    def release(self, number: int) -> None:
        """Ask the worker that has a batch for what it has not started of it."""
        given = self._given.get(number)
        if given is not None and given.here and given.slot.worker:
            self._asked.add(number)
            self._pool.channel.ask(given.slot.worker, (self._run, number))

    def running(self, number: int) -> Status | None:
        """What the worker of a batch runs now: this batch, or one before it."""
        with self._pool.lock:  # a death closes the page
            given = self._given.get(number)
            return given.slot.status() if given is not None and given.here else None

    def kill(self, number: int) -> None:
        """End the worker that has a batch."""
        with self._pool.lock:  # so that it is not another batch's worker meanwhile
            self._given_up.add(number)
            given = self._given.get(number)
            if given is not None and given.here:
                given.slot.kill()

    def shutdown(self) -> None:
        """Hear no more of the run, and end what still runs of it; the workers stay warm."""
        self._over = True
        self._pool.channel.close(self._run)
        with self._pool.lock:
            left = list(self._given.items())
            for number, given in left:
                status = given.slot.status()
                alone = len(given.slot.batches) == 1 if status is None else status.batch == number
                if given.here and alone:
                    self.kill(number)
        for number, given in left:
            if given.future is not None and given.future.done() and given.future.exception() is None:
                self._heard(BatchDone(number))

    def _heard(self, message: Message) -> None:
        """Pass on what a worker told; a batch that is done frees its slot before loky says so."""
        if not isinstance(message, BatchDone) or self._free(message.number):
            self._deliver(message)

    def _free(self, number: int) -> bool:
        """A batch is answered, and its slot has it no longer; False where that has happened before."""
        with self._pool.lock:
            given = self._given.pop(number, None)
            if given is not None:
                given.slot.batches.pop(number, None)
            return given is not None

    def _ended(self, slot: Slot, generation: int, batch: Batch, blobs: Blobs, done: Future[None]) -> None:
        """A batch has ended in its worker, or its worker has (called in a thread of the slot's executor)."""
        error, number = done.exception(), batch.number
        if error is None:
            with self._pool.lock:  # here too: nothing is heard of a run that is over
                slot.batches.pop(number, None)
            if self._over:
                self._heard(BatchDone(number))
            return
        try:
            if isinstance(error, (MissingBlob, StaleModules)) and not (self._over or number in self._given_up):
                self._send_again(slot, generation, batch, blobs, stale=isinstance(error, StaleModules))
            else:
                self._lose(slot, generation, number, error)
        except Exception as fault:  # noqa: BLE001 (loky would only log it, and the run would wait for ever)
            self._free(number)
            self._deliver(BatchLost(number, None, f"{type(fault).__name__}: {fault}"))

    def _send_again(self, slot: Slot, generation: int, batch: Batch, blobs: Blobs, *, stale: bool) -> None:
        """A worker could not begin a batch: it lacked bytes, or has imported something that has changed since."""
        self._free(batch.number)
        with self._pool.lock:
            slot.sent.clear()
            if stale and slot.generation == generation:
                slot.kill()
                slot.replace()
        if batch.number in self._asked:  # its branches have been given back, and may run elsewhere by now
            self._deliver(BatchReleased(batch.number, 0))
            self._deliver(BatchDone(batch.number))
            return
        self.submit(batch, blobs, None)
        if self._over or batch.number in self._given_up:  # meanwhile
            self.kill(batch.number)

    def _lose(self, slot: Slot, generation: int, number: int, error: BaseException) -> None:
        """A batch's worker has ended: say so after all that it has told, unless that was that the batch was done."""
        # Another batch may have put a new worker in the slot already; what the old one has told still comes first.
        channel = self._pool.channel
        if not slot.worker_of(generation):  # which may have run the batch before it has been greeted
            channel.wait_let_in(_DRAIN_SECONDS)
        with self._pool.lock:
            worker = slot.worker_of(generation)
        channel.wait_ended(worker, _DRAIN_SECONDS)
        with self._pool.lock:
            status = slot.status(generation)
            given = self._given.get(number)
            if slot.generation == generation:
                slot.replace()
        reason = _reason(error, given.processes if given is not None else {})
        if self._free(number):
            culprit = status.branch if status is not None and status.batch == number else None
            waited = status is not None and status.batch != number
            self._deliver(BatchLost(number, culprit, reason, waited))


def _reason(error: BaseException, processes: Mapping[int, Any]) -> str:
    """How the worker ended, as loky tells it: `SIGKILL(-9)`, `EXIT(3)`.

    It waits a quarter of a second for that; one that ends more slowly, as after a crash, is waited for here.
    """
    _, tells, codes = str(error).partition("exit codes of the workers are {")
    told = codes.partition("}")[0]
    if tells and not told:
        for found in list(processes.values()):
            found.join(_DRAIN_SECONDS)
            if found.exitcode is not None:
                told = _ending(found.exitcode)
    return told or type(error).__name__


def _ending(code: int) -> str:
    if code >= 0:
        return f"EXIT({code})"
    known = {-one.value: one.name for one in signal.Signals}
    return f"{known.get(code, 'UNKNOWN')}({code})"
