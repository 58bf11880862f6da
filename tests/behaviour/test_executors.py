"""How a run behaves, on every backend: one table of tests, through the public API only."""

import dataclasses
import functools
import os
import signal
import sys
import threading
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import pytest

import fanlab
from fanlab import get_step_context, pipeline, step, unmapped
from fanlab.client import Client

LOCK = threading.Lock()


@step
def same(x):
    return x


@step
def square(x):
    return x * x


@step
def total(values):
    return sum(values)


@step
def picky(x):
    if x == 2:
        raise ValueError(f"no {x} here")
    return x


# order and values


def test_results_come_in_the_order_of_the_items(pipe):
    @pipe
    def squares():
        return square.map([3, 1, 2])

    assert squares().load() == [9, 1, 4]


def test_steps_stand_in_call_order(pipe):
    @pipe
    def calls():
        last = same(1, id="last", after=["first", "mapped"])
        same.map([1, 2], id="mapped", after="first")
        same(0, id="first")
        return last

    assert list(calls().steps) == ["last", "mapped[0]", "mapped[1]", "first"]


def test_a_fan_in_receives_a_list_in_branch_order(pipe):
    @pipe
    def fan_in():
        return same(square.map([3, 1, 2]))

    assert fan_in().load() == [9, 1, 4]


def test_a_fan_in_over_a_mapped_dict_receives_a_dict(pipe):
    @pipe
    def fan_in():
        return same(square.map({"b": 3, "a": 1}))

    assert list(fan_in().load().items()) == [("b", 9), ("a", 1)]


def test_a_body_may_return_outputs_anywhere(pipe):
    @pipe
    def nested():
        return {"one": same(1), "two": [same(2), (same(3), 4)]}

    assert nested().load() == {"one": 1, "two": [2, (3, 4)]}


def test_a_dynamic_map_over_an_array_has_a_branch_per_item(pipe):
    @step
    def numbers():
        return np.array([1.5, 2.5])

    @pipe
    def dynamic():
        return square.map(numbers())

    assert dynamic().load() == [2.25, 6.25]


def test_a_dynamic_map_over_a_dict_names_its_branches_by_key(pipe):
    @step
    def regions():
        return {"us": 2, "eu": 3}

    @pipe
    def dynamic():
        return same(square.map(regions()))

    run = dynamic()
    assert list(run.steps) == ["regions", "square[us]", "square[eu]", "same"]
    assert run.load() == {"us": 4, "eu": 9}


def test_a_dynamic_map_over_nothing_gives_the_fan_in_an_empty_list(pipe):
    @pipe
    def nothing():
        return same(square.map(same([])))

    run = nothing()
    assert run.load() == []
    assert list(run.steps) == ["same", "same_2"]


def test_a_map_over_the_branches_of_a_dynamic_map_follows_its_number(pipe):
    @pipe
    def chain():
        return same(square.map(square.map(same([1, 2, 3]))))

    assert chain().load() == [1, 16, 81]


def test_mapping_over_a_value_without_items_fails_the_node_with_the_way_out(pipe, failed, statuses):
    @pipe
    def wrong():
        return square.map(same(7))

    error = failed(wrong)
    assert str(error.__cause__) == (
        "'square' maps over the output of 'same', which is a int\n"
        "  do:    let 'same' return a list, range, dict, tuple or 1-D array"
    )
    assert statuses(error.run) == {"same": "completed", "square": "failed"}


def test_a_dynamic_map_of_unequal_lengths_fails_the_node_and_names_each_argument(pipe, failed):
    @step
    def add(a, b):
        return a + b

    @pipe
    def wrong():
        return add.map(same([1, 2, 3]), [1, 2])

    error = failed(wrong)
    assert str(error.__cause__) == (
        "the mapped arguments of 'add' differ in length: a has 3, b has 2\n"
        "  do:    give them equal lengths, mark a shared one with unmapped(...), or combine them with .product(...)"
    )


def test_a_failed_dynamic_map_is_skipped_by_what_reads_it(pipe, failed, statuses):
    @pipe
    def wrong():
        return total(square.map(square.map(same(7))))

    assert statuses(failed(wrong).run) == {
        "same": "completed",
        "square": "failed",
        "square_2": "skipped",
        "total": "skipped",
    }


