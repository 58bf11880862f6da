"""What the options of steps and pipelines do, on every backend."""

import logging
import os
import sys
import threading
import time
import warnings

import pytest

import fanlab
from fanlab import get_step_context, pipeline, step


@step
def same(x):
    return x


@step
def total(values):
    return sum(values)


@step
def picky(x):
    if x == 2:
        raise ValueError(f"no {x} here")
    return x


def lines(path):
    """The lines of a file that steps have appended to; none where there is no file."""
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return file.read().splitlines()


def overlapping(profile):
    """How many rows of a profile ran at once, at most; one that begins as another ends is not beside it."""
    moments = [(start, 1) for start in profile["start"]] + [(end, -1) for end in profile["end"]]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


@pytest.fixture
def note():
    """What steps call to append a line to a file that all processes share."""

    def note(path, line=""):
        with open(path, "a") as file:
            file.write(f"{line}\n")

    return note


# retries


def test_a_step_without_retries_is_tried_once(pipe, failed, note):
    @step
    def fails():
        note("tries")
        raise ValueError("no")

    @pipe
    def tries():
        fails()

    error = failed(tries)
    assert len(lines("tries")) == 1
    assert error.run["fails"].attempts == 1


def test_a_step_that_keeps_failing_is_tried_once_more_for_each_retry(pipe, failed, note):
    @step(retries=2)
    def fails():
        note("tries")
        raise ValueError("no")

    @pipe
    def tries():
        fails()

    error = failed(tries)
    assert len(lines("tries")) == 3
    assert error.run["fails"].attempts == 3
    assert error.run["fails"].error == "ValueError: no"


def test_a_success_after_failures_completes_the_run_and_counts_its_attempts(pipe):
    @step(retries=3)
    def third():
        if get_step_context().attempt < 3:
            raise ValueError("not yet")
        return "there"

    @pipe
    def tries():
        return third(), same(1)

    run = tries()
    assert run.load() == ("there", 1)
    assert run["third"].attempts == 3
    assert list(run.profile["attempts"]) == [3, 1]
    assert run["third"].error is None


def test_the_context_counts_the_attempts_from_one(pipe, failed, note):
    @step(retries=2)
    def fails():
        note("attempts", get_step_context().attempt)
        raise ValueError("no")

    @pipe
    def tries():
        fails()

    failed(tries)
    assert lines("attempts") == ["1", "2", "3"]


def test_only_the_branches_that_failed_are_tried_again(pipe, note):
    @step(retries=1)
    def odd(x):
        note("tries", x)
        if x % 2 and get_step_context().attempt == 1:
            raise ValueError("odd")
        return x

    @pipe
    def tries():
        return odd.map(range(6))

    run = tries()
    assert run.load() == [0, 1, 2, 3, 4, 5]
    assert sorted(lines("tries")) == ["0", "1", "1", "2", "3", "3", "4", "5", "5"]
    assert list(run.profile["attempts"]) == [1, 2, 1, 2, 1, 2]


def test_many_short_branches_that_fail_are_each_tried_again(pipe):
    @step(retries=1)
    def third(x):
        if x % 3 == 0 and get_step_context().attempt == 1:
            raise ValueError("third")
        return x

    @pipe
    def tries():
        return third.map(range(300))

    run = tries()
    assert run.load() == list(range(300))
    assert list(run.profile["attempts"]) == [2 if x % 3 == 0 else 1 for x in range(300)]


def test_retry_on_leaves_other_exceptions_alone(pipe, failed):
    @step(retries=2, retry_on=KeyError)
    def fails(error):
        raise error

    @pipe
    def tries():
        fails.map([KeyError("a"), ValueError("b"), LookupError("c")])

    assert list(failed(tries).run.profile["attempts"]) == [3, 1, 1]


def test_retry_on_may_name_several_exceptions_and_their_bases(pipe, failed):
    @step(retries=1, retry_on=(LookupError, OSError))
    def fails(error):
        raise error

    @pipe
    def tries():
        fails.map([KeyError("a"), FileNotFoundError("b"), ValueError("c")])

    assert list(failed(tries).run.profile["attempts"]) == [2, 2, 1]


