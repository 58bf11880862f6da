"""Pipeline cells that spread out over items and groups, and cells that wait for values."""

import pytest

import fanlab
from fanlab.exports import BranchList, Missing

MORE = """\
@step
def words(line):
    return line.split()

@step
def length(word):
    return len(word)
"""


@pytest.fixture
def cells(run):
    run(MORE)
    return run


def test_a_cell_may_loop_until_a_value_is_small_enough(cells):
    cells("%%pipeline p --backend sequential\nx, n = inv(4.0), 1\nwhile x.load() < 3:\n    x, n = inv(x), n + 1")

    assert cells("x, n") == (4.0, 2)
    assert cells("list(p.last_run.steps)") == ["inv", "inv_2"]


def test_a_cells_value_may_be_a_loaded_one(cells):
    assert cells("%%pipeline p --backend sequential\ntotal(length.map(words('a bb ccc'))).load() + 1") == 7


def test_a_cell_that_raises_after_steps_ran_leaves_the_names_and_keeps_its_run(cells, shell):
    cells("x = 'old'")

    result = shell.run_cell(
        "%%pipeline p --backend sequential\nx = inv(2).load()\nraise KeyError(x)", store_history=True
    )

    assert isinstance(result.error_in_exec, KeyError)
    assert shell.user_ns["x"] == "old"
    (found,) = fanlab.Client().list_pipeline_runs("p")
    assert (found.status, found["inv"].load()) == ("failed", 0.5)


def test_a_failure_in_a_cell_that_waits_is_told_as_in_any_other(cells, told):
    text = told("%%pipeline p --backend sequential\nx = inv(0)\nif x.load():\n    y = inv(1)")

    assert text.startswith("PipelineError: inv (x=0) failed: ZeroDivisionError: division by zero\n")
    assert "  where: Cell In[1], line 5, in inv: return 1 / x\n" in text


def test_what_a_cell_leaves_of_items_groups_and_reduces(cells):
    cells(
        "%%pipeline p --backend sequential\n"
        "lists = words.map({'us': 'a bb', 'de': 'a'})\n"
        "sizes = length.map(lists.flatten())\n"
        "items = lists.flatten()\n"
        "groups = total.map(sizes.group_by('word'))\n"
        "good = sizes.successful()\n"
        "table = sizes.results"
    )

    assert cells("sizes.load()") == {("us", 0): 1, ("us", 1): 2, ("de", 0): 1}
    assert cells("[sizes['us', 1], sizes[-1], sizes[:2], list(sizes), len(sizes)]") == [2, 1, [1, 2], [1, 2, 1], 3]
    assert cells("groups.load()") == {"a": 2, "bb": 2}
    assert cells("items") == {("us", 0): "a", ("us", 1): "bb", ("de", 0): "a"}
    assert cells("good") == cells("sizes.load()")
    assert cells("list(table.index)") == ["length[us,0]", "length[us,1]", "length[de,0]"]
    assert isinstance(cells("sizes"), BranchList)


def test_items_of_what_failed_are_missing(cells, shell):
    shell.run_cell("%%pipeline p --backend sequential\nitems = words.map(['a', 1]).flatten()", store_history=True)

    assert isinstance(shell.user_ns["items"], Missing)
    assert repr(shell.user_ns["items"]).startswith("<missing: words[1] failed (AttributeError: ")


def test_the_branches_of_a_cell_are_mapped_over_in_the_next_with_their_keys(cells):
    cells("%%pipeline p --backend sequential\nlists = words.map({'us': 'a bb', 'de': ''})")
    cells("%%pipeline q --backend sequential\nsizes = length.map(words.map(['x y']).flatten())")
    cells(
        "%%pipeline r --backend sequential\nagain = length.map(sizes) if False else inv.map(sizes)\nn = total(inv.map(sizes))"
    )

    assert cells("again.load()") == [1.0, 1.0]
    assert cells("n") == 2.0


def test_branches_have_the_rows_of_their_results(cells):
    cells("%%pipeline p --backend sequential\nsizes = length.map(words('a bb'))\nother = inv(1)")

    table = cells("sizes.results")

    assert list(table.index) == ["length[0]", "length[1]"]
    assert list(table["output"]) == [1, 2]
