"""The worker processes of this kernel: one one-worker loky executor a slot, so that a death costs one slot only."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from multiprocessing.util import Finalize
from typing import Any

import joblib
from joblib.externals.loky import ProcessPoolExecutor

from ..core.pace import WAIT_SECONDS
from . import process
from .channel import Channel
from .page import Page, Status

IDLE_SECONDS = 300  # a worker that has had nothing to do for so long ends; joblib's own figure
_START_SECONDS = 5.0  # how long a process that ends waits for workers that are being started
_EARLY = 10  # at the end of a process, before multiprocessing waits for its children
_NEVER = float("inf")
_REMEMBERED = 8  # generations whose batches may not have been told yet that their worker has ended


class Slot:
    """One worker process at a time, which bytes it has, and what it has been given."""

    def __init__(self, index: int, channel: Channel, cores: int, end: Callable[[], None]) -> None:
        self.index, self._channel = index, channel
        self._end = end  # what ends the workers of all slots
        self._started = False  # whether the present executor has been given anything
        self.sent: set[bytes] = set()
        self.batches: dict[int, float] = {}  # given to it and not ended: number to the time it should end
        self.generation = 0  # how often it has been replaced
        self.worker = 0  # process id; 0 until it has connected
        self._ended: dict[int, tuple[int, Status | None]] = {}  # of earlier generations: the worker, and what it ran
        self._page: Page | None = None
        self._cores = cores
        self._pool: Any = None  # made when something is to be called
        self._left: Any = None  # the queue of the executor before it

    def call(self, function: Any, *args: Any) -> Future[Any]:
        """Have the worker call something; a new worker, if it has ended while it was idle."""
        try:
            future = self._submit(function, *args)
        except RuntimeError:
            if not self._started:  # this process is ending, and loky has started the worker before it noticed
                self.kill()
            self.replace()
            future = self._submit(function, *args)
        if not self._started:
            self._started = True
            _call_at_exit(self._end)
        return future

    def greet(self, worker: int, generation: int) -> None:
        """A new worker process has begun: it has nothing yet."""
        path = process.page_path(self._channel.pages, worker)
        if generation != self.generation:  # it has ended meanwhile, and been replaced
            with contextlib.suppress(OSError), contextlib.closing(Page(path)) as page:
                self._ended[generation] = (worker, page.read())
            return
        self._forget_page()
        self.worker = worker
        self.sent.clear()
        with contextlib.suppress(OSError):
            self._page = Page(path)

    def status(self, generation: int | None = None) -> Status | None:
        """What the worker runs now; of an earlier generation, what it ran when it ended."""
        if generation is not None and generation != self.generation:
            return self._ended.get(generation, (0, None))[1]
        return self._page.read() if self._page is not None else None

    def worker_of(self, generation: int) -> int:
        """The process id of a generation's worker; 0 where it has not connected, or nobody remembers it."""
        return self.worker if generation == self.generation else self._ended.get(generation, (0, None))[0]

    @property
    def processes(self) -> Mapping[int, Any]:
        """Those of the present executor, which keeps them in an attribute of its own."""
        return getattr(self._pool, "_processes", None) or {}

    def replace(self) -> None:
        """Start over with a new worker."""
        self._ended[self.generation] = (self.worker, self.status())
        self._ended.pop(self.generation - _REMEMBERED, None)
        self.generation += 1
        self.worker = 0
        self._forget_page()
        self.sent.clear()
        self._left = getattr(self._pool, "_call_queue", None)
        self._started, self._pool = False, None

    def abandon(self) -> None:
        """Start over, if nobody else needs the worker: what has been interrupted may have been given to it, or not."""
        if not self.batches:
            self.kill()
            self.replace()

    def kill(self) -> None:
        """End the worker at once."""
        # One that is still starting has not said which process it is; its executor knows.
        # And one that has idled for long enough is none of the executor's any more while it ends.
        workers = set(self.processes)
        if self._channel.has(self.worker):
            workers.add(self.worker)
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    def close(self) -> None:
        """End the worker and the threads that serve it."""
        # The thread that feeds its queue may end later, and nobody waits for it: were that the last to hold the
        # queue's semaphores, this process could end while it gives them back, and loky's tracker would complain.
        # The executor may have been replaced just now, when its worker was ended.
        _held.extend((self._left, getattr(self._pool, "_call_queue", None)))
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
        self._forget_page()

    def _submit(self, function: Any, *args: Any) -> Future[Any]:
        if self._pool is None:
            self._pool = self._new()
        found: Future[Any] = self._pool.submit(function, *args)
        return found

    def _forget_page(self) -> None:
        page, self._page = self._page, None
        if page is not None:
            page.close()

    def _new(self) -> Any:
        channel = self._channel
        setup = (channel.address, channel.watch, channel.key, (self.index, self.generation), channel.pages)
        # Each worker is one of many: libraries that start a thread for each core get their share of the cores.
        env = {f"{name}_NUM_THREADS": str(self._cores) for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")}
        env = {name: os.environ.get(name, value) for name, value in env.items()}
        return ProcessPoolExecutor(1, timeout=IDLE_SECONDS, initializer=process.begin, initargs=setup, env=env)


_held: list[Any] = []  # until multiprocessing gives back what this process holds, which it does at the very end


def _call_at_exit(call: Callable[[], None]) -> None:
    """Have something called when this process ends, before loky waits for all workers, as it does for each started.

    A worker with a thread that a step has left never ends by itself. The hook is Python's own and private; loky
    uses it whenever it starts a worker, and those that come later are called first.
    """
    getattr(threading, "_register_atexit", atexit.register)(call)


class Slots:
    """All slots of this process; its runs share them."""

    def __init__(self) -> None:
        self.channel = Channel(self._greet)
        self.lock = threading.RLock()
        self._slots: list[Slot] = []
        self._process = os.getpid()
        self._closed = False

    def first(self, count: int) -> list[Slot]:
        """The first `count` slots, made if they are not there, their workers starting."""
        with self.lock:
            while len(self._slots) < count:
                slot = Slot(len(self._slots), self.channel, max(1, joblib.cpu_count() // count), self._kill)
                self._slots.append(slot)
                slot.call(process.ready)
            return self._slots[:count]

    def room(self, count: int) -> int:
        """How many of the first `count` slots are idle, or should be in a moment and have nothing waiting."""
        soon = time.monotonic() + WAIT_SECONDS
        with self.lock:
            return sum(
                not slot.batches or (len(slot.batches) == 1 and next(iter(slot.batches.values())) < soon)
                for slot in self.first(count)
            )

    def take(self, count: int, number: int, seconds: float | None) -> Slot:
        """The slot among the first `count` that should be idle first; the batch is noted there."""
        with self.lock:
            slot = min(self.first(count), key=lambda slot: (len(slot.batches), max(slot.batches.values(), default=0.0)))
            begins = max([time.monotonic(), *(end for end in slot.batches.values() if end != _NEVER)])
            slot.batches[number] = begins + seconds if seconds is not None else _NEVER
            return slot

    def close(self) -> None:
        """End all workers."""
        if os.getpid() != self._process:  # a fork of the kernel: they are not ours to end
            return
        with self.lock:
            slots, self._slots = self._slots, []
            if self._closed:
                return
            self._closed = True
        for slot in slots:
            slot.kill()
        for slot in slots:
            slot.close()
        self.channel.end()

    def _kill(self) -> None:
        """End all workers at once, without waiting for them; those that are being started are started first.

        What a start makes for the whole system would be left behind by a process that ends in the middle of it.
        """
        if os.getpid() == self._process and self.lock.acquire(timeout=_START_SECONDS):
            try:
                for slot in self._slots:
                    slot.kill()
            finally:
                self.lock.release()

    def _greet(self, slot: tuple[int, int], worker: int) -> None:
        index, generation = slot
        with self.lock:
            if index < len(self._slots):
                self._slots[index].greet(worker, generation)


_slots: Slots | None = None
_lock = threading.Lock()


def _forget() -> None:
    """In a fork of this process: its slots are not ours, and the threads that serve them are not here."""
    global _slots, _lock
    _held.append(_slots)  # or loky would tidy up, in the middle of what the other process does
    _slots, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def slots() -> Slots:
    """This process's slots, made when first asked for."""
    global _slots
    with _lock:
        if _slots is None:
            _slots = Slots()
            atexit.register(_slots.close)
            # A process that multiprocessing has forked leaves without atexit, and would wait for its children.
            Finalize(None, _slots.close, exitpriority=_EARLY)
        return _slots


def warm(count: int) -> None:
    """Start workers in the background, to have them ready when a body has been traced."""

    def start() -> None:
        with contextlib.suppress(RuntimeError):  # this process is ending; any other fault meets the run that asks next
            slots().first(count)

    threading.Thread(target=start, name="fanlab-warm", daemon=True).start()


def probe() -> int:
    """The process id of a worker, having started one if there was none. Raises what starting it raises."""
    (slot,) = slots().first(1)
    return int(slot.call(process.ready).result(timeout=60))
