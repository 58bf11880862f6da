"""How far one machine goes: a million branches through the schedule, 200,000 through loky with everything recorded.

python benchmarks/scale.py            all, written to benchmarks/results/scale.md
python benchmarks/scale.py 100000     up to so many branches through loky, only printed
"""

from __future__ import annotations

import gc
import os
import platform
import random
import sys
import tempfile
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

from fanlab import pipeline, step
from fanlab.core.events import Status
from fanlab.core.schedule import Schedule
from fanlab.core.trace import trace

RESULTS = Path(__file__).parent / "results"
LEAST, MOST, ALONE = 10_000, 200_000, 1_000_000
GROWTH = 1.3  # what a branch may cost more among many than among 10,000


@step
def noop(x):
    return x


@pipeline(enable_cache=False, n_jobs=2)
def many(count):
    return noop.map(range(count))


@dataclass(frozen=True)
class Found:
    """What one size took, per branch."""

    what: str
    branches: int
    microseconds: float
    memory: float  # bytes in the kernel
    stored: float | None = None  # bytes on disk
    table: float | None = None  # seconds for run.results, all of it


def alone(count: int) -> Found:
    """So many branches through the schedule, in batches of random size, without anything else."""
    traced = trace("p", lambda: noop.map(range(count)), (), {})

    def once() -> tuple[float, Schedule]:
        schedule = Schedule(traced.graph)
        dice, begun = random.Random(0), time.thread_time()  # not the time of others on the machine
        for name in schedule.expandable():
            schedule.expand(name, traced.shapes[name])
        while (name := schedule.next()) is not None:
            start, stop = schedule.take(name, dice.randint(1, 500))
            schedule.finish(name, start, bytes([Status.COMPLETED]) * (stop - start))
        return time.thread_time() - begun, schedule

    took = min(once()[0] for _ in range(5))
    tracemalloc.start()
    _, schedule = once()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert schedule.done
    return Found("schedule alone", count, 1e6 * took / count, held / count)


def through_loky(count: int) -> Found:
    """So many no-ops with events, record and store, and their table."""
    took = []
    for _ in range(3 if count <= 50_000 else 1):
        begun = time.perf_counter()
        many(count)
        took.append(time.perf_counter() - begun)
        gc.collect()
    before = folder_bytes()
    tracemalloc.start()
    run = many(count)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    stored = folder_bytes() - before
    begun = time.perf_counter()
    results = run.results
    table = time.perf_counter() - begun
    assert len(results) == count
    assert (results["output"] == results["x"]).all()
    return Found("loky, recorded", count, 1e6 * min(took) / count, held / count, stored / count, table)


def folder_bytes() -> int:
    """How large the store is, its database's log written into it."""
    fanlab_store = Path(os.environ["FANLAB_STORE"])
    return sum(path.stat().st_size for path in fanlab_store.rglob("*") if path.is_file())


def line(found: Found, first: Found) -> str:
    """A row of the table; ratios are against 10,000 branches."""
    stored = f"{found.stored:.0f}" if found.stored is not None else ""
    table = f"{found.table:.2f}" if found.table is not None else ""
    time_ratio, memory_ratio = found.microseconds / first.microseconds, found.memory / first.memory
    return (
        f"| {found.what} | {found.branches:,} | {found.microseconds:.2f} | {time_ratio:.2f} | "
        f"{found.memory:.0f} | {memory_ratio:.2f} | {stored} | {table} |"
    )


def main() -> None:
    """Measure, print, and write the table if everything was measured."""
    most = int(sys.argv[1]) if sys.argv[1:] else MOST
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FANLAB_STORE"] = os.path.join(folder, "store")
        many(LEAST)  # workers are warm
        schedules = [alone(count) for count in (LEAST, 100_000, ALONE)]
        runs = [through_loky(count) for count in dict.fromkeys((LEAST, min(50_000, most), most))]
    lines = [line(found, group[0]) for group in (schedules, runs) for found in group]
    head = [
        "| what | branches | us a branch | of that at 10,000 | bytes a branch in the kernel | of that at 10,000 "
        "| bytes a branch in the store | s for `run.results` |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join([*head, *lines]))
    if not sys.argv[1:]:
        RESULTS.mkdir(exist_ok=True)
        title = f"# How far one machine goes\n\nOn {os.cpu_count()} cores, Python {platform.python_version()}."
        (RESULTS / "scale.md").write_text("\n".join([title + " Made by `make bench-scale`.", "", *head, *lines, ""]))
    worst = max(
        ratio
        for group in (schedules, runs)
        for found in group
        for ratio in (found.microseconds / group[0].microseconds, found.memory / group[0].memory)
    )
    print(f"the most that a branch costs more than among 10,000: {worst:.2f} x, at most {GROWTH} wanted")


if __name__ == "__main__":
    main()
