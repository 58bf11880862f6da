"""run.rerun: what is chosen and what depends on it runs, the rest is taken over."""

import threading
from pathlib import Path

import pytest

from fanlab import Client, pipeline, step
from fanlab.errors import NotAvailable, NotFound, PipelineError

here = pipeline(backend="sequential", enable_cache=False)


@step
def base(x):
    return x


@step
def twice(x):
    return 2 * x


@step
def add(a, b):
    return a + b


@step
def total(values):
    return sum(values)


def ran(run):
    """What a run has computed, in call order; the rest it has taken over."""
    return [name for name, found in run.steps.items() if found.status == "completed"]


@pytest.fixture
def run():
    @here
    def sweep():
        values = twice.map(base.map([1, 2, 3]))
        base(9, id="alone")
        return total(values)

    return sweep()


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("alone", ["alone"]),
        ("total", ["total"]),
        ("twice[1]", ["twice[1]", "total"]),
        ("base[2]", ["base[2]", "twice[2]", "total"]),
        (["base[0]", "alone"], ["base[0]", "twice[0]", "alone", "total"]),
        ("twice", ["twice[0]", "twice[1]", "twice[2]", "total"]),
        ("t*", ["twice[0]", "twice[1]", "twice[2]", "total"]),
    ],
)
def test_what_is_chosen_runs_and_what_depends_on_it(run, wanted, names):
    again = run.rerun(wanted)
    assert ran(again) == names
    assert (again.status, again.load()) == ("completed", 12)


def test_everything_may_be_chosen(run):
    assert ran(run.rerun("*")) == list(run.steps)


def test_rows_of_the_results_may_be_chosen(run):
    assert ran(run.rerun(run.results.query("output == 4"))) == ["twice[1]", "total"]


def test_the_rest_is_taken_over(run):
    again = run.rerun("base[0]")
    statuses = {name: found.status for name, found in again.steps.items()}
    assert statuses == {
        "base[0]": "completed", "base[1]": "cached", "base[2]": "cached",
        "twice[0]": "completed", "twice[1]": "cached", "twice[2]": "cached",
        "alone": "cached", "total": "completed",
    }  # fmt: skip


def test_what_is_chosen_runs_whatever_the_store_has_of_it():
    @pipeline(backend="sequential")
    def cached():
        return total(twice.map(base.map([1, 2, 3])))

    run = cached()
    assert "twice[1]" in ran(run.rerun("twice[1]"))


def test_the_run_itself_stays_as_it_was(run):
    before = run.results
    again = run.rerun("base")
    assert again.name != run.name
    assert run.results.equals(before)
    assert {found.status for found in run.steps.values()} == {"completed"}


def test_a_new_value_reaches_what_depends_on_it():
    @step
    def draw(i):
        with open("drawn", "a+") as file:
            file.seek(0)
            number = len(file.read())
            file.write(".")
        return number

    @here
    def draws():
        return total(twice.map(draw.map(range(3))))

    run = draws()
    assert run.load() == 6
    assert run.rerun("draw[1]").load() == 2 * (0 + 3 + 2)


def test_what_failed_runs_too():
    @step
    def fragile(x):
        if x == 1 and not Path("mended").exists():
            raise OSError("not yet")
        return x

    @here
    def sweep():
        return fragile.map([0, 1, 2])

    with pytest.raises(PipelineError) as caught:
        sweep()
    Path("mended").touch()
    assert ran(caught.value.run.rerun("fragile[0]")) == ["fragile[0]", "fragile[1]"]


def test_a_failure_is_raised_as_by_a_call():
    @step
    def once(x):
        if Path("broken").exists():
            raise OSError("broken")
        return x

    @here
    def sweep():
        return once.map([1, 2])

    run = sweep()
    Path("broken").touch()
    with pytest.raises(PipelineError) as caught:
        run.rerun("once[1]")
    assert caught.value.what == "once[1] (x=2) failed: OSError: broken"
    assert caught.value.run["once"][0].load() == 1


