"""The executor on loky: each batch is answered once, after all that its worker has told, and then its slot is free."""

import os
import signal
import threading
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from fanlab.core.batch import BatchDone, BatchLost, BatchReleased
from fanlab.execute import loky, slots
from fanlab.execute.loky import Loky
from fanlab.execute.page import Page, Status
from fanlab.execute.process import page_path
from fanlab.execute.slots import Slot
from fanlab.execute.worker import MissingBlob, StaleModules

BATCH = SimpleNamespace(number=7, blobs=())


@pytest.fixture
def told():
    """What happened, in order."""
    return []


@pytest.fixture
def killed(monkeypatch):
    """Which processes were ended here; what other threads do to processes of earlier tests is done."""
    found, here, kill = [], threading.get_ident(), os.kill

    def killing(process, kind):
        if threading.get_ident() == here:
            found.append((process, kind))
        else:
            kill(process, kind)

    monkeypatch.setattr(os, "kill", killing)
    return found


@pytest.fixture
def channel(tmp_path, told):
    return SimpleNamespace(
        address="a",
        watch="w",
        key=b"k",
        pages=str(tmp_path),
        open=lambda run, deliver: None,
        close=lambda run: None,
        ask=lambda worker, request: None,
        has=lambda worker: worker in (4711, 4712),
        wait_let_in=lambda seconds: None,
        wait_ended=lambda worker, seconds: told.append(("heard", worker)),
    )


@pytest.fixture
def calls():
    """What the slot's worker was given, as loky's futures."""
    return []


@pytest.fixture
def slot(channel, calls, monkeypatch):
    slot = Slot(0, channel, 1, lambda: None)
    slot.worker = 4711

    def call(*_):
        calls.append(Future())
        return calls[-1]

    monkeypatch.setattr(slot, "call", call)
    return slot


@pytest.fixture
def executor(monkeypatch, channel, told, slot):
    def take(count, number, seconds):
        slot.batches[number] = float("inf")
        return slot

    pool = SimpleNamespace(channel=channel, lock=threading.RLock(), first=lambda count: [], take=take)
    monkeypatch.setattr(loky, "slots", lambda: pool)
    return Loky("run", 1, told.append)


DEATH = RuntimeError("exit codes of the workers are {SIGKILL(-9)}")


@pytest.mark.parametrize("replaced", [0, 1, 2])
def test_a_death_is_told_after_all_that_the_dead_worker_has_told(executor, slot, calls, told, replaced):
    """Also where another batch has put a new worker in the slot, before this one hears that the old one has ended."""
    executor.submit(BATCH, {}, None)
    for _ in range(replaced):
        slot.replace()
    calls[0].set_exception(DEATH)
    assert told == [("heard", 4711), BatchLost(7, None, "SIGKILL(-9)")]
    assert slot.generation == max(1, replaced)
    assert slot.batches == {}


def test_a_worker_that_dies_after_its_batch_was_done_has_lost_nothing(executor, slot, calls, told):
    executor.submit(BATCH, {}, None)
    executor._heard(BatchDone(7))
    calls[0].set_exception(DEATH)
    assert told == [BatchDone(7), ("heard", 4711)]


def test_a_batch_that_was_lost_is_not_done_later(executor, calls, told):
    executor.submit(BATCH, {}, None)
    calls[0].set_exception(DEATH)
    executor._heard(BatchDone(7))
    assert told == [("heard", 4711), BatchLost(7, None, "SIGKILL(-9)")]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_worker_that_dies_before_it_has_been_greeted_is_known_by_then(
    executor, slot, channel, calls, told, replaced, monkeypatch
):
    def wait_let_in(seconds):
        assert told == []
        if replaced:  # by another batch that was given to it
            slot.replace()
        page = Page(page_path(channel.pages, 4711), create=True)
        page.write(7, 3, 0.0)
        slot.greet(4711, 0)

    slot.worker = 0
    monkeypatch.setattr(channel, "wait_let_in", wait_let_in)
    executor.submit(BATCH, {}, None)
    calls[0].set_exception(DEATH)
    assert told == [("heard", 4711), BatchLost(7, 3, "SIGKILL(-9)")]
    assert os.listdir(channel.pages) == []
    assert slot.generation == 1


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.parametrize(
    ("code", "reason"), [(-11, "SIGSEGV(-11)"), (7, "EXIT(7)"), (-255, "UNKNOWN(-255)"), (None, "RuntimeError")]
)
def test_a_worker_that_ends_too_slowly_for_loky_is_waited_for(executor, slot, calls, told, replaced, code, reason):
    process = SimpleNamespace(exitcode=None)
    process.join = lambda seconds: setattr(process, "exitcode", code)
    slot._pool = SimpleNamespace(_processes={4711: process})
    executor.submit(BATCH, {}, None)
    if replaced:
        slot.replace()
    calls[0].set_exception(RuntimeError("exit codes of the workers are {}"))
    assert told == [("heard", 4711), BatchLost(7, None, reason)]


