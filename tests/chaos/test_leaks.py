"""Many runs in one process leave nothing behind that grows."""

import json
import os

import pytest

pytestmark = pytest.mark.chaos

PROGRAM = """
import gc
import json
import os
import threading
import time
from pathlib import Path

from fanlab import PipelineError, pipeline, step

@step
def square(x):
    print("line", x)
    return x * x

@step
def total(values):
    return sum(values)

@step
def dies():
    os._exit(1)

@pipeline(n_jobs=2, backend=BACKEND)
def small():
    return total(square.map(range(8)))

@pipeline(n_jobs=2)
def deaths():
    dies()
    total(square.map(range(8)))

def held():
    gc.collect()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "files": sum(len(files) for _, _, files in os.walk(os.environ["TMPDIR"])),
        "megabytes": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20,
    }

def go():
    try:
        RUN()
    except PipelineError:
        pass

for _ in range(10):
    go()
before = held()
for _ in range(COUNT):
    go()
limit = time.monotonic() + 60  # threads of workers that died end a moment later, and what they hold goes with them
more = {"descriptors": 4, "threads": 2, "files": 2}
while any((after := held())[kind] > before[kind] + most for kind, most in more.items()) and time.monotonic() < limit:
    time.sleep(0.05)
print(json.dumps([before, after]))
"""


@pytest.mark.parametrize(
    ("run", "backend", "count"),
    [("small", "loky", 190), ("small", "threading", 190), ("small", "sequential", 190), ("deaths", "loky", 20)],
    ids=["loky", "threading", "sequential", "deaths"],
)
def test_runs_leave_descriptors_threads_files_and_memory_as_they_were(run, backend, count, python, tmp_path):
    (tmp_path / "temporary").mkdir()
    program = PROGRAM.replace("RUN", run).replace("BACKEND", repr(backend)).replace("COUNT", str(count))
    before, after = json.loads(python(program, env={"TMPDIR": str(tmp_path / "temporary")}))
    assert after["descriptors"] <= before["descriptors"] + 4
    assert after["threads"] <= before["threads"] + 2
    assert after["files"] <= before["files"] + 2
    assert after["megabytes"] < before["megabytes"] + 40
    assert [name for name in os.listdir(tmp_path / "temporary") if name.startswith("fanlab")] == []
