"""What a worker tells of a batch, and in which order."""

import os
import pickle

import pytest

from fanlab.core.batch import Batch, BatchDone, BatchReleased, Column, Hole, RunHeader
from fanlab.core.events import Finished
from fanlab.execute.capture import Capture
from fanlab.execute.worker import Bench, MissingBlob

HEADER = pickle.dumps(RunHeader("run", "sweep-1", "sweep", os.devnull, os.getcwd(), (), (), 30, ()))


BLOBS = {
    b"header": HEADER,
    b"code": pickle.dumps((abs, Exception)),
    b"shared": pickle.dumps(((Hole(0),), {})),
}


def batch(size=4, number=1):
    return Batch(
        number=number,
        run="run",
        header=b"header",
        code=b"code",
        shared=b"shared",
        node="work",
        outputs=("output",),
        mapped=True,
        explode=(),
        start=0,
        size=size,
        attempt=1,
        halt=False,
        columns=(Column("plain", tuple(range(size))),),
        labels=None,
        keys=None,
    )


@pytest.fixture
def told():
    return []


@pytest.fixture
def bench(told):
    found = Bench(lambda _, message, __: told.append(message), Capture())
    found.receive(BLOBS)
    return found


def released(told):
    return [message for message in told if isinstance(message, BatchReleased)]


def finished(told):
    return [(m.start, len(m.statuses)) for m in told if isinstance(m, Finished)]


def test_a_batch_ends_with_its_results_and_then_that_it_is_done(bench, told):
    bench.run(batch())
    assert finished(told) == [(0, 4)]
    assert told[-1] == BatchDone(1)


def test_a_batch_whose_bytes_are_missing_is_refused(told):
    with pytest.raises(MissingBlob):
        Bench(lambda *_: None, Capture()).run(batch())


def test_a_batch_asked_back_before_it_came_is_never_started(bench, told):
    bench.release("run", 1)
    bench.run(batch())
    assert released(told)[0] == BatchReleased(1, 0)
    assert finished(told) == []
    assert told[-1] == BatchDone(1)


def test_another_batch_than_the_one_asked_back_is_run(bench, told):
    bench.release("run", 2)
    bench.run(batch(number=1))
    assert finished(told) == [(0, 4)]


def test_a_batch_asked_back_while_it_ends_is_not_given_back_before_its_results():
    told = []

    def tell(_, message, __):
        if isinstance(message, Finished) and message.start + len(message.statuses) == 4:
            bench.release("run", 1)  # as the thread that listens does, at the worst moment
        told.append(message)

    bench = Bench(tell, Capture())
    bench.receive(BLOBS)
    bench.run(batch())
    assert all(message.start >= 4 for message in released(told))