@pytest.mark.parametrize("error", [MissingBlob(), StaleModules()])
def test_a_batch_that_could_not_begin_is_sent_again(executor, slot, calls, told, killed, error):
    executor.submit(BATCH, {}, None)
    calls[0].set_exception(error)
    assert len(calls) == 2
    assert list(slot.batches) == [7]
    executor._heard(BatchDone(7))
    assert told == [BatchDone(7)]
    assert slot.batches == {}


@pytest.mark.parametrize("error", [MissingBlob(), StaleModules()])
def test_a_batch_that_was_asked_back_is_not_sent_again(executor, slot, calls, told, killed, error):
    executor.submit(BATCH, {}, None)
    executor.release(7)
    calls[0].set_exception(error)
    assert len(calls) == 1
    assert told == [BatchReleased(7, 0), BatchDone(7)]
    assert slot.batches == {}


def test_a_batch_that_cannot_be_sent_again_is_lost(executor, slot, calls, told, monkeypatch):
    def fails(*_):
        raise OSError("no process is left")

    executor.submit(BATCH, {}, None)
    monkeypatch.setattr(slot, "call", fails)
    calls[0].set_exception(MissingBlob())
    assert told == [BatchLost(7, None, "OSError: no process is left")]
    assert slot.batches == {}


@pytest.mark.parametrize("ends", [lambda executor: executor.kill(7), lambda executor: executor.shutdown()])
def test_a_batch_that_was_given_up_is_not_sent_again(executor, slot, calls, told, killed, ends):
    executor.submit(BATCH, {}, None)
    ends(executor)
    calls[0].set_exception(MissingBlob())
    assert len(calls) == 1
    assert [type(message) for message in told[1:]] == [BatchLost]
    assert slot.batches == {}


@pytest.mark.parametrize("fault", [OSError("no process is left"), KeyboardInterrupt()])
def test_a_batch_that_cannot_be_sent_leaves_its_slot_free(executor, slot, killed, monkeypatch, fault):
    def fails(*_):
        raise fault

    monkeypatch.setattr(slot, "call", fails)
    with pytest.raises(type(fault)):
        executor.submit(BATCH, {}, None)
    assert slot.batches == {}
    assert killed == [(4711, signal.SIGKILL)]  # which may have been given it
    assert slot.generation == 1


@pytest.mark.parametrize("first", ["the run is over", "the batch is done"])
def test_a_run_that_is_over_leaves_its_slots_free(executor, slot, calls, told, killed, first):
    """Nothing that its workers tell is heard any more: loky's word stands for it."""
    executor.submit(BATCH, {}, None)
    if first == "the run is over":
        executor.shutdown()
    calls[0].set_result(None)
    executor.shutdown()
    assert slot.batches == {}
    assert told == [BatchDone(7)]


def test_the_end_of_a_run_ends_what_still_runs_of_it(executor, slot, killed, monkeypatch):
    executor.submit(BATCH, {}, None)
    slot.batches[8] = 0.0  # another run's
    for number in (8, 7):
        monkeypatch.setattr(slot, "status", lambda generation=None, number=number: Status(number, 0, 0.0))
        executor.shutdown()
        assert killed == ([] if number == 8 else [(4711, signal.SIGKILL)])


def test_nobody_else_is_ended_in_place_of_a_worker_that_is_dead(executor, slot, killed):
    executor.submit(BATCH, {}, None)
    slot.replace()
    slot.worker = 4712  # which runs another batch
    executor.kill(7)
    assert killed == []
    assert executor.running(7) is None


# slots


def test_a_slot_remembers_a_few_generations_only(slot):
    for _ in range(20):
        slot.replace()
    assert [slot.worker_of(generation) for generation in (0, 19, 20)] == [0, 0, 0]
    assert len(slot._ended) <= 8


def test_a_worker_that_was_replaced_before_it_was_heard_is_not_greeted(slot):
    slot.replace()
    slot.greet(4711, 0)
    assert slot.worker == 0
    slot.greet(4712, 1)
    assert slot.worker == 4712


@pytest.mark.parametrize(
    ("worker", "processes", "ended"), [(4711, [4711], [4711]), (1, [5], [5]), (4711, [5], [5, 4711])]
)
def test_a_worker_is_ended_that_has_not_said_which_process_it_is(slot, killed, worker, processes, ended):
    """While it starts; then the slot may know another, which has idled for long enough and has ended, or is about to."""
    slot.worker = worker
    slot._pool = SimpleNamespace(_processes=dict.fromkeys(processes))
    slot.kill()
    assert sorted(process for process, _ in killed) == ended


@pytest.mark.parametrize("replaced", [False, True])
def test_a_queue_is_held_to_the_end_of_the_process_whose_executor_ends_with_it(slot, monkeypatch, replaced):
    """A worker that the end of the process ends may have had a batch of which only loky's own word was to come."""
    queue, held = object(), []
    monkeypatch.setattr(slots, "_held", held)
    slot._pool = SimpleNamespace(_call_queue=queue, shutdown=lambda **_: None)
    if replaced:
        slot.replace()
    slot.close()
    assert queue in held
