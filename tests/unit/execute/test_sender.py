"""A worker's end of the channel, and what ends a worker whose kernel is gone."""

import pickle
import subprocess
import sys
from multiprocessing.connection import Listener

import pytest

from fanlab.execute import sender
from fanlab.execute.sender import Line

WORKER = """
import sys, threading
from fanlab.execute.sender import Sender

sender = Sender(sys.argv[1], b"key", 3, lambda asked: sender.tell("run", ("asked", asked), now=True))
for number in range(30_000):
    sender.tell("run", number)
sender.tell("run", "last", now=True)
threading.Event().wait()
"""


@pytest.fixture
def worker(tmp_path):
    """A process with a Sender, and the kernel's end of its connection."""
    with Listener(str(tmp_path / "events"), "AF_UNIX", authkey=b"key") as listener:
        process = subprocess.Popen([sys.executable, "-c", WORKER, listener.address])
        connection = listener.accept()
        try:
            yield process, connection
        finally:
            process.kill()
            process.wait()
            connection.close()


def told(connection):
    found = []
    while not found or found[-1] != ("run", "last"):
        found += connection.recv()
    return [message for _, message in found]


def test_a_worker_says_first_who_it_is(worker):
    process, connection = worker
    assert connection.recv() == (3, process.pid)


def test_nothing_is_lost_and_all_comes_in_order(worker):
    _, connection = worker
    connection.recv()
    assert told(connection) == [*range(30_000), "last"]


def test_a_worker_hears_what_it_is_asked(worker):
    _, connection = worker
    connection.recv()
    told(connection)
    connection.send(("run", 7))
    assert connection.recv() == [("run", ("asked", ("run", 7)))]


def test_a_worker_without_any_signal_ends_when_the_kernels_end_closes(worker):
    process, connection = worker
    connection.recv()
    told(connection)
    connection.close()
    assert process.wait(timeout=30) == 1


class Collecting:
    """A connection that keeps what is sent, and brings nothing."""

    def __init__(self):
        self.sent = []

    def send_bytes(self, data):
        self.sent.append(pickle.loads(data))

    def recv_bytes(self):
        raise EOFError

    def close(self):
        return


class Disturbed(list):
    """What a line holds, where another thread sends it just before something is added."""

    def __init__(self, line):
        super().__init__()
        self._line = line

    def append(self, message):
        self._line.flush()
        super().append(message)


def test_what_is_told_while_another_thread_sends_is_not_lost():
    connection = Collecting()
    line = Line(connection, "hello")
    line._held = Disturbed(line)
    for number in range(3):
        line.send(number)
    line.flush()
    line.close()
    assert [number for messages in connection.sent[1:] for number in messages] == [0, 1, 2]


def test_what_there_was_no_memory_to_send_is_sent_later(monkeypatch, until):
    faults = [MemoryError(), MemoryError()]

    def dumps(value):
        if faults:
            raise faults.pop()
        return pickle.dumps(value)

    monkeypatch.setattr(sender, "dumps", dumps)
    connection = Collecting()
    line = Line(connection, "hello")
    line.send("soon")
    until(lambda: connection.sent[1:] == [["soon"]])
    faults.append(MemoryError())
    with pytest.raises(MemoryError):
        line.send("now", now=True)
    line.send("last", now=True)
    line.close()
    assert connection.sent[1:] == [["soon"], ["now", "last"]]
