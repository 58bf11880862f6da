"""A program that ends while its workers are being started: it says what it has to say, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import threading
from fanlab import pipeline, step

@step
def same(x):
    return x

@pipeline
def refused():
    threading.Event().wait(float(sys.argv[1]))
    raise ValueError("this body")

refused()
"""


def test_a_body_that_raises_at_once_leaves_its_traceback_only(tmp_path):
    """However far the workers have come: they start in the background, in about 0.1 s."""
    Path("program.py").write_text(PROGRAM)
    for seconds in (0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2):
        done = subprocess.run(
            [sys.executable, "program.py", str(seconds)], cwd=tmp_path, capture_output=True, text=True, timeout=180
        )
        lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("  ")]
        assert lines == ["Traceback (most recent call last):", "ValueError: this body"], seconds


GIVEN_BACK = """
import importlib
import sys
import threading
import time
from multiprocessing import util

backend = "joblib.externals.loky.backend"
queues, synchronize = (importlib.import_module(f"{backend}.{name}") for name in ("queues", "synchronize"))
cleanup, feed = synchronize.SemLock._cleanup, queues.Queue._feed

def told(name):
    print(threading.current_thread().name)
    cleanup(name)

def fed_slowly(*args):
    feed(*args)
    time.sleep(0.05)

synchronize.SemLock._cleanup = staticmethod(told)
queues.Queue._feed = staticmethod(fed_slowly)

from fanlab import pipeline, step

@step
def same(x):
    return x

@pipeline(n_jobs=1)
def sames():
    same(1)

sames()
util.Finalize(None, time.sleep, (0.5,), exitpriority=100)  # it ends slowly, too
"""


def test_no_thread_that_nobody_waits_for_gives_back_what_the_whole_system_shares(tmp_path):
    """Else the process ends in the middle of it, and loky's tracker complains of leaks that are none."""
    Path("program.py").write_text(GIVEN_BACK)
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=180)
    assert set(done.stdout.split()) <= {"MainThread", "ExecutorManagerThread"}
    assert done.stdout.count("MainThread") >= 4
    assert "leaked" not in done.stderr


def test_a_worker_that_has_idled_for_long_enough_ends_whatever_a_step_has_left_in_it(python):
    ended = python(
        """
        import threading
        import time
        from fanlab import pipeline, step
        from fanlab.execute import slots

        slots.IDLE_SECONDS = 0.5

        @step
        def leaves(x):
            threading.Thread(target=threading.Event().wait).start()
            return x

        @pipeline(n_jobs=1, enable_cache=False)
        def works():
            return leaves(7)

        works()
        limit = time.monotonic() + 60
        while slots.slots().first(1)[0]._pool._processes and time.monotonic() < limit:
            time.sleep(0.01)
        run = works.start()
        run.wait(60)
        print(run.status, run.load())
        """,
        timeout=240,
    )
    assert ended == "completed 7\n"


FORKS = """
import multiprocessing
import os
import sys
from fanlab import pipeline, step

@step
def worker(x):
    return os.getppid()

@pipeline(n_jobs=2, enable_cache=False)
def workers():
    return worker.map(range(4))

def child():
    print(set(workers().load()) == {os.getpid()}, flush=True)

workers()
if sys.argv[1] == "os.fork":
    process = os.fork()
    if not process:
        child()
        sys.exit()
    os.waitpid(process, 0)
else:
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
print(set(workers().load()) == {os.getpid()})
"""


@pytest.mark.parametrize("how", ["os.fork", "multiprocessing"])
def test_a_fork_of_a_process_that_has_workers_runs_pipelines_in_workers_of_its_own(tmp_path, how):
    Path("program.py").write_text(FORKS)
    done = subprocess.run(
        [sys.executable, "program.py", how], cwd=tmp_path, capture_output=True, text=True, timeout=180
    )
    assert done.stdout == "True\nTrue\n"
    if how == "multiprocessing":  # which knows that it has forked; os.fork leaves even its own workers to the child
        assert [line for line in done.stderr.splitlines() if not line.startswith("fanlab: ")] == []
