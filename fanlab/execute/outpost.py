"""On a worker of a cluster: batches run in processes beside it, as on loky, and what they tell goes to the kernel.

So a branch that crashes, or is ended, costs one process that takes a tenth of a second to start, not the
engine's own worker; and whatever loky tells of it (which branch, with which signal) is told here too.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import multiprocessing.util
import os
import pickle
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from multiprocessing.connection import Client
from typing import Any

from ..core.batch import Batch, BatchDone, BatchLost, BatchReleased, RunHeader, Unread
from ..core.events import Finished
from ..store.travel import dumps
from . import cargo
from .base import Message
from .folders import make_folder, remove_folder
from .loky import Loky
from .sender import Line
from .surroundings import moved
from .versions import machine, tune, versions
from .wire import Ask, Claim, Granted, Hello, Order, Post, Ran, Returned

LOOK_SECONDS = 0.05  # how often it is told which branch a batch runs
_BLOBS_KEPT = 256
_REFERS_TO_NONE = (BatchDone, BatchLost, BatchReleased, Unread)  # to no artifacts
_FOLDER = "fanlab-worker-"


def run(post: Post, order: Order, worker: str, jobs: int, artifacts: dict[str, bytes]) -> Returned:
    """Run a batch, unless it is no longer wanted. Called by the engine, in up to `jobs` threads at once."""
    return _outpost(post, worker, jobs).run(order, artifacts)


class _Batch:
    """A batch that runs here."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.ended: Future[None] = Future()
        self.held: list[Message] = []  # what refers to artifacts that the kernel does not have, and all that follows
        self.hashes: list[str] = []  # of those artifacts

    def owns(self, message: Message) -> bool:
        """Whether a message is an answer about this batch, or tells what its branches returned."""
        if isinstance(message, (BatchDone, BatchLost, BatchReleased)):
            return message.number == self.batch.number
        batch = self.batch
        return (
            isinstance(message, Finished)
            and message.node == batch.node
            and batch.start <= message.start < batch.start + batch.size
        )


