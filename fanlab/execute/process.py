"""A worker process of the loky executor: set up once, then asked to run batches."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
from typing import Any

from ..core.batch import Answer
from ..core.events import Event
from .capture import Capture
from .page import Page
from .sender import Sender, watch_for_death
from .worker import Bench, MissingBlob

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

    def tell(run: str, message: Event | Answer, now: bool) -> None:
        sender.tell(run, message, now=now)

    # loky makes itself the default, which processes that a step spawns do not know: they would fail for ever
    multiprocessing.set_start_method(None, force=True)
    _keep_nested_parallelism_small()
    _bench = Bench(tell, Capture(whole_process=True), page, at_home=False)


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
