"""The executor on a cluster: batches go through an engine (Dask or Ray), which decides where each of them runs.

The run's schedule decides what is ready; the engine gets no more than its workers can take in a moment. A
worker asks before it begins a batch, so that a batch that the engine starts twice, or after it has been
given up, runs once or not at all.
"""

from __future__ import annotations

import pickle
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..core.batch import Batch, BatchDone, BatchLost, BatchReleased
from ..core.pace import WAIT_SECONDS
from ..errors import FanlabError, NotAvailable
from . import cargo
from .base import Blobs, Deliver, Message
from .exchange import Exchange, Member
from .page import Status
from .wire import Ask, Claim, Order, Post, Ran, Returned

_NEVER = float("inf")
_SIZE_SECONDS = 1.0  # how long the number of workers is taken to be what it was
_PATIENT_SECONDS = 30.0  # after so long without a worker a line says what the run waits for
_DRAIN_SECONDS = 2.0  # how long to wait for what a lost worker still told
_ANOTHER = Status(-1, -1, 0.0)
_LARGE = 1 << 20  # a batch of so many bytes does not travel in the engine's own messages

Done = Callable[[Returned | None, str], None]  # what a batch returned, or why nothing did


class Engine(Protocol):
    """A cluster's own scheduler and transport."""

    name: str
    host: str  # the address under which its workers reach this process

    def size(self) -> int:
        """How many batches its workers can run at once."""

    def submit(self, post: Post, order: Order, artifacts: dict[str, Any], done: Done) -> Any:
        """Have `outpost.run` called on a worker; what `put` returned stands for artifacts. A handle to cancel it."""

    def cancel(self, handle: Any) -> None:
        """Give up a batch; one that runs is ended by other means."""

    def put(self, data: bytes) -> Any:
        """Bytes that several batches need: they travel to a worker once."""

    def close(self) -> None:
        """Give back what was made for this run."""


@dataclass(slots=True)
class _Given:
    """A batch that the engine has."""

    batch: Batch
    blobs: Blobs
    ends: float  # when it should; time.monotonic()
    handle: Any = None
    member: Member | None = None  # the worker that has claimed it
    status: Status | None = None
    settled: bool = False  # whether that worker has told the same branch twice: it is what it runs, not what it ran
    seconds: float | None = None
    sent: float = field(default_factory=time.monotonic)


