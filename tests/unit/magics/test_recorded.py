"""A combine cell's own run: what it records, what it is drawn behind, and what becomes of it when it fails."""

import sys
import threading

import pytest

from fanlab import Client, pipeline, step
from fanlab.errors import NotFound
from fanlab.magics.recorded import combine, rows_of

here = pipeline(backend="sequential")


@step
def sq(x):
    return {"y": x * x}


@step
def total(found):
    return sum(one["y"] for one in found)


@pytest.fixture
def sweep():
    @here
    def sweep():
        total(sq.map([1, 2, 3]))
        sq(7, id="alone")

    return sweep()


def combined(run, call, step=None):
    _, nodes = rows_of(run, step)
    return combine("best", run, nodes, step, call)


def test_its_value_is_that_of_the_call(sweep):
    assert combined(sweep, lambda: 5) == 5


def test_it_is_a_run_of_one_node_that_names_the_run_it_read(sweep):
    combined(sweep, lambda: 5)
    run = Client().get_pipeline("best").last_run
    assert (run.status, list(run.steps), run.load()) == ("completed", ["best"], 5)
    assert dict(run.parameters) == {"results": sweep.name}


def test_the_step_that_it_read_is_a_parameter(sweep):
    combined(sweep, lambda: 5, "sq")
    run = Client().get_pipeline("best").last_run
    assert dict(run.parameters) == {"results": sweep.name, "step": "sq"}


def test_its_times_are_told(sweep):
    combined(sweep, lambda: 5)
    run = Client().get_pipeline("best").last_run
    assert run.start_time <= run["best"].start_time <= run["best"].end_time <= run.end_time


def test_it_is_drawn_as_the_last_node_of_the_run_it_read(sweep):
    combined(sweep, lambda: 5)
    source = sweep.dag.source
    assert 'c0 [label="best\\ncompleted"' in source
    assert [line.strip() for line in source.splitlines() if "-> c0" in line] == ["n1 -> c0", "n2 -> c0"]


def test_with_a_step_it_is_drawn_behind_that_steps_nodes(sweep):
    combined(sweep, lambda: 5, "sq")
    drawn = [line.strip() for line in sweep.dag.source.splitlines() if "-> c0" in line]
    assert drawn == ["n0 -> c0", "n2 -> c0"]


def test_it_is_drawn_when_the_run_is_read_from_the_store(sweep):
    combined(sweep, lambda: 5)
    assert Client().get_pipeline_run(sweep.name).dag.source == sweep.dag.source


def test_it_is_drawn_once_however_often_it_runs(sweep):
    combined(sweep, lambda: 5)
    combined(sweep, lambda: 6)
    assert sweep.dag.source.count("best") == 1
    assert [run.load() for run in Client().get_pipeline("best").runs] == [6, 5]


def test_it_is_no_row_of_the_results(sweep):
    before = sweep.results
    combined(sweep, lambda: 5)
    assert sweep.results.equals(before)


def test_it_may_read_a_run_of_another_process(sweep, python):
    python(
        """
        from fanlab import Client
        from fanlab.magics.recorded import combine, rows_of

        run = Client().get_pipeline_run("sweep")
        rows, nodes = rows_of(run, None)
        combine("other", run, nodes, None, lambda: len(rows))
        """
    )
    combined(sweep, lambda: 5)
    found = Client().get_pipeline_run(sweep.name)
    assert list(found._record.combined) == ["other", "best"]
    assert Client().get_pipeline("other").last_run.load() == 5


def test_a_call_that_raises_is_recorded_as_failed(sweep):
    with pytest.raises(ZeroDivisionError):
        combined(sweep, lambda: 1 / 0)
    run = Client().get_pipeline("best").last_run
    assert (run.status, run["best"].error) == ("failed", "ZeroDivisionError: division by zero")
    assert 'label="best\\nfailed"' in sweep.dag.source


def test_an_interrupt_is_recorded_as_cancelled(sweep):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        combined(sweep, interrupted)
    assert Client().get_pipeline("best").last_run.status == "cancelled"


def test_a_value_that_cannot_be_stored_is_given_all_the_same(sweep):
    lock = threading.Lock()
    assert combined(sweep, lambda: lock) is lock
    run = Client().get_pipeline("best").last_run
    assert (run.status, run["best"].outputs) == ("completed", {})
    assert run.logs("best") == [
        "the value, of type _thread.lock, cannot be stored: cannot pickle '_thread.lock' object"
    ]


def test_all_rows_are_those_of_the_run(sweep):
    rows, nodes = rows_of(sweep, None)
    assert rows.equals(sweep.results)
    assert nodes == ("total", "alone")


@pytest.mark.parametrize(
    ("name", "index", "columns"),
    [
        ("sq", ["sq[0]", "sq[1]", "sq[2]", "alone"], ["step", "branch", "x", "y", "status", "error"]),
        ("alone", ["alone"], ["step", "branch", "x", "y", "status", "error"]),
        ("total", ["total"], ["step", "branch", "output", "status", "error"]),
    ],
)
def test_the_rows_of_a_step_have_its_columns_only(sweep, name, index, columns):
    rows, _ = rows_of(sweep, name)
    assert (list(rows.index), list(rows)) == (index, columns)


def test_an_unknown_step_names_the_nearest(sweep):
    with pytest.raises(NotFound) as caught:
        rows_of(sweep, "totl")
    assert str(caught.value) == f"run '{sweep.name}' has no step 'totl'\n  do:    did you mean 'total'?"


def test_an_unknown_step_that_is_near_none_lists_all(sweep):
    with pytest.raises(NotFound) as caught:
        rows_of(sweep, "zzz")
    assert str(caught.value) == (f"run '{sweep.name}' has no step 'zzz'\n  do:    its steps are 'sq', 'total', 'alone'")


def test_what_it_prints_appears_and_is_in_its_log(sweep, capsys):
    def call():
        print("one\ntwo")
        print("to stderr", file=sys.stderr)
        print("10%\r100%", end="")

    combined(sweep, call)

    run = Client().get_pipeline("best").last_run
    assert run.logs("best") == ["one", "two", "to stderr", "100%"]
    assert capsys.readouterr().out == "one\ntwo\n10%\r100%"


def test_what_a_cell_that_fails_has_printed_is_in_its_log_and_the_streams_are_as_before(sweep):
    before = sys.stdout, sys.stderr

    def call():
        print("so far")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        combined(sweep, call)
    assert Client().get_pipeline("best").last_run.logs("best") == ["so far"]
    assert (sys.stdout, sys.stderr) == before
