"""The executor on loky: what a dead worker has told comes before the word of its death."""

import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from fanlab.core.batch import BatchLost
from fanlab.execute import loky
from fanlab.execute.loky import Loky
from fanlab.execute.page import Status
from fanlab.execute.slots import Slot


@pytest.fixture
def told():
    """What happened, in order."""
    return []


@pytest.fixture
def channel(tmp_path, told):
    return SimpleNamespace(
        address="a",
        watch="w",
        key=b"k",
        pages=str(tmp_path),
        open=lambda run, deliver: None,
        close=lambda run: None,
        wait_ended=lambda worker, seconds: told.append(("heard", worker)),
    )


@pytest.fixture
def slot(channel):
    slot = Slot(0, channel, 1, lambda: None)
    slot.worker = 4711
    return slot


@pytest.fixture
def executor(monkeypatch, channel, told):
    pool = SimpleNamespace(channel=channel, lock=threading.RLock(), first=lambda count: [])
    monkeypatch.setattr(loky, "slots", lambda: pool)
    return Loky("run", 1, told.append)


def died():
    found = Future()
    found.set_exception(RuntimeError("exit codes of the workers are {SIGKILL(-9)}"))
    return found


@pytest.mark.parametrize("replaced", [0, 1, 2])
def test_a_death_is_told_after_all_that_the_dead_worker_has_told(executor, slot, told, replaced):
    """Also where another batch has put a new worker in the slot, before this one hears that the old one has ended."""
    for _ in range(replaced):
        slot.replace()
    executor._ended(slot, 0, SimpleNamespace(number=7), {}, died())
    assert told == [("heard", 4711), BatchLost(7, None, "SIGKILL(-9)")]
    assert slot.generation == max(1, replaced)


@pytest.mark.parametrize(
    ("batch", "culprit", "waited"), [(7, 3, False), (6, None, True), (None, None, False)], ids=["it", "another", "none"]
)
def test_a_batch_whose_worker_ran_another_one_is_told_to_have_waited(
    executor, slot, told, monkeypatch, batch, culprit, waited
):
    status = Status(batch, 3, 0.0) if batch is not None else None
    monkeypatch.setattr(Slot, "status", lambda self, generation=None: status)
    executor._ended(slot, 0, SimpleNamespace(number=7), {}, died())
    assert told[1:] == [BatchLost(7, culprit, "SIGKILL(-9)", waited)]


def test_a_slot_remembers_a_few_generations_only(slot):
    for _ in range(20):
        slot.replace()
    assert [slot.worker_of(generation) for generation in (0, 19, 20)] == [0, 0, 0]
    assert len(slot._ended) <= 8
