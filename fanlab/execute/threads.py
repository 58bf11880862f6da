"""The executor on threads of the kernel: for steps that wait, or that work outside the interpreter's lock."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future

from ..core.batch import Batch, BatchDone, BatchLost
from .base import Blobs, Deliver, Message
from .capture import AT_HOME
from .page import Status
from .worker import Bench


class Threads:
    """Runs batches in threads. It cannot kill a branch: after a cancel, values of running ones are dropped."""

    name = "threading"
    can_kill = False
    immediate = False

    def __init__(self, jobs: int, deliver: Deliver) -> None:
        self.slots = jobs
        self._deliver: Deliver | None = deliver
        self._work: queue.SimpleQueue[tuple[Batch, Blobs, Future[None]] | None] = queue.SimpleQueue()
        self._free = jobs
        self._lock = threading.Lock()
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
        """Threads take branches as they come; a batch is not given back."""

    def running(self, number: int) -> Status | None:  # noqa: ARG002
        """Not told."""
        return None

    def kill(self, number: int) -> None:
        """A thread cannot be ended."""

    def shutdown(self) -> None:
        """Hear no more of the run; idle threads end now, busy ones after their batch."""
        self._deliver = None
        for _ in range(self.slots):
            self._work.put(None)

    def _serve(self) -> None:
        bench = Bench(lambda _, message, __: self._tell(message), AT_HOME)
        while (item := self._work.get()) is not None:
            batch, blobs, future = item
            try:
                bench.receive(blobs)
                bench.run(batch)
                future.set_result(None)
            except BaseException as error:  # noqa: BLE001 (a fault of fanlab's own: the thread goes on)
                self._tell(BatchLost(batch.number, None, repr(error)))
                future.set_exception(error)

    def _tell(self, message: Message) -> None:
        if isinstance(message, (BatchDone, BatchLost)):
            with self._lock:
                self._free += 1
        deliver = self._deliver
        if deliver is not None:
            deliver(message)
