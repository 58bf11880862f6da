"""How fanlab's own errors stand under a cell: what, where and what to do, without a traceback."""

import pytest

from fanlab.errors import PipelineError

FAILED = "%%pipeline p\nx = inv(0)"


@pytest.fixture
def failed(run):
    """A notebook in which x is missing."""
    with pytest.raises(PipelineError):
        run(FAILED)


def test_an_error_without_a_place_is_told_with_the_users_last_line(failed, told):
    assert told("y = 1\nx + y") == (
        "NotAvailable: there is no value of 'inv': it failed (ZeroDivisionError: division by zero)\n"
        "  where: Cell In[3], line 2\n"
        "  do:    mend its step and run the pipeline cell again"
    )


def test_an_error_in_a_function_of_the_notebook_is_told_with_its_line(failed, run, told):
    run("def use(value):\n    return value + 1")
    assert "\n  where: Cell In[3], line 2\n" in told("use(x)")


def test_an_error_with_a_place_keeps_it(told):
    assert "\n  where: Cell In[2], line 3\n" in told("%%pipeline p\nx = inv(4)\nx + 1")


def test_an_error_of_fanlab_shows_no_traceback(told):
    assert "Traceback" not in told(FAILED)


def test_an_error_that_is_caught_has_its_whole_text(run):
    text = run(
        "try:\n    get_ipython().run_cell_magic('pipeline', 'p', 'x = inv(0)')\nexcept Exception as e:\n    t = str(e)\nt"
    )
    assert text == (
        "inv (x=0) failed: ZeroDivisionError: division by zero\n"
        "  where: Cell In[1], line 5, in inv: return 1 / x\n"
        "  do:    mend the step and run again; error.run.results has everything that finished"
    )


def test_the_cause_is_the_steps_own_exception(run):
    with pytest.raises(PipelineError) as caught:
        run(FAILED)
    assert type(caught.value.__cause__) is ZeroDivisionError


def test_other_errors_keep_their_traceback(told):
    assert "----> 1 1 / 0" in told("1 / 0")
