"""step_run.debug(): the step called here, with the branch's own inputs and context."""

import os
import traceback

import numpy as np
import pytest

from fanlab import Client, get_step_context, pipeline, step, unmapped
from fanlab.errors import NotAvailable, PipelineError

here = pipeline(backend="sequential")


@step
def ratio(a, b, *rest, scale=1, **more):
    return scale * a / b


def failed(body, **options):
    with pytest.raises(PipelineError) as caught:
        pipeline(backend="sequential", **options)(body)()
    return caught.value.run


def test_the_value_is_given():
    @here
    def sweep():
        ratio.map([4, 6], unmapped(2), 7, scale=3, extra=1)

    assert [found.debug() for found in sweep()["ratio"]] == [6, 9]


def test_the_error_is_raised_with_the_steps_own_frames():
    run = failed(lambda: ratio.map([1, 2], b=[1, 0]))
    with pytest.raises(ZeroDivisionError) as caught:
        run["ratio[1]"].debug()
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (frame.filename, frame.name, frame.line) == (__file__, "ratio", "return scale * a / b")
    assert caught.traceback[-1].frame.f_locals["b"] == 0


def test_it_runs_in_this_process_whatever_the_backend():
    @step
    def pid():
        return os.getpid()

    @pipeline(n_jobs=1)
    def where():
        return pid()

    run = where()
    assert run.load() != os.getpid()
    assert run["pid"].debug() == os.getpid()


def test_inputs_are_the_stored_ones_anew_each_time():
    @step
    def fill(array):
        array[:] = array + 1
        return float(array.sum())

    @here
    def sweep():
        return fill(np.zeros(20_000))

    found = sweep()["fill"]
    assert [found.debug(), found.debug()] == [20_000, 20_000]


def test_inputs_that_other_steps_computed_are_given():
    run = failed(lambda: ratio(ratio(8, 2, id="first"), ratio(0, 1, id="second")))
    with pytest.raises(ZeroDivisionError) as caught:
        run["ratio"].debug()
    assert caught.traceback[-1].frame.f_locals["a"] == 4


def test_the_context_is_that_of_the_branch():
    @step
    def look(x):
        context = get_step_context()
        context.log_metadata({"seen": x})
        context.progress(1, 2)
        return context.step_name, context.branch, context.attempt, context.pipeline_run.name

    @here
    def looks():
        return look.map({"us": 1, "de": 2})

    run = looks()
    assert run["look[de]"].debug() == ("look[de]", "de", 1, run.name)
    with pytest.raises(NotAvailable):
        get_step_context()


def test_a_step_in_the_step_is_a_plain_call():
    @step
    def outer(x):
        return ratio(x, 2)

    @here
    def sweep():
        return outer(4)

    assert sweep()["outer"].debug() == 2


def test_nothing_is_recorded():
    @here
    def sweep():
        return ratio(4, 2)

    run = sweep()
    run["ratio"].debug()
    assert len(Client().list_pipeline_runs()) == 1
    assert run["ratio"].attempts == 1


def test_a_step_whose_input_has_no_value_says_so():
    run = failed(lambda: ratio(ratio(1, 0, id="first"), 2))
    with pytest.raises(NotAvailable) as caught:
        run["ratio"].debug()
    assert str(caught.value) == (
        "'ratio' cannot be called: what its argument 'a' comes from has no value\n"
        "  do:    debug that one first: run.results shows which steps failed"
    )


def test_a_step_of_another_process_says_so():
    @here
    def sweep():
        return ratio(4, 2)

    name = sweep().name
    with pytest.raises(NotAvailable) as caught:
        Client().get_pipeline_run(name)["ratio"].debug()
    assert str(caught.value) == (
        "step 'ratio' is not known here: 'ratio' ran in another process\n"
        "  do:    run the cell that defines it, then try again"
    )