def test_several_outputs_unpack_by_their_annotation(pipe):
    @step
    def split(xs) -> tuple[Annotated[list, "small"], Annotated[list, "large"]]:
        return [x for x in xs if x < 3], [x for x in xs if x >= 3]

    @pipe
    def parts():
        small, large = split([1, 2, 3, 4])
        return total(small), total(large)

    run = parts()
    assert run.load() == (3, 7)
    assert run["split"].load() == ([1, 2], [3, 4])


def test_several_outputs_of_the_wrong_count_fail_with_both_counts(pipe, failed):
    @step
    def split() -> tuple[Annotated[int, "small"], Annotated[int, "large"]]:
        return 1, 2, 3

    @pipe
    def parts():
        split()

    assert str(failed(parts).__cause__) == (
        "'split' has 2 outputs ('small', 'large'), but returned one tuple of 3\n"
        "  do:    return a tuple with one value for each, or change the annotation or .unpack(n)"
    )


def test_one_value_in_place_of_several_outputs_fails_with_its_type(pipe, failed):
    @pipe
    def parts():
        return same(7).unpack(2)

    assert str(failed(parts).__cause__) == (
        "'same' has 2 outputs ('output_0', 'output_1'), but returned one int\n"
        "  do:    return a tuple with one value for each, or change the annotation or .unpack(n)"
    )


def test_branches_that_return_several_items_unpack_into_one_mapping_each(pipe):
    @step
    def halves(x):
        return x // 2, x - x // 2

    @pipe
    def parts():
        low, high = halves.map([3, 4]).unpack(2)
        return low, square.map(high)

    assert parts().load() == ([1, 2], [4, 4])


# what a function may be


def test_a_step_may_call_another_step_as_a_plain_function(pipe):
    @step
    def twice(x):
        return square(square(x))

    @pipe
    def calls():
        return twice.map([2, 3])

    run = calls()
    assert run.load() == [16, 81]
    assert list(run.steps) == ["twice[0]", "twice[1]"]


def test_a_step_may_close_over_variables(pipe):
    scale = {"by": 10}

    @step
    def scaled(x):
        return x * scale["by"]

    @pipe
    def closes():
        return scaled.map([1, 2])

    assert closes().load() == [10, 20]


def test_a_step_may_call_itself(pipe):
    @step
    def factorial(n):
        return 1 if n == 0 else n * factorial(n - 1)

    @pipe
    def recursion():
        return factorial(5)

    assert recursion().load() == 120


def test_a_partial_with_a_name_may_be_a_step(pipe):
    def scaled(x, by):
        return x * by

    tenfold = step(name="tenfold")(functools.partial(scaled, by=10))

    @pipe
    def partial():
        return tenfold.map([1, 2])

    run = partial()
    assert run.load() == [10, 20]
    assert list(run.steps) == ["tenfold[0]", "tenfold[1]"]


def test_variable_arguments_reach_the_step(pipe):
    @step
    def collect(*args, scale=1, **kwargs):
        return [scale * x for x in args], kwargs

    @pipe
    def collects():
        return collect(1, same(2), scale=10, extra=same(3))

    assert collects().load() == ([10, 20], {"extra": 3})


def test_instances_of_a_class_defined_here_travel_both_ways(pipe):
    class Point:
        def __init__(self, x):
            self.x = x

    @step
    def moved(point):
        return Point(point.x + 1)

    @pipe
    def moves():
        return moved(moved(Point(1)))

    assert moves().load().x == 3


def test_a_dataclass_result_spreads_into_columns(pipe):
    @dataclasses.dataclass
    class Fit:
        score: float
        name: str

    @step
    def fit(x):
        return Fit(x / 2, f"fit {x}")

    @pipe
    def fits():
        return fit.map([1, 3])

    results = fits().results
    assert list(results["score"]) == [0.5, 1.5]
    assert list(results["name"]) == ["fit 1", "fit 3"]


def test_a_namedtuple_result_spreads_into_columns(pipe):
    class Fit(NamedTuple):
        score: float
        name: str

    @step
    def fit(x):
        return Fit(x / 2, f"fit {x}")

    @pipe
    def fits():
        return fit.map([1, 3])

    results = fits().results
    assert list(results["score"]) == [0.5, 1.5]
    assert list(results["name"]) == ["fit 1", "fit 3"]


# isolation


