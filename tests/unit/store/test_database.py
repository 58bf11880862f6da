"""The database of runs: folders, versions, several processes at once, and events that replay to the same run."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import fanlab
from fanlab import get_step_context, pipeline, step
from fanlab.client import Client
from fanlab.core.record import Record
from fanlab.errors import PipelineError, StoreError
from fanlab.runs import Run
from fanlab.store.database import Store

here = pipeline(backend="sequential")


@step
def same(x):
    return x


@step
def fit(x):
    if x == 2:
        raise ValueError("no 2 here")
    print(f"fit {x}")
    get_step_context().log_metadata({"twice": 2 * x})
    return {"score": x / 2, "model": list(range(x))}


@here
def sweep():
    return fit.map([1, 3])


@here
def fails():
    good, bad = fit.map([1, 3], id="good"), fit.map([1, 2, 3], id="bad")
    return same(good), same(bad), same.map(same(7, id="seven"), id="unknown"), same.map(bad, id="after")


def refused(path):
    with pytest.raises(StoreError) as caught:
        Store(str(path))
    return str(caught.value)


# the folder


def test_a_store_is_a_folder_for_its_owner_only(tmp_path):
    Store()
    assert stat.S_IMODE(os.stat(tmp_path / ".fanlab").st_mode) == 0o700


def test_a_store_keeps_itself_out_of_git(tmp_path):
    Store()
    assert (tmp_path / ".fanlab" / ".gitignore").read_text() == "*\n"


def test_the_environment_says_where_the_store_is(tmp_path, monkeypatch):
    monkeypatch.setenv("FANLAB_STORE", str(tmp_path / "from-environment"))
    sweep()
    assert sorted(os.listdir(tmp_path)) == ["from-environment"]


def test_configure_says_where_the_store_is_and_wins_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FANLAB_STORE", str(tmp_path / "from-environment"))
    fanlab.configure(store=tmp_path / "configured")
    sweep()
    assert sorted(os.listdir(tmp_path)) == ["configured"]


def test_the_store_is_looked_up_when_a_run_starts(tmp_path, monkeypatch):
    sweep()
    monkeypatch.chdir(tmp_path / ".fanlab")
    sweep()
    assert len(Client(str(tmp_path / ".fanlab")).list_pipeline_runs()) == 1
    assert len(Client(str(tmp_path / ".fanlab" / ".fanlab")).list_pipeline_runs()) == 1


def test_a_file_in_place_of_the_store_is_refused(tmp_path):
    path = tmp_path / "store"
    path.write_text("not a folder")
    assert refused(path) == (
        f"the store {path} cannot be used: File exists\n"
        "  do:    set FANLAB_STORE, or fanlab.configure(store=...), to a folder that can be written"
    )
    assert path.read_text() == "not a folder"


def test_a_store_under_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "store"
    assert refused(path) == (
        f"the store {path} cannot be used: Not a directory\n"
        "  do:    set FANLAB_STORE, or fanlab.configure(store=...), to a folder that can be written"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_store_of_another_user_is_refused(tmp_path):
    path = tmp_path / "store"
    path.mkdir()
    os.chown(path, 12345, -1)
    assert refused(path) == (
        f"the store {path} belongs to another user\n"
        "  do:    artifacts are pickles, so only a store of your own is opened: set FANLAB_STORE to one"
    )


def test_a_store_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "store"
    Store(str(path)).close()
    database = sqlite3.connect(path / "runs.sqlite")
    database.execute("pragma user_version=99")
    database.close()
    assert refused(path) == (
        f"the store {path} was made by another version of fanlab (format 99, not 2)\n"
        "  do:    use that version, or set FANLAB_STORE to another folder"
    )


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "store"
    path.mkdir()
    (path / "runs.sqlite").write_text("this is not a database, but a text of some length" * 100)
    assert refused(path) == (
        f"the store {path} cannot be opened: file is not a database\n"
        "  do:    move it away to start a new one, or set FANLAB_STORE to another folder"
    )


def test_a_folder_in_place_of_the_database_is_refused(tmp_path):
    path = tmp_path / "store"
    (path / "runs.sqlite").mkdir(parents=True)
    assert refused(path) == (
        f"the store {path} cannot be opened: unable to open database file\n"
        "  do:    move it away to start a new one, or set FANLAB_STORE to another folder"
    )


def test_a_run_that_cannot_have_a_store_does_not_begin(tmp_path):
    (tmp_path / ".fanlab").write_text("")
    with pytest.raises(StoreError):
        sweep()


# what is kept


def replayed(store, number):
    record = Record()
    for event in store.events(number):
        record.apply(event)
    return Run(record, store)


def test_events_replayed_give_the_table_of_a_completed_run():
    run = sweep()
    store = Store()
    pd.testing.assert_frame_equal(replayed(store, store.find(run.name)).results, run.results)


def test_events_replayed_give_the_tables_of_a_failed_run():
    with pytest.raises(PipelineError) as caught:
        fails()
    run, store = caught.value.run, Store()
    again = replayed(store, store.find(run.name))
    pd.testing.assert_frame_equal(again.results, run.results)
    pd.testing.assert_frame_equal(again.profile, run.profile)
    assert again.status == run.status == "failed"
    assert set(run.results["status"]) == {"completed", "failed", "skipped"}


def test_events_replayed_give_the_same_record_and_logs():
    with pytest.raises(PipelineError) as caught:
        fails()
    run, store = caught.value.run, Store()
    again = replayed(store, store.find(run.name))
    assert repr(again) == repr(run)
    assert {name: found.logs for name, found in again.steps.items()} == {n: f.logs for n, f in run.steps.items()}
    assert again.dag.source == run.dag.source


def test_events_replayed_twice_are_the_same():
    run, store = sweep(), Store()
    number = store.find(run.name)
    assert list(store.events(number)) == list(store.events(number))


def test_a_deleted_run_leaves_no_rows(tmp_path):
    kept = sweep()
    database = sqlite3.connect(tmp_path / ".fanlab" / "runs.sqlite")
    (stored,) = database.execute("select count(*) from events").fetchone()
    Client().delete_pipeline_run(sweep().name)
    try:
        for table, rows in (("runs", 1), ("events", stored)):
            assert database.execute(f"select count(*) from {table}").fetchone() == (rows,)
    finally:
        database.close()
    assert Client().get_pipeline_run(kept.name).load() == kept.load()


# several processes


PROGRAM = """
import sys
from fanlab import pipeline, step

