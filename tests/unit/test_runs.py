"""Run, StepRun and Artifact: what a person asks of a run."""

import datetime as dt

import numpy as np
import pytest

from fanlab import pipeline, step
from fanlab.client import Client
from fanlab.errors import FanlabError, NotAvailable, NotFound, PipelineError

here = pipeline(backend="sequential")


@step
def same(x):
    return x


@step
def picky(x):
    if x == 2:
        raise ValueError(f"no {x} here")
    return x


@step
def split(x):
    return x, -x


def failed_run(body):
    with pytest.raises(PipelineError) as caught:
        here(body)()
    return caught.value.run


@pytest.fixture
def failed():
    def sweep():
        same(picky.map([1, 2]))

    return failed_run(sweep)


@pytest.fixture
def completed():
    @here
    def sweep():
        small, large = split(3).unpack(2)
        return same(np.ones(10_000), id="array"), same.map([small, large, 5])

    return sweep()


def test_load_of_a_failed_run_raises_its_error(failed):
    with pytest.raises(PipelineError) as caught:
        failed.load()
    line = picky.function.__code__.co_firstlineno + 3
    assert str(caught.value) == (
        "picky[1] (x=2) failed: ValueError: no 2 here\n"
        f'  where: test_runs.py, line {line}, in picky: raise ValueError(f"no {{x}} here")\n'
        "  do:    mend the step and run again; error.run.results has everything that finished"
    )
    assert caught.value.run is failed
    assert isinstance(caught.value.__cause__, ValueError)


def test_load_of_a_failed_run_from_the_store_raises_the_same_error(failed):
    with pytest.raises(PipelineError) as first:
        failed.load()
    with pytest.raises(PipelineError) as again:
        Client().get_pipeline_run(failed.name).load()
    assert str(again.value) == str(first.value)
    assert isinstance(again.value.__cause__, ValueError)


def test_an_unknown_step_names_the_nearest(completed):
    with pytest.raises(NotFound) as caught:
        completed["splt"]
    assert str(caught.value) == f"run '{completed.name}' has no step 'splt'\n  do:    did you mean 'split'?"


def test_an_unknown_step_that_is_near_none_lists_all(completed):
    with pytest.raises(KeyError) as caught:
        completed["zzz"]
    assert (
        str(caught.value)
        == f"run '{completed.name}' has no step 'zzz'\n  do:    its steps are 'split', 'array', 'same'"
    )


def test_logs_of_an_unknown_step_name_the_nearest(completed):
    with pytest.raises(NotFound) as caught:
        completed.logs("aray")
    assert str(caught.value) == f"run '{completed.name}' has no step 'aray'\n  do:    did you mean 'array'?"


def test_the_name_of_a_fan_out_gives_all_its_branches(completed):
    assert [found.name for found in completed["same"]] == ["same[0]", "same[1]", "same[2]"]


def test_the_name_of_a_branch_gives_that_branch(completed):
    assert completed["same[1]"].load() == -3


def test_a_branch_tells_what_it_is(completed):
    branch = completed["same[2]"]
    assert (branch.name, branch.step, branch.branch, branch.status) == ("same[2]", "same", 2, "completed")
    assert dict(branch.parameters) == {"x": 5}
    assert branch.attempts == 1
    assert branch.error is None


def test_a_plain_call_has_no_branch(completed):
    assert completed["split"].branch is None


def test_inputs_are_what_the_step_received(completed):
    assert [dict(found.inputs) for found in completed["same"]] == [{"x": 3}, {"x": -3}, {"x": 5}]
    assert completed["array"].inputs["x"].sum() == 10_000


def test_inputs_leave_out_what_has_no_value(failed):
    assert dict(failed["same"].inputs) == {}


def test_times_are_in_utc_and_in_order(completed):
    begun, ended = completed["split"].start_time, completed["split"].end_time
    assert begun.tzinfo is dt.UTC
    assert completed.start_time <= begun <= ended <= completed.end_time
    assert completed["split"].duration == pytest.approx((ended - begun).total_seconds(), abs=1e-5)


