"""A store that is not as it should be: one clear error or a recomputation each, and never a traceback of SQLite."""

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fanlab
from fanlab import StoreError, get_step_context, pipeline, step
from fanlab.client import Client
from fanlab.core.events import Finished
from fanlab.doctor import _store
from fanlab.store import database as module
from fanlab.store.database import Store

here = pipeline(backend="sequential")
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system or give files away")


@step
def make(x):
    return np.full(50_000, float(x))


@here
def sweep(x=1):
    return make(x)


def refused(call):
    with pytest.raises(StoreError) as caught:
        call()
    assert not isinstance(caught.value, sqlite3.Error)
    return str(caught.value)


def test_a_store_that_is_a_file_is_refused():
    Path(".fanlab").write_text("")
    assert refused(sweep) == (
        f"the store {Path('.fanlab').absolute()} cannot be used: File exists\n"
        "  do:    set FANLAB_STORE, or fanlab.configure(store=...), to a folder that can be written"
    )


def test_a_store_that_is_a_link_to_a_folder_is_used():
    Path("elsewhere").mkdir()
    Path(".fanlab").symlink_to("elsewhere")
    sweep()
    assert Path("elsewhere/runs.sqlite").exists()
    assert sweep().steps["make"].status == "cached"


def test_a_store_that_is_a_link_to_nothing_is_refused():
    Path(".fanlab").symlink_to("nowhere")
    assert refused(sweep) == (
        f"the store {Path('.fanlab').absolute()} cannot be used: File exists\n"
        "  do:    set FANLAB_STORE, or fanlab.configure(store=...), to a folder that can be written"
    )


def test_a_store_that_was_moved_has_everything():
    run = sweep()
    shutil.move(".fanlab", "moved")
    fanlab.configure(store="moved")
    assert Client().get_pipeline_run(run.name).load()[0] == 1.0
    assert sweep().steps["make"].status == "cached"


def test_a_store_that_was_copied_without_its_times_has_everything():
    sweep()
    shutil.copytree(".fanlab", "copied", copy_function=shutil.copyfile)
    fanlab.configure(store="copied")
    assert sweep().steps["make"].status == "cached"


@pytest.mark.parametrize("rest", [b"", b"no database"])
def test_a_damaged_database_is_refused(tmp_path, rest):
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "runs.sqlite").write_bytes(b"x" * 5000 + rest)
    assert refused(lambda: Store(str(folder))) == (
        f"the store {folder} cannot be opened: file is not a database\n"
        "  do:    move it away to start a new one, or set FANLAB_STORE to another folder"
    )


def test_a_database_that_was_cut_short_is_refused_where_it_is_read(tmp_path):
    fanlab.configure(store=tmp_path / "store")
    for x in range(3):
        sweep(x)
    Store(str(tmp_path / "store")).shrink()
    copied = tmp_path / "copied"
    shutil.copytree(tmp_path / "store", copied)
    for name in ("runs.sqlite-wal", "runs.sqlite-shm"):
        (copied / name).unlink(missing_ok=True)
    path = copied / "runs.sqlite"
    path.write_bytes(path.read_bytes()[:9000])
    fanlab.configure(store=copied)
    assert refused(sweep) == (
        f"the store {copied} cannot be opened: database disk image is malformed\n"
        "  do:    move it away to start a new one, or set FANLAB_STORE to another folder"
    )


def test_a_database_that_another_process_holds_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    folder = tmp_path / "store"
    fanlab.configure(store=folder)
    sweep()
    other = sqlite3.connect(folder / "runs.sqlite", isolation_level=None)
    other.execute("begin immediate")
    try:
        store = Store(str(folder))
        assert refused(lambda: store.delete(1)) == (
            f"the store {folder} is locked by another process for more than 0 s\n"
            "  do:    end the program that holds it open, or set FANLAB_STORE to another folder"
        )
    finally:
        other.execute("rollback")
        other.close()


@root
def test_a_store_of_another_user_is_refused():
    os.mkdir(".fanlab")
    os.chown(".fanlab", 12345, 12345)
    assert refused(sweep) == (
        f"the store {Path('.fanlab').absolute()} belongs to another user\n"
        "  do:    artifacts are pickles, so only a store of your own is opened: set FANLAB_STORE to one"
    )


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
    yield folder
    fanlab.configure(store=None)
    module._stores.clear()
    subprocess.run(["umount", "-l", folder], check=True)


@root
def test_a_full_disk_fails_the_branch_with_what_to_do_and_the_next_run_goes_on(disk):
    @here
    def large(count):
        return make.map(range(count))

    fanlab.configure(store=disk / "store")
    with pytest.raises(fanlab.PipelineError) as caught:
        large(12)
    assert str(caught.value.__cause__) == (
        "the value of 'make' cannot be written to the store: No space left on device\n"
        "  do:    make room on the disk, or set FANLAB_STORE to a folder that can be written"
    )
    fanlab.configure(store=disk.parent / "roomy")
    assert len(large(12).load()) == 12


@pytest.fixture
def read_only(tmp_path):
    """Show a folder once more, in a place where nothing can be written."""
    shown = []

    def read_only(folder):
        place = tmp_path / f"read_only_{len(shown)}"
        place.mkdir()
        made = subprocess.run(["mount", "--bind", folder, place], capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"nothing can be mounted here: {made.stderr.strip()}")
        shown.append(place)
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        return place

    yield read_only
    fanlab.configure(store=None)
    module._stores.clear()
    for place in shown:
        subprocess.run(["umount", "-l", place], check=True)