def test_a_change_in_place_of_a_shared_argument_stays_in_its_branch(pipe):
    @step
    def append(seen, x):
        seen.append(x)
        return seen

    seen = [0]

    @pipe
    def appends():
        return append.map(unmapped(seen), [1, 2, 3])

    assert appends().load() == [[0, 1], [0, 2], [0, 3]]
    assert seen == [0]


def test_a_change_in_place_of_an_output_stays_in_its_branch(pipe):
    @step
    def append(seen, x):
        seen.append(x)
        return seen

    @pipe
    def appends():
        source = same([0])
        return append.map(unmapped(source), [1, 2]), same(source)

    assert appends().load() == ([[0, 1], [0, 2]], [0])


def test_a_change_in_place_of_a_large_array_stays_in_its_branch(pipe):
    @step
    def bump(array, x):
        array += x
        return array[0], array[-1]

    array = np.zeros(100_000)

    @pipe
    def bumps():
        shared = same(array)
        return bump.map(unmapped(array), [1, 2, 3]), bump.map(unmapped(shared), [4, 5])

    assert bumps().load() == ([(1, 1), (2, 2), (3, 3)], [(4, 4), (5, 5)])
    assert not array.any()


def test_a_change_in_place_of_a_mapped_item_stays_in_its_branch(pipe):
    @step
    def append(seen):
        seen.append(1)
        return seen

    seen = [0]

    @pipe
    def appends():
        return append.map([seen, seen])

    assert appends().load() == [[0, 1], [0, 1]]
    assert seen == [0]


def test_a_list_changed_after_the_call_keeps_what_it_had_at_the_call(pipe):
    @pipe
    def late():
        items = [1, 2]
        first, mapped = same(items), square.map(items)
        items.append(3)
        return first, mapped

    assert late().load() == ([1, 2], [1, 4])


def test_a_large_array_is_kept_in_a_file_and_is_writable_when_loaded(pipe):
    @step
    def ones():
        return np.ones(10_000)

    @pipe
    def large():
        return ones()

    run = large()
    artifact = run["ones"].output
    assert os.path.getsize(artifact.path) >= artifact.nbytes >= 80_000
    array = run.load()
    array[0] = 7
    assert array.sum() == 10_006
    assert run.load().sum() == 10_000


def test_a_small_value_is_kept_in_the_database(pipe):
    @pipe
    def small():
        return same([1, 2, 3])

    assert small()["same"].output.path is None


def test_frames_keep_their_dtypes_as_arguments_and_as_results(pipe):
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "part": [0.5, 1.5, np.nan],
            "text": ["a", "b", None],
            "kind": pd.Categorical(["x", "y", "x"], categories=["y", "x"], ordered=True),
            "when": pd.to_datetime(["2024-01-01", "2024-01-02", None], utc=True),
            "flag": [True, False, True],
        },
        index=pd.Index(["p", "q", "r"], name="row"),
    )

    @step
    def dtypes(frame):
        return [str(dtype) for dtype in frame.dtypes]

    @pipe
    def frames():
        back = same(frame)
        return back, dtypes(frame), dtypes(back)

    back, sent, seen = frames().load()
    assert sent == seen == [str(dtype) for dtype in frame.dtypes]
    pd.testing.assert_frame_equal(back, frame)


# failures


def test_a_failure_keeps_its_siblings(pipe, failed, statuses):
    @pipe
    def fails():
        return picky.map([1, 2, 3])

    run = failed(fails).run
    assert statuses(run) == {"picky[0]": "completed", "picky[1]": "failed", "picky[2]": "completed"}
    assert run.steps["picky[2]"].load() == 3


def test_what_depends_on_a_failure_is_skipped(pipe, failed, statuses):
    @pipe
    def fails():
        branches = picky.map([1, 2])
        return total(branches), square.map(branches)

    assert statuses(failed(fails).run) == {
        "picky[0]": "completed",
        "picky[1]": "failed",
        "total": "skipped",
        "square[0]": "completed",
        "square[1]": "skipped",
    }


def test_what_comes_after_a_failure_is_skipped_without_data_too(pipe, failed, statuses):
    @pipe
    def fails():
        picky(2)
        same(1, id="late", after="picky")
        same(2, id="later", after="late")
        same(3, id="other")

    assert statuses(failed(fails).run) == {
        "picky": "failed",
        "late": "skipped",
        "later": "skipped",
        "other": "completed",
    }


