"""Workers that die or take too long: who is charged, who is not, and what it costs."""

import ctypes
import os
import signal
import time

import pytest

import fanlab
from fanlab import get_step_context, step

DO = "  do:    look for a crash in a library, os._exit, or too little memory (SIGKILL, if nobody sent it)"


@step
def same(x):
    return x


@pytest.fixture
def limited():
    """A step with a timeout that ends at once for 1, and runs as long as it can for 0."""

    def limited(work, **options):
        @step(timeout=1.5, **options)
        def limited(x):
            if x == 0:
                work()
            return x

        return limited

    return limited


def ways():
    """Ways to run for too long, as functions that travel by value."""

    def loop():
        while True:
            pass

    return {
        "a sleep": lambda: time.sleep(60),
        "a loop": loop,
        "C code that holds the interpreter's lock": lambda: sum(range(10**12)),
    }


# timeouts


@pytest.mark.parametrize("way", ways())
def test_a_branch_that_exceeds_its_timeout_fails_with_name_and_limit(able, way, limited, failed):
    works = limited(ways()[way])

    @able(n_jobs=2)
    def waits():
        works.map([0, 1])

    error = failed(waits)
    assert type(error.__cause__) is fanlab.StepTimeout
    assert isinstance(error.__cause__, TimeoutError)
    assert str(error.__cause__) == (
        "'limited[0]' ran longer than its timeout of 1.5 s\n  do:    give it more time with timeout=..., or less to do"
    )
    assert [found.status for found in error.run["limited"]] == ["failed", "completed"]


def test_a_worker_is_ended_whose_step_has_forked(able):
    """The fork goes on when the worker has ended, and has open what that one had."""

    @step(timeout=0.5)
    def forks():
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in range(3):
                os.dup2(null, descriptor)
            limit = time.monotonic() + 120
            while not os.path.exists("noticed") and time.monotonic() < limit:
                time.sleep(0.01)
            os._exit(0)
        time.sleep(120)

    @able(n_jobs=1, enable_cache=False)
    def waits():
        forks()

    run = waits.start()
    run.wait(60)
    ended = run.status
    open("noticed", "w").close()
    assert ended == "failed"
    assert "ran longer than its timeout" in str(run["forks"].error)


def test_a_fork_that_returns_from_its_step_changes_nothing(able):
    @step
    def splits(x):
        os.fork()
        print("twice")
        return x

    @able(n_jobs=1, enable_cache=False)
    def works():
        return splits.map(range(5))

    run = works()
    assert run.load() == list(range(5))
    assert run.logs("splits[0]") == ["twice"]


def test_a_plain_call_may_have_a_timeout(able, limited, failed):
    works = limited(lambda: time.sleep(60))

    @able(n_jobs=1)
    def waits():
        works(0)
        same(1)

    error = failed(waits)
    assert str(error).partition("\n")[0] == (
        "limited (x=0) failed: StepTimeout: 'limited' ran longer than its timeout of 1.5 s"
    )
    assert error.run["same"].load() == 1


def test_neighbours_in_the_batch_of_an_overdue_branch_are_unharmed(able, failed):
    @step(timeout=1.5)
    def limited(x):
        time.sleep(60 if x == 150 else 0.001)
        return x

    @able(n_jobs=2)
    def waits():
        limited.map(range(300))

    found = failed(waits).run["limited"]
    assert [x for x in range(300) if found[x].status != "completed"] == [150]
    assert found[150].error == "StepTimeout: 'limited[150]' ran longer than its timeout of 1.5 s"
    assert [found[x].load() for x in range(300) if x != 150] == [x for x in range(300) if x != 150]
    assert all(found[x].attempts == 1 for x in range(300))


def test_a_timeout_counts_each_branch_for_itself(able):
    @step(timeout=2)
    def works(x):
        time.sleep(0.2)
        return x

    @able(n_jobs=1)
    def waits():
        return works.map(range(12))

    assert waits().load() == list(range(12))


def test_a_branch_that_was_overdue_is_tried_again(able):
    @step(timeout=1.5, retries=1)
    def limited():
        if get_step_context().attempt == 1:
            time.sleep(60)
        return "there"

    @able(n_jobs=1)
    def waits():
        return limited()

    run = waits()
    assert run.load() == "there"
    assert run["limited"].attempts == 2


def test_retry_on_can_leave_timeouts_alone(able, failed):
    @step(timeout=0.3, retries=3, retry_on=ValueError)
    def limited():
        time.sleep(60)

    @able(n_jobs=1)
    def waits():
        limited()

    assert failed(waits).run["limited"].attempts == 1


# deaths


def ends(how):
    """A step whose second branch does `how`; it stays in its worker, so its name must not be looked up there."""

    @step
    def dies(x):
        if x == 1:
            how()
        return x

    return dies


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL(-9)"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "SIGTERM(-15)"),
        (lambda: os._exit(7), "EXIT(7)"),
        (lambda: os._exit(0), "EXIT(0)"),
        (lambda: ctypes.string_at(0), "SIGSEGV(-11)"),
        (os.abort, "SIGABRT(-6)"),
    ],
    ids=["killed", "terminated", "exited", "left", "segfault", "aborted"],
)
def test_a_death_is_told_with_its_branch_and_how_it_came(able, how, reason, failed):
    dies = ends(how)

    @able(n_jobs=2)
    def deaths():
        dies.map(range(3))
        same(1)

    error = failed(deaths)
    assert type(error.__cause__) is fanlab.WorkerDied
    assert str(error.__cause__) == f"the worker that ran 'dies[1]' ended with {reason}\n{DO}"
    assert [found.status for found in error.run["dies"]] == ["completed", "failed", "completed"]
    assert error.run["same"].load() == 1


