"""What only clusters have: workers without the store, workers that are lost, ways to a cluster, and what is refused."""

import os
import signal
import sys
import threading
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

import fanlab
from fanlab import get_step_context, pipeline, step, unmapped
from fanlab.execute import engines, versions
from fanlab.execute.versions import Versions

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]  # whichever is first starts a cluster


@step
def same(x):
    return x


@step
def total(arrays):
    return float(sum(array.sum() for array in arrays))


@step
def scaled(array, by):
    return array * by


@pytest.fixture(params=["dask", "ray"])
def engine(request):
    """The name of an engine whose cluster runs."""
    request.getfixturevalue(request.param)
    return request.param


@pytest.fixture
def puts(monkeypatch, engine):
    """How many bytes each value had that was given to the engine's own transport."""
    from fanlab.execute.dask import Dask
    from fanlab.execute.ray import Ray

    kind = {"dask": Dask, "ray": Ray}[engine]
    counted, put = [], kind.put

    def counting(self, data):
        counted.append(len(data))
        return put(self, data)

    monkeypatch.setattr(kind, "put", counting)
    return counted


@pytest.fixture
def apart(engine, tmp_path, monkeypatch):
    """A store that workers do not see, since its path leads each process to its own working directory."""
    (tmp_path / "kernel").mkdir()
    monkeypatch.chdir(tmp_path / "kernel")
    fanlab.configure(store="/proc/self/cwd/.fanlab")


# the store


def test_workers_that_see_the_store_write_there_and_nothing_large_travels(engine, puts):
    @pipeline(backend=engine)
    def sums():
        return scaled.map(unmapped(np.ones(100_000)), by=[1.0, 2.0, 3.0])

    run = sums()
    assert [array.sum() for array in run.load()] == [1e5, 2e5, 3e5]
    assert all(os.path.exists(found.output.path) for found in run["scaled"])
    assert puts == []


def test_values_reach_workers_without_the_store_and_come_back(engine, apart, puts):
    @step
    def blind():
        with pytest.raises(fanlab.NotAvailable):
            get_step_context().pipeline_run  # noqa: B018
        return [np.full(20_000, i) for i in range(3)]

    @pipeline(backend=engine)
    def sums():
        arrays = blind()
        return total(scaled.map(arrays, by=2.0)), total(scaled.map(unmapped(np.ones(100_000)), by=[1.0, 2.0, 3.0]))

    run = sums()
    assert run.load() == (120_000.0, 600_000.0)
    assert all(os.path.exists(found.output.path) for found in run["scaled"])
    assert puts


def test_a_large_shared_value_is_sent_once_for_all_branches(engine, apart, puts):
    @pipeline(backend=engine)
    def sums():
        return [total([found]) for found in scaled.map(unmapped(np.ones(500_000)), by=range(12))]

    assert sums().load() == [500_000.0 * by for by in range(12)]
    assert sum(size > 3_900_000 for size in puts) <= 1 + 12  # the array once, and each result once


def test_a_failure_and_a_death_without_the_store_cost_their_own_branch_only(engine, apart):
    @step
    def picky(array, x):
        if x == 1:
            raise ValueError("no")
        if x == 2:
            os._exit(3)
        return array + x

    @pipeline(backend=engine)
    def sums():
        picky.map(unmapped(np.ones(20_000)), range(5))

    with pytest.raises(fanlab.PipelineError) as caught:
        sums()
    found = caught.value.run["picky"]
    assert [one.status for one in found] == ["completed", "failed", "failed", "completed", "completed"]
    assert found[1].error == "ValueError: no"
    assert found[2].error == "WorkerDied: the worker that ran 'picky[2]' ended with EXIT(3)"
    assert found[4].load().sum() == 100_000


def test_a_client_on_a_worker_without_the_store_says_that_there_is_none(engine, apart):
    @step
    def asks():
        fanlab.client.Client()

    @pipeline(backend=engine)
    def asking():
        asks()

    with pytest.raises(fanlab.PipelineError) as caught:
        asking()
    assert str(caught.value.__cause__) == (
        "the store's runs cannot be read inside 'asks': it runs on a worker of a cluster that is on another machine, "
        "or does not see the store\n"
        "  do:    pass what it needs as an argument; its own name, key, attempt and log_metadata work everywhere"
    )


# workers that are lost


