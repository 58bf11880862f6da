"""Which branches a person means, by names, patterns and rows."""

import pandas as pd
import pytest

from fanlab import pipeline, step
from fanlab.core.selection import chosen
from fanlab.errors import NotFound


@step
def same(x):
    return x


@pytest.fixture
def run():
    @pipeline(backend="sequential")
    def sweep():
        first = same(0, id="first")
        same.map([5, 6, 7], id="fit")
        same.map({"us": 1, "de": 2}, id="fit_keyed", after=first)

    return sweep()


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("first", {"first": [0]}),
        ("fit", {"fit": [0, 1, 2]}),
        ("fit[1]", {"fit": [1]}),
        ("fit_keyed[de]", {"fit_keyed": [1]}),
        ("fit*", {"fit": [0, 1, 2], "fit_keyed": [0, 1]}),
        ("f?t", {"fit": [0, 1, 2]}),
        (["fit[2]", "first"], {"fit": [2], "first": [0]}),
        (("fit[2]", "fit[0]"), {"fit": [2, 0]}),
        (pd.Index(["fit[0]"]), {"fit": [0]}),
    ],
)
def test_names_choose_branches(run, wanted, found):
    assert chosen(run._record, wanted) == found


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (lambda table: table[table["x"] > 5], {"fit": [1, 2]}),
        (lambda table: table.query("step == 'same' and x == 2"), {"fit_keyed": [1]}),
        (lambda table: table["output"][table["output"] == 0], {"first": [0]}),
        (lambda table: table.loc["fit[1]"], {"fit": [1]}),
        (lambda table: table.index[1:2], {"fit": [0]}),
    ],
    ids=["frame", "query", "column", "one row", "index"],
)
def test_rows_of_the_results_choose_branches(run, rows, found):
    assert chosen(run._record, rows(run.results)) == found


@pytest.mark.parametrize(
    ("wanted", "do"),
    [
        ("fut", "did you mean 'fit'?"),
        ("fit[9]", "did you mean 'fit[2]' or 'fit[1]' or 'fit[0]'?"),
        ("zzz*", "its steps are 'first', 'fit', 'fit_keyed'"),
    ],
)
def test_an_unknown_name_names_the_nearest(run, wanted, do):
    with pytest.raises(NotFound) as caught:
        chosen(run._record, wanted)
    assert str(caught.value) == f"run '{run.name}' has no step '{wanted}'\n  do:    {do}"


def test_what_names_nothing_is_refused(run):
    with pytest.raises(NotFound) as caught:
        chosen(run._record, 3)
    assert str(caught.value) == "3 names no steps\n  do:    give names of steps, or rows of run.results"


def test_no_row_at_all_is_refused(run):
    with pytest.raises(NotFound) as caught:
        chosen(run._record, run.results.query("x > 100"))
    assert str(caught.value) == (
        f"nothing of run '{run.name}' is chosen\n  do:    give names of steps, or rows of run.results"
    )
