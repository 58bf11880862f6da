"""The same fan-out and fan-in in one tool, timed inside the tool's own environment; prints seconds as JSON.

python workload.py TOOL KIND COUNT
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time


def noop(x):
    return x


def busy(x):
    until = time.perf_counter() + 0.05
    while time.perf_counter() < until:
        pass
    return x


def total(values):
    return sum(values)


KINDS = {"noop": noop, "busy": busy}


def fanlab(branch):
    from fanlab import pipeline, step

    one, all_of = step(branch), step(total)

    @pipeline(enable_cache=False, n_jobs=2)
    def run(count):
        return all_of(one.map(range(count)))

    return lambda count: run(count).load()


def joblib(branch):
    from joblib import Parallel, delayed

    return lambda count: total(Parallel(n_jobs=2)(delayed(branch)(i) for i in range(count)))


def pipefunc(branch):
    from concurrent.futures import ProcessPoolExecutor

    from pipefunc import PipeFunc, Pipeline

    pool = ProcessPoolExecutor(2)
    line = Pipeline([PipeFunc(branch, "y", mapspec="x[i] -> y[i]"), PipeFunc(total, "z", renames={"values": "y"})])

    def run(count):
        found = line.map({"x": list(range(count))}, executor=pool, parallel=True, show_progress=False)
        return int(found["z"].output)

    return run


def dask(branch):
    from distributed import Client

    client = Client(n_workers=2, threads_per_worker=1, dashboard_address=None)
    return lambda count: client.submit(total, client.map(branch, range(count), pure=False), pure=False).result()


def ray(branch):
    import ray as library

    library.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    remote, last = library.remote(branch), library.remote(lambda *values: total(values))
    return lambda count: library.get(last.remote(*[remote.remote(i) for i in range(count)]))


def prefect(branch):
    os.environ.update(DO_NOT_TRACK="1", PREFECT_SERVER_ANALYTICS_ENABLED="false", PREFECT_LOGGING_LEVEL="ERROR")
    from prefect import flow, task
    from prefect.task_runners import ThreadPoolTaskRunner

    one, last = task(branch), task(total)

    @flow(task_runner=ThreadPoolTaskRunner(2))
    def run(count):
        return last.submit(one.map(list(range(count)))).result()

    return run


def main() -> None:
    """Run the workload a few times and print the median of the warm ones."""
    tool, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    run = globals()[tool](KINDS[kind])
    run(8)
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        value = run(count)
        took.append(time.perf_counter() - begun)
        assert value == sum(range(count)), value
    print("\n" + json.dumps(statistics.median(took)), flush=True)
    os._exit(0)  # some tools' servers would keep the process


if __name__ == "__main__":
    main()
