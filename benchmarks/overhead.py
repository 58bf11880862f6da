"""What fanlab adds to a branch: many short ones, few short ones, long ones, and the way to the first."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
import tracemalloc

from joblib import Parallel, delayed
from measure import Row, median, pairs, seconds

from fanlab import pipeline, step
from fanlab.core.events import Status
from fanlab.core.schedule import Schedule
from fanlab.core.trace import trace


@step
def noop(x):
    return x


@step
def stamp(x):
    return time.time()


@step
def busy(x):
    until = time.perf_counter() + 0.05
    while time.perf_counter() < until:
        pass
    return x


@pipeline(enable_cache=False, n_jobs=2)
def many(count):
    return noop.map(range(count))


@pipeline(enable_cache=False, n_jobs=2)
def work(count):
    return busy.map(range(count))


@pipeline(enable_cache=False, n_jobs=2)
def first():
    return stamp.map(range(2))


def joblib_many(count):
    """The same in joblib, which batches by itself."""
    return Parallel(n_jobs=2)(delayed(noop.function)(i) for i in range(count))


def no_ops() -> list[Row]:
    """10,000 branches that do nothing, everything recorded, against joblib, which records nothing."""
    ours, theirs, ratio = pairs(lambda: many(10_000), lambda: joblib_many(10_000), 11)
    figure = f"{1e3 * ours:.0f} ms, joblib {1e3 * theirs:.0f} ms"
    return [Row("10,000 no-ops, cache off, warm", figure, ratio, 1.0, "of joblib's time")]


def few() -> list[Row]:
    """8 branches that do nothing."""
    ours, theirs, _ = pairs(lambda: many(8), lambda: joblib_many(8), 21)
    figure = f"{1e3 * ours:.1f} ms, joblib {1e3 * theirs:.1f} ms"
    return [Row("8 no-ops, warm", figure, 1e3 * ours, 10.0, "ms")]


def cpu() -> list[Row]:
    """64 branches of 50 ms of work on two workers."""
    work(4)
    took = median(lambda: seconds(lambda: work(64)), 3)
    ideal = 64 * 0.05 / 2
    return [
        Row(
            "64 x 50 ms of work on 2 workers",
            f"{took:.2f} s, ideal {ideal:.2f} s",
            ideal / took,
            0.95,
            "of ideal",
            True,
        )
    ]


def first_branch() -> list[Row]:
    """From the call until the first branch runs, workers warm."""

    def once() -> float:
        begun = time.time()
        return min(first().load()) - begun

    once()
    took = 1e3 * median(once, 15)
    return [Row("first branch after the call, warm", f"{took:.1f} ms", took, 50.0, "ms")]


def imports() -> list[Row]:
    """`import fanlab` in a new process, less an empty process."""

    def once(code: str) -> float:
        return seconds(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    took = statistics.median(once("import fanlab") - once("pass") for _ in range(9))
    return [Row("import fanlab", f"{1e3 * took:.0f} ms", took, 0.15, "s")]


def hundred_thousand() -> list[Row]:
    """Time per branch at 100,000 against 10,000, and the parent's memory per branch."""
    many(10_000), many(100_000)
    small = median(lambda: seconds(lambda: many(10_000)), 7) / 10_000
    large = median(lambda: seconds(lambda: many(100_000)), 3) / 100_000
    tracemalloc.start()
    run = many(100_000)
    bytes_each = tracemalloc.get_traced_memory()[0] / 100_000
    tracemalloc.stop()
    figure = f"{1e6 * large:.1f} us a branch, {1e6 * small:.1f} us at 10,000"
    return [
        Row("100,000 no-ops: time per branch", figure, large / small, 1.3, "of that at 10,000"),
        Row(
            f"{len(run.steps):,} no-ops: memory in the parent",
            f"{bytes_each:.0f} bytes a branch",
            bytes_each,
            1024,
            "bytes",
        ),
    ]


def schedule_alone() -> list[Row]:
    """A million branches through the schedule, in batches of random size, without anything else."""

    def once(count: int) -> float:
        traced = trace("p", lambda: noop.map(range(count)), (), {})
        schedule = Schedule(traced.graph)
        begun = time.perf_counter()
        for name in schedule.expandable():
            schedule.expand(name, traced.shapes[name])
        dice = random.Random(0)
        while (name := schedule.next()) is not None:
            start, stop = schedule.take(name, dice.randint(1, 500))
            schedule.finish(name, start, bytes([Status.COMPLETED]) * (stop - start))
        return (time.perf_counter() - begun) / count

    small, large = median(lambda: once(10_000), 9), once(1_000_000)
    figure = f"{1e9 * large:.0f} ns a branch, {1e9 * small:.0f} ns at 10,000"
    return [Row("1,000,000 branches, schedule alone", figure, large / small, 1.3, "of that at 10,000")]