def test_retry_on_may_name_a_class_of_the_callers_own(pipe, failed):
    class Flaky(Exception):
        pass

    @step(retries=1, retry_on=Flaky)
    def fails():
        raise Flaky

    @pipe
    def tries():
        fails()

    assert failed(tries).run["fails"].attempts == 2


def test_what_depends_on_a_retried_branch_waits_for_its_success(pipe):
    @step(retries=1, retry_delay=0.1)
    def second(x):
        if x == 1 and get_step_context().attempt == 1:
            raise ValueError("not yet")
        return x

    @pipe
    def tries():
        return total(second.map([0, 1, 2]))

    assert tries().load() == 3


def test_the_log_of_a_branch_has_the_lines_of_all_its_attempts(pipe):
    @step(retries=1)
    def second():
        attempt = get_step_context().attempt
        print("attempt", attempt)
        if attempt == 1:
            raise ValueError("not yet")

    @pipe
    def tries():
        second()

    assert tries().logs("second") == ["attempt 1", "attempt 2"]


def test_each_retry_waits_longer_by_the_backoff(pipe, failed, note):
    @step(retries=2, retry_delay=0.2, retry_backoff=2.0)
    def fails():
        note("stamps", time.time())
        raise ValueError("no")

    @pipe
    def tries():
        fails()

    failed(tries)
    first, second, third = map(float, lines("stamps"))
    assert second - first >= 0.2
    assert third - second >= 0.4


def test_other_branches_go_on_while_a_retry_waits_for_its_time(pipe, until):
    @step(retries=1, retry_delay=120)
    def second(x):
        if x == 0:
            raise ValueError("not yet")
        return x

    @pipe
    def tries():
        return second.map(range(8)), same(9)

    run = tries.with_options(n_jobs=1).start()
    until(lambda: [found.status for found in run.steps.values()] == ["queued", *["completed"] * 8])
    assert run.steps["second[0]"].attempts == 1
    run.cancel()
    assert run.wait(30).status == "cancelled"


# after a failure


def test_on_failure_continue_runs_everything_else(pipe, failed, statuses):
    @pipe
    def goes_on():
        picky.map([2, 1, 3])
        same(1)

    error = failed(goes_on.with_options(n_jobs=1, on_failure="continue"))
    assert list(statuses(error.run).values()) == ["failed", "completed", "completed", "completed"]


def test_on_failure_stop_starts_nothing_new(pipe, failed, statuses, note):
    @step
    def noted(x):
        note("ran", x)
        if x == 0:
            raise ValueError("no")

    @pipe
    def stops():
        noted.map(range(4))
        same(1)

    error = failed(stops.with_options(n_jobs=1, on_failure="stop"))
    assert statuses(error.run) == {
        "noted[0]": "failed",
        **{f"noted[{x}]": "cancelled" for x in (1, 2, 3)},
        "same": "cancelled",
    }
    assert error.run.status == "failed"
    assert lines("ran") == ["0"]


def test_on_failure_stop_skips_what_depends_on_the_failure(pipe, failed, statuses):
    @pipe
    def stops():
        same(picky(2))
        same(1, after="same")

    error = failed(stops.with_options(on_failure="stop"))
    assert statuses(error.run) == {"picky": "failed", "same": "skipped", "same_2": "skipped"}


def test_on_failure_stop_lets_running_branches_finish(pipe, statuses, until):
    @step
    def runs(x):
        if x == 0:
            until(lambda: os.path.exists("running"))
            raise ValueError("no")
        if x == 1:
            open("running", "w").close()
            until(lambda: os.path.exists("failed"))
        return x

    @pipe
    def stops():
        runs.map(range(4))

    run = stops.with_options(on_failure="stop").start()
    until(lambda: run.steps["runs[3]"].status == "cancelled")
    open("failed", "w").close()
    assert run.wait(60).status == "failed"
    assert list(statuses(run).values()) == ["failed", "completed", "cancelled", "cancelled"]
    assert run.steps["runs[1]"].load() == 1


