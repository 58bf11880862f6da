"""fanlab.configure: what it sets, what goes before it, and what it refuses."""

import os

import joblib
import pytest

import fanlab
from fanlab import pipeline, step
from fanlab.configuring import size
from fanlab.core.settings import Settings, settings
from fanlab.errors import StepCallError


@step
def pid():
    return os.getpid()


@pipeline
def where():
    return pid()


def test_what_is_left_out_stays(tmp_path):
    fanlab.configure(n_jobs=3, backend="threading", store=tmp_path)
    fanlab.configure(store_limit="1 MB")
    assert settings() == Settings(str(tmp_path), 3, "threading", 1_000_000)


def test_none_is_the_default_again(tmp_path):
    fanlab.configure(n_jobs=3, backend="threading", store=tmp_path, store_limit=5)
    fanlab.configure(n_jobs=None, backend=None, store=None, store_limit=None)
    assert settings() == Settings()


def test_an_unknown_option_names_the_nearest(refusal):
    assert refusal(StepCallError, "import fanlab\nfanlab.configure(stores='x')") == (
        "fanlab.configure has no option 'stores'\n  where: sweep.py, line 2\n  do:    did you mean 'store'?"
    )


def test_a_relative_store_stays_where_it_was_named(tmp_path, monkeypatch):
    fanlab.configure(store="here")
    monkeypatch.chdir("/")
    assert settings().store == str(tmp_path / "here")


def test_the_backend_holds_where_nothing_else_is_said():
    fanlab.configure(backend="sequential")
    assert where().load() == os.getpid()


def test_an_option_of_the_pipeline_goes_before_it():
    fanlab.configure(backend="loky")
    assert where.with_options(backend="sequential")().load() == os.getpid()


def test_an_active_parallel_config_goes_before_it():
    fanlab.configure(backend="loky")
    with joblib.parallel_config(backend="threading"):
        assert where().load() == os.getpid()


def test_n_jobs_holds_where_nothing_else_is_said():
    @pipeline
    def many():
        return pid_of.map(range(20))

    @step
    def pid_of(i):
        return os.getpid()

    fanlab.configure(n_jobs=1)
    assert len(set(many().load())) == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [(0, 0), (1000, 1000), ("12", 12), ("10 GB", 10**10), ("1.5kb", 1500), (" 2 GiB ", 2**31), ("7 B", 7)],
)
def test_a_size_is_a_number_of_bytes_or_a_text(text, count):
    assert size(text) == count


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_jobs": 0}, "n_jobs is 0\n  do:    give a number of workers, or -1 for all cores"),
        ({"n_jobs": "two"}, "n_jobs is 'two'\n  do:    give a number of workers, or -1 for all cores"),
        ({"backend": "lokky"}, "there is no backend 'lokky'\n  do:    did you mean 'loky'?"),
        (
            {"backend": 7},
            "there is no backend '7'\n  do:    the backends are loky, threading, sequential, dask, ray, and a cluster's address",
        ),
        (
            {"store_limit": "much"},
            'store_limit is \'much\'\n  do:    give a number of bytes, or a text like "500 MB" or "10 GB"',
        ),
        (
            {"store_limit": -1},
            'store_limit is -1\n  do:    give a number of bytes, or a text like "500 MB" or "10 GB"',
        ),
    ],
)
def test_what_cannot_be_is_refused_and_sets_nothing(given, message):
    with pytest.raises(StepCallError) as caught:
        fanlab.configure(**{"n_jobs": 2, **given})
    assert str(caught.value) == message
    assert settings() == Settings()
