"""The executor on threads of the kernel: for steps that wait, or that work outside the interpreter's lock."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future

from ..core.batch import Batch, BatchDone, BatchLost
from .base import Blobs, Deliver, Message
from .capture import AT_HOME
from .page import Note, Status
from .worker import Bench


class Threads:
    """Runs batches in threads. It cannot kill a branch: after a cancel, values of running ones are dropped."""

    name = "threading"
    can_kill = False
    immediate = False

    def __init__(self, run: str, jobs: int, deliver: Deliver) -> None:
        self.slots = jobs
        self._run = run
        self._deliver: Deliver | None = deliver
        self._work: queue.SimpleQueue[tuple[Batch, Blobs, Future[None]] | None] = queue.SimpleQueue()
        self._free = jobs
        self._lock = threading.Lock()
        self._at: dict[int, tuple[Bench, Note]] = {}  # of each batch that a thread has begun
        for index in range(jobs):
            threading.Thread(target=self._serve, name=f"fanlab-thread-{index}", daemon=True).start()

    def room(self) -> int:
        """How many threads are idle."""
        return self._free

    def submit(self, batch: Batch, blobs: Blobs, seconds: float | None) -> Future[None]:  # noqa: ARG002
        """Hand a batch to an idle thread."""
        future: Future[None] = Future()
        with self._lock:
            self._free -= 1
        self._work.put((batch, {key: blobs[key] for key in batch.blobs}, future))
        return future

    def release(self, number: int) -> None:
        """Ask the thread that runs a batch for what it has not started of it."""
        found = self._at.get(number)
        if found is not None:
            found[0].release(self._run, number)

    def running(self, number: int) -> Status | None:
        """What the thread that has a batch runs now."""
        found = self._at.get(number)
        return found[1].read() if found is not None else None

    def kill(self, number: int) -> None:
        """A thread cannot be ended."""

    def shutdown(self) -> None:
        """Hear no more of the run; idle threads end now, busy ones after their batch."""
        self._deliver = None
        for _ in range(self.slots):
            self._work.put(None)

    def _serve(self) -> None:
        note = Note()
        bench = Bench(lambda _, message, __: self._tell(message), AT_HOME, note)
        while (item := self._work.get()) is not None:
            batch, blobs, future = item
            self._at[batch.number] = bench, note
            try:
                bench.receive(blobs)
                bench.run(batch)
                future.set_result(None)
            except BaseException as error:  # noqa: BLE001 (a fault of fanlab's own: the thread goes on)
                self._tell(BatchLost(batch.number, None, repr(error)))
                future.set_exception(error)
            finally:
                del self._at[batch.number]

    def _tell(self, message: Message) -> None:
        if isinstance(message, (BatchDone, BatchLost)):
            with self._lock:
                self._free += 1
        deliver = self._deliver
        if deliver is not None:
            deliver(message)