def is_read(place, run, load=1.0):
    """Whether a store tells a run, and takes nothing in."""
    fanlab.configure(store=place)
    found = Client().get_pipeline_run(run.name)
    assert [each.name for each in Client().list_pipeline_runs()] == [run.name]
    assert (found.status, found.load()[0], found.results.loc["make", "status"]) == ("completed", load, "completed")
    assert found.why("make") == "ran: first run"
    assert repr(sweep.plan(1)).splitlines()[1] == "  make  cached"
    told = (
        f"the store {place} can only be read\n"
        "  do:    set FANLAB_STORE, or fanlab.configure(store=...), to a folder that can be written, and run again"
    )
    assert refused(lambda: sweep(1)) == told
    assert refused(lambda: sweep(2)) == told
    assert refused(lambda: Client().delete_pipeline_run(run.name)) == told
    assert refused(lambda: Client().gc(older_than=0)) == told
    return True


@root
def test_the_notebooks_tool_shows_what_is_in_a_store_that_can_only_be_read(tmp_path, read_only, bare, capsys):
    fanlab.configure(store=tmp_path / "store")
    run = sweep(1)
    fanlab.configure(store=read_only(tmp_path / "store"))
    bare.run_line_magic("load_ext", "fanlab")
    assert list(bare.run_line_magic("fanlab", "runs")["run"]) == [run.name]
    assert bare.run_line_magic("fanlab", "show sweep").name == run.name
    bare.run_line_magic("unload_ext", "fanlab")
    assert _store() == f"1 runs in {Client()._store.root}, which can only be read"


@root
def test_a_store_that_can_only_be_read_is_read(tmp_path, read_only):
    fanlab.configure(store=tmp_path / "store")
    run = sweep(1)
    place = read_only(tmp_path / "store")
    assert (tmp_path / "store" / "runs.sqlite-shm").exists()  # it is open, and may be written elsewhere
    assert is_read(place, run)
    fanlab.configure(store=tmp_path / "store")
    again = sweep(2)
    fanlab.configure(store=place)
    assert [found.name for found in Client().list_pipeline_runs()] == [again.name, run.name]


@root
def test_a_store_that_was_closed_and_can_only_be_read_is_read(tmp_path, read_only):
    fanlab.configure(store=tmp_path / "store")
    run = sweep(1)
    module.shared().close()
    module._stores.clear()
    assert not (tmp_path / "store" / "runs.sqlite-wal").exists()
    place = read_only(tmp_path / "store")
    assert is_read(place, run)
    fanlab.configure(store=tmp_path / "store")
    again = sweep(2)
    fanlab.configure(store=place)
    assert [found.name for found in Client().list_pipeline_runs()] == [again.name, run.name]


@root
def test_a_store_whose_log_was_copied_without_its_index_and_can_only_be_read_is_read(tmp_path, read_only):
    fanlab.configure(store=tmp_path / "store")
    run = sweep(1)
    shutil.copytree(tmp_path / "store", tmp_path / "copied", ignore=shutil.ignore_patterns("*-shm"))
    assert (tmp_path / "copied" / "runs.sqlite-wal").stat().st_size
    assert is_read(read_only(tmp_path / "copied"), run)


@root
def test_a_folder_that_can_only_be_read_and_holds_no_runs_is_told(tmp_path, read_only):
    (tmp_path / "store").mkdir()
    place = read_only(tmp_path / "store")
    fanlab.configure(store=place)
    assert refused(Client) == (
        f"the store {place} holds no runs, and can only be read\n"
        "  do:    set FANLAB_STORE, or fanlab.configure(store=...), to a folder that can be written"
    )


def test_a_run_that_could_not_be_written_leaves_nothing_in_the_one_that_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    fanlab.configure(store=tmp_path / "store")
    sweep(1)
    other = sqlite3.connect(tmp_path / "store" / "runs.sqlite", isolation_level=None)
    other.execute("begin immediate")

    @step
    def let_go():
        other.execute("rollback")
        raise KeyboardInterrupt

    @here
    def locked():
        let_go()

    @here
    def refused_at_once():
        make(2)

    with pytest.raises(StoreError):
        refused_at_once()
    with pytest.raises((KeyboardInterrupt, StoreError)):
        locked()
    other.close()
    run = sweep(3)
    assert Client().get_pipeline_run(run.name).status == "completed"
    assert list(Client().get_pipeline_run(run.name).steps) == ["make"]
    assert Client().get_pipeline("sweep").last_run.load()[0] == 3.0


def test_what_could_not_be_written_is_written_with_what_comes_next(tmp_path):
    fanlab.configure(store=tmp_path / "store")
    store = module.shared()
    write, refusals = store._write, [sqlite3.OperationalError("database or disk is full")]

    def written(run, events):
        if refusals and any(isinstance(event, Finished) for event in events):
            raise refusals.pop()
        write(run, events)

    @step
    def total(values):
        return float(values.sum())

    @here
    def totals():
        return total(make(1))

    store._write = written
    with pytest.raises(StoreError):
        totals()
    (run,) = Client().list_pipeline_runs()
    assert (run["make"].status, run["total"].outputs) == ("completed", {})
    assert (run.status, run["make"].load()[0]) == ("cancelled", 1.0)
    assert sweep(1).steps["make"].status == "cached"


def test_a_run_that_is_deleted_while_it_goes_on_leaves_nothing_in_the_one_that_follows(tmp_path):
    @step
    def deletes():
        client = Client()
        client.delete_pipeline_run(get_step_context().pipeline_run.name)
        other(7)

    @here
    def other(x):
        make(x)

    @here
    def deleted():
        deletes()

    deleted()
    (run,) = Client().list_pipeline_runs()
    assert (run.pipeline, run.status, list(run.steps)) == ("other", "completed", ["make"])
