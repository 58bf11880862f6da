"""A run's end of the connections from a cluster's workers."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import threading
import time
import uuid
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener, answer_challenge, deliver_challenge
from typing import Any, Protocol

from ..core.batch import Unread
from .base import Message
from .versions import difference, machine, tune
from .wire import Ask, Claim, Granted, Hello, Post, Ran

_MARK = ".mark"
_STALE_SECONDS = 7 * 24 * 3600.0  # a worker that comes later gets its artifacts through the engine
_PAUSE_SECONDS = 0.05  # before one more attempt to let a worker in
HOST = "FANLAB_HOST"  # the address under which workers reach the kernel, where it cannot be told


class Member:
    """A connected worker."""

    def __init__(self, connection: Connection[Any, Any], hello: Hello) -> None:
        self._connection, self._lock = connection, threading.Lock()
        self.name, self.sees_store = hello.worker, hello.sees_store
        self.fault = difference(hello.versions)
        self._heard, self._news = 0.0, threading.Condition()  # how many messages it has told

    def note(self, count: float) -> None:
        """So many more messages of it have been heard; infinity where there will be no more."""
        with self._news:
            self._heard += count
            self._news.notify_all()

    def wait_heard(self, count: int, seconds: float) -> None:
        """Wait until so many messages of it have been heard: what it returns through the engine may be faster."""
        with self._news:
            self._news.wait_for(lambda: self._heard >= count, seconds)

    def send(self, message: Granted | Ask) -> None:
        """Tell it something; one that has gone is heard of elsewhere."""
        with self._lock, contextlib.suppress(OSError):
            self._connection.send_bytes(pickle.dumps(message, 5))

    def dismiss(self) -> None:
        """End the connection."""
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as found:
            found.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads, which closing would not


class Party(Protocol):
    """A run that has batches on a cluster. All is called from the threads that read."""

    def heard(self, message: Message) -> None:
        """A worker tells what happened."""

    def claimed(self, member: Member, claim: Claim) -> dict[bytes, bytes] | None:
        """A worker is about to run a batch: the bytes it lacks, or None where it shall not."""

    def ran(self, told: Ran) -> None:
        """A worker tells which branch it runs."""

    def left(self, member: Member) -> None:
        """A worker is gone."""


class Exchange:
    """Listens for the workers of one run. One thread accepts, one more for each worker reads."""

    def __init__(self, run: str, host: str, store: str, party: Party) -> None:
        found, key = uuid.uuid4().hex, os.urandom(32)
        everywhere = "127.0.0.1" if host == "127.0.0.1" else "0.0.0.0"  # who has not the key is refused
        self._listener = Listener((everywhere, 0), backlog=128)
        self._over = False
        self._mark = _mark(store, found)
        address = (host, int(self._listener.address[1]))
        self.post = Post(found, run, address, key, machine(), store, os.path.basename(self._mark))
        self._party: Party | None = party
        self._members: list[Member] = []
        threading.Thread(target=self._accept, name="fanlab-exchange", daemon=True).start()

    def end(self) -> None:
        """Listen no more, and tell no more; workers end what they still run of it."""
        self._party, self._over = None, True
        with contextlib.suppress(OSError):  # wakes the thread that accepts, which closing would not
            socket.create_connection(("127.0.0.1", self.post.address[1]), 1).close()
        for member in list(self._members):
            member.dismiss()
        with contextlib.suppress(OSError):
            os.unlink(self._mark)

    def _accept(self) -> None:
        while not self._over:
            try:
                connection = self._listener.accept()
            except ConnectionError:  # the other end has gone already
                continue
            except OSError:  # no descriptor is left: the worker waits until one is given back
                time.sleep(_PAUSE_SECONDS)
                continue
            try:
                threading.Thread(target=self._read, args=(connection,), name="fanlab-reader", daemon=True).start()
            except RuntimeError:  # no thread is left: the worker's batches are lost
                connection.close()
        self._listener.close()

    def _read(self, connection: Connection[Any, Any]) -> None:
        member = None
        try:
            deliver_challenge(connection, self.post.key)  # here, since a stranger may leave it unanswered for ever
            answer_challenge(connection, self.post.key)
            tune(connection)
            member = Member(connection, pickle.loads(connection.recv_bytes()))
            self._members.append(member)
            if self._over:  # it came too late to be dismissed with the others
                member.dismiss()
            while True:
                for message in pickle.loads(connection.recv_bytes()):
                    self._take(member, message)
                    member.note(1)
        except (AuthenticationError, EOFError, OSError):
            pass
        except Exception as error:  # noqa: BLE001 (opening raises what it likes)
            if self._party is not None:
                self._party.heard(Unread(f"{type(error).__name__}: {error}"))
        finally:
            connection.close()
            if member is not None:
                self._members.remove(member)
                member.note(float("inf"))
                if self._party is not None:
                    self._party.left(member)

    def _take(self, member: Member, message: Claim | Ran | Message) -> None:
        party = self._party
        match message:
            case Claim():
                blobs = party.claimed(member, message) if party is not None else None
                member.send(Granted(message.number, blobs))
            case Ran():
                if party is not None:
                    party.ran(message)
            case _:
                if party is not None:
                    party.heard(message)


def _mark(store: str, content: str) -> str:
    """A file in the store by which workers know it; those that kernels have left behind when they were killed go."""
    for name in os.listdir(store):
        path = os.path.join(store, name)
        if name.endswith(_MARK):
            with contextlib.suppress(OSError):
                if time.time() - os.stat(path).st_mtime > _STALE_SECONDS:
                    os.unlink(path)
    path = os.path.join(store, content + _MARK)
    with open(path, "w") as file:
        file.write(content)
    return path


def own_host(peer: str) -> str:
    """The address by which `peer`, and so its neighbours, reach this machine: FANLAB_HOST, else that of the route.

    >>> own_host("127.0.0.1")
    '127.0.0.1'
    """
    chosen = os.environ.get(HOST)
    if chosen:
        return chosen
    try:
        family, kind, _, _, address = socket.getaddrinfo(peer, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as found:
            found.connect(address)  # sends nothing: it only chooses the route
            return str(found.getsockname()[0])
    except OSError:
        return socket.gethostname()