def test_on_failure_stop_cancels_a_retry_that_waits_for_its_time(pipe, failed, statuses):
    @step(retries=1, retry_delay=0.5, retry_on=KeyError)
    def fails(x):
        raise KeyError(x) if x == 0 else ValueError(x)

    @pipe
    def stops():
        fails.map([0, 1, 2])

    error = failed(stops.with_options(n_jobs=1, on_failure="stop"))
    assert statuses(error.run) == {"fails[0]": "cancelled", "fails[1]": "failed", "fails[2]": "cancelled"}


def test_on_failure_stop_waits_for_the_last_attempt(pipe, failed):
    @step(retries=2)
    def third():
        if get_step_context().attempt < 3:
            raise ValueError("not yet")
        return 1

    @pipe
    def tries():
        return same(third())

    assert tries.with_options(on_failure="stop")().load() == 1


def test_an_exception_outside_exception_is_an_ordinary_failure(pipe, failed, statuses):
    class Odd(BaseException):
        pass

    @step
    def odd(x):
        if x == 1:
            raise Odd("odd")
        return x

    @pipe
    def fails():
        odd.map([0, 1, 2])

    error = failed(fails)
    assert statuses(error.run) == {"odd[0]": "completed", "odd[1]": "failed", "odd[2]": "completed"}
    assert error.run.steps["odd[1]"].error.endswith("Odd: odd")


def test_metadata_that_cannot_be_pickled_fail_no_other_branch(pipe):
    @step
    def keeps(x):
        get_step_context().log_metadata({"lock": threading.Lock() if x == 1 else None})
        return x

    @pipe
    def keeping():
        keeps.map([0, 1, 2])
        same(1)

    try:
        run = keeping()
    except fanlab.PipelineError as error:
        run = error.run
    assert [run.steps[name].load() for name in ("keeps[0]", "keeps[2]", "same")] == [0, 2, 1]


# probe


def test_a_probe_that_fails_skips_the_other_branches(pipe, failed, statuses, note):
    @step
    def noted(x):
        note("ran", x)
        raise ValueError("no")

    @pipe
    def probes():
        total(noted.map(range(5), probe=True))

    error = failed(probes)
    assert lines("ran") == ["0"]
    assert statuses(error.run) == {
        "noted[0]": "failed",
        **{f"noted[{x}]": "skipped" for x in (1, 2, 3, 4)},
        "total": "skipped",
    }


def test_a_probe_that_fails_gives_one_error(pipe, failed):
    @pipe
    def probes():
        picky.map([2, 2, 2], probe=True)

    assert str(failed(probes)).partition("\n")[0] == "picky[0] (x=2) failed: ValueError: no 2 here"


def test_a_probe_that_succeeds_lets_the_others_run_after_it(pipe):
    @pipe
    def probes():
        return total(same.map(range(5), probe=True))

    run = probes()
    assert run.load() == 10
    profile = run.profile
    assert (profile["start"].iloc[1:] >= profile["end"].iloc[0]).all()


def test_a_probe_that_succeeds_leaves_later_failures_to_themselves(pipe, failed, statuses):
    @pipe
    def probes():
        picky.map([1, 2, 3], probe=True)

    assert list(statuses(failed(probes).run).values()) == ["completed", "failed", "completed"]


def test_a_probe_that_is_tried_again_lets_the_others_run_when_it_succeeds(pipe):
    @step(retries=1)
    def second(x):
        if x == 0 and get_step_context().attempt == 1:
            raise ValueError("not yet")
        return x

    @pipe
    def probes():
        return second.map([0, 1, 2], probe=True)

    assert probes().load() == [0, 1, 2]


