"""The executor on a cluster, with an engine that does as the test says, and its workers' end of the connection."""

import pickle
import threading
from multiprocessing.connection import Client
from types import SimpleNamespace

import pytest

import fanlab
from fanlab.core.batch import Batch, BatchDone, BatchLost, BatchReleased, Column
from fanlab.core.events import Logged
from fanlab.execute import cargo
from fanlab.execute.cluster import Cluster
from fanlab.execute.outpost import Outpost
from fanlab.execute.page import Status
from fanlab.execute.versions import machine, versions
from fanlab.execute.wire import Ask, Claim, Granted, Hello, Ran, Returned

LINE = Logged("node", 0, "stdout", "a line", 1.0)
HEADER, CODE, SHARED = b"header", b"code", b"shared"
BLOBS = {HEADER: b"1", CODE: b"2", SHARED: pickle.dumps(([], {}))}


def batch(number, size=1):
    columns = (Column("plain", tuple(range(size))),)
    return Batch(
        number, "run", HEADER, CODE, SHARED, "node", ("output",), True, (), 0, size, 1, False, columns, None, None
    )


class Engine:
    """Takes what it is given, and gives it to nobody."""

    name = "cluster"
    host = "127.0.0.1"

    def __init__(self):
        self.given, self.cancelled, self.puts, self.closed, self.workers = {}, [], [], False, 2

    def size(self):
        return self.workers

    def submit(self, post, order, artifacts, done):
        self.given[order.number] = (post, order, artifacts, done)
        return order.number

    def cancel(self, handle):
        self.cancelled.append(handle)

    def put(self, data):
        self.puts.append(data)
        return data

    def close(self):
        self.closed = True


class Worker:
    """A worker's end of the connection."""

    def __init__(self, post, name, told=None):
        self.line = Client(post.address, authkey=post.key)
        self.line.send_bytes(pickle.dumps(Hello(name, machine(), told or versions(), True), 5))

    def tell(self, *messages):
        self.line.send_bytes(pickle.dumps(list(messages), 5))

    def hear(self):
        assert self.line.poll(30)
        return pickle.loads(self.line.recv_bytes())

    def claim(self, number, lacks=(HEADER,)):
        self.tell(Claim(number, lacks))
        return self.hear()


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def told():
    return []


@pytest.fixture
def cluster(engine, told, tmp_path):
    cluster = Cluster("run", 2, told.append, engine, str(tmp_path))
    yield cluster
    cluster.shutdown()


@pytest.fixture
def send(cluster, engine):
    """Submit a batch; what the engine was given of it."""

    def send(number, size=1, seconds=None):
        cluster.submit(batch(number, size), BLOBS, seconds)
        return engine.given[number]

    return send


def test_a_claim_is_granted_once_with_the_bytes_that_are_lacking(send):
    post, order, _, _ = send(1)
    assert order.blobs == (HEADER, CODE, SHARED)
    first, second = Worker(post, "a"), Worker(post, "b")
    assert first.claim(1, (CODE, HEADER)) == Granted(1, {CODE: b"2", HEADER: b"1"})
    assert second.claim(1) == Granted(1, None)


def test_a_batch_that_was_never_given_is_not_granted(send):
    post, *_ = send(1)
    assert Worker(post, "a").claim(7) == Granted(7, None)


def test_a_batch_that_has_been_taken_back_is_not_granted(send, cluster, engine, told):
    post, *_ = send(1)
    cluster.release(1)
    assert told == [BatchReleased(1, 0), BatchDone(1)]
    assert engine.cancelled == [1]
    assert Worker(post, "a").claim(1) == Granted(1, None)


def test_the_worker_that_has_a_batch_is_asked_to_give_back_and_to_end_it(send, cluster):
    post, *_ = send(1)
    worker = Worker(post, "a")
    worker.claim(1)
    cluster.release(1)
    cluster.kill(1)
    assert [worker.hear(), worker.hear()] == [Ask("release", 1), Ask("kill", 1)]


def test_what_a_worker_tells_is_delivered_and_a_batch_ends_once(send, until, told):
    post, *_, done = send(1)
    worker = Worker(post, "a")
    worker.claim(1)
    worker.tell(BatchDone(1))
    until(lambda: told)
    done(Returned((BatchDone(1),)), "")
    assert told == [BatchDone(1)]


