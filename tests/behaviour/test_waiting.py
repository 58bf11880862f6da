"""Bodies that wait for values, on every executor."""

import os
import time
from pathlib import Path

import pytest

import fanlab
from fanlab import Client, pipeline, step


@step
def halve(x):
    return x / 2


@step
def numbers(n):
    return list(range(n))


@step
def square(x):
    return x * x


@step
def inverse(x):
    return 1 / x


@step
def gather(xs):
    return xs


def test_a_body_loops_until_a_value_is_small_enough(pipe):
    @pipe
    def sweep(start):
        x, turns = halve(start), 1
        while x.load() > 1:
            x, turns = halve(x), turns + 1
        return x, turns

    run = sweep(8.0)

    assert run.load() == (1.0, 3)
    assert list(run.steps) == ["halve", "halve_2", "halve_3"]


def test_a_body_branches_on_a_value_and_maps_over_as_many_items_as_one_says(pipe):
    @pipe
    def sweep(n):
        size = len(numbers(n).load())
        return gather(square.map(range(size)) if size > 2 else square.map([100]))

    assert (sweep(4).load(), sweep(1).load()) == ([0, 1, 4, 9], [10000])


def test_branches_items_and_what_succeeded_can_be_loaded(pipe):
    @pipe
    def sweep():
        found = square.map({"a": 1, "b": 2})
        return found.load(), numbers.map([1, 2]).flatten().load(), inverse.map([1, 0]).successful().load()

    run = sweep()

    assert run.load() == ({"a": 1, "b": 4}, [0, 0, 1], [1.0])
    assert run.status == "completed"  # the one who read the failure expects it


def test_branches_of_an_output_have_a_length_once_they_are_loaded(pipe):
    @pipe
    def sweep():
        found = square.map(numbers(3))
        found.load()
        return [halve(one) for one in found], len(found), halve(found[2])

    assert sweep().load() == ([0.0, 0.5, 2.0], 3, 2.0)


def test_what_was_recorded_before_is_used_after(pipe):
    @pipe
    def sweep():
        first = square.map([1, 2, 3])
        lists = numbers.map([1, 2])
        halve(1).load()
        return gather(first), gather(halve.map(lists.flatten())), gather(gather.map(first.group_by("x")))

    assert sweep().load() == ([1, 4, 9], [0.0, 0.0, 0.5], {1: [1], 2: [4], 3: [9]})


def test_an_inlined_pipeline_may_wait(pipe):
    @pipeline
    def inner(x):
        y = halve(x)
        return halve(y) if y.load() > 1 else y

    @pipe
    def sweep():
        return inner(8), inner(1)

    run = sweep()

    assert run.load() == (2.0, 0.5)
    assert list(run.steps) == ["inner.halve", "inner.halve_2", "inner_2.halve"]


def test_a_failure_is_raised_where_its_value_is_loaded_and_everything_else_runs_to_its_end(pipe):
    @pipe
    def sweep():
        squares = square.map([1, 2, 3])
        inverse(0).load()
        return squares

    with pytest.raises(fanlab.PipelineError) as caught:
        sweep()

    lines = [entry.lineno for entry in caught.traceback if entry.path == Path(__file__)]
    assert lines[-1] == sweep.__wrapped__.__code__.co_firstlineno + 2  # of the load, counted from 0
    assert str(caught.value).startswith("inverse (x=0) failed: ZeroDivisionError: division by zero\n")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    run = caught.value.run
    assert (run.status, list(run.results["status"])) == ("failed", ["completed"] * 3 + ["failed"])


def test_a_failure_that_the_body_catches_is_handled_and_stays_to_be_seen(pipe, capsys):
    @pipe
    def sweep():
        try:
            inverse(0).load()
        except fanlab.PipelineError:
            return square(3)

    run = sweep()

    assert (run.status, run.load()) == ("completed", 9)
    assert run.results["status"].to_dict() == {"inverse": "failed", "square": "completed"}
    assert run.results["error"]["inverse"] == "ZeroDivisionError: division by zero"
    assert capsys.readouterr().err.endswith("fanlab: 1 failed branch was handled\n")


def test_a_body_that_catches_the_loss_of_what_needed_a_failure_has_handled_it(pipe):
    @pipe
    def sweep():
        lost = [square(halve(inverse(0))), *square.map(inverse.map([1, 0]))]
        for one in lost:
            try:
                one.load()
            except fanlab.PipelineError:
                pass
        return square(3)

    run = sweep()

    assert (run.status, run.load()) == ("completed", 9)
    assert [name for name, found in run.steps.items() if found.status == "failed"] == ["inverse", "inverse_2[1]"]


