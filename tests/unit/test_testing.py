"""What the pytest plugin gives to tests of pipelines, and that it stays out of the way of all others."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from fanlab import pipeline, step
from fanlab.client import Client
from fanlab.show.html import record_html
from fanlab.testing import _LEFT_OUT, pytest_configure

pytest_plugins = ["pytester"]
seen = []


@step
def note(x):
    seen.append((x, os.getpid()))
    return x


@step(timeout=60)
def bounded(x):
    return os.getpid()


@pipeline(backend="loky", n_jobs=2)
def notes():
    return note.map([1, 2])


def test_fanlab_store_is_an_empty_store_wherever_the_test_works(fanlab_store, tmp_path, monkeypatch):
    assert Client().list_pipeline_runs() == []
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    @pipeline(backend="sequential")
    def one():
        note(1)

    one()
    assert [run.pipeline for run in Client().list_pipeline_runs()] == ["one"]
    assert [run.pipeline for run in Client(str(fanlab_store)).list_pipeline_runs()] == ["one"]
    assert not Path(".fanlab").exists()


def test_fanlab_store_is_the_store_of_programs_that_the_test_starts(fanlab_store, python):
    python("from fanlab import *\n@step\ndef f():\n    pass\n@pipeline(backend='sequential')\ndef p():\n    f()\np()")
    assert [run.pipeline for run in Client().list_pipeline_runs()] == ["p"]


def test_fanlab_store_goes_before_what_was_configured_and_gives_it_back(pytester):
    pytester.makepyfile(
        """
        import fanlab, pytest
        from fanlab.store.location import current
        fanlab.configure(store="mine")
        def test_one(fanlab_store):
            assert current() == str(fanlab_store)
        def test_two():
            assert current().endswith("mine")
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_fanlab_sequential_runs_everything_in_this_process(fanlab_store, fanlab_sequential):
    seen.clear()
    notes()
    assert seen == [(1, os.getpid()), (2, os.getpid())]


def test_fanlab_sequential_ends_with_the_test(fanlab_store):
    seen.clear()
    assert notes().load() == [1, 2]
    assert seen == []


def test_fanlab_sequential_takes_steps_with_a_timeout(fanlab_store, fanlab_sequential):
    @pipeline
    def one():
        return bounded(1)

    assert one().load() == os.getpid()


def test_fanlab_sequential_lets_patches_reach_the_steps(fanlab_store, fanlab_sequential, monkeypatch):
    monkeypatch.setitem(globals(), "seen", patched := [])
    notes()
    assert [x for x, _ in patched] == [1, 2]


def test_a_mock_object_says_how_it_was_called(fanlab_store, fanlab_sequential):
    fake = Mock(side_effect=lambda x: 10 * x)
    with notes.mock(note=fake):
        assert notes().load() == [10, 20]
    assert [call.args for call in fake.call_args_list] == [(1,), (2,)]


def test_a_background_run_is_in_this_process_too(fanlab_store, fanlab_sequential):
    seen.clear()
    notes.start().wait()
    assert [pid for _, pid in seen] == [os.getpid()] * 2


def test_the_plugin_loads_nothing_of_fanlab_when_pytest_starts():
    code = """
import sys, pytest
pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider"])
mine = {name for name in sys.modules if name.startswith("fanlab")}
assert mine == {"fanlab", "fanlab.testing"}, mine
heavy = {"pandas", "numpy", "joblib", "IPython", "ipywidgets", "sqlite3", "graphviz"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTEST_PLUGINS": "fanlab.testing", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("without", ["-pno:nbval", "-pno:fanlab"])
def test_a_project_that_does_not_use_it_is_not_disturbed(pytester, without):
    pytester.makepyfile("def test_one():\n    assert True")
    pytester.makefile(".ipynb", note="{}")
    pytester.runpytest_subprocess("-p", "no:cacheprovider", without).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("nbval", "dist", "found"), [(True, "load", "loadfile"), (True, "loadscope", "loadscope"), (False, "load", "load")]
)
def test_cells_of_a_notebook_stay_in_one_process_where_tests_are_shared_out(nbval, dist, found):
    config = SimpleNamespace(option=SimpleNamespace(nbval=nbval, dist=dist))
    pytest_configure(config)
    assert config.option.dist == found


def test_where_nothing_is_shared_out_nothing_is_set():
    config = SimpleNamespace(option=SimpleNamespace(nbval=True))
    pytest_configure(config)
    assert not hasattr(config.option, "dist")


def test_only_the_picture_and_the_number_of_a_cell_are_left_out_of_a_comparison():
    @pipeline(backend="sequential")
    def sweep():
        return note(1)

    def compared(text):
        for pattern, replacement in _LEFT_OUT.items():
            text = re.sub(pattern, replacement, text)
        return text

    record = sweep()._record
    assert compared(record_html(record, draw=True)) == record_html(record)
    assert compared("Cell In[12], line 3, in fit") == compared("Cell In[3], line 3, in fit")
    assert compared("Cell In[12], line 3, in fit") != compared("Cell In[12], line 4, in fit")
    assert compared('<img alt="mine" src="data:image/svg+xml;base64,AAAA">').endswith('AAAA">')