@pytest.fixture
def patient(monkeypatch):
    """What a worker has told is waited for however long it takes."""
    monkeypatch.setattr("fanlab.execute.cluster._DRAIN_SECONDS", 600.0)


def test_what_returns_through_the_engine_waits_for_what_was_told_before(send, patient, told):
    post, *_, done = send(1)
    worker = Worker(post, "a")
    worker.claim(1)
    returns = threading.Thread(target=done, args=(Returned((BatchDone(1),), told=2), ""))  # the claim, and a line
    returns.start()
    assert told == []
    worker.tell(LINE)
    returns.join(30)
    assert told == [LINE, BatchDone(1)]


def test_what_returns_through_the_engine_waits_for_nobody_who_has_left(send, patient, until, told):
    post, *_, done = send(1)
    worker = Worker(post, "a")
    worker.claim(1)
    returns = threading.Thread(target=done, args=(Returned((BatchDone(1),), told=2), ""))
    returns.start()
    worker.line.close()
    returns.join(30)
    assert not returns.is_alive()
    until(lambda: told)  # by this thread, or by the one that has read the worker's end: whichever is first
    assert told in ([BatchDone(1)], [BatchLost(1, 0, "its cluster worker a")])


def test_a_lost_worker_is_charged_with_its_only_branch(send, until, told):
    post, *_ = send(1)
    worker = Worker(post, "tcp://a")
    worker.claim(1)
    worker.line.close()
    until(lambda: told)
    assert told == [BatchLost(1, 0, "its cluster worker tcp://a")]


@pytest.mark.parametrize(("looks", "culprit"), [(0, None), (1, None), (2, 5)])
def test_a_branch_is_charged_only_if_it_was_told_twice(send, cluster, until, told, looks, culprit):
    post, *_ = send(1, size=9)
    worker = Worker(post, "a")
    worker.claim(1)
    for _ in range(looks):
        worker.tell(Ran(1, 5, 0.1))
    if looks:
        until(lambda: cluster.running(1) is not None and cluster.running(1).branch == 5)
    worker.line.close()
    until(lambda: told)
    assert told[0].culprit == culprit


def test_what_runs_is_told_with_the_time_since_which_it_does(send, cluster, until):
    import time

    post, *_ = send(1, size=9)
    worker = Worker(post, "a")
    worker.claim(1)
    worker.tell(Ran(1, 5, 100.0))
    status = until(lambda: cluster.running(1))
    assert (status.batch, status.branch) == (1, 5)
    assert time.monotonic() - status.since >= 100.0


def test_a_batch_that_the_engine_loses_before_it_begins_is_lost_without_a_culprit(send, told):
    *_, done = send(1)
    done(None, "KilledWorker: three times")
    assert told == [BatchLost(1, None, "KilledWorker: three times")]


def test_a_batch_that_others_have_overtaken_waits_for_another(send, cluster, until, told):
    post, *_ = send(1)
    assert cluster.running(1) is None
    send(2)
    worker = Worker(post, "a")
    worker.claim(2)
    worker.tell(BatchDone(2))
    until(lambda: told)
    assert cluster.running(1).batch not in (1, 2)


def test_room_is_for_each_worker_and_for_what_ends_in_a_moment(send, cluster):
    assert cluster.room() == 2
    send(1)
    assert cluster.room() == 1
    send(2, seconds=0.0)
    assert cluster.room() == 1
    send(3)
    assert cluster.room() == 0


def test_without_a_number_of_workers_the_cluster_is_asked(engine, told, tmp_path):
    engine.workers = 7
    cluster = Cluster("run", None, told.append, engine, str(tmp_path))
    assert cluster.slots == cluster.room() == 7
    cluster.shutdown()
    assert engine.closed


def test_an_empty_cluster_is_given_one_batch_to_grow_for(engine, told, tmp_path):
    engine.workers = 0
    cluster = Cluster("run", None, told.append, engine, str(tmp_path))
    assert cluster.room() == 1
    cluster.shutdown()


