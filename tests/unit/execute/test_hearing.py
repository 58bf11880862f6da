"""What is heard of batches: every branch is answered once, whatever is told of it, and how late."""

from types import SimpleNamespace

import pytest

from fanlab import pipeline, step
from fanlab.core.events import Finished, Lost, Status
from fanlab.execute.course import Course
from fanlab.execute.threads import Threads


@step
def double(x):
    return 2 * x


@pipeline(backend="threading", n_jobs=1, enable_cache=False)
def doubles():
    return double.map(range(20))


@pytest.mark.parametrize("lost", [(0,), (1, 3), (0, 1, 2)])
def test_branches_run_again_of_which_nothing_was_told_before_their_batch_was_done(monkeypatch, lost):
    """As where a worker had no memory left for the message."""
    tell, told = Threads._tell, []

    def forgets(self, message):
        if isinstance(message, Finished):
            told.append(message)
            if len(told) - 1 in lost:
                return
        tell(self, message)

    monkeypatch.setattr(Threads, "_tell", forgets)
    run = doubles.start()
    run.wait(60)
    assert run.status == "completed"
    assert run.load() == [2 * x for x in range(20)]


def test_a_branch_of_which_nothing_is_ever_told_fails(monkeypatch):
    tell = Threads._tell

    def forgets(self, message):
        if not isinstance(message, Finished):
            tell(self, message)

    monkeypatch.setattr(Threads, "_tell", forgets)
    run = doubles.start()
    run.wait(60)
    assert run.status == "failed"
    assert {found.status for found in run["double"]} == {"failed"}
    assert str(run["double"][0].error).startswith("WorkerDied: the worker that ran 'double[0]' ended with nothing told")


@pytest.fixture
def course():
    """A course whose rooms note what they are told."""
    told = []
    schedule = SimpleNamespace(
        again=lambda node, branch: told.append(("again", branch)),
        finish=lambda node, start, statuses: told.append(("finish", start, statuses)),
    )
    found = Course(None, None, SimpleNamespace(emit=told.extend), schedule, None, halts=True)
    return found, told


def test_what_has_not_begun_of_a_batch_starts_once_more(course):
    found, told = course
    found.put_back("work", 3, 5)
    assert told == [("again", 3), ("again", 4)]


def test_what_has_not_begun_when_a_run_stops_is_cancelled(course):
    found, told = course
    found.stopped = True
    found.put_back("work", 3, 5)
    found.put_back("work", 5, 5)
    assert told == [Lost("work", 3, 5, Status.CANCELLED, ""), ("finish", 3, bytes([Status.CANCELLED] * 2))]
