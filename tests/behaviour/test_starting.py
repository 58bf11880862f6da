"""Runs in the background, cancelled runs, and runs that are taken up again."""

import asyncio
import os
import threading
import time

import pytest

import fanlab
from fanlab import pipeline, step
from fanlab.client import Client
from fanlab.execute.expanding import Expanding
from fanlab.show import table


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


@step
def gate(x):
    """0 ends at once; the others say that they run, and run until they are ended."""
    if x:
        open(f"started{x}", "w").close()
        time.sleep(60)
    return x


@pytest.fixture
def noted():
    """A step that appends its argument to a file, and the lines of that file."""

    class Noted:
        @property
        def lines(self):
            if not os.path.exists("ran"):
                return []
            with open("ran") as file:
                return file.read().splitlines()

        def __call__(self, x):
            with open("ran", "a") as file:
                file.write(f"{x}\n")

    return Noted()


# in the background


@pytest.fixture
def background(pipe, until):
    """A pipeline that returns 7 as soon as there is a file "go"."""

    @step
    def waits():
        until(lambda: os.path.exists("go"))
        return 7

    @pipe
    def background():
        return waits()

    return background


def test_start_returns_a_running_run(background):
    run = background.start()
    assert run.status == "running"
    assert background.last_run is run
    open("go", "w").close()
    assert run.wait() is run
    assert run.status == "completed"
    assert run.load() == 7


def test_load_of_a_running_run_waits_for_its_end(background):
    run = background.start()
    go = threading.Timer(0.2, open("go", "w").close)
    go.start()
    assert run.load() == 7
    go.join()


def test_wait_returns_the_running_run_when_its_time_is_up(background):
    run = background.start()
    assert run.wait(0.05) is run
    assert run.status == "running"
    open("go", "w").close()
    assert run.wait(30).status == "completed"


def test_wait_raises_nothing_and_load_raises_the_error(pipe):
    @pipe
    def background():
        return picky(2)

    run = background.start().wait()
    assert run.status == "failed"
    with pytest.raises(fanlab.PipelineError) as caught:
        run.load()
    assert caught.value.run is run


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_a_table_of_a_running_run_is_of_one_moment(backend, until, monkeypatch):
    @step
    def lists(i):
        until(lambda: os.path.exists(f"go{i}"))
        return [i, i]

    @pipeline(backend=backend, n_jobs=1)
    def background():
        return same.map(lists.map([0, 1]).flatten())

    def lasts(*args):
        """Index a table, while the run would go on if it could."""
        open("go1", "w").close()
        limit = time.monotonic() + 0.5
        while len(run._record.nodes["same"].statuses) < 4 and time.monotonic() < limit:
            time.sleep(0.01)
        return index_of(*args)

    index_of = table.index_of
    monkeypatch.setattr(table, "index_of", lasts)
    open("go0", "w").close()
    run = background.start()
    until(lambda: len(run._record.nodes) == 2 and len(run._record.nodes["same"].statuses) == 2)
    assert list(run.results.index) in (["lists[0]", "lists[1]", "same[0,0]", "same[0,1]"], list(run.steps))
    assert len(run.wait(60).results) == 6


def test_await_gives_the_value_and_leaves_the_loop_free(pipe, until):
    @step
    def waits():
        until(lambda: os.path.exists("go"))
        return 7

    @pipe
    def background():
        return waits()

    async def main():
        async def opens():
            open("go", "w").close()

        opening = asyncio.create_task(opens())
        value = await background.start()
        await opening
        return value

    assert asyncio.run(main()) == 7


def test_await_raises_the_error_of_a_failed_run(pipe):
    @pipe
    def background():
        return picky(2)

    async def main():
        await background.start()

    with pytest.raises(fanlab.PipelineError):
        asyncio.run(main())


def test_two_runs_at_once_are_both_right(pipe):
    @pipe
    def sums(first):
        return total(same.map(range(first, first + 100)))

    runs = [sums.start(first) for first in (0, 1000)]
    assert [run.wait(60).load() for run in runs] == [4950, 104950]


def test_two_runs_at_once_that_need_each_other_both_end(able, until):
    @step
    def meets(me, other):
        open(me, "w").close()
        until(lambda: os.path.exists(other))
        return me

    @able(n_jobs=2)
    def meeting(me, other):
        return meets(me, other)

    runs = [meeting.start("a", "b"), meeting.start("b", "a")]
    assert [run.wait(60).load() for run in runs] == ["a", "b"]


