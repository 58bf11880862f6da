"""What a worker tells of a batch, and in which order."""

import os
import pickle
import threading

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


def test_a_branch_that_starts_while_its_batch_is_asked_back_is_not_given_back(told):
    class Racing(Bench):
        """The thread that runs branches goes on to the next one just before the limit is set."""

        def __setattr__(self, name, value):
            if name == "limit" and getattr(self, "at", -1) >= 0:
                super().__setattr__("at", self.at + 1)
            super().__setattr__(name, value)

    bench = Racing(lambda _, message, __: told.append(message), Capture())
    bench.begin(1)
    bench.at = 4
    bench.release("run", 1)
    assert bench.at == 5
    assert released(told) == [BatchReleased(1, 6)]


def test_every_branch_is_run_or_given_back_and_none_both(told):
    bench = Bench(lambda _, message, __: told.append(message), Capture())
    bench.receive(BLOBS)
    for number in range(1, 40):
        told.clear()
        asks = threading.Thread(target=lambda number=number: bench.release("run", number))
        asks.start()
        bench.run(batch(5_000, number))
        asks.join()
        run = sum(count for _, count in finished(told))
        before = told[: told.index(BatchDone(number))]
        assert min((message.start for message in released(before)), default=5_000) == run
