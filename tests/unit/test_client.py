"""Client: runs and pipelines by name, from any process; and the context outside a step."""

import datetime as dt

import pytest

import fanlab
from fanlab import pipeline, step
from fanlab.client import Client, get_step_context
from fanlab.errors import NotAvailable, NotFound, PipelineError

here = pipeline(backend="sequential")


@step
def load(x):
    if x < 0:
        raise ValueError("negative")
    return x


@here
def sweep(x=1):
    return load(x)


@here
def other():
    return load(2)


def fail():
    with pytest.raises(PipelineError) as caught:
        sweep(-1)
    return caught.value.run


def test_a_run_is_found_by_name_id_and_prefix():
    run = sweep()
    other()
    for key in (run.name, run.id, "sweep", run.name[:-2], run.id[:12]):
        assert Client().get_pipeline_run(key).id == run.id


def test_an_unknown_run_names_the_nearest():
    run = sweep()
    wanted = run.name[:-6] + "x" * 6
    with pytest.raises(NotFound) as caught:
        Client().get_pipeline_run(wanted)
    assert str(caught.value) == f"there is no run '{wanted}' in the store\n  do:    did you mean '{run.name}'?"


def test_an_unknown_run_that_is_near_none_is_told_the_latest():
    sweep()
    last = other()
    with pytest.raises(KeyError) as caught:
        Client().get_pipeline_run("zzz")
    assert str(caught.value) == f"there is no run 'zzz' in the store\n  do:    the latest run is '{last.name}'"


def test_an_unknown_run_of_an_empty_store_says_that_it_is_empty():
    with pytest.raises(NotFound) as caught:
        Client().get_pipeline_run("sweep")
    assert str(caught.value) == "there is no run 'sweep' in the store\n  do:    the store has no runs yet"


def test_an_empty_name_is_not_found():
    sweep()
    with pytest.raises(NotFound):
        Client().get_pipeline_run("")


def test_a_prefix_of_several_runs_is_refused_with_their_number():
    sweep()
    sweep()
    with pytest.raises(NotFound) as caught:
        Client().get_pipeline_run("sweep")
    assert str(caught.value) == "2 runs have names that start with 'sweep'\n  do:    give more of the name"


def test_an_unknown_pipeline_names_the_nearest():
    sweep()
    with pytest.raises(NotFound) as caught:
        Client().get_pipeline("sweap")
    assert str(caught.value) == "there is no pipeline 'sweap' in the store\n  do:    did you mean 'sweep'?"


def test_an_unknown_pipeline_that_is_near_none_lists_all():
    sweep()
    other()
    with pytest.raises(NotFound) as caught:
        Client().get_pipeline("zzz")
    assert str(caught.value) == "there is no pipeline 'zzz' in the store\n  do:    it has 'other', 'sweep'"


def test_an_unknown_pipeline_of_an_empty_store_says_that_it_is_empty():
    with pytest.raises(NotFound) as caught:
        Client().get_pipeline("sweep")
    assert str(caught.value) == "there is no pipeline 'sweep' in the store\n  do:    the store has no runs yet"


def test_a_pipeline_knows_its_runs_the_latest_first():
    first, _, last = sweep(), other(), sweep()
    history = Client().get_pipeline("sweep")
    assert [run.name for run in history.runs] == [last.name, first.name]
    assert history.last_run.name == last.name


def test_the_last_successful_run_is_not_one_that_failed():
    good, bad = sweep(), fail()
    history = Client().get_pipeline("sweep")
    assert history.last_run.name == bad.name
    assert history.last_successful_run.name == good.name


def test_there_is_no_last_successful_run_where_all_failed():
    fail()
    assert Client().get_pipeline("sweep").last_successful_run is None


def test_runs_are_listed_the_latest_first():
    runs = [sweep(), other(), sweep()]
    assert [run.name for run in Client().list_pipeline_runs()] == [run.name for run in reversed(runs)]


def test_runs_are_listed_by_pipeline_and_status():
    sweep()
    bad, good = fail(), other()
    assert [run.name for run in Client().list_pipeline_runs(status="failed")] == [bad.name]
    assert [run.name for run in Client().list_pipeline_runs("other")] == [good.name]
    assert Client().list_pipeline_runs("other", status="failed") == []


def test_runs_are_listed_up_to_the_limit():
    for _ in range(3):
        last = sweep()
    assert [run.name for run in Client().list_pipeline_runs(limit=1)] == [last.name]
    assert len(Client().list_pipeline_runs(limit=None)) == 3


def test_runs_are_listed_since_a_time():
    sweep()
    last = sweep()
    assert [run.name for run in Client().list_pipeline_runs(since=last.start_time)] == [last.name]
    assert Client().list_pipeline_runs(since=last.start_time + dt.timedelta(seconds=1)) == []


def test_a_deleted_run_is_not_found_again():
    gone, kept = sweep(), other()
    Client().delete_pipeline_run(gone.name)
    assert [run.name for run in Client().list_pipeline_runs()] == [kept.name]
    with pytest.raises(NotFound):
        Client().get_pipeline_run(gone.name)


def test_deleting_an_unknown_run_names_the_nearest():
    run = sweep()
    with pytest.raises(NotFound) as caught:
        Client().delete_pipeline_run(run.name + "x")
    assert str(caught.value) == f"there is no run '{run.name}x' in the store\n  do:    did you mean '{run.name}'?"
    assert len(Client().list_pipeline_runs()) == 1


def test_a_client_reads_the_store_that_it_is_given(tmp_path):
    fanlab.configure(store=tmp_path / "elsewhere")
    run = sweep()
    fanlab.configure(store=None)
    assert Client().list_pipeline_runs() == []
    assert Client(str(tmp_path / "elsewhere")).get_pipeline_run(run.name).load() == 1


def test_a_store_that_was_moved_still_has_its_values(tmp_path):
    import numpy as np

    @here
    def arrays():
        return load_array()

    @step
    def load_array():
        return np.arange(20_000)

    run = arrays()
    (tmp_path / ".fanlab").rename(tmp_path / "moved")
    assert Client(str(tmp_path / "moved")).get_pipeline_run(run.name).load().sum() == sum(range(20_000))


def test_another_process_reads_a_run(python):
    run = sweep(5)
    assert python(f"from fanlab.client import Client; print(Client().get_pipeline_run({run.name!r}).load())") == "5\n"


def test_the_context_outside_a_step_says_where_it_works():
    with pytest.raises(NotAvailable) as caught:
        get_step_context()
    assert isinstance(caught.value, RuntimeError)
    assert str(caught.value) == (
        "get_step_context() works only inside a running step\n"
        "  do:    call it in the body of a @step function that a pipeline runs"
    )


def test_the_context_in_a_body_is_outside_a_step(refusal):
    assert refusal(NotAvailable, "@pipeline\ndef sweep():\n    get_step_context()\nsweep()") == (
        "get_step_context() works only inside a running step\n"
        "  do:    call it in the body of a @step function that a pipeline runs"
    )


@pytest.mark.parametrize(
    ("status", "do"),
    [
        ("complete", "did you mean 'completed'?"),
        ("ok", "use 'running', 'completed', 'failed', 'cancelled', 'interrupted'"),
    ],
)
def test_a_status_that_no_run_can_have_is_refused(status, do):
    with pytest.raises(NotFound) as caught:
        Client().list_pipeline_runs(status=status)
    assert str(caught.value) == f"no run has the status {status!r}\n  do:    {do}"
