"""A worker's end of the channel: events go out together, requests to give branches back come in."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Client
from typing import Any

import cloudpickle

PAUSE_SECONDS = 0.02  # events that follow within this time go together


class Sender:
    """Sends the first event at once and those that follow soon together; ends the process when the kernel is gone."""

    def __init__(self, address: str, key: bytes, slot: int, release: Callable[[tuple[str, int]], None]) -> None:
        self._connection = Client(address, authkey=key)
        self._connection.send_bytes(pickle.dumps((slot, os.getpid()), 5))
        self._release = release
        self._held: list[tuple[str, Any]] = []
        self._lock = threading.Lock()
        self._filled = threading.Event()
        threading.Thread(target=self._send_often, name="fanlab-sender", daemon=True).start()
        threading.Thread(target=self._listen, name="fanlab-listener", daemon=True).start()

    def tell(self, run: str, message: Any, *, now: bool = False) -> None:
        """Send a message soon, or now with all that is held."""
        self._held.append((run, message))
        if now:
            self.flush()
        else:
            self._filled.set()

    def flush(self) -> None:
        """Send what is held."""
        with self._lock:
            held, self._held = self._held, []
            if not held:
                return
            try:
                blob = pickle.dumps(held, 5)
            except Exception:  # noqa: BLE001 (metadata of a class of the notebook's own)
                blob = cloudpickle.dumps(held, 5)
            self._connection.send_bytes(blob)

    def _send_often(self) -> None:
        while True:
            self._filled.wait()
            self._filled.clear()
            self.flush()
            time.sleep(PAUSE_SECONDS)

    def _listen(self) -> None:
        """Which (run, batch) to give back; the end of the stream means that the kernel is gone."""
        try:
            while True:
                self._release(pickle.loads(self._connection.recv_bytes()))
        except (EOFError, OSError):
            os._exit(1)


def watch_for_death(address: str) -> None:
    """Have the system end this process when the kernel does, even while C code holds the interpreter.

    A connection that the kernel accepts in the backlog and never uses: its end raises SIGIO, whose default
    is to end the process. (PR_SET_PDEATHSIG is of no use: it fires when the thread that started us ends.)
    Where the platform has no O_ASYNC on sockets, the listener thread of Sender does it, a moment later.
    """
    try:
        import fcntl
        import signal

        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(connection, fcntl.F_GETFL)
        fcntl.fcntl(connection, fcntl.F_SETFL, flags | os.O_ASYNC)
        _KEPT.append(connection)
    except (ImportError, AttributeError, OSError):
        return


_KEPT: list[socket.socket] = []  # an open end each: closing it would be the kernel's death to the watcher
