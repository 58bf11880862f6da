"""What fanlab costs on Dask and on Ray, against the engines' own ways, as ratios in one process.

python benchmarks/clusters.py         both, written to benchmarks/results/clusters.md
python benchmarks/clusters.py dask    one of them
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from measure import Row, median, pairs, seconds, touch_memory
from plot import table

import fanlab
from fanlab import pipeline, step, unmapped

RESULTS = Path(__file__).parent / "results"
BRANCHES, READERS = 1000, 16
SIZES = (8, 10_000)  # of runs whose seconds are told beside loky's


@step
def noop(x):
    return x


@step
def ends(array, x):
    return float(array[x])


@pipeline(enable_cache=False, n_jobs=2)
def many():
    return noop.map(range(BRANCHES))


@pipeline(enable_cache=False, n_jobs=2)
def some(count):
    return noop.map(range(count))


@pipeline(enable_cache=False, n_jobs=2)
def broadcast(array):
    return ends.map(unmapped(array), range(READERS))


def rows(engine: str, noops: Callable[[], object], reads: Callable[[Any], object]) -> list[Row]:
    """What fanlab takes against the same by the engine's own means, in turn."""
    ours, theirs, ratio = pairs(lambda: many.with_options(backend=engine)(), noops, 5)
    figure = f"{1e3 * ours / BRANCHES:.2f} ms a branch, plain {1e3 * theirs / BRANCHES:.2f} ms"
    found = [Row(f"{engine}: {BRANCHES:,} no-ops, everything recorded", figure, ratio, 1.0, "of the plain time")]
    arrays = iter(np.full(25_000_000, float(i)) for i in range(100))  # a new one each time: nothing is there already

    def new(use: Callable[[Any], object]) -> Callable[[], object]:
        return lambda: use(next(arrays))

    ours, theirs, ratio = pairs(new(broadcast.with_options(backend=engine)), new(reads), 3)
    figure = f"{ours:.2f} s, plain {theirs:.2f} s"
    return [*found, Row(f"{engine}: 200 MB to {READERS} branches", figure, ratio, 1.0, "of the plain time")]


def sizes(engine: str) -> list[str]:
    """How long runs of several sizes take, warm: cells of a table."""
    runs = some.with_options(backend=engine)
    runs(100)
    found = [1e3 * median(lambda count=count: seconds(lambda: runs(count)), 9) for count in SIZES]  # type: ignore[misc]
    return [f"{one:.0f} ms" for one in found]


def own_cluster(engine: str) -> str:
    """How much longer a run takes that makes and closes a local cluster of its own: a cell of a table."""
    return f"{seconds(lambda: some.with_options(backend=engine)(8)):.1f} s"


def on_dask() -> tuple[list[Row], list[str]]:
    """Against `client.map` and a scattered array."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster,
        Client(cluster) as client,
    ):

        def noops() -> object:
            return client.gather(client.map(noop.function, range(BRANCHES), pure=False))

        def reads(array: Any) -> object:
            shared = client.scatter(array, broadcast=True, hash=False)
            return client.gather([client.submit(ends.function, shared, x, pure=False) for x in range(READERS)])

        found = rows("dask", noops, reads), sizes("dask")
    return found[0], [*found[1], own_cluster("dask")]


def on_ray() -> tuple[list[Row], list[str]]:
    """Against `ray.remote` and an array in the object store."""
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    call, read = ray.remote(noop.function), ray.remote(ends.function)

    def noops() -> object:
        return ray.get([call.remote(x) for x in range(BRANCHES)])

    def reads(array: Any) -> object:
        shared = ray.put(array)
        return ray.get([read.remote(shared, x) for x in range(READERS)])

    try:
        found = rows("ray", noops, reads), sizes("ray")
    finally:
        ray.shutdown()
    return found[0], [*found[1], own_cluster("ray")]


def columns(found: dict[str, list[str]]) -> str:
    """The table of how long runs take, a column for each backend."""
    what = [f"{count:,} branches that do nothing, warm, recorded" for count in SIZES]
    lines = ["", f"| a run of | {' | '.join(found)} |", f"|---|{'---|' * len(found)}"]
    for number, name in enumerate([*what, f"{SIZES[0]} of them, with a local cluster of its own"]):
        lines.append(f"| {name} | {' | '.join(cells[number] for cells in found.values())} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure the engines that were asked for, and write the tables if it was both."""
    wanted = sys.argv[1:] or ["dask", "ray"]
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        fanlab.configure(store=os.path.join(folder, "store"))
        touch_memory(folder)
        runs = {"loky": [*sizes("loky"), ""]}
        for name in wanted:
            measured, runs[name] = {"dask": on_dask, "ray": on_ray}[name]()
            for row in measured:
                found.append(row)
                print(f"{row.name}: {row.figure}; {row.ratio:.2f} {row.unit}, at most {row.reach:g} wanted", flush=True)
    print(columns(runs))
    if len(wanted) == 2:
        machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, " + ", ".join(
            f"{package} {version(package)}" for package in ("distributed", "ray", "numpy")
        )
        RESULTS.mkdir(exist_ok=True)
        text = table(found, machine).replace("# fanlab measured", "# fanlab on clusters, measured")
        (RESULTS / "clusters.md").write_text(text.replace("make bench`", "make bench-clusters`") + columns(runs))


if __name__ == "__main__":
    main()