def test_a_worker_of_another_version_is_given_nothing_and_ends_the_run(send, cluster, until):
    post, *_ = send(1)
    worker = Worker(post, "tcp://a", versions()._replace(fanlab="0.0.1"))
    assert worker.claim(1) == Granted(1, None)
    with pytest.raises(fanlab.NotAvailable) as caught:
        cluster.room()
    assert str(caught.value).startswith(f"the worker tcp://a has fanlab 0.0.1, and this kernel has {versions().fanlab}")


def test_a_large_batch_travels_apart_from_the_engines_messages(cluster, engine):
    large = batch(1)._replace(columns=(Column("plain", (b"x" * (2 << 20),)),))
    cluster.submit(large, BLOBS, None)
    _, order, artifacts, _ = engine.given[1]
    assert order.batch == b""
    assert pickle.loads(artifacts[""]) == large


def test_a_stranger_without_the_key_is_refused_and_harms_nobody(send):
    from multiprocessing import AuthenticationError

    post, *_ = send(1)
    with pytest.raises(AuthenticationError):
        Client(post.address, authkey=b"guessed")
    assert Worker(post, "a").claim(1).blobs is not None


def test_the_mark_in_the_store_goes_with_the_run(engine, told, tmp_path):
    cluster = Cluster("run", 1, told.append, engine, str(tmp_path))
    (mark,) = tmp_path.glob("*.mark")
    assert mark.name.startswith(mark.read_text())
    cluster.shutdown()
    assert not list(tmp_path.glob("*.mark"))


def test_no_thread_is_left_after_a_run(engine, told, tmp_path, until):
    cluster = Cluster("run", 1, told.append, engine, str(tmp_path))

    def threads():
        owners = (
            (thread.name, getattr(getattr(thread, "_target", None), "__self__", None))
            for thread in threading.enumerate()
        )
        return sorted(name for name, owner in owners if owner is cluster._exchange)

    cluster.submit(batch(1), BLOBS, None)
    worker = Worker(engine.given[1][0], "a")
    worker.claim(1)
    assert threads() == ["fanlab-exchange", "fanlab-reader"]
    cluster.shutdown()
    until(lambda: not threads())


def test_a_batch_whose_results_cannot_be_kept_is_lost_and_not_waited_for(cluster, engine, told, monkeypatch):
    def full(*_):
        raise OSError("no space is left")

    monkeypatch.setattr(cargo, "write", full)
    cluster.submit(batch(7), BLOBS, None)
    engine.given[7][3](Returned((LINE, BatchDone(7)), {"a": b"file"}, 0), "")
    assert told == [BatchLost(7, None, "OSError: no space is left")]
    engine.given[7][3](None, "another word")
    assert len(told) == 1


def test_a_batch_that_cannot_be_handed_over_again_is_lost_and_not_waited_for(cluster, engine, told, monkeypatch):
    def gone(*_):
        raise RuntimeError("the cluster is closed")

    cluster.submit(batch(7), BLOBS, None)
    monkeypatch.setattr(engine, "submit", gone)
    engine.given[7][3](Returned(lacked=True), "")
    assert told == [BatchLost(7, None, "RuntimeError: the cluster is closed")]


def test_a_batch_is_looked_at_that_comes_just_after_there_was_none():
    outpost, told = Outpost.__new__(Outpost), []
    outpost.alive, outpost._busy = True, threading.Event()
    outpost._busy.set()

    class Late(dict):
        """Batches, of which the first comes as soon as they have been listed."""

        def __iter__(self):
            found = list(super().__iter__())
            if not found:
                self[7] = None
                outpost._busy.set()
            return iter(found)

    def send(message):
        told.append(message.number)
        outpost.alive = False

    outpost._batches, outpost.send = Late(), send
    outpost._loky = SimpleNamespace(running=lambda number: Status(number, 0, 0.0))
    looks = threading.Thread(target=outpost._look, daemon=True)
    looks.start()
    looks.join(30)
    assert told == [7]


def test_a_run_that_no_worker_takes_up_says_once_what_it_waits_for(send, cluster, capsys, monkeypatch):
    monkeypatch.setattr("fanlab.execute.cluster._PATIENT_SECONDS", -1.0)
    cluster.room()
    assert capsys.readouterr().err == ""
    send(1)
    cluster.room()
    assert capsys.readouterr().err == "fanlab: waiting for a free worker of the cluster cluster\n"
    cluster.room()
    assert capsys.readouterr().err == ""