def test_the_error_tells_branch_arguments_cause_line_and_the_way_out(pipe, failed):
    @pipe
    def fails():
        picky.map([1, 2])

    error = failed(fails)
    line = picky.function.__code__.co_firstlineno + 3
    place = f'test_executors.py, line {line}, in picky: raise ValueError(f"no {{x}} here")'
    assert str(error) == (
        "picky[1] (x=2) failed: ValueError: no 2 here\n"
        f"  where: {place}\n"
        "  do:    mend the step and run again; error.run.results has everything that finished"
    )
    assert isinstance(error.__cause__, ValueError)
    assert error.__cause__.args == ("no 2 here",)
    assert error.__cause__.__notes__ == [f"raised at {place}"]


def test_the_error_counts_the_other_failures(pipe, failed):
    @pipe
    def fails():
        picky.map([2, 1, 2, 2])

    assert str(failed(fails)).partition("\n")[0] == "picky[0] (x=2) failed: ValueError: no 2 here (and 2 more like it)"


def test_an_exit_in_a_step_is_an_ordinary_failure(pipe, failed, statuses):
    @step
    def leaves(x):
        if x:
            sys.exit("enough")
        return x

    @pipe
    def exits():
        leaves.map([0, 1, 0])

    error = failed(exits)
    assert statuses(error.run) == {"leaves[0]": "completed", "leaves[1]": "failed", "leaves[2]": "completed"}
    assert error.run.steps["leaves[1]"].error == "SystemExit: enough"


def test_an_exception_that_cannot_be_pickled_is_told_by_its_type_and_message(pipe, failed):
    @step
    def fails():
        class Odd(Exception):
            def __init__(self, lock):
                super().__init__("odd")
                self.lock = lock

        raise Odd(threading.Lock())

    @pipe
    def run():
        fails()

    error = failed(run)
    assert error.run["fails"].error.endswith("Odd: odd")
    assert isinstance(error.__cause__, fanlab.FanlabError)


def test_an_exception_that_cannot_be_made_again_is_told_by_its_type_and_message(pipe, failed):
    class Wants(Exception):
        """One that pickle makes again with too few arguments, as many libraries' are.

        Made here: Dask teaches pickle how to make those again that there are when it is imported.
        """

        __qualname__ = "Wants"

        def __init__(self, first, second):
            super().__init__(first)
            self.second = second

    @step
    def fails():
        raise Wants("odd", 2)

    @pipe
    def run():
        fails()

    error = failed(run)
    assert error.what == "fails failed: Wants: odd"
    assert error.run["fails"].error == "Wants: odd"
    assert error.__cause__.what == "Wants: odd"


def test_a_result_that_cannot_be_pickled_fails_with_its_step_and_type(pipe, failed):
    @step
    def lock():
        return threading.Lock()

    @pipe
    def stores():
        lock()
        same(1)

    error = failed(stores)
    assert type(error.__cause__) is fanlab.CannotStore
    assert str(error.__cause__) == (
        "the result of 'lock', of type _thread.lock, cannot be stored: cannot pickle '_thread.lock' object\n"
        "  do:    return data that can be pickled: lists instead of generators, no open files, locks or connections"
    )
    assert error.run["same"].status == "completed"


def test_a_generator_as_a_result_fails_with_its_type(pipe, failed):
    @step
    def lazy():
        return (x for x in [1, 2])

    @pipe
    def stores():
        lazy()

    assert str(failed(stores).__cause__) == (
        "the result of 'lazy', of type generator, cannot be stored: cannot pickle 'generator' object\n"
        "  do:    return data that can be pickled: lists instead of generators, no open files, locks or connections"
    )


def test_an_argument_that_cannot_be_sent_fails_with_its_step_and_name(pipe, failed):
    @pipe
    def sends():
        same(threading.Lock())
        square(3)

    error = failed(sends)
    assert type(error.__cause__) is fanlab.CannotSend
    assert str(error.__cause__) == (
        "argument 'x' of step 'same', of type _thread.lock, cannot be sent: cannot pickle '_thread.lock' object\n"
        "  do:    pass plain data, or make the object inside the step"
    )
    assert error.run["square"].load() == 9


def test_an_open_file_as_an_argument_fails_with_its_step_and_name(pipe, failed):
    @pipe
    def sends(file):
        same(file)

    with open("notes.txt", "w") as file:
        error = failed(sends, file)
    assert str(error.__cause__) == (
        "argument 'x' of step 'same', of type _io.TextIOWrapper, cannot be sent: "
        "Cannot pickle files that are not opened for reading: w\n"
        "  do:    pass plain data, or make the object inside the step"
    )


