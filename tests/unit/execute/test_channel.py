"""The kernel's end of the channel: whoever wants to tell something is let in."""

import errno
import os
import pickle
import threading
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener

import pytest

from fanlab.execute import channel
from fanlab.execute.channel import Channel

FAULTS = (
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.ENFILE, "Too many open files in system"),
    ConnectionAbortedError(),
)


@pytest.fixture
def greeted():
    """Who was greeted, and an event that is set by it."""
    return [], threading.Event()


@pytest.fixture
def opened(greeted):
    """Open a channel."""
    channels = []

    def greet(*who):
        greeted[0].append(who)
        greeted[1].set()

    def opened():
        channels.append(Channel(greet))
        return channels[-1]

    yield opened
    for found in channels:
        found.end()


@pytest.mark.parametrize("fault", FAULTS, ids=["no descriptor", "none in the system", "gone"])
def test_a_worker_is_let_in_that_could_not_be_let_in_at_once(opened, greeted, monkeypatch, fault):
    faults = [fault, fault]

    class Busy(Listener):
        def accept(self):
            if faults:
                raise faults.pop()
            return super().accept()

    monkeypatch.setattr(channel, "Listener", Busy)
    made = opened()
    with Client(made.address, authkey=made.key) as worker:
        worker.send_bytes(pickle.dumps(((0, 3), os.getpid())))
        assert greeted[1].wait(30)
    assert greeted[0] == [((0, 3), os.getpid())]
    assert not faults


def test_a_worker_for_which_there_is_no_thread_is_sent_away_and_the_next_is_let_in(opened, greeted, monkeypatch):
    start, full = threading.Thread.start, [RuntimeError("can't start new thread")]
    made = opened()

    def starts(thread):
        if full and getattr(thread._target, "__self__", None) is made and thread.name == "fanlab-reader":
            raise full.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starts)
    with pytest.raises((EOFError, ConnectionError)):
        Client(made.address, authkey=made.key)
    with Client(made.address, authkey=made.key) as worker:
        worker.send_bytes(pickle.dumps(((1, 0), os.getpid())))
        assert greeted[1].wait(30)
    assert greeted[0] == [((1, 0), os.getpid())]


def test_a_worker_that_stands_still_before_it_has_said_its_key_holds_up_no_other(opened, greeted):
    made = opened()
    with Client(made.address), Client(made.address, authkey=made.key) as worker:
        worker.send_bytes(pickle.dumps(((0, 0), os.getpid())))
        assert greeted[1].wait(30)


def test_who_has_not_the_key_is_sent_away(opened, greeted):
    made = opened()
    with pytest.raises(AuthenticationError):
        Client(made.address, authkey=b"another")
    assert greeted[0] == []


def test_who_is_being_let_in_can_be_waited_for(opened, greeted, monkeypatch):
    made, greets = opened(), threading.Event()
    greet = made._greet

    def slowly(*who):
        assert greets.wait(60)
        greet(*who)

    monkeypatch.setattr(made, "_greet", slowly)
    made.wait_let_in(60)  # nobody is
    with Client(made.address, authkey=made.key) as worker:
        worker.send_bytes(pickle.dumps(((0, 0), os.getpid())))
        made.wait_let_in(0.05)
        assert greeted[0] == []
        waits = threading.Thread(target=made.wait_let_in, args=(60,))
        waits.start()
        greets.set()
        waits.join(60)
        assert greeted[0] == [((0, 0), os.getpid())]
    made.wait_let_in(60)


def test_who_is_sent_away_is_not_waited_for(opened):
    made = opened()
    with pytest.raises(AuthenticationError):
        Client(made.address, authkey=b"guessed")
    waits = threading.Thread(target=made.wait_let_in, args=(600,), daemon=True)
    waits.start()
    waits.join(60)
    assert not waits.is_alive()
