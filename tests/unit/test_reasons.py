"""Why a branch ran: the part that changed, named, with the source before and now where code changed."""

import textwrap

import pytest

from fanlab import pipeline, step
from fanlab.client import Client
from fanlab.errors import NotFound, PipelineError

here = pipeline(backend="sequential")


@pytest.fixture
def define(tmp_path):
    """Run a program's text again and again in one namespace, as cells are; the pipeline in it is called sweep."""
    space = {"pipeline": here, "step": step}
    count = 0

    def define(text):
        nonlocal count
        count += 1
        path = tmp_path / f"cell{count}.py"
        path.write_text(textwrap.dedent(text))
        exec(compile(path.read_text(), str(path), "exec"), space)
        return space["sweep"]

    return define


BASE = """
SCALE = 2

def helper(x):
    return SCALE * x

@step
def fit(x, k=1):
    return helper(x) + k

@pipeline
def sweep(x=1):
    return fit(x)
"""


def test_the_first_run_is_told(define):
    assert define(BASE)().why("fit") == "ran: first run"


def test_a_run_that_changed_nothing_names_the_run_that_did_the_work(define):
    sweep = define(BASE)
    first = sweep()
    assert sweep().why("fit") == f"cached from {first.name}"


def test_an_argument_of_more_digits_than_python_writes_is_told_in_words(define):
    sweep = define(BASE)
    sweep(10**5000)
    assert sweep(1).why("fit") == "ran: the argument x changed from <int that is too long to be shown> to 1"


def test_a_failure_names_an_argument_of_more_digits_than_python_writes(define):
    sweep = define("def helper(x):\n    return 1 / 0\n" + BASE.replace("def helper", "def other"))
    with pytest.raises(PipelineError) as caught:
        sweep(10**5000)
    assert caught.value.what == (
        "fit (x=<int that is too long to be shown>) failed: ZeroDivisionError: division by zero"
    )


TOLERANT = """
@step
def fit(x):
    return 1 / x

@step
def report(table, good):
    return len(table), good

@pipeline
def sweep(xs):
    fits = fit.map(xs)
    return report(fits.results, fits.successful())
"""


def test_a_fan_in_that_is_told_of_failures_ran_since_the_branches_returned_something_else(define):
    sweep = define(TOLERANT)
    before = sweep([1, 0])
    run = sweep([1, 2])
    assert run.why("report") == (
        "ran: the argument table changed: 'fit' returned something else; "
        "the argument good changed: 'fit' returned something else"
    )
    assert run.diff(before).loc["report", "differs"] == "arguments, outputs"
    sweep([1, 0])
    assert sweep([1, 0, 0]).why("report") == "ran: the argument table changed: 'fit' returned something else"


def test_a_helper_that_changed_is_named_with_its_source_before_and_now(define):
    define(BASE)()
    why = define("def helper(x):\n    return SCALE - x\n")().why("fit")
    assert why.words == "ran: the code of helper changed"
    assert why.diff.splitlines() == [
        "--- helper, before", "+++ helper, now", "@@ -1,2 +1,2 @@", " def helper(x):",
        "-    return SCALE * x", "+    return SCALE - x",
    ]  # fmt: skip
    assert str(why) == repr(why) == f"{why.words}\n{why.diff}"


def test_a_global_that_changed_is_named(define):
    define(BASE)()
    assert define("SCALE = 3\n")().why("fit") == "ran: the global SCALE changed from 2 to 3"


def test_several_changes_are_all_named(define):
    define(BASE)()
    why = define("SCALE = 3\n")(5).why("fit")
    assert why == "ran: the global SCALE changed from 2 to 3; the argument x changed from 1 to 5"