def test_too_little_memory_is_an_ordinary_failure_where_python_notices(able, failed):
    @step
    def greedy(x):
        import resource

        limits = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, limits[1]))
        try:
            return len(bytearray(x))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, limits)

    @able(n_jobs=2)
    def grows():
        greedy.map([1000, 64 << 30, 2000])

    error = failed(grows)
    assert [found.status for found in error.run["greedy"]] == ["completed", "failed", "completed"]
    assert error.run.steps["greedy[1]"].error == "MemoryError"
    if error.run.environment["backend"] != "ray":  # which may run each batch beside another of its processes
        assert len(set(error.run.profile["worker"])) <= 2


def test_exactly_the_culprit_of_a_large_map_fails(able, failed):
    @step
    def dies(x):
        time.sleep(0.001)
        if x == 777:
            os._exit(3)
        return x

    @able(n_jobs=2)
    def deaths():
        dies.map(range(1000))

    found = failed(deaths).run["dies"]
    assert [x for x in range(1000) if found[x].status != "completed"] == [777]
    assert found[777].error == "WorkerDied: the worker that ran 'dies[777]' ended with EXIT(3)"
    assert [found[x].load() for x in range(1000) if x != 777] == [x for x in range(1000) if x != 777]


def test_every_culprit_of_a_large_map_fails_and_nobody_else(able, failed):
    culprits = {0, 1, 2, 300, 301, 499}

    @step
    def dies(x):
        if x in culprits:
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    @able(n_jobs=2)
    def deaths():
        dies.map(range(500))

    found = failed(deaths).run["dies"]
    assert {x for x in range(500) if found[x].status != "completed"} == culprits
    assert all(found[x].load() == x for x in set(range(500)) - culprits)


def test_a_death_is_told_with_the_last_lines_of_its_branch(able, until):
    @step
    def dies(x):
        if x == 5:
            for i in range(5):
                print("line", i)
            until(lambda: os.path.exists("told"))
            os._exit(1)
        print("line of another")
        return x

    @able(n_jobs=2)
    def deaths():
        dies.map(range(10))

    run = deaths.start()
    until(lambda: run.steps["dies[5]"].logs == [f"line {i}" for i in range(5)])
    open("told", "w").close()
    with pytest.raises(fanlab.PipelineError) as caught:
        run.wait(60).load()
    assert str(caught.value.__cause__) == (
        f"the worker that ran 'dies[5]' ended with EXIT(1); it last wrote: line 2 | line 3 | line 4\n{DO}"
    )


def test_a_death_is_tried_again(able):
    @step(retries=1)
    def dies(x):
        if x == 2 and get_step_context().attempt == 1:
            os._exit(1)
        return x

    @able(n_jobs=2)
    def deaths():
        return dies.map(range(5))

    run = deaths()
    assert run.load() == [0, 1, 2, 3, 4]
    assert list(run.profile["attempts"]) == [1, 1, 2, 1, 1]


def test_retry_on_can_name_deaths_only(able, failed):
    @step(retries=2, retry_on=fanlab.WorkerDied)
    def dies(x):
        if x == 0:
            os._exit(1)
        raise ValueError("no")

    @able(n_jobs=2)
    def deaths():
        dies.map([0, 1])

    assert [found.attempts for found in failed(deaths).run["dies"]] == [3, 1]


def test_a_branch_that_kills_every_worker_it_meets_fails_after_its_retries(able, failed):
    @step(retries=5)
    def dies(x):
        with open("tries", "a") as file:
            file.write(f"{x}\n")
        if x == 50:
            os._exit(1)
        return x

    @able(n_jobs=2)
    def deaths():
        dies.map(range(200))
        same.map(range(200))

    run = failed(deaths).run
    assert [name for name, found in run.steps.items() if found.status != "completed"] == ["dies[50]"]
    assert run.steps["dies[50]"].attempts == 6
    with open("tries") as file:
        assert file.read().splitlines().count("50") == 6


def test_branches_that_wait_behind_a_killer_are_never_charged(able, failed):
    @step(retries=20)
    def dies(x):
        if x == 0:
            os._exit(1)
        return x

    @able(n_jobs=1)
    def deaths():
        dies.map(range(3))
        same.map(range(500))

    run = failed(deaths).run
    assert [name for name, found in run.steps.items() if found.status != "completed"] == ["dies[0]"]


def test_what_depends_on_a_branch_that_died_is_skipped(able, failed, statuses):
    dies = ends(lambda: os._exit(1))

    @able(n_jobs=2)
    def deaths():
        same.map(dies.map([0, 1]))

    assert statuses(failed(deaths).run) == {
        "dies[0]": "completed",
        "dies[1]": "failed",
        "same[0]": "completed",
        "same[1]": "skipped",
    }


def test_a_worker_that_died_idle_is_replaced(able):
    @step(enable_cache=False)
    def process():
        return os.getpid()

    @able(n_jobs=1)
    def asks():
        return process()

    before = asks().load()
    os.kill(before, signal.SIGKILL)
    assert asks().load() != before


def test_the_profile_tells_when_and_where_a_branch_died(able, failed):
    dies = ends(lambda: os._exit(1))

    @able(n_jobs=2)
    def deaths():
        dies.map([0, 1, 2])

    profile = failed(deaths).run.profile
    assert list(profile["attempts"]) == [1, 1, 1]
    assert profile[["worker", "start", "end"]].notna().all(axis=None)
    assert (profile["end"] >= profile["start"]).all()