def test_a_death_in_one_run_leaves_the_other_alone(able):
    @step
    def dies(x):
        if x == 30:
            os._exit(1)
        return x

    @able(n_jobs=2)
    def deaths():
        dies.map(range(60))

    @able(n_jobs=2)
    def sums():
        return total(same.map(range(500)))

    first, second = deaths.start(), sums.start()
    assert second.wait(60).load() == sum(range(500))
    assert [found.status for found in first.wait(60)["dies"]].count("failed") == 1


# cancelled


def test_cancel_from_another_thread_ends_the_call_at_once(able, until):
    @able(n_jobs=2)
    def naps():
        gate.map([1, 2, 3])

    def cancel():
        until(lambda: os.path.exists("started1"))
        naps.last_run.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with pytest.raises(fanlab.PipelineError) as caught:
        naps()
    assert (caught.value.run.end_time.timestamp() - os.path.getmtime("started1")) < 30
    thread.join()
    assert caught.value.run.status == "cancelled"


def test_cancel_keeps_what_has_finished(able, until):
    @able(n_jobs=2)
    def naps():
        total(gate.map([0, 1, 2, 3]))

    run = naps.start()
    until(lambda: os.path.exists("started1") and os.path.exists("started2"))
    run.cancel()
    assert run.wait(30).status == "cancelled"
    assert [found.status for found in run["gate"]] == ["completed", "cancelled", "cancelled", "cancelled"]
    assert run["total"].status == "cancelled"
    assert run.steps["gate[0]"].load() == 0
    assert Client().get_pipeline_run(run.name).steps["gate[0]"].load() == 0


def test_the_next_run_works_after_a_cancel(able, until):
    @able(n_jobs=2)
    def naps():
        gate.map([1, 2])

    @able(n_jobs=2)
    def sums():
        return total(same.map(range(50)))

    run = naps.start()
    until(lambda: os.path.exists("started1"))
    run.cancel()
    assert sums().load() == 1225
    assert run.wait(30).status == "cancelled"


def test_the_next_run_works_after_a_cancel_before_workers_are_ready(python):
    out = python(
        """
        import time
        from fanlab import pipeline, step

        @step
        def nap(x):
            time.sleep(60)

        @step
        def same(x):
            return x

        @pipeline(n_jobs=1)
        def naps():
            nap.map(range(3))

        @pipeline(n_jobs=1)
        def sames():
            return same.map(range(3))

        for pause in (0, 0.01, 0.05, 0.1):
            run = naps.start()
            time.sleep(pause)
            run.cancel()
            print(run.wait(30).status, sames().load())
        """
    )
    assert out == "cancelled [0, 1, 2]\n" * 4


def test_branches_that_need_no_steps_value_are_there_when_a_run_has_been_started(monkeypatch):
    expand = Expanding.expand

    def late(self):
        time.sleep(0.1)
        expand(self)

    monkeypatch.setattr(Expanding, "expand", late)

    @pipeline(backend="threading", n_jobs=1)
    def sames():
        return total(same.map(range(3)))

    run = sames.start()
    assert list(run.steps) == ["same[0]", "same[1]", "same[2]", "total"]
    assert run.wait(60).load() == 3


def test_cancel_of_one_run_leaves_the_other_alone(able, until):
    @able(n_jobs=2)
    def naps():
        gate.map([1])

    @step
    def waits():
        until(lambda: os.path.exists("go"))
        return 7

    @able(n_jobs=2)
    def waiting():
        return waits()

    first, second = naps.start(), waiting.start()
    until(lambda: os.path.exists("started1"))
    first.cancel()
    assert first.wait(30).status == "cancelled"
    open("go", "w").close()
    assert second.wait(30).load() == 7


def test_cancel_of_a_finished_run_does_nothing(pipe):
    @pipe
    def quick():
        return same(1)

    run = quick()
    run.cancel()
    assert run.status == "completed"
    assert quick().load() == 1


def test_cancel_drops_a_retry_that_waits_for_its_time(pipe, until):
    @step(retries=1, retry_delay=60)
    def fails():
        open("tried", "w").close()
        raise ValueError("no")

    @pipe
    def tries():
        fails()

    run = tries.start()
    until(lambda: os.path.exists("tried") and run["fails"].status == "queued" and run["fails"].attempts == 1)
    run.cancel()
    assert run.wait(30).status == "cancelled"
    assert run["fails"].status == "cancelled"