def test_a_failure_that_somebody_else_needs_or_that_the_body_never_met_fails_the_run(pipe):
    @pipe
    def needed():
        bad = inverse(0)
        try:
            bad.load()
        except fanlab.PipelineError:
            return square(bad)

    @pipe
    def unmet():
        found = inverse.map([0, 0])
        try:
            found[0].load()
        except fanlab.PipelineError:
            return square(3)

    for body in (needed, unmet):
        with pytest.raises(fanlab.PipelineError, match="failed: ZeroDivisionError") as caught:
            body()
        assert caught.value.run.status == "failed"


def test_a_body_that_raises_what_it_has_caught_fails_its_run(pipe, capsys):
    @pipe
    def sweep():
        found = inverse.map([0])
        gather(found.successful())
        try:
            found.load()
        except fanlab.PipelineError:
            halve(1).load()
            raise

    with pytest.raises(fanlab.PipelineError) as caught:
        sweep()

    assert caught.value.run.status == "failed"
    assert "handled" not in capsys.readouterr().err


def test_a_body_that_raises_after_steps_have_run_keeps_them_and_its_run_fails(pipe):
    @pipe
    def sweep():
        found = square(3).load()
        raise KeyError(found)

    with pytest.raises(KeyError):
        sweep()

    run = sweep.last_run
    assert (run.status, run["square"].load(), run.end_time is not None) == ("failed", 9, True)
    stored = Client().get_pipeline_run(run.name)
    assert (stored.status, stored["square"].load()) == ("failed", 9)
    with pytest.raises(fanlab.PipelineError) as caught:
        run.load()
    assert str(caught.value) == (
        "the body of 'sweep' failed: KeyError: 9\n"
        f"  where: test_waiting.py, line {sweep.__wrapped__.__code__.co_firstlineno + 3}, in sweep: raise KeyError(found)\n"
        "  do:    mend the body and run again; error.run.results has everything that finished"
    )


def test_the_store_has_the_same_run(pipe):
    @pipe
    def sweep():
        return gather(square.map(range(len(numbers(3).load()))))

    run = sweep()
    stored = Client().get_pipeline_run(run.name)

    assert stored.results.equals(run.results)
    assert stored.load() == run.load() == [0, 1, 4]


def test_resume_of_a_body_that_waits_runs_only_what_is_missing(pipe):
    @step
    def works(x):
        with open(f"ran-{x}", "a") as file:
            file.write(".")
        if x == 2 and not os.path.exists("mended"):
            raise ValueError("not yet")
        return x + 1

    @pipe
    def sweep():
        x = works(0)
        while x.load() < 4:
            x = works(x)
        return x

    with pytest.raises(fanlab.PipelineError) as caught:
        sweep()
    Path("mended").touch()
    again = caught.value.run.resume()

    assert again.load() == 4
    assert [Path(f"ran-{x}").read_text() for x in range(4)] == [".", ".", "..", "."]


def test_a_started_body_goes_on_in_the_background(pipe):
    @pipe
    def sweep():
        x = halve(8)
        while x.load() > 1:
            x = halve(x)
        return x

    run = sweep.start()

    assert run.wait(60).load() == 1.0
    assert sweep.last_run is run


def test_a_started_body_that_raises_at_once_raises_at_the_call(pipe):
    @pipe
    def sweep():
        raise KeyError("at once")

    with pytest.raises(KeyError):
        sweep.start()


def test_a_started_body_that_raises_later_fails_its_run(pipe):
    @pipe
    def sweep():
        raise KeyError(square(2).load())

    run = sweep.start().wait(60)

    assert run.status == "failed"
    with pytest.raises(fanlab.PipelineError):
        run.load()


def test_a_cancel_ends_a_body_that_waits(pipe, until):
    begun = Path("begun").absolute()

    @step
    def sleeps(x):
        begun.touch()
        time.sleep(2)
        return x

    after = []

    @pipe
    def sweep():
        sleeps.map(range(40)).load()
        after.append(1)

    run = sweep.start()
    until(begun.exists)
    run.cancel()
    run.wait(60)

    assert (run.status, after) == ("cancelled", [])


def test_on_failure_stop_starts_nothing_that_is_recorded_later(pipe, request):
    @pipe
    def sweep():
        try:
            inverse(0).load()
        except fanlab.PipelineError:
            square(2)

    with pytest.raises(fanlab.PipelineError) as caught:
        sweep.with_options(on_failure="stop")()

    assert list(caught.value.run.results["status"]) == ["failed", "cancelled"]


def test_what_a_body_waits_for_may_be_a_reduce(pipe):
    @step
    def add(a, b):
        return a + b

    @pipe
    def sweep():
        return add.reduce(square.map(range(5))).load()

    assert sweep().load() == 30