def test_one_item_that_cannot_be_sent_fails_its_own_branch_only(pipe, failed, statuses):
    @pipe
    def sends():
        same.map([1, threading.Lock(), 3])

    assert list(statuses(failed(sends).run).values()) == ["completed", "failed", "completed"]


def test_a_global_that_cannot_be_sent_fails_with_its_name(pipe, failed):
    @step
    def locked():
        with LOCK:
            return 1

    @pipe
    def sends():
        locked()
        same(1)

    error = failed(sends)
    assert str(error.__cause__) == (
        "step 'locked' cannot be sent to a worker: its global 'LOCK', of type lock: "
        "cannot pickle '_thread.lock' object\n"
        "  do:    make it inside the step, or pass it as an argument that can be pickled"
    )
    assert error.run["same"].status == "completed"


def test_a_closure_variable_that_cannot_be_sent_fails_with_its_name(pipe, failed):
    lock = threading.Lock()

    @step
    def locked():
        with lock:
            return 1

    @pipe
    def sends():
        locked()

    assert str(failed(sends).__cause__) == (
        "step 'locked' cannot be sent to a worker: its closure variable 'lock', of type lock: "
        "cannot pickle '_thread.lock' object\n"
        "  do:    make it inside the step, or pass it as an argument that can be pickled"
    )


# what steps print


def test_lines_of_plain_calls_reach_stdout_in_call_order(pipe, capsys):
    @step
    def say(text):
        print(text, "one")
        print(text, "two")

    @pipe
    def says():
        say("a", after="say_3")
        say("b")
        say("c")

    says()
    assert capsys.readouterr().out == "a one\na two\nb one\nb two\nc one\nc two\n"


def test_lines_on_stderr_reach_stderr(pipe, capsys):
    @step
    def warn():
        print("careful", file=sys.stderr)

    @pipe
    def warns():
        warn()

    warns()
    assert capsys.readouterr() == ("", "careful\n")


def test_a_line_without_an_end_is_shown_too(pipe, capsys):
    @step
    def say():
        print("no end", end="")

    @pipe
    def says():
        say()

    assert says().logs("say") == ["no end"]
    assert capsys.readouterr().out == "no end\n"


def test_lines_of_mapped_branches_go_to_their_logs_only(pipe, capsys):
    @step
    def say(x):
        print(f"branch {x}")
        print("done")

    @pipe
    def says():
        say.map(["a", "b"])

    run = says()
    assert capsys.readouterr().out == ""
    assert run.logs("say[1]") == ["branch b", "done"]
    assert run.logs("say") == ["branch a", "done", "branch b", "done"]
    assert run.steps["say[0]"].logs == ["branch a", "done"]


def test_lines_of_a_step_that_fails_are_kept(pipe, capsys, failed):
    @step
    def say():
        print("before")
        raise ValueError("no")

    @pipe
    def says():
        say()

    error = failed(says)
    assert error.run.logs("say") == ["before"]
    assert capsys.readouterr().out == "before\n"


# what a step can ask


def test_the_context_tells_a_plain_call_about_itself(pipe):
    @step
    def look():
        context = get_step_context()
        return context.step_name, context.branch, context.attempt, context.pipeline_run.pipeline

    @pipe
    def looks():
        return look(id="me")

    assert looks().load() == ("me", None, 1, "looks")


def test_the_context_tells_a_branch_about_itself(pipe):
    @step
    def look(x):
        context = get_step_context()
        return context.step_name, context.branch, context.step_run.status

    @pipe
    def looks():
        return look.map([10, 20]), look.map({"us": 1}, id="named")

    run = looks()
    assert run["look"][1].load() == ("look[1]", 1, "running")
    assert run["named"][0].load() == ("named[us]", "us", "running")


def test_logged_metadata_become_columns(pipe):
    @step
    def fit(x):
        get_step_context().log_metadata({"epochs": 10 * x})
        get_step_context().log_metadata({"note": f"n{x}"})
        return x / 2

    @pipe
    def fits():
        fit.map([1, 2])

    run = fits()
    assert list(run.results["epochs"]) == [10, 20]
    assert list(run.results["note"]) == ["n1", "n2"]
    assert dict(run.steps["fit[1]"].metadata) == {"epochs": 20, "note": "n2"}