def test_cancel_starts_nothing_new_where_branches_cannot_be_ended(pipe, until):
    @step
    def waits(x):
        open(f"started{x}", "w").close()
        until(lambda: os.path.exists("go"))
        return x

    @pipe
    def waiting():
        waits.map(range(20))

    run = waiting.start()
    until(lambda: os.path.exists("started0"))
    run.cancel()
    open("go", "w").close()
    assert run.wait(30).status == "cancelled"
    assert "completed" not in {found.status for found in run["waits"][3:]}


# taken up again


def test_resume_runs_only_what_failed_or_was_skipped(pipe, noted, failed):
    @step
    def flaky(x):
        noted(f"flaky {x}")
        if x == 1 and not os.path.exists("mended"):
            raise ValueError("not yet")
        return x

    @step
    def after(values):
        noted("after")
        return sum(values)

    @pipe
    def sweep():
        return after(flaky.map([0, 1, 2]))

    run = failed(sweep).run
    open("mended", "w").close()
    before = len(noted.lines)
    again = run.resume()
    assert again.load() == 3
    assert noted.lines[before:] == ["flaky 1", "after"]
    assert [found.status for found in again["flaky"]] == ["cached", "completed", "cached"]
    assert again is not run
    assert run.status == "failed"


def test_resume_of_a_cancelled_run_runs_only_what_is_missing(able, noted, until):
    @step
    def works(x, *before):  # one after the other: what does not depend on each other may start in any order
        noted(x)
        if x == 1 and not os.path.exists("mended"):
            open("started", "w").close()
            time.sleep(60)
        return x

    @able(n_jobs=1)
    def sweep():
        first = works(0)
        second = works(1, first)
        return works(2, second)

    run = sweep.start()
    until(lambda: os.path.exists("started"))
    run.cancel()
    run.wait(30)
    open("mended", "w").close()
    before = noted.lines
    again = run.resume()
    assert again.load() == 2
    assert before == ["0", "1"]
    assert noted.lines == ["0", "1", "1", "2"]


def test_resume_of_a_completed_run_runs_nothing(pipe, noted):
    @step
    def works(x):
        noted(x)
        return x

    @pipe
    def sweep():
        return total(works.map([0, 1, 2]))

    run = sweep()
    again = run.resume()
    assert again.load() == 3
    assert len(noted.lines) == 3
    assert {found.status for found in again.steps.values()} == {"cached"}


def test_resume_runs_a_step_defined_anew_and_what_depends_on_it(python):
    out = python(
        """
        from fanlab import pipeline, step, PipelineError

        def note(x):
            with open("ran", "a") as file:
                file.write(f"{x} ")

        @step
        def base(x):
            note(f"base{x}")
            return x

        @step
        def double(x):
            note(f"double{x}")
            return 2 * x

        @step
        def other(x):
            note(f"other{x}")
            return x

        @step
        def total(values, more):
            note("total")
            if max(values) < 9:
                raise ValueError("too little")
            return sum(values) + sum(more)

        @pipeline(n_jobs=1)
        def sweep():
            items = base.map([1, 2])
            return total(double.map(items), other.map(items))

        try:
            sweep()
        except PipelineError as error:
            run = error.run

        @step
        def double(x):
            note(f"tenfold{x}")
            return 10 * x

        open("ran", "w").close()
        print(run.resume().load())
        print(*sorted(open("ran").read().split()))
        """
    )
    assert out == "33\ntenfold1 tenfold2 total\n"


def test_resume_runs_again_what_has_other_arguments(pipe, noted, failed):
    limit = [2]

    @step
    def works(x):
        noted(x)
        if x > 5:
            raise ValueError("too much")
        return x

    @pipe
    def sweep():
        return works.map([1, limit[0], 9])

    run = failed(sweep).run
    limit[0] = 3
    before = len(noted.lines)
    error = failed(run.resume)
    assert {"3", "9"} <= set(noted.lines[before:])
    assert error.run.steps["works[1]"].load() == 3


def test_a_resumed_run_can_be_resumed(pipe, noted, failed):
    @step
    def flaky(x):
        noted(x)
        if x and not os.path.exists(f"mended{x}"):
            raise ValueError("not yet")
        return x

    @pipe
    def sweep():
        return flaky.map([0, 1, 2])

    run = failed(sweep).run
    open("mended1", "w").close()
    run = failed(run.resume).run
    open("mended2", "w").close()
    before = len(noted.lines)
    assert run.resume().load() == [0, 1, 2]
    assert noted.lines[before:] == ["2"]
