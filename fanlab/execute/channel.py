"""The kernel's end of the channel: what workers tell, handed to the run it is about."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from typing import Any

from .base import Deliver


class Channel:
    """Listens on a local socket. One thread accepts, one more for each worker reads."""

    def __init__(self, greet: Callable[[int, int], None]) -> None:
        self.key = os.urandom(32)
        self._listener = Listener(family="AF_UNIX", authkey=self.key, backlog=128)
        self._greet = greet  # told (slot, process id) when a worker connects
        self._runs: dict[str, Deliver] = {}
        self._ended: dict[int, threading.Event] = {}
        threading.Thread(target=self._accept, name="fanlab-channel", daemon=True).start()

    @property
    def address(self) -> str:
        """Where workers connect."""
        return str(self._listener.address)

    def open(self, run: str, deliver: Deliver) -> None:
        """Hand what is told of a run to `deliver`, from now on."""
        self._runs[run] = deliver

    def close(self, run: str) -> None:
        """Drop what is still told of a run."""
        self._runs.pop(run, None)

    def wait_ended(self, worker: int, seconds: float) -> None:
        """Wait until everything that a dead worker told has been delivered."""
        ended = self._ended.get(worker)
        if ended is not None:
            ended.wait(seconds)

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except (AuthenticationError, EOFError):  # not one of our workers
                continue
            except OSError:
                return
            threading.Thread(target=self._read, args=(connection,), name="fanlab-reader", daemon=True).start()

    def _read(self, connection: Connection[Any, Any]) -> None:
        worker = 0
        try:
            slot, worker = pickle.loads(connection.recv_bytes())
            self._ended[worker] = threading.Event()
            self._greet(slot, worker)
            while True:
                for run, message in pickle.loads(connection.recv_bytes()):
                    deliver = self._runs.get(run)
                    if deliver is not None:
                        deliver(message)
        except (EOFError, OSError):
            connection.close()
            if worker:
                self._ended.pop(worker).set()