def test_a_failed_probe_skips_the_map_over_its_branches(pipe, failed, statuses):
    @pipe
    def probes():
        same.map(picky.map([2, 1, 3], probe=True))

    assert list(statuses(failed(probes).run).values()) == [
        "failed",
        "skipped",
        "skipped",
        "skipped",
        "skipped",
        "skipped",
    ]


def test_a_probe_of_a_map_over_branches_waits_for_the_first_of_them(pipe, failed, statuses):
    @pipe
    def probes():
        picky.map(same.map([2, 1, 3]), probe=True)

    assert statuses(failed(probes).run) == {
        "same[0]": "completed",
        "same[1]": "completed",
        "same[2]": "completed",
        "picky[0]": "failed",
        "picky[1]": "skipped",
        "picky[2]": "skipped",
    }


def test_probes_of_a_map_and_of_the_map_over_its_branches_let_everything_run(pipe):
    @pipe
    def probes():
        return total(same.map(same.map([1, 2, 3], probe=True), probe=True))

    assert probes().load() == 6


def test_a_probe_of_a_dynamic_map_skips_the_others(pipe, failed, statuses):
    @pipe
    def probes():
        picky.map(same([2, 1]), probe=True)

    assert list(statuses(failed(probes).run).values()) == ["completed", "failed", "skipped"]


def test_a_probe_of_nothing_gives_an_empty_list(pipe):
    @pipe
    def probes():
        return same(picky.map(same([]), probe=True))

    assert probes().load() == []


# how many at once


def test_max_parallel_is_never_exceeded(pipe):
    @step(max_parallel=2)
    def works(x):
        time.sleep(0.02)
        return x

    @pipe
    def limited():
        return works.map(range(12)), works.map(range(12), id="again")

    run = limited.with_options(n_jobs=4)()
    assert run.load() == (list(range(12)), list(range(12)))
    assert overlapping(run.profile) <= 2


def test_max_parallel_of_one_runs_short_branches_one_after_the_other(pipe):
    @step(max_parallel=1)
    def works(x):
        time.sleep(0.001)
        return x

    @pipe
    def limited():
        return works.map(range(100))

    run = limited.with_options(n_jobs=4)()
    assert run.load() == list(range(100))
    assert overlapping(run.profile) == 1


def test_max_parallel_lets_so_many_branches_run_at_once_and_no_more(pipe, until):
    @step(max_parallel=2)
    def meets(x):
        open(f"here{x}", "w").close()
        until(lambda: os.path.exists(f"here{x ^ 1}"))  # 0 with 1, 2 with 3
        return x

    @pipe
    def limited():
        return meets.map(range(4))

    run = limited.with_options(n_jobs=4)()
    assert run.load() == [0, 1, 2, 3]
    assert overlapping(run.profile) == 2


def test_max_parallel_of_one_step_does_not_hold_back_another(pipe, until):
    @step(max_parallel=1)
    def waits(x):
        until(lambda: os.path.exists("other"))
        return x

    @step
    def other():
        open("other", "w").close()

    @pipe
    def limited():
        branches = waits.map([1, 2])
        other()
        return branches

    assert limited().load() == [1, 2]


# what branches write


@pytest.mark.filterwarnings("always")
def test_everything_that_a_branch_writes_is_in_its_own_log(pipe):
    @step
    def tells(x):
        print("out", x)
        print("err", x, file=sys.stderr)
        logging.getLogger("sweep").warning("logged %s", x)
        warnings.warn(f"careful {x}", stacklevel=1)
        return x

    @pipe
    def writes():
        return tells.map(range(4))

    run = writes()
    line = tells.function.__code__.co_firstlineno + 5
    for x in range(4):
        assert run.logs(f"tells[{x}]") == [
            f"out {x}",
            f"err {x}",
            f"WARNING sweep: logged {x}",
            f"{__file__}:{line}: UserWarning: careful {x}",
        ]


def test_lines_of_many_short_branches_stay_apart(pipe):
    @step
    def tells(x):
        print("begin", x)
        print("end", x, end="")

    @pipe
    def writes():
        tells.map(range(200))

    run = writes()
    assert [found.logs for found in run["tells"]] == [[f"begin {x}", f"end {x}"] for x in range(200)]


