"""The words on a magic's line, and the whole text of what is said to wrong ones."""

import pytest

from fanlab.errors import StepCallError

BODY = "\nx = inv(4)\nx"
BACKENDS = "the backends are loky, threading, sequential, dask, ray, and a cluster's address"


@pytest.mark.parametrize(
    "option", ["-j 2", "-j2", "--n-jobs 2", "--n-jobs=2", "-j n", "--n-jobs=n", "-j text", "-j -1"]
)
def test_n_jobs_is_a_number_or_the_name_of_one(run, option):
    run("n, text = 2, '2'")
    assert run(f"%%pipeline p {option}{BODY}") == 0.25


@pytest.mark.parametrize("backend", ["loky", "threading", "sequential"])
def test_backend_may_be_each_of_this_machine(run, backend):
    assert run(f"%%pipeline p --backend {backend}{BODY}") == 0.25


def test_n_jobs_bounds_the_workers(run):
    run("import os\n@step\ndef pid(i):\n    return os.getpid()")
    run("%%pipeline p -j 1\npids = pid.map(range(20))")
    assert run("len(set(pids))") == 1


def test_backend_decides_where_branches_run(run):
    run("import os\n@step\ndef pid(i):\n    return os.getpid()")
    assert run("%%pipeline p --backend sequential\nhere = pid(0)\nhere") == run("os.getpid()")


def test_options_may_stand_before_the_name(run):
    assert run(f"%%pipeline -j 2 p{BODY}") == 0.25


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("p --jbs 2", "%%pipeline has no option --jbs: did you mean --n-jobs?"),
        ("p --jbs=2", "%%pipeline has no option --jbs: did you mean --n-jobs?"),
        ("p --bakend loky", "%%pipeline has no option --bakend: did you mean --backend?"),
        ("p --zzz", "%%pipeline has no option --zzz: its options are -j, --n-jobs, --backend, --fresh, --plan, --allow-failed"),
        ("p --allow", "%%pipeline has no option --allow: did you mean --allow-failed?"),
        ("p -j two", "%%pipeline --n-jobs takes a whole number or the name of one, not 'two'"),
        ("p -j 1.5", "%%pipeline --n-jobs takes a whole number or the name of one, not '1.5'"),
        ("p -j half", "%%pipeline --n-jobs takes a whole number or the name of one, not 'half'"),
        ("p -j", "argument -j/--n-jobs: expected one argument"),
        ("p --backend nope", f"argument --backend: there is no backend 'nope'; {BACKENDS}"),
        ("p --backend tcp", f"argument --backend: there is no backend 'tcp'; {BACKENDS}"),
        ("", "the following arguments are required: NAME"),
        ("p q", "unrecognized arguments: q"),
        ("p 'q", "%%pipeline: No closing quotation in \"p 'q\""),
        ("2x", "%%pipeline takes a name that a variable can have, not '2x'"),
        ("a.b", "%%pipeline takes a name that a variable can have, not 'a.b'"),
        ("class", "%%pipeline takes a name that a variable can have, not 'class'"),
    ],
)  # fmt: skip
def test_a_wrong_line_of_a_pipeline_cell_is_told_in_one_line(run, told, line, message):
    run("half = 0.5")
    assert told(f"%%pipeline {line}{BODY}") == f"UsageError: {message}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("best --form p", "%%combine has no option --form: did you mean --from?"),
        ("best --allow", "%%combine has no option --allow: did you mean --allow-failed?"),
        ("2x", "%%combine takes a name that a variable can have, not '2x'"),
        ("in", "%%combine takes a name that a variable can have, not 'in'"),
        ("", "the following arguments are required: NAME"),
    ],
)
def test_a_wrong_line_of_a_combine_cell_is_told_in_one_line(run, told, line, message):
    run(f"%%pipeline p{BODY}")
    assert told(f"%%combine {line}\nlen(results)") == f"UsageError: {message}"


def test_a_wrong_line_runs_nothing(run, told):
    told(f"%%pipeline p --jbs 2{BODY}")
    assert run("'p' in globals(), 'x' in globals()") == (False, False)


def test_a_number_of_workers_that_cannot_be_is_refused(run):
    with pytest.raises(StepCallError) as caught:
        run(f"%%pipeline p -j 0{BODY}")
    assert str(caught.value) == "n_jobs is 0\n  do:    give a number of workers, or -1 for all cores"


def test_braces_and_dollars_on_the_line_are_not_expanded(run, told):
    run("n = 2")
    assert told(f"%%pipeline p -j {{n}}{BODY}") == (
        "UsageError: %%pipeline --n-jobs takes a whole number or the name of one, not '{n}'"
    )


def test_a_question_mark_shows_the_options(shell):
    text = shell.find_cell_magic("pipeline").__doc__
    assert all(option in text for option in ("NAME", "--n-jobs", "--backend", "--allow-failed"))
