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

from ..store.travel import dumps

PAUSE_SECONDS = 0.02  # events that follow within this time go together


class Line:
    """A connection that sends the first message at once and those that follow soon together, and listens meanwhile."""

    def __init__(self, connection: Any, hello: Any) -> None:
        self._connection = connection
        self._held: list[Any] = []
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._ended = False
        self.told = 0  # how many messages have been sent
        connection.send_bytes(pickle.dumps(hello, 5))
        threading.Thread(target=self._send_often, name="fanlab-sender", daemon=True).start()
        threading.Thread(target=self._listen, name="fanlab-listener", daemon=True).start()

    def heard(self, message: Any) -> None:
        """Called with each message that comes."""

    def lost(self) -> None:
        """Called when the other end is gone."""

    def send(self, message: Any, *, now: bool = False) -> None:
        """Send a message soon, or now with all that is held."""
        self._held.append(message)
        if now:
            self.flush()
        else:
            self._filled.set()

    def flush(self) -> None:
        """Send what is held."""
        with self._lock:
            held = self._held[:]  # and not another list from now on: who is about to append to this one would be lost
            if not held:
                return
            data = dumps(held)  # may raise, where no memory is left: then they are still held
            del self._held[: len(held)]
            self._connection.send_bytes(data)
            self.told += len(held)

    def fileno(self) -> int:
        """The descriptor of its connection."""
        return int(self._connection.fileno())

    def close(self) -> None:
        """Send no more; both threads end."""
        self._ended = True
        self._filled.set()
        self._connection.close()

    def _send_often(self) -> None:
        while not self._ended:
            self._filled.wait()
            self._filled.clear()
            try:
                self.flush()
            except OSError:  # the listening thread deals with it
                return
            except Exception:  # noqa: BLE001 (whoever tells something that has to be told now tries again, and fails)
                self._filled.set()
            time.sleep(PAUSE_SECONDS)

    def _listen(self) -> None:
        try:
            while True:
                self.heard(pickle.loads(self._connection.recv_bytes()))
        except (EOFError, OSError):
            self.lost()


class Sender(Line):
    """What a worker process tells the process that started it; ends the worker when that one is gone."""

    def __init__(
        self, address: str, key: bytes, slot: tuple[int, int], release: Callable[[tuple[str, int]], None]
    ) -> None:
        self._release = release
        super().__init__(Client(address, authkey=key), (slot, os.getpid()))

    def tell(self, run: str, message: Any, *, now: bool = False) -> None:
        """Send what happened in a run soon, or now with all that is held."""
        self.send((run, message), now=now)

    def heard(self, message: Any) -> None:
        """Which (run, batch) to give back."""
        self._release(message)

    def lost(self) -> None:
        """The kernel is gone, and so are we."""
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