class Outpost(Line):
    """One run's work on this worker."""

    def __init__(self, post: Post, worker: str, jobs: int) -> None:
        self.post = post
        self.alive = True
        self._blobs: OrderedDict[bytes, bytes] = OrderedDict()
        self._batches: dict[int, _Batch] = {}
        self._claims: dict[int, Future[dict[bytes, bytes] | None]] = {}
        self._busy = threading.Event()
        self.near = post.machine == machine()
        self.sees_store = _sees(post)
        self.store = post.store if self.sees_store else _scratch()
        self._loky = Loky(post.run, jobs, self._heard)
        connection = Client(post.address, authkey=post.key)
        tune(connection)
        super().__init__(connection, Hello(worker, machine(), versions(), self.sees_store))
        threading.Thread(target=self._look, name="fanlab-look", daemon=True).start()

    def run(self, order: Order, artifacts: dict[str, bytes]) -> Returned:
        """Run a batch, unless it is no longer wanted; what has not been told by then is in what comes back."""
        payload = order.batch or artifacts.pop("")
        if not self.sees_store:
            for digest, data in artifacts.items():
                cargo.write(self.store, digest, data)
        blobs = self._claim(order)
        if blobs is None:
            return Returned()
        batch: Batch = pickle.loads(payload)
        if not self.sees_store and cargo.lacking(self.store, cargo.needed(batch, blobs[batch.shared])):
            return Returned(lacked=True)
        found = self._batches[order.number] = _Batch(batch)
        self._loky.submit(batch, blobs, None)
        self._busy.set()
        if not self.alive:
            self._loky.kill(order.number)
        try:
            found.ended.result()
        finally:
            self._batches.pop(order.number, None)
        with contextlib.suppress(OSError):  # the listening thread deals with it
            self.flush()
        files = {digest: cargo.read(self.store, digest) for digest in found.hashes}
        return Returned(tuple(found.held), files, self.told)

    def _claim(self, order: Order) -> dict[bytes, bytes] | None:
        """Ask the kernel whether the batch is still wanted; the bytes that it refers to, or None."""
        lacks = tuple(key for key in order.blobs if key not in self._blobs)
        answer = self._claims[order.number] = Future()
        try:
            self.send(Claim(order.number, lacks), now=True)
            if not self.alive:
                return None
            granted = answer.result()
        except OSError:
            return None
        finally:
            self._claims.pop(order.number, None)
        if granted is None:
            return None
        for key, blob in granted.items():
            self._blobs[key] = self._adapted(blob) if key == order.blobs[0] else blob
        blobs = {key: self._blobs[key] for key in order.blobs}
        for key in order.blobs:
            self._blobs.move_to_end(key)
        while len(self._blobs) > _BLOBS_KEPT:
            self._blobs.popitem(last=False)
        return blobs

    def _adapted(self, blob: bytes) -> bytes:
        """The run's header for this machine."""
        header: RunHeader = pickle.loads(blob)
        return dumps(moved(header._replace(store=self.store, database=self.near and self.sees_store), near=self.near))

    def _heard(self, message: Message) -> None:
        """What a worker process tells, or loky of it."""
        found = next((found for found in list(self._batches.values()) if found.owns(message)), None)
        ends = isinstance(message, (BatchDone, BatchLost))
        held = False
        if found is not None and not self.sees_store:
            found.hashes += [] if isinstance(message, _REFERS_TO_NONE) else cargo.made(message)
            held = bool(found.hashes)
        if held and found is not None:
            found.held.append(message)
        else:
            with contextlib.suppress(OSError):  # the listening thread deals with it
                self.send(message, now=ends)
        if ends and found is not None:
            found.ended.set_result(None)

    def heard(self, message: Any) -> None:
        """What the kernel wants."""
        match message:
            case Granted(number, blobs):
                claim = self._claims.get(number)
                if claim is not None:
                    claim.set_result(blobs)
            case Ask(what, number):
                (self._loky.kill if what == "kill" else self._loky.release)(number)

    def lost(self) -> None:
        """The run is over, or its kernel is gone: end what still runs for it."""
        self.alive = False
        _outposts.pop(self.post.id, None)
        for claim in list(self._claims.values()):
            with contextlib.suppress(Exception):  # answered at this very moment
                claim.set_result(None)
        for number in list(self._batches):
            self._loky.kill(number)
        self._loky.shutdown()
        self._busy.set()
        self.close()
        if not self.sees_store:
            remove_folder(self.store)

    def _look(self) -> None:
        """Tell every so often which branches run."""
        while self.alive:
            self._busy.wait()
            self._busy.clear()  # first: whoever comes meanwhile sets it anew
            batches = list(self._batches)
            if batches:
                self._busy.set()
            for number in batches:
                status = self._loky.running(number)
                if status is not None and status.batch == number:
                    with contextlib.suppress(OSError):
                        self.send(Ran(number, status.branch, time.monotonic() - status.since))
            time.sleep(LOOK_SECONDS)


_outposts: dict[str, Outpost] = {}
_lock = threading.Lock()


def _outpost(post: Post, worker: str, jobs: int) -> Outpost:
    """This worker's outpost of a run, made when first asked for."""
    with _lock:
        found = _outposts.get(post.id)
        if found is None or not found.alive:
            process = multiprocessing.current_process()
            if process.daemon:  # as Dask starts its workers; those may have no children, and ours end with us anyway
                process.daemon = False
            found = _outposts[post.id] = Outpost(post, worker, jobs)
        return found


def _sees(post: Post) -> bool:
    """Whether the kernel's store is here, and can be written."""
    try:
        with open(os.path.join(post.store, post.mark)) as file:
            found = file.read() == post.id
    except OSError:
        return False
    return found and os.access(post.store, os.W_OK)


def _scratch() -> str:
    """A folder of this worker's own for artifacts."""
    found = make_folder(_FOLDER)
    atexit.register(remove_folder, found)
    return found
