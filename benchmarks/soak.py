"""Mixed runs with random faults on a local Dask cluster for some minutes: right results, and nothing that grows.

python benchmarks/soak.py --minutes 15 --seed 1
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

import fanlab
from fanlab import PipelineError, get_step_context, pipeline, step, unmapped

WARM_SHARE = 1 / 3  # what grows until then is what a process that works has
DESCRIPTORS, THREADS, MEGABYTES = 8, 8, 60  # how much more there may be at the end


@step(retries=8)
def fragile(x, seed):
    """Does its work, but for some branches first fails, exits, or is killed."""
    fault = random.Random(seed * 100_003 + x).random()
    if get_step_context().attempt == 1 and fault < 0.02:
        if fault < 0.005:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault < 0.01:
            os._exit(3)
        raise ValueError(x)
    if x % 50 == 0:
        print("branch", x)
    return x * x


@step(timeout=1.0, retries=8)
def slow(x):
    if x == 7 and get_step_context().attempt == 1:
        time.sleep(60)
    return x


@step
def scaled(array, by):
    return array * by


@step
def total(values):
    return int(sum(values))


@step
def sums(arrays):
    return float(sum(array.sum() for array in arrays))


@step
def fails(x):
    raise ValueError(x)


@pipeline(backend="dask", n_jobs=2, enable_cache=False)
def mixed(count, seed):
    squares = fragile.map(range(count), unmapped(seed))
    return total(squares), total(slow.map(range(10)))


@pipeline(backend="dask", n_jobs=2, enable_cache=False)
def large(by):
    return sums(scaled.map(unmapped(np.ones(50_000)), by=[by] * 4))


@pipeline(backend="dask", n_jobs=2, enable_cache=False)
def failing():
    return total(fails.map(range(20)))


def one_run(dice: random.Random, client: Any) -> str:
    """A run of one kind, checked. Now and then a Dask worker is killed meanwhile."""
    kind = dice.choice(["mixed", "mixed", "large", "failing", "cancelled"])
    if dice.random() < 0.1:
        workers = client.run(os.getpid)
        threading.Timer(dice.random(), _kill, [dice.choice(list(workers.values()))]).start()
        kind_of_branches = 200
        expected = sum(x * x for x in range(kind_of_branches)), sum(range(10))
        try:
            assert mixed(kind_of_branches, dice.randrange(10**6)).load() == expected
        except PipelineError as error:  # a branch that ran beside it may have used up its retries
            found = [one.error for one in error.run.steps.values() if one.status == "failed"]
            assert all(str(one).startswith("WorkerDied") for one in found)
        return "killed"
    if kind == "mixed":
        count = dice.choice([10, 200, 2000])
        expected = sum(x * x for x in range(count)), sum(range(10))
        assert mixed(count, dice.randrange(10**6)).load() == expected
    elif kind == "large":
        assert large(2.0).load() == 4 * 2.0 * 50_000
    elif kind == "failing":
        try:
            failing()
        except PipelineError as error:
            assert {found.status for found in error.run["fails"]} == {"failed"}
        else:
            raise AssertionError("it must fail")
    else:
        run = mixed.start(2000, dice.randrange(10**6))
        run.wait(dice.random())
        run.cancel()
        assert run.wait(30).status in ("cancelled", "completed")
    return kind


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def state(client: Any) -> dict[str, float]:
    """What must not grow."""
    gc.collect()
    with open("/proc/self/status") as file:
        memory = next(int(found.split()[1]) for found in file if found.startswith("VmRSS:")) / 1024
    store = Path(os.environ["FANLAB_STORE"])
    left = list(Path(tempfile.gettempdir()).glob("fanlab-worker-*"))
    return {
        "MB of memory": memory,
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "folders left": len(left),
        "marks": len(list(store.glob("*.mark"))),
        "descriptors of workers": max(client.run(lambda: len(os.listdir("/proc/self/fd"))).values()),
        "threads of workers": max(client.run(threading.active_count).values()),
    }


def main() -> None:
    """Run until the time is up; exit with 1 if something has grown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    from distributed import Client, LocalCluster

    dice, counts = random.Random(options.seed), {}
    begun = time.monotonic()
    warm = None
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster,
        Client(cluster) as client,
    ):
        os.environ["FANLAB_STORE"] = os.path.join(folder, "store")
        while (passed := time.monotonic() - begun) < 60 * options.minutes:
            kind = one_run(dice, client)
            counts[kind] = counts.get(kind, 0) + 1
            if warm is None and passed > 60 * options.minutes * WARM_SHARE:
                client.wait_for_workers(2)
                warm = state(client)
                warm_runs = sum(counts.values())
        client.wait_for_workers(2)
        end = state(client)
        runs = sum(counts.values())
        stored = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        recorded = len(fanlab.client.Client().list_pipeline_runs(limit=None))
    print(
        f"{runs} runs in {options.minutes:g} minutes: {counts}; {recorded} recorded, {stored / runs / 1024:.0f} kB each"
    )
    grown = []
    for name, value in end.items():
        before = warm[name] if warm else value
        print(f"{name}: {before:.0f} after {warm_runs if warm else runs} runs, {value:.0f} at the end")
        allowed = {"MB of memory": MEGABYTES, "threads": THREADS}.get(name, DESCRIPTORS if "descr" in name else THREADS)
        if value - before > allowed:
            grown.append(name)
    if recorded != runs:
        grown.append("runs that are not recorded")
    print(f"grown: {', '.join(grown)}" if grown else "nothing has grown")
    sys.exit(1 if grown else 0)


if __name__ == "__main__":
    main()