class Cluster:
    """Runs batches through an engine."""

    can_kill = True
    immediate = False

    def __init__(self, run: str, jobs: int | None, deliver: Deliver, engine: Engine, store: str) -> None:
        self.name = engine.name
        self._jobs, self._deliver, self._engine, self._store = jobs, deliver, engine, store
        self._given: dict[int, _Given] = {}
        self._lock = threading.RLock()
        self._handles: dict[str, Any] = {}  # artifacts that have been put
        self._blind = False  # whether a worker does not see the store
        self._fault: FanlabError | None = None
        self._size, self._counted, self._told = 0, 0.0, False
        self._ended = 0.0  # when a batch last came back
        self._exchange = Exchange(run, engine.host, store, self)

    @property
    def slots(self) -> int:
        """How many batches run at once: as many as were asked for, else as the engine has workers for."""
        if self._jobs is not None:
            return self._jobs
        now = time.monotonic()
        if now - self._counted > _SIZE_SECONDS:
            self._counted, self._size = now, self._engine.size()
        return max(1, self._size)

    def room(self) -> int:
        """How many batches may be submitted now. Raises what keeps a worker from being of use."""
        if self._fault is not None:
            raise self._fault
        slots, soon = self.slots, time.monotonic() + WAIT_SECONDS
        with self._lock:
            busy = sum(given.ends > soon for given in self._given.values())
            self._say_what_is_waited_for()
            return max(0, min(slots - busy, 2 * slots - len(self._given)))

    def submit(self, batch: Batch, blobs: Blobs, seconds: float | None) -> Future[None]:
        """Hand a batch to the engine."""
        future: Future[None] = Future()
        with self._lock:
            ends = time.monotonic() + seconds if seconds is not None else _NEVER
            self._given[batch.number] = _Given(batch, blobs, ends, seconds=seconds)
        self._hand_over(batch.number)
        return future

    def release(self, number: int) -> None:
        """Take back what has not begun of a batch."""
        with self._lock:
            given = self._given.get(number)
            if given is None:
                return
            if given.member is not None:
                given.member.send(Ask("release", number))
                return
            del self._given[number]
        self._engine.cancel(given.handle)
        self._deliver(BatchReleased(number, 0))
        self._deliver(BatchDone(number))

    def running(self, number: int) -> Status | None:
        """What the worker that has a batch runs now, a twentieth of a second old at most.

        A batch that others have overtaken waits in the engine behind another one, wherever that is.
        """
        given = self._given.get(number)
        if given is not None and given.member is None and given.sent < self._ended:
            return _ANOTHER
        return given.status if given is not None else None

    def kill(self, number: int) -> None:
        """End the process that runs a batch; give up one that has not begun."""
        with self._lock:
            given = self._given.get(number)
            if given is None:
                return
            if given.member is not None:
                given.member.send(Ask("kill", number))
                return
            del self._given[number]
        self._engine.cancel(given.handle)
        self._deliver(BatchLost(number, None, "it was given up"))

    def shutdown(self) -> None:
        """Hear no more of the run, and give back what was made for it."""
        with self._lock:
            left, self._given = self._given, {}
        for given in left.values():
            self._engine.cancel(given.handle)
        self._handles.clear()
        self._exchange.end()
        self._engine.close()

    # what the exchange tells

    def heard(self, message: Message) -> None:
        """Pass on what a worker told, of batches that have not been given up."""
        if isinstance(message, (BatchDone, BatchLost)) and not self._pop(message.number):
            return
        self._deliver(message)

    def claimed(self, member: Member, claim: Claim) -> dict[bytes, bytes] | None:
        """A worker is about to run a batch: the bytes it lacks, or None where it shall not."""
        if member.fault is not None:
            self._fault = unfit({member.name: member.fault})
            return None
        with self._lock:
            given = self._given.get(claim.number)
            if given is None or (given.member is not None and given.member is not member):
                return None
            given.member = member
            now = time.monotonic()
            if given.seconds is not None:
                given.ends = now + given.seconds
            return {key: given.blobs[key] for key in claim.lacks}

    def ran(self, told: Ran) -> None:
        """A worker tells which branch it runs."""
        given = self._given.get(told.number)
        if given is not None:
            given.settled = given.status is not None and given.status.branch == told.branch
            given.status = Status(told.number, told.branch, time.monotonic() - told.seconds)

    def left(self, member: Member) -> None:
        """A worker is gone, and with it the processes beside it: the branches that they were running are charged."""
        with self._lock:
            lost = [number for number, given in self._given.items() if given.member is member]
        for number in lost:
            self._lose(number, "")

    # the way through the engine

    def _hand_over(self, number: int) -> None:
        with self._lock:
            given = self._given[number]
            payload = pickle.dumps(given.batch, 5)
            artifacts: dict[str, Any] = {}
            if self._blind:
                for digest in cargo.needed(given.batch, given.blobs[given.batch.shared]):
                    if digest not in self._handles:
                        self._handles[digest] = self._engine.put(cargo.read(self._store, digest))
                    artifacts[digest] = self._handles[digest]
            if len(payload) > _LARGE:
                artifacts[""], payload = self._engine.put(payload), b""
            order = Order(number, given.batch.blobs, payload)
            given.handle = self._engine.submit(
                self._exchange.post, order, artifacts, lambda returned, why: self._returned(number, returned, why)
            )

    def _returned(self, number: int, returned: Returned | None, why: str) -> None:
        """The engine's call has ended. Whatever goes wrong here, the batch is answered."""
        try:
            self._settle(number, returned, why)
        except Exception as error:  # noqa: BLE001 (the engine would only log it, and the run would wait for ever)
            if self._pop(number):
                self._deliver(BatchLost(number, None, f"{type(error).__name__}: {error}"))

    def _settle(self, number: int, returned: Returned | None, why: str) -> None:
        if returned is None:
            given = self._given.get(number)
            if given is None or given.member is None:
                self._lose(number, why)
            else:  # what its worker told before it ended is still on the way
                threading.Timer(_DRAIN_SECONDS, self._lose, (number, why)).start()
            return
        if returned.lacked:
            with self._lock:
                given = self._given.get(number)
                if given is None:
                    return
                self._blind, given.member, given.handle = True, None, None
            self._hand_over(number)
            return
        if not returned.messages:
            return
        for digest, data in returned.artifacts.items():
            cargo.write(self._store, digest, data)
        given = self._given.get(number)
        if given is not None and given.member is not None:
            given.member.wait_heard(returned.told, _DRAIN_SECONDS)
        if self._pop(number):
            for message in returned.messages:
                self._deliver(message)

    def _lose(self, number: int, why: str) -> None:
        given = self._given.get(number)
        if given is not None and self._pop(number):
            reason = f"its {self.name} worker {given.member.name}" if given.member is not None else why
            self._deliver(BatchLost(number, _culprit(given), reason))

    def _pop(self, number: int) -> bool:
        self._ended = time.monotonic()
        with self._lock:
            return self._given.pop(number, None) is not None

    def _say_what_is_waited_for(self) -> None:
        waits = self._given and not any(given.member for given in self._given.values())
        oldest = min((given.sent for given in self._given.values()), default=0.0)
        if waits and not self._told and time.monotonic() - oldest > _PATIENT_SECONDS:
            self._told = True
            sys.stderr.write(f"fanlab: waiting for a free worker of the {self.name} cluster\n")


def _culprit(given: _Given) -> int | None:
    """The branch that a worker was running when it went; None where that cannot be told exactly."""
    if given.member is None:
        return None
    if given.batch.size == 1:
        return given.batch.start
    return given.status.branch if given.status is not None and given.settled else None


def unfit(faults: dict[str, str]) -> NotAvailable:
    """The error for workers that cannot work with this kernel, by name."""
    (worker, fault), *others = faults.items()
    more = f" (and {len(others)} more workers differ)" if others else ""
    return NotAvailable(
        f"the worker {worker} has {fault}{more}",
        do="give the workers the kernel's Python minor version, fanlab and cloudpickle: the same image or environment",
    )