def test_nothing_is_lost_of_ten_thousand_branches_with_three_events_each(pipe):
    @step
    def tells(x):
        print(f"first of {x}")
        get_step_context().progress(x, 10_000)
        print(f"second of {x}")
        return x

    @pipe
    def writes():
        return tells.map(range(10_000))

    run = writes()
    assert run.load() == list(range(10_000))
    assert run.logs("tells") == [f"{which} of {x}" for x in range(10_000) for which in ("first", "second")]
    assert run._record.nodes["tells"].progress == {x: (x, 10_000) for x in range(10_000)}


def test_lines_of_branches_that_run_at_once_stay_apart(pipe):
    @step
    def tells(x):
        for i in range(5):
            print(x, i, end=" ")
            time.sleep(0.002)
            print("done")

    @pipe
    def writes():
        tells.map(range(6))

    run = writes()
    assert [found.logs for found in run["tells"]] == [[f"{x} {i} done" for i in range(5)] for x in range(6)]


def test_a_log_of_several_lines_is_several_lines(pipe):
    @step
    def tells():
        logging.getLogger("sweep").error("one\ntwo")

    @pipe
    def writes():
        tells()

    assert writes().logs("tells") == ["ERROR sweep: one", "two"]


@pytest.mark.filterwarnings("always")
def test_what_a_plain_call_logs_and_warns_is_in_its_log(pipe):
    @step
    def tells():
        logging.getLogger("sweep").warning("logged")
        warnings.warn("careful", stacklevel=1)

    @pipe
    def writes():
        tells()

    line = tells.function.__code__.co_firstlineno + 3
    assert writes().logs("tells") == ["WARNING sweep: logged", f"{__file__}:{line}: UserWarning: careful"]


def test_a_progress_bar_leaves_its_last_state(pipe):
    @step
    def tells():
        for done in (10, 50, 100):
            print(f"\r{done} %", end="")
        print()

    @pipe
    def writes():
        tells()

    assert writes().logs("tells") == ["100 %"]


def test_the_streams_are_as_they_were_after_a_run(pipe):
    @pipe
    def writes():
        return same(1)

    before = sys.stdout, sys.stderr, warnings.showwarning, [*logging.getLogger().handlers]
    writes()
    assert (sys.stdout, sys.stderr, warnings.showwarning, [*logging.getLogger().handlers]) == before


def test_lines_of_runs_that_overlap_stay_apart(pipe, until):
    @step
    def tells(name, other):
        print(name, "begins")
        open(name, "w").close()
        until(lambda: os.path.exists(other))
        print(name, "ends")
        open(f"{name} done", "w").close()
        if name == "b":
            until(lambda: os.path.exists("a done"))
        print(name, "is over")

    @pipe
    def writes(name, other):
        tells(name, other)

    before = sys.stdout, sys.stderr
    a = writes.start("a", "b")
    b = writes.start("b", "a")
    assert a.wait(30).logs("tells") == ["a begins", "a ends", "a is over"]
    assert b.wait(30).logs("tells") == ["b begins", "b ends", "b is over"]
    until(lambda: (sys.stdout, sys.stderr) == before)


# what a backend cannot keep


@pytest.mark.parametrize("backend", ["sequential", "threading"])
def test_a_timeout_is_refused_at_the_call_where_it_cannot_be_kept(backend, note):
    @step(timeout=1)
    def limited():
        note("ran")

    @pipeline(backend=backend)
    def asks():
        same(1)
        limited()

    with pytest.raises(fanlab.StepCallError) as caught:
        asks()
    line = asks.__wrapped__.__code__.co_firstlineno + 3
    assert str(caught.value) == (
        f"'limited' has a timeout, which the backend '{backend}' cannot keep\n"
        f"  where: {os.path.basename(__file__)}, line {line}\n"
        "  do:    use backend='loky', which can end a branch, or leave the timeout out"
    )
    assert not os.path.exists("ran")
