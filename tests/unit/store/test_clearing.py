"""Room in a store: what is forgotten first, and what never is."""

import os
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

import fanlab
from fanlab import StepCallError, pipeline, step
from fanlab.client import Client
from fanlab.store.database import Store, open_lock

here = pipeline(backend="sequential")
BIG = 50_000  # floats: 400 kB


@step
def make(x):
    return np.full(BIG, float(x))


@here
def sweep(x):
    return make(x)


def files():
    return {path.parent.name + path.name for path in Path(".fanlab/artifacts").glob("*/*")}


def size():
    return sum(path.stat().st_size for path in Path(".fanlab/artifacts").glob("*/*"))


def age(seconds, *runs):
    """Let runs be older than they are."""
    database = sqlite3.connect(".fanlab/runs.sqlite")
    for run in runs:
        database.execute("update runs set start = start - ?1, end = end - ?1 where name = ?2", (seconds, run.name))
        database.execute("update origins set used = used - ? where run = ?", (seconds, run.name))
    database.commit()
    database.close()


def names():
    return [run.name for run in Client().list_pipeline_runs()]


def test_what_runs_refer_to_stays():
    run = sweep(1)
    before = files()
    assert Client().gc() == (0, 0, 0)
    assert files() == before
    assert run.load()[0] == 1.0


def test_what_a_deleted_run_left_is_found_all_the_same():
    run = sweep(1)
    Client().delete_pipeline_run(run.name)
    Client().gc()
    assert sweep(1).steps["make"].status == "cached"


def test_runs_that_began_long_ago_are_forgotten_with_their_values():
    old = sweep(1)
    new = sweep(2)
    age(3600, old)
    removed = Client().gc(older_than=1800)
    assert (removed.runs, removed.values) == (1, 1)
    assert removed.nbytes > 8 * BIG
    assert str(removed) == "removed 1 runs and 1 values: 0.4 MB"
    assert names() == [new.name]
    assert len(files()) == 1
    assert sweep(1).steps["make"].status == "completed"


def test_a_run_whose_work_was_used_is_not_unused():
    old = sweep(1)
    age(3600, old)
    again = sweep(1)
    assert Client().gc(unused_for=1800).runs == 0
    age(3600, old, again)
    assert Client().gc(unused_for=1800).runs == 2


def test_values_that_a_later_run_took_stay_with_it():
    old = sweep(1)
    age(3600, old)
    again = sweep(1)
    assert Client().gc(older_than=1800) == (1, 0, 0)
    assert again.load()[0] == 1.0


def test_above_a_size_the_least_recently_used_runs_go_first():
    runs = [sweep(x) for x in range(4)]
    for ago, run in zip((4000, 3000, 2000, 1000), runs, strict=True):
        age(ago, run)
    sweep(0)  # which is of use now
    Client().gc(max_size="1 MB")
    assert runs[1].name not in names()
    assert runs[3].name in names()
    assert size() < 10**6
    assert sweep(0).steps["make"].status == "cached"


def test_the_database_gives_back_the_room_of_runs_that_are_forgotten():
    @pipeline(backend="sequential")
    def texts():
        return text.map(range(200))

    @step
    def text(x):
        return f"{x}" * 10_000

    texts()
    before = os.path.getsize(".fanlab/runs.sqlite")
    Client().gc(older_than=0)
    assert before > 1_000_000 > os.path.getsize(".fanlab/runs.sqlite")


def test_a_store_clears_itself_above_its_limit():
    fanlab.configure(store_limit="1 MB")
    try:
        for x in range(6):
            run = sweep(x)
    finally:
        fanlab.configure(store_limit=None)
    assert size() < 10**6
    assert run.load()[0] == 5.0


def test_what_an_open_run_refers_to_stays(until):
    @step(enable_cache=False)
    def waits(values):
        while not os.path.exists("go"):
            time.sleep(0.005)
        return float(values.sum())

    @pipeline(backend="threading", n_jobs=1)
    def slow():
        return waits(make(7))

    first = sweep(7)
    age(3600, first)
    run = slow.start()
    try:
        until(lambda: run.steps["waits"].status == "running")
        Client().gc(older_than=0, unused_for=0, max_size=0)
        assert run.steps["make"].load()[0] == 7.0
    finally:
        Path("go").touch()
    assert run.wait(60).load() == 7.0 * BIG
    assert run.name in names()


def test_a_file_that_nobody_has_told_of_yet_stays_while_some_run_goes_on():
    sweep(1)
    store = Store()
    store.artifacts.put(np.full(BIG, 9.0))
    handle = open_lock(store.root, 1)  # shared, as a run holds it
    assert Client().gc().values == 0
    os.close(handle)
    assert Client().gc().values == 1


@pytest.mark.parametrize("wrong", ["ten", True])
def test_a_size_that_is_none_is_refused(wrong):
    with pytest.raises(fanlab.StepCallError):
        Client().gc(max_size=wrong)


def test_gc_takes_times_and_sizes_as_people_write_them():
    sweep(1)
    assert str(Client().gc("7d", "3d", "2GB")) == "removed 0 runs and 0 values: 0 bytes"
    assert Client().gc(unused_for="0s").runs == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"older_than": "soon"}, "'soon' is no time\n  do:    write it as 30d, 12h, 90m or 3600s"),
        (
            {"max_size": "much"},
            'max_size is \'much\'\n  do:    give a number of bytes, or a text like "500 MB" or "10 GB"',
        ),
    ],
)
def test_what_gc_cannot_read_is_told(given, message):
    with pytest.raises(StepCallError) as caught:
        Client().gc(**given)
    assert str(caught.value) == message