@pytest.fixture
def lost_worker():
    """Kill the engine's worker beside which a branch runs, as often as one says that it does."""
    over = threading.Event()

    def kill():
        while not over.wait(0.05):
            if os.path.exists("beside"):
                worker = int(Path("beside").read_text())
                os.unlink("beside")
                os.kill(worker, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_lost_worker_costs_the_branch_that_ran_beside_it(engine, lost_worker):
    @step
    def works(x):
        if x == 3:
            threading.Event().wait(0.5)  # a worker tells every so often which branch it runs
            Path("beside.tmp").write_text(str(os.getppid()))
            os.rename("beside.tmp", "beside")
            threading.Event().wait(120)
        return x

    @pipeline(backend=engine)
    def working():
        works.map(range(40))

    with pytest.raises(fanlab.PipelineError) as caught:
        working()
    found = caught.value.run["works"]
    assert [x for x in range(40) if found[x].status != "completed"] == [3]
    assert [found[x].load() for x in range(40) if x != 3] == [x for x in range(40) if x != 3]
    assert found[3].error.startswith(f"WorkerDied: the worker that ran 'works[3]' ended with its {engine} worker ")


def test_a_branch_of_a_lost_worker_is_tried_again_elsewhere(engine, lost_worker):
    @step(retries=1)
    def works(x):
        if x == 3 and get_step_context().attempt == 1:
            threading.Event().wait(0.5)
            Path("beside.tmp").write_text(str(os.getppid()))
            os.rename("beside.tmp", "beside")
            threading.Event().wait(120)
        return x

    @pipeline(backend=engine)
    def working():
        return works.map(range(40))

    run = working()
    assert run.load() == list(range(40))
    assert [found.attempts for found in run["works"]] == [2 if x == 3 else 1 for x in range(40)]


def test_branches_end_when_the_kernel_is_killed(dask, until, tmp_path):
    import subprocess

    program = tmp_path / "program.py"
    program.write_text(
        f"""
import os, threading
from fanlab import pipeline, step

@step
def naps(x):
    with open(f"pid{{x}}.tmp", "w") as file:
        file.write(str(os.getpid()))
    os.rename(f"pid{{x}}.tmp", f"pid{{x}}")
    threading.Event().wait(120)

@pipeline(backend="{dask.scheduler.address}")
def napping():
    naps.map([0, 1])

napping()
"""
    )
    process = subprocess.Popen([sys.executable, program], cwd=tmp_path)
    try:
        until(lambda: os.path.exists("pid0") and os.path.exists("pid1"), 60)
    finally:
        process.kill()
        process.wait()
    pids = [int(Path(name).read_text()) for name in ("pid0", "pid1")]
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))


# ways to a cluster


@pipeline
def squares():
    return scaled.map([1, 2, 3], by=2)


def test_a_dask_cluster_is_found_by_its_address(dask):
    assert squares.with_options(backend=dask.scheduler.address)().load() == [2, 4, 6]


def test_joblibs_parallel_config_names_a_cluster(engine):
    if engine == "ray":
        from ray.util.joblib import register_ray

        register_ray()

    @pipeline(enable_cache=False)
    def beside():
        return step(lambda: os.getppid(), name="beside")()

    with joblib.parallel_config(engine):
        there = beside().load()
    assert there not in (os.getpid(), beside.with_options(backend="loky")().load())


def test_workers_may_be_threads_of_one_process_or_of_the_kernel():
    distributed = pytest.importorskip("distributed")

    @step(enable_cache=False)
    def process(x):
        return os.getpid(), os.getppid()

    options = {"n_workers": 1, "threads_per_worker": 2, "memory_limit": 0, "dashboard_address": ":0"}
    for processes in (True, False):
        with (
            distributed.LocalCluster(processes=processes, **options) as cluster,
            distributed.Client(cluster, set_as_default=True),
        ):
            found = pipeline(backend="dask")(lambda: process.map(range(20)))().load()
            assert os.getpid() not in {own for own, _ in found}
            assert len({own for own, _ in found}) <= 2
            assert ({beside for _, beside in found} == {os.getpid()}) is not processes


def test_an_adaptive_cluster_grows_for_a_run():
    distributed = pytest.importorskip("distributed")
    options = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": ":0"}
    with distributed.LocalCluster(n_workers=0, **options) as cluster:
        cluster.adapt(minimum=0, maximum=1, interval="200 ms", wait_count=10_000)  # it shrinks in no test
        with distributed.Client(cluster):
            assert squares.with_options(backend="dask")().load() == [2, 4, 6]