def test_the_context_is_gone_after_the_step(pipe):
    @pipe
    def looks():
        same(1)

    looks()
    with pytest.raises(fanlab.NotAvailable):
        get_step_context()


def test_a_client_inside_a_step_reads_what_has_finished(pipe):
    @step
    def look():
        context = get_step_context()
        run = Client().get_pipeline_run(context.pipeline_run.name)
        me = run.steps[context.step_name]
        return run.status, me.status, me.outputs, [branch.load() for branch in run["square"]]

    @pipe
    def looks():
        return look(after=square.map([1, 2, 3]))

    assert looks().load() == ("running", "running", {}, [1, 4, 9])


def test_a_client_inside_a_step_uses_the_store_of_the_run_after_a_change_of_directory(pipe, tmp_path):
    before = os.getcwd()

    @step
    def look(folder):
        os.makedirs(folder)
        os.chdir(folder)
        try:
            name = get_step_context().pipeline_run.name
            return Client().get_pipeline_run(name)["square"].load(), os.path.exists(".fanlab")
        finally:
            os.chdir(before)

    @pipe
    def looks(folder):
        return look(folder, after=square(3))

    assert looks(str(tmp_path / "elsewhere")).load() == (9, False)


def test_a_change_of_directory_in_a_step_does_not_move_its_result(pipe, tmp_path):
    before = os.getcwd()

    @step
    def large(folder):
        os.makedirs(folder)
        os.chdir(folder)
        return np.arange(20_000)

    @pipe
    def moves(folder):
        return large(folder)

    run = moves(str(tmp_path / "elsewhere"))
    os.chdir(before)
    assert run.load().sum() == sum(range(20_000))
    assert os.listdir(tmp_path / "elsewhere") == []


def test_steps_start_in_the_working_directory_of_the_caller(pipe, tmp_path):
    @step
    def where():
        return os.getcwd()

    @pipe
    def wheres():
        return where()

    assert wheres().load() == str(tmp_path)


def test_steps_see_the_environment_of_the_caller(pipe, monkeypatch):
    @step(enable_cache=False)
    def read():
        return os.environ.get("FANLAB_TEST_COLOUR")

    @pipe
    def reads():
        return read()

    assert reads().load() is None
    monkeypatch.setenv("FANLAB_TEST_COLOUR", "blue")
    assert reads().load() == "blue"
    monkeypatch.delenv("FANLAB_TEST_COLOUR")
    assert reads().load() is None


# pipelines in pipelines


def test_a_pipeline_called_in_a_body_is_inlined(pipe):
    @pipe
    def inner(x):
        return square(x)

    @pipe
    def outer():
        return total([inner(2), inner(3)])

    run = outer()
    assert run.load() == 13
    assert list(run.steps) == ["inner.square", "inner_2.square", "total"]


def test_a_pipeline_called_in_a_running_step_runs_there(pipe):
    @pipeline
    def inner(x):
        return square.map([x, same(x)])

    @step
    def call(x):
        return inner(x).load()

    @pipe
    def outer():
        return call.map([2, 3])

    run = outer()
    assert run.load() == [[4, 4], [9, 9]]
    assert list(run.steps) == ["call[0]", "call[1]"]
    assert [found.pipeline for found in Client().list_pipeline_runs(status="completed")].count("inner") == 2


def test_a_failure_of_a_pipeline_in_a_running_step_is_the_steps_own(pipe, failed):
    @pipeline
    def inner():
        picky(2)

    @step
    def call():
        inner()

    @pipe
    def outer():
        call()

    assert failed(outer).run["call"].error == "PipelineError: picky (x=2) failed: ValueError: no 2 here"


# runs


def test_a_completed_run_tells_its_parameters_and_times(pipe):
    @pipe
    def sweep(path, alphas=(0.1, 1.0)):
        return same.map(alphas)

    run = sweep("houses.csv")
    assert run.status == "completed"
    assert run.pipeline == "sweep"
    assert dict(run.parameters) == {"path": "houses.csv", "alphas": (0.1, 1.0)}
    assert run.start_time <= run["same"][0].start_time <= run["same"][0].end_time <= run.end_time
    assert run.name.startswith("sweep-")
    assert sweep.last_run is run