def test_a_map_over_the_items_of_a_value_runs_whole_when_the_value_is_made_anew():
    @step
    def listed(n):
        return list(range(n))

    @here
    def sweep():
        return base.map(listed(3))

    assert ran(sweep().rerun("listed")) == ["listed", "base[0]", "base[1]", "base[2]"]


def test_an_output_among_the_items_of_a_map_runs_its_own_branch_only():
    @here
    def sweep():
        return twice.map([base(1, id="a"), base(2, id="b")])

    assert ran(sweep().rerun("b")) == ["b", "twice[1]"]


def test_a_rerun_may_be_rerun(run):
    assert ran(run.rerun("base[0]").rerun("base[1]")) == ["base[1]", "twice[1]", "total"]


def test_an_unknown_name_runs_nothing(run):
    with pytest.raises(NotFound):
        run.rerun("bas[0]")
    assert len(Client().list_pipeline_runs()) == 1


@pytest.mark.parametrize("wanted", ["alone", "twice[1]", "base[2]", ["base[0]", "alone"], "t*", "*"])
def test_a_run_of_another_process_runs_the_same_again(run, wanted):
    found = Client().get_pipeline_run(run.name)
    assert ran(found.rerun(wanted)) == ran(run.rerun(wanted))


def test_a_run_of_another_process_follows_items_groups_reduces_and_order():
    @step
    def upto(n):
        return list(range(n))

    @here
    def sweep():
        lists = upto.map([1, 2])
        ones = twice.map(lists.flatten())
        twice.map([1, 2], id="late", after=lists)
        groups = total.map(base.map([1, 2], id="given").group_by("x"), id="groups")
        total(groups.successful(), id="some")
        return add.reduce(ones)

    run = sweep()
    for wanted in ("upto[1]", "given[0]", "twice[1,0]", "groups[2]"):
        assert ran(Client().get_pipeline_run(run.name).rerun(wanted)) == ran(run.rerun(wanted))


def test_a_run_of_another_process_without_a_recipe_says_why():
    lock = threading.Lock()

    @here
    def sweep():
        lock.locked()
        return base(1)

    run = sweep()
    found = Client().get_pipeline_run(run.name)
    with pytest.raises(NotAvailable) as caught:
        found.rerun("base")
    assert str(caught.value) == (
        f"run '{run.name}' cannot be run again here: its body or its arguments cannot be pickled: "
        "cannot pickle '_thread.lock' object\n"
        "  do:    run its pipeline again: what finished is taken from the store"
    )


def test_a_run_that_goes_on_says_so(until):
    @step
    def wait(x):
        until(lambda: Path("go").exists())
        return x

    @pipeline(backend="threading", enable_cache=False)
    def slow():
        return wait.map([1, 2])

    run = slow.start()
    until(lambda: run.name)
    with pytest.raises(NotAvailable) as caught:
        run.rerun("wait[0]")
    Path("go").touch()
    run.wait()
    assert str(caught.value) == (
        f"run '{run.name}' still runs\n  do:    wait for it with run.wait(), or run.cancel() it"
    )


def test_a_branch_runs_again_with_the_branches_that_came_of_its_items():
    @step
    def split(text):
        return text.split()

    @here
    def words():
        return twice.map(split.map(["a b", "c", "d e"]).flatten())

    run = words()
    assert ran(run.rerun("split[2]")) == ["split[2]", "twice[2,0]", "twice[2,1]"]


def test_a_reduce_runs_again_as_a_whole():
    @step
    def add(a, b):
        return a + b

    @here
    def sums():
        return add.reduce(base.map([1, 2, 3, 4])), twice(5)

    run = sums()
    again = run.rerun("base[3]")
    assert ran(again) == ["base[3]", "add"]
    assert again.load() == (10, 10)


def test_a_body_that_waits_for_values_may_be_rerun():
    @here
    def until():
        value = twice(1)
        while value.load() < 8:
            value = twice(value)
        return value

    run = until()
    again = run.rerun("twice_2")
    assert ran(again) == ["twice_2", "twice_3"]
    assert again.load() == 8
