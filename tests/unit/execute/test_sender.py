"""A worker's end of the channel, and what ends a worker whose kernel is gone."""

import subprocess
import sys
from multiprocessing.connection import Listener

import pytest

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