def test_a_script_with_a_main_guard_makes_and_closes_a_cluster_of_its_own(python):
    out = python(
        """
        from fanlab import pipeline, step

        @step
        def square(x):
            return x * x

        @pipeline(backend="dask", n_jobs=1)
        def squares():
            return square.map([1, 2, 3])

        if __name__ == "__main__":
            print(squares().load())
        """,
        timeout=110,
    )
    assert out == "[1, 4, 9]\n"


# what is refused


def test_a_script_without_a_main_guard_is_refused_with_its_line(tmp_path):
    import subprocess

    (tmp_path / "program.py").write_text(
        "from fanlab import pipeline, step\n\n"
        "same = step(lambda x: x, name='same')\n"
        "run = pipeline(backend='dask', n_jobs=1)(lambda: same(1))()\n"
    )
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.endswith(
        "fanlab.errors.NotAvailable: a local Dask cluster starts processes that import this script, "
        "and would run it again in each of them\n"
        "  where: program.py, line 4\n"
        '  do:    put what the script does under \'if __name__ == "__main__":\', or use backend="loky", '
        "which needs no guard\n"
    )


@pytest.mark.parametrize(("name", "package"), [("dask", "distributed"), ("ray", "ray"), ("ray://host:1", "ray")])
def test_a_missing_engine_is_told_with_its_extra(monkeypatch, name, package):
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(fanlab.NotAvailable) as caught:
        squares.with_options(backend=name)()
    assert str(caught.value) == (
        f"the backend '{name}' needs the package '{package}', which is not installed\n"
        f'  do:    install it with: pip install "fanlab[{engines.engine_of(name)}]"'
    )


def test_an_address_without_a_scheduler_is_told(monkeypatch):
    from fanlab.execute import dask

    monkeypatch.setattr(dask, "_CONNECT_SECONDS", 1)
    with pytest.raises(fanlab.NotAvailable) as caught:
        squares.with_options(backend="tcp://127.0.0.1:1")()
    assert str(caught.value).startswith("there is no Dask scheduler at tcp://127.0.0.1:1: ")
    assert str(caught.value).endswith("\n  do:    start one there, or give the address that its log tells")


@pytest.mark.parametrize(
    ("kernel", "fault"),
    [
        ({"python": "2.7.18"}, f"Python {versions.versions().python}, and this kernel has 2.7.18"),
        ({"cloudpickle": "0.1"}, f"cloudpickle {versions.versions().cloudpickle}, and this kernel has 0.1"),
        ({"fanlab": "99.0"}, f"fanlab {versions.versions().fanlab}, and this kernel has 99.0"),
    ],
)
def test_workers_of_other_versions_are_told_when_a_run_begins(engine, monkeypatch, kernel, fault):
    own = versions.versions()
    if engine == "ray":
        from fanlab.execute import ray

        monkeypatch.setattr(ray, "_mustered", set())
    monkeypatch.setattr(versions, "versions", lambda: own._replace(**kernel))
    with pytest.raises(fanlab.NotAvailable) as caught:
        squares.with_options(backend=engine)()
    what, do = str(caught.value).splitlines()
    assert what.startswith("the worker ")
    assert f" has {fault}" in what
    assert do == (
        "  do:    give the workers the kernel's Python minor version, fanlab and cloudpickle: "
        "the same image or environment"
    )


def test_a_worker_without_fanlab_is_told():
    here = Versions("3.12.1", "0.1.0", "3.1.2")
    assert versions.difference(versions.versions()) is None
    assert versions.difference(versions.versions()._replace(fanlab="")).startswith("no fanlab, and this kernel has ")
    assert here.python == "3.12.1"


# one meaning everywhere


def test_a_sweep_has_the_same_results_on_every_backend(dask, ray):
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge

    @step
    def load():
        return load_diabetes(as_frame=True).frame

    @step
    def fit(frame, alpha):
        features = frame.drop(columns="target")
        model = Ridge(alpha=alpha).fit(features, frame["target"])
        return {"score": float(model.score(features, frame["target"])), "model": model}

    @pipeline(n_jobs=2, enable_cache=False)
    def sweep():
        return fit.map(unmapped(load()), alpha=[0.01, 0.1, 1.0, 10.0])

    expected = sweep.with_options(backend="sequential")().results
    for backend in ("threading", "loky", "dask", "ray"):
        pd.testing.assert_frame_equal(sweep.with_options(backend=backend)().results, expected)
