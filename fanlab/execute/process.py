"""A worker process of the loky executor: set up once, then asked to run batches."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.util
import os
import pickle
import signal
import stat
import sys
from typing import Any

from ..core.batch import Answer
from ..core.events import Event
from .capture import Capture
from .page import Page
from .sender import Sender, watch_for_death
from .worker import Bench, MissingBlob

_LEAVE_SECONDS = 5  # how long a worker that ends may take for it
_FIRST = 1000  # before whatever else is done at the end of a process

_bench: Bench | None = None


def begin(address: str, watch: str, key: bytes, slot: tuple[int, int], pages: str) -> None:
    """Set a worker process up: called once in it, before its first batch."""
    global _bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the kernel ends us
    page = Page(page_path(pages, os.getpid()), create=True)
    watch_for_death(watch)

    def release(asked: tuple[str, int]) -> None:
        if _bench is not None:
            _bench.release(*asked)

    sender = Sender(address, key, slot, release)
    worker = os.getpid()

    def tell(run: str, message: Event | Answer, now: bool) -> None:
        if os.getpid() == worker:
            sender.tell(run, message, now=now)
        elif now:  # a fork that has returned from its step, as if it were the worker
            os._exit(1)

    _let_go_in_forks(sender, page)
    multiprocessing.util.Finalize(None, _end_soon, exitpriority=_FIRST)
    # loky makes itself the default, which processes that a step spawns do not know: they would fail for ever
    multiprocessing.set_start_method(None, force=True)
    _keep_nested_parallelism_small()
    _bench = Bench(tell, Capture(whole_process=True), page, at_home=False)


def _end_soon() -> None:
    """Have the system end this process, which has idled for long enough, if it does not end by itself.

    A thread or a process that a step has left would keep it; loky waits for it, and its slot would never work again.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_LEAVE_SECONDS)


def page_path(pages: str, process: int) -> str:
    """The file of a worker's status page."""
    return os.path.join(pages, f"{process}.page")


def ready() -> int:
    """The worker's process id; submitted to have it started."""
    return os.getpid()


def run_batch(payload: bytes) -> None:
    """Run a pickled (Batch, blobs) in a worker process."""
    if _bench is None:
        raise MissingBlob
    batch, blobs = pickle.loads(payload)
    _bench.receive(blobs)
    _bench.run(batch)


def _let_go_in_forks(sender: Sender, page: Page) -> None:
    """Have processes that a step forks hold nothing open whose end tells the kernel that this one has ended.

    Else it would wait until the last of them has ended, too. Nor may they take what is meant for this one, or tell
    anything in its name. In place of each pipe of loky's, and of the channel, they have the null device.
    """
    trackers = [
        sys.modules.get(f"{name}.resource_tracker") for name in ("multiprocessing", "joblib.externals.loky.backend")
    ]
    needed = {getattr(getattr(found, "_resource_tracker", None), "_fd", None) for found in trackers}
    held = [sender.fileno()]
    with contextlib.suppress(OSError):  # no such folder on this platform
        held += [found for found in map(int, os.listdir("/dev/fd")) if found not in needed and _is_given_pipe(found)]
    for descriptor in held:
        os.set_inheritable(descriptor, False)
    kept = {descriptor: _which(descriptor) for descriptor in held}

    def let_go() -> None:
        page.detach()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for descriptor, which in kept.items():
            if _which(descriptor) == which:  # a step may have closed it, and another have its number
                os.dup2(null, descriptor, inheritable=False)
        os.close(null)

    os.register_at_fork(after_in_child=let_go)


def _is_given_pipe(descriptor: int) -> bool:
    """Whether a descriptor is a pipe's that the process that has started this one has given to it."""
    try:
        return descriptor > 2 and os.get_inheritable(descriptor) and stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:  # closed
        return False


def _which(descriptor: int) -> tuple[int, int] | None:
    """What a descriptor is of; None if it is closed."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _keep_nested_parallelism_small() -> None:
    """All cores have a worker already: a joblib.Parallel inside a step uses threads, one unless it asks for more.

    loky's own guard against leaks is turned off: it ends a worker that has mapped large artifacts.
    """
    joblib = sys.modules.get("joblib")  # loaded with loky, which started us
    if joblib is not None:
        _KEPT.append(joblib.parallel_config(backend="threading", n_jobs=1))
    executor: Any = sys.modules.get("joblib.externals.loky.process_executor")
    if executor is not None and hasattr(executor, "_USE_PSUTIL"):
        executor._USE_PSUTIL = False


_KEPT: list[Any] = []  # the configuration lasts as long as its object