def test_more_changes_than_a_line_holds_are_counted(define):
    text = (
        "@step\ndef fit(**given):\n    return 1\n@pipeline\ndef sweep(x=1):\n    return fit(a=x, b=x, c=x, d=x, e=x)\n"
    )
    define(text)()
    assert define(text)(2).why("fit") == (
        "ran: the argument a changed from 1 to 2; the argument b changed from 1 to 2; "
        "the argument c changed from 1 to 2; 2 more arguments changed"
    )


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ("fit(1)", "fit(2)", "the argument x changed from 1 to 2"),
        ("fit(1)", "fit(1.0)", "the argument x changed from 1 to 1.0"),
        ("fit(1)", "fit(1, k=1)", "the argument k is new"),
        ("fit(1, k=1)", "fit(1)", "the argument k is not passed any more"),
        ("fit(source(1))", "fit(source(2))", "the argument x changed: 'source' returned something else"),
        ("fit(source(1))", "fit(2)", "the argument x changed"),
        ("fit(bytearray(b'a'))", "fit(bytearray(b'b'))", "the argument x changed"),
        ("fit(bytearray(b'a'))", "fit({1, 2})", "the argument x changed from a bytearray to a set"),
        ("fit([1, 2])", "fit([1, 3])", "the argument x changed"),
    ],
)
def test_an_argument_that_changed_is_named(define, before, now, told):
    text = """
    @step
    def source(x):
        return x

    @step
    def fit(x, k=0):
        return 1

    @pipeline
    def sweep():
        return {}
    """
    define(textwrap.dedent(text).format(before))()
    assert define(text.format(now))().why("fit") == f"ran: {told}"


MAPPED = """
@step
def fit(x):
    return x

@pipeline
def sweep(xs):
    return fit.map(xs)
"""


def test_a_branch_is_compared_with_the_one_of_its_name(define):
    sweep = define(MAPPED)
    first = sweep([1, 2])
    run = sweep([1, 3, 4])
    assert [run.why(f"fit[{i}]") for i in range(3)] == [
        f"cached from {first.name}",
        "ran: the argument x changed from 2 to 3",
        "ran: no such branch in the run before",
    ]


def test_a_fan_out_is_told_with_the_number_of_branches_for_each_reason(define):
    sweep = define(MAPPED)
    first = sweep([1, 2])
    assert str(sweep([1, 2, 4]).why("fit")) == (
        f"2 of 3 cached from {first.name}\n1 of 3 ran: no such branch in the run before"
    )
    assert sweep([5]).why("fit") == "ran: the argument x changed from 1 to 5"
    assert sweep([]).why("fit") == "there are no branches"


def test_a_keyed_branch_is_compared_by_its_key(define):
    sweep = define(MAPPED)
    sweep({"us": 1, "eu": 2})
    run = sweep({"eu": 2, "us": 5})
    assert run.why("fit[us]") == "ran: the argument x changed from 1 to 5"


def test_the_cache_that_was_off_before_is_told(define):
    sweep = define(BASE)
    sweep.with_options(enable_cache=False)()
    assert sweep().why("fit") == "ran: nothing was kept of it before: the cache was off"


def test_what_is_skipped_says_because_of_what():
    @step
    def fails():
        raise ValueError("no")

    @step
    def reads(x):
        return x

    @here
    def sweep():
        return reads(fails())

    with pytest.raises(RuntimeError) as caught:
        sweep()
    assert caught.value.run.why("reads") == "skipped: 'fails' failed"


def test_a_run_read_from_the_store_knows_why(define):
    sweep = define(BASE)
    sweep()
    run = define("SCALE = 3\n")()
    assert Client().get_pipeline_run(run.name).why("fit") == "ran: the global SCALE changed from 2 to 3"


def test_the_profile_has_the_reasons(define):
    sweep = define(MAPPED)
    first = sweep([1])
    assert list(sweep([1, 2]).profile["reason"]) == [
        f"cached from {first.name}", "ran: no such branch in the run before",
    ]  # fmt: skip


def test_an_unknown_name_names_the_nearest(define):
    with pytest.raises(NotFound, match="did you mean 'fit'"):
        define(BASE)().why("fitt")
