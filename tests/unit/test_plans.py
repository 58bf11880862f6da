"""Plans: what would run and why, before anything runs."""

import pytest

import fanlab
from fanlab import pipeline, step
from fanlab.client import Client

here = pipeline(backend="sequential")
ran = []


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()


@step
def fit(x, k=1):
    ran.append(x)
    return x * k


@step
def total(values):
    ran.append("total")
    return sum(values)


@step
def names(count):
    ran.append("names")
    return list(range(count))


@here
def sweep(xs, k=1):
    return total(fit.map(xs, k=k))


def told(plan):
    return repr(plan).splitlines()


def test_a_first_plan_says_that_all_would_run_and_runs_nothing():
    plan = sweep.plan([1, 2, 3])
    assert told(plan) == ["sweep: 3 to run, 1 to be seen", "  fit    3 run: first run", "  total  depends on 'fit'"]
    assert ran == []
    assert Client().list_pipeline_runs() == []
    assert sweep.last_run is None


def test_a_plan_of_what_is_in_the_store_runs_nothing():
    sweep([1, 2])
    ran.clear()
    assert told(sweep.plan([1, 2])) == ["sweep: 3 cached", "  fit    2 cached", "  total  cached"]
    assert ran == []


def test_a_plan_says_why_and_how_long_it_took():
    sweep([1, 2, 3])
    assert told(sweep.plan([1, 2, 5, 6])) == [
        "sweep: 2 cached, 2 to run, 1 to be seen",
        "  fit    2 of 4 cached; 1 runs: the argument x changed from 3 to 5; 1 runs: no such branch in the run before",
        "  total  depends on 'fit'",
    ]
    assert sweep.plan([1, 2, 5]).seconds > 0
    assert sweep.plan([1, 2, 3]).seconds == 0


def test_the_nodes_of_a_plan_can_be_asked():
    sweep([1, 2])
    plan = sweep.plan([1, 2, 3])
    assert plan.pipeline == "sweep"
    assert [(node.status, node.branches, node.cached, node.runs) for node in plan.nodes.values()] == [
        ("run", 3, 2, 1), ("depends", 1, 0, 0),
    ]  # fmt: skip
    assert plan.nodes["total"].waits == ("fit",)


def test_a_plan_names_code_that_changed_as_the_run_does():
    def defined(text):
        space = {"step": step, "here": here}
        program = f"def helper(x):\n    return {text}\n@step\ndef one(x):\n    return helper(x)\n"
        exec(program + "@here\ndef p():\n    return one(1)\n", space)
        return space["p"]

    defined("x")()
    assert defined("-x").plan().nodes["one"].reasons == ((1, "the code of helper changed"),)
    assert defined("-x")().why("one").words == "ran: the code of helper changed"


def test_a_plan_and_the_run_that_follows_agree():
    sweep([1, 2])
    plan, run = sweep.plan([2, 1, 7]), sweep([2, 1, 7])
    assert plan.nodes["fit"].cached == sum(found.status == "cached" for found in run["fit"])
    ((_, reason),) = plan.nodes["fit"].reasons
    assert run.why("fit[2]") == f"ran: {reason}"


@pytest.mark.parametrize(
    ("options", "told_of_total"),
    [
        ({"fresh": "total"}, "runs: it was asked for with fresh"),
        ({"enable_cache": False}, "depends on 'fit'"),
        ({}, "cached"),
    ],
)
def test_a_plan_knows_the_options(options, told_of_total):
    sweep([1])
    assert sweep.with_options(**options).plan([1]).nodes["total"].text == told_of_total


def test_a_map_over_a_value_that_is_not_known_depends_on_it():
    @here
    def dynamic(count):
        return total(fit.map(names(count)))

    assert told(dynamic.plan(2)) == [
        "dynamic: 1 to run, 2 to be seen", "  names  runs: first run", "  fit    depends on 'names'",
        "  total  depends on 'fit'",
    ]  # fmt: skip
    dynamic(2)
    assert told(dynamic.plan(2))[0] == "dynamic: 4 cached"


def test_a_plan_stops_where_the_body_waits_for_a_value():
    @here
    def loops(x):
        found = fit(x)
        while found.load() < 3:
            found = fit(found, 2)
        return total([found, 1])

    assert told(loops.plan(1)) == [
        "loops: 1 to run", "  fit  runs: first run", "  what the body does next depends on the value of 'fit'",
    ]  # fmt: skip
    assert ran == []


def test_a_branch_that_failed_before_is_told():
    @step
    def picky(x):
        if x == 2:
            raise ValueError("two")
        return x

    @here
    def fails():
        return picky.map([1, 2])

    with pytest.raises(fanlab.PipelineError):
        fails()
    assert fails.plan().nodes["picky"].text == "1 of 2 cached; 1 runs: it failed before"


def test_a_plan_leaves_the_store_as_it_is(tmp_path):
    @here
    def large():
        return total(list(range(100_000)))

    large.plan()
    assert not list(tmp_path.glob(".fanlab/artifacts/*/*"))


def test_a_plan_is_shown_as_a_table_with_the_graph():
    html = sweep.plan([1])._repr_html_()
    assert "<img" in html
    assert "1 runs: first run" in html or "runs: first run" in html
    assert "sweep: 1 to run, 1 to be seen" in html


def test_what_a_person_wrote_is_text_in_the_table():
    bad = step(name="<b>x</b>")(lambda x: x)

    @here
    def sweep(x):
        return bad(x)

    assert "<b>x</b>" not in sweep.plan(1)._repr_html_()


def test_errors_of_the_body_are_raised():
    with pytest.raises(fanlab.StepCallError):
        sweep.plan()
