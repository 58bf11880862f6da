"""The kernel's end of the channel: what workers tell, handed to the run it is about."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener, answer_challenge, deliver_challenge
from typing import Any

from ..core.batch import Unread
from .base import Deliver
from .folders import make_folder, remove_folder

_PAUSE_SECONDS = 0.05  # before one more attempt to let a worker in


class Channel:
    """Listens on a local socket. One thread accepts, one more for each worker reads."""

    def __init__(self, greet: Callable[[tuple[int, int], int], None]) -> None:
        self.key = os.urandom(32)
        self.folder = make_folder("fanlab-")  # of sockets, for this user only
        self.pages = _pages(self.folder)  # of the workers' status pages
        # Without the key: `_read` asks for it, so that a worker that stands still holds up no other.
        self._listener = Listener(os.path.join(self.folder, "events"), "AF_UNIX", backlog=128)
        self._watch = socket.socket(socket.AF_UNIX)  # never accepts: its backlog holds one end of each worker's watch
        self._watch.bind(self.watch)
        self._watch.listen(4096)
        self._greet = greet  # told ((slot, its generation), process id) when a worker connects
        self._over = threading.Event()
        self._runs: dict[str, Deliver] = {}
        self._workers: dict[int, tuple[Connection[Any, Any], threading.Event]] = {}
        self._coming: set[threading.Event] = set()  # one for each that is being let in
        threading.Thread(target=self._accept, name="fanlab-channel", daemon=True).start()

    @property
    def address(self) -> str:
        """Where workers connect to tell."""
        return str(self._listener.address)

    @property
    def watch(self) -> str:
        """Where workers connect to learn of this process's end."""
        return os.path.join(self.folder, "watch")

    def open(self, run: str, deliver: Deliver) -> None:
        """Hand what is told of a run to `deliver`, from now on."""
        self._runs[run] = deliver

    def close(self, run: str) -> None:
        """Drop what is still told of a run."""
        self._runs.pop(run, None)

    def has(self, worker: int) -> bool:
        """Whether a worker is connected."""
        return worker in self._workers

    def ask(self, worker: int, request: tuple[str, int]) -> None:
        """Ask a worker to give back what it has not started of a (run, batch)."""
        found = self._workers.get(worker)
        if found is not None:
            try:
                found[0].send_bytes(pickle.dumps(request, 5))
            except OSError:  # it has died: the executor tells
                return

    def wait_let_in(self, seconds: float) -> None:
        """Wait until all that are being let in have been greeted or sent away: whoever runs something is one."""
        limit = time.monotonic() + seconds
        for coming in list(self._coming):
            coming.wait(max(0.0, limit - time.monotonic()))

    def wait_ended(self, worker: int, seconds: float) -> None:
        """Wait until everything that a dead worker told has been delivered."""
        found = self._workers.get(worker)
        if found is not None:
            found[1].wait(seconds)

    def end(self) -> None:
        """Listen no more, and remove the folders."""
        self._over.set()
        self._listener.close()
        self._watch.close()
        for folder in {self.folder, self.pages}:
            remove_folder(folder)

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection = self._listener.accept()
            except ConnectionError:  # one that has died
                continue
            except OSError:  # no descriptor is left: the worker waits until one is given back
                self._over.wait(_PAUSE_SECONDS)
                continue
            coming = threading.Event()
            self._coming.add(coming)
            try:
                threading.Thread(
                    target=self._read, args=(connection, coming), name="fanlab-reader", daemon=True
                ).start()
            except RuntimeError:  # no thread is left: the worker ends, and its executor tells
                connection.close()
                self._is_here(coming)

    def _is_here(self, coming: threading.Event) -> None:
        self._coming.discard(coming)
        coming.set()

    def _read(self, connection: Connection[Any, Any], coming: threading.Event) -> None:
        worker = 0
        try:
            deliver_challenge(connection, self.key)
            answer_challenge(connection, self.key)
            slot, worker = pickle.loads(connection.recv_bytes())
            self._workers[worker] = (connection, threading.Event())
            self._greet(slot, worker)
            self._is_here(coming)
            while True:
                for run, message in pickle.loads(connection.recv_bytes()):
                    deliver = self._runs.get(run)
                    if deliver is not None:
                        deliver(message)
        except (AuthenticationError, EOFError, OSError):  # not one of our workers, or one that has ended
            pass
        except Exception as error:  # noqa: BLE001 (opening raises what it likes)
            for deliver in list(self._runs.values()):  # whose message it was cannot be read either
                deliver(Unread(f"{type(error).__name__}: {error}"))
            if worker:  # it cannot be heard any more
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
        finally:
            connection.close()
            self._is_here(coming)
            if worker:
                self._workers.pop(worker)[1].set()


def _pages(otherwise: str) -> str:
    """A folder in memory, where there is one: a page on a disk that is busy would hold up the branch that writes it."""
    with contextlib.suppress(OSError):
        return make_folder("fanlab-", "/dev/shm")
    return otherwise