def test_a_finished_run_is_found_again_by_name_with_equal_results(pipe, failed):
    @pipe
    def fails():
        total(picky.map([1, 2]))

    run = failed(fails).run
    again = Client().get_pipeline_run(run.name)
    assert again.status == "failed"
    pd.testing.assert_frame_equal(again.results, run.results)
    pd.testing.assert_frame_equal(again.profile, run.profile)
    assert repr(again) == repr(run)


# worker processes


def test_branches_run_in_several_processes(able, until):
    @step
    def meet(x, other):
        open(f"here{x}", "w").close()
        until(lambda: os.path.exists(f"here{other}"))  # both run at once, or this never ends
        return os.getpid()

    @able(n_jobs=2)
    def meets():
        return meet.map([0, 1], [1, 0])

    pids = meets().load()
    assert len({*pids, os.getpid()}) == 3


def test_results_are_in_order_whatever_ends_first(able, until):
    @step
    def wait(x, other):
        if other is not None:
            until(lambda: os.path.exists(f"done{other}"))
        open(f"done{x}", "w").close()
        return x

    @able(n_jobs=2)
    def waits():
        return wait.map([0, 1, 2], [2, None, None])

    run = waits()
    assert run.load() == [0, 1, 2]
    assert list(run.results.index) == ["wait[0]", "wait[1]", "wait[2]"]


def test_a_branch_of_the_next_stage_starts_before_the_last_of_this_one_has_ended(able, until):
    @step
    def first(x):
        if x == 0:
            until(lambda: os.path.exists("second"))
        return x

    @step
    def second(x):
        if x == 1:
            open("second", "w").close()
        return x

    @able(n_jobs=2)
    def stages():
        return second.map(first.map([0, 1]))

    assert stages().load() == [0, 1]


@pytest.mark.parametrize(
    ("end", "reason"),
    [(lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL(-9)"), (lambda: os._exit(3), "EXIT(3)")],
    ids=["killed", "exited"],
)
def test_a_worker_that_dies_fails_its_own_branch_only(able, end, reason, failed):
    @step
    def dies(x):
        if x == 1:
            end()
        return x

    @able(n_jobs=2)
    def deaths():
        return dies.map(range(6)), same.map([1, 2])

    error = failed(deaths)
    assert [found.status for found in error.run["dies"]] == ["completed", "failed", *["completed"] * 4]
    assert [found.load() for found in error.run["same"]] == [1, 2]
    assert error.run.steps["dies[1]"].error == f"WorkerDied: the worker that ran 'dies[1]' ended with {reason}"
    assert str(error.__cause__) == (
        f"the worker that ran 'dies[1]' ended with {reason}\n"
        "  do:    look for a crash in a library, os._exit, or too little memory (SIGKILL, if nobody sent it)"
    )


def test_the_next_run_works_after_a_worker_has_died(able, failed):
    @step
    def dies():
        os._exit(1)

    @able(n_jobs=1)
    def deaths():
        dies()

    @able(n_jobs=1)
    def lives():
        return same(1)

    failed(deaths)
    assert lives().load() == 1


def test_what_a_branch_printed_before_its_worker_died_is_kept(able, until, failed):
    @step
    def dies():
        print("last words")
        name = get_step_context().pipeline_run.name
        until(lambda: Client().get_pipeline_run(name).logs("dies"))
        os._exit(1)

    @able(n_jobs=1)
    def deaths():
        dies()

    assert failed(deaths).run.logs("dies") == ["last words"]


def test_a_script_needs_no_guard(python):
    out = python(
        """
        from fanlab import pipeline, step

        @step
        def square(x):
            return x * x

        @pipeline(n_jobs=2)
        def squares():
            return square.map([1, 2, 3])

        print(squares().load())
        """
    )
    assert out == "[1, 4, 9]\n"


def test_classes_of_the_main_program_travel_both_ways(python):
    out = python(
        """
        from dataclasses import dataclass
        from fanlab import pipeline, step

        @dataclass
        class Point:
            x: int

        def moved_by(point, by):
            return Point(point.x + by)

        @step
        def moved(point):
            return moved_by(point, 1)

        @pipeline(n_jobs=2)
        def moves():
            return moved.map([Point(1), Point(2)])

        run = moves()
        print(run.load(), [type(point) is Point for point in run.load()])
        """
    )
    assert out == "[Point(x=2), Point(x=3)] [True, True]\n"