def test_a_skipped_step_has_neither_value_nor_times(failed):
    found = failed["same"]
    assert (found.status, found.outputs, found.start_time, found.end_time, found.duration, found.attempts) == (
        "skipped",
        {},
        None,
        None,
        None,
        0,
    )


def test_load_of_a_failed_step_says_that_there_is_no_value(failed):
    with pytest.raises(NotAvailable) as caught:
        failed["picky[1]"].load()
    assert str(caught.value) == "'picky[1]' has no value: it is failed\n  do:    see .error"


def test_output_of_a_failed_step_says_that_there_is_none(failed):
    with pytest.raises(NotAvailable) as caught:
        failed["picky[1]"].output  # noqa: B018
    assert str(caught.value) == "'picky[1]' has no outputs (failed)\n  do:    see .error and .status"


def test_output_of_a_step_with_several_names_them(completed):
    with pytest.raises(NotAvailable) as caught:
        completed["split"].output  # noqa: B018
    assert str(caught.value) == ("'split' has 2 outputs: 'output_0', 'output_1'\n  do:    use .outputs[name][0]")


def test_outputs_are_lists_of_one_artifact(completed):
    outputs = completed["split"].outputs
    assert {name: [artifact.load() for artifact in found] for name, found in outputs.items()} == {
        "output_0": [3],
        "output_1": [-3],
    }


def test_an_artifact_tells_type_and_size(completed):
    artifact = completed["array"].output
    assert artifact.type == "numpy.ndarray"
    assert artifact.nbytes >= 80_000
    assert repr(artifact) == f"<numpy.ndarray {artifact.hash[:8]}>"


def test_artifacts_are_equal_if_their_values_are():
    @here
    def arrays():
        same.map([np.ones(10_000), np.ones(10_000), np.zeros(10_000)])

    one, again, other = (found.output for found in arrays()["same"])
    assert one == again
    assert one != other
    assert len({one, again, other}) == 2


def test_an_artifact_loads_a_value_of_its_own_each_time(completed):
    artifact = completed["array"].output
    artifact.load()[:] = 0
    assert artifact.load().sum() == 10_000


def test_run_names_are_unique():
    @here
    def sweep():
        same(1)

    assert len({sweep().name for _ in range(5)}) == 5


def test_the_run_of_a_body_that_returns_nothing_loads_none():
    @here
    def sweep():
        same(1)

    assert sweep().load() is None


def test_a_body_may_return_values_of_its_own():
    @here
    def sweep():
        return same(1), "plain", {"array": np.arange(3)}

    value, text, arrays = sweep().load()
    assert (value, text, arrays["array"].tolist()) == (1, "plain", [0, 1, 2])


def test_what_a_body_returns_that_cannot_be_stored_is_told_when_it_is_loaded():
    import threading

    @here
    def sweep():
        same(1)
        return threading.Lock()

    run = sweep()
    assert run.status == "completed"
    with pytest.raises(FanlabError) as caught:
        run.load()
    assert str(caught.value) == (
        "a _thread.lock that the body returned cannot be stored: cannot pickle '_thread.lock' object"
    )


def test_long_arguments_are_cut_in_the_error():
    def sweep():
        picky(2)
        picky.map([2], id="{x}")

    @step
    def fails(text):
        raise ValueError("no")

    @here
    def long():
        fails("x" * 200)

    with pytest.raises(PipelineError) as caught:
        long()
    assert caught.value.what == f"fails (text='{'x' * 73}…) failed: ValueError: no"


def test_the_repr_of_a_run_is_its_record(failed):
    first, *rest, line = repr(failed).splitlines()
    assert [first, *rest] == [
        "sweep: failed",
        "  ✗ picky  1 of 2 completed, 1 failed",
        "  ⊘ same   skipped",
        "  picky[1]: ValueError: no 2 here",
    ]
    assert line.startswith("    test_runs.py, line ")


def test_the_repr_of_a_step_run_is_short(failed):
    assert repr(failed["picky[1]"]) == "<step run picky[1]: failed>"