@step
def same(x):
    return [x] * 20_000

@pipeline(backend="sequential")
def runs(x):
    return same.map([x, x, 0])

sys.stdin.readline()
for i in range(5):
    assert [v[0] for v in runs(int(sys.argv[1])).load()] == [int(sys.argv[1])] * 2 + [0]
"""


def test_processes_may_write_runs_at_once(tmp_path):
    Path("program.py").write_text(PROGRAM)
    processes = [
        subprocess.Popen(
            [sys.executable, "program.py", str(i)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for i in (1, 2, 3)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    runs = Client().list_pipeline_runs("runs", limit=None)
    assert [run.status for run in runs] == ["completed"] * 15
    assert sorted(run.parameters["x"] for run in runs) == [1] * 5 + [2] * 5 + [3] * 5
    assert all([value[0] for value in run.load()] == [run.parameters["x"]] * 2 + [0] for run in runs)


NAMING = """
import sys
from fanlab.store.database import Store

store = Store("store")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(300):
    print(store.run_name("sweep"))
"""


def test_runs_that_begin_together_have_names_of_their_own():
    Path("program.py").write_text(NAMING)
    processes = [
        subprocess.Popen([sys.executable, "program.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [name for process in processes for name in process.communicate(timeout=60)[0].split()]
    assert len(set(found)) == len(found) == 600


DYING = """
import os
import pathlib
import signal
import threading
from fanlab import pipeline, step

@step
def nap(i):
    if i:
        pathlib.Path("sleeps").touch()
        threading.Event().wait(60)
    return i

@pipeline(backend="sequential")
def naps():
    return nap.map([0, 1])

naps()
"""


def test_a_run_whose_process_died_is_interrupted_and_keeps_what_was_done(until):
    Path("program.py").write_text(DYING)
    process = subprocess.Popen([sys.executable, "program.py"])
    try:
        until(lambda: os.path.exists("sleeps"))
        assert Client().get_pipeline_run("naps").status == "running"
        assert [run.status for run in Client().list_pipeline_runs(status="running")] == ["running"]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    run = Client().get_pipeline_run("naps")
    assert run.status == "interrupted"
    assert run.steps["nap[0]"].load() == 0
    assert [found.name for found in Client().list_pipeline_runs(status="interrupted")] == [run.name]
    assert Client().list_pipeline_runs(status="running") == []


class Interrupted:
    """A connection to a database where an interrupt arrives as soon as a statement has been carried out."""

    def __init__(self, real, statement):
        self._real, self._statement = real, statement

    def __getattr__(self, name):
        return getattr(self._real, name)

    def execute(self, statement, *values):
        found = self._real.execute(statement, *values)
        if statement == self._statement:
            self._statement = ""
            raise KeyboardInterrupt
        return found


@pytest.mark.parametrize("statement", ["begin immediate", "commit"])
def test_an_interrupt_leaves_no_transaction_open_that_others_would_wait_for(monkeypatch, statement):
    """As where one arrives while another process has the store locked: it is heard when that has ended."""
    monkeypatch.setattr("fanlab.store.database.BUSY_SECONDS", 0.0)
    store, other = Store(), Store()
    monkeypatch.setattr(store, "_database", Interrupted(store._database, statement))
    with pytest.raises(KeyboardInterrupt):
        store.run_name("sweep")
    assert other.run_name("sweep") != store.run_name("sweep")
