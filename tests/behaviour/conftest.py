"""The table of backends, and what its tests share."""

import functools
import os
from pathlib import Path

import pytest

import fanlab
from fanlab import pipeline

CLUSTERS = tuple(pytest.param(name, marks=pytest.mark.cluster) for name in ("dask", "ray"))
BACKENDS = ("sequential", "threading", "loky", *CLUSTERS)
KILLING = ("loky", *CLUSTERS)  # those that can end a branch

# Rows of the table that a backend cannot do, and why.
CANNOT = {
    ("sequential", "test_on_failure_stop_lets_running_branches_finish"): "it runs one branch at a time",
    ("sequential", "test_max_parallel_lets_so_many_branches_run_at_once_and_no_more"): "it runs one branch at a time",
    ("sequential", "test_max_parallel_of_one_step_does_not_hold_back_another"): "it runs one branch at a time",
}


@pytest.fixture(params=BACKENDS)
def pipe(request):
    """The decorator @pipeline with the backend of this row of the table."""
    return pipeline(backend=_row(request), n_jobs=2)


@pytest.fixture(params=KILLING)
def able(request):
    """@pipeline(...) on a backend that can end a branch."""
    return functools.partial(pipeline, backend=_row(request))


def _row(request):
    """The backend of a row, its cluster running."""
    backend = request.param
    reason = CANNOT.get((backend, request.node.originalname))
    if reason is not None:
        pytest.skip(f"{backend}: {reason}")
    if backend in ("dask", "ray"):
        request.getfixturevalue(backend)
    return backend


@pytest.fixture
def failed():
    """The PipelineError of a run that must fail."""

    def failed(pipeline, *args):
        with pytest.raises(fanlab.PipelineError) as caught:
            pipeline(*args)
        return caught.value

    return failed


@pytest.fixture
def statuses():
    """The statuses of a run, by name."""
    return lambda run: {name: found.status for name, found in run.steps.items()}


@pytest.fixture
def living():
    """The processes of a process group, without those that have ended and were not asked about."""

    def living(group):
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                state, _, pgrp = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(pgrp) == group and state != "Z":
                found.append(int(entry))
        return found

    return living


@pytest.fixture
def ran(tmp_path):
    """What steps noted since this was last asked, in order of the alphabet."""

    class Ran:
        def __init__(self, folder):
            self.folder = folder

        def __call__(self, name):
            with open(os.path.join(self.folder, "ran.txt"), "a") as file:
                file.write(f"{name}\n")

        def since(self):
            path = os.path.join(self.folder, "ran.txt")
            if not os.path.exists(path):
                return []
            with open(path) as file:
                found = sorted(file.read().split())
            os.unlink(path)
            return found

    return Ran(str(tmp_path))
