"""Ctrl-C in a script: back at once, nothing left running, nothing lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fanlab import step
from fanlab.client import Client
from fanlab.execute.course import Course
from fanlab.execute.endings import Endings
from fanlab.execute.runner import Runner

PROGRAM = """
import pathlib
import threading
from fanlab import pipeline, step

@step
def nap(i):
    pathlib.Path(f"started{i}").touch()
    if i:
        threading.Event().wait(600)
    return i

@pipeline(n_jobs=2)
def naps():
    return nap.map(range(5))

try:
    naps()
except KeyboardInterrupt:
    pathlib.Path("interrupted").write_text(naps.last_run.status)
    raise
"""


@pytest.fixture
def interrupted(tmp_path, until, living):
    """A script that has been interrupted while two branches ran and one was done, and its stderr."""
    Path("program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "program.py"], start_new_session=True, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        until(lambda: os.path.exists("started1") and os.path.exists("started2"))
        until(lambda: Client().get_pipeline_run("naps").steps["nap[0]"].status == "completed")
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=180)  # long before the branches would have ended
        yield process, errors
    finally:
        for left in living(process.pid):
            os.kill(left, signal.SIGKILL)
        process.wait()


def test_an_interrupt_comes_back_at_once_and_leaves_nothing_behind(interrupted, until, living):
    process, errors = interrupted
    assert errors.splitlines()[-1] == "KeyboardInterrupt: 'naps' has been interrupted"
    assert errors.count("Traceback") == 1
    assert process.returncode == -signal.SIGINT
    until(lambda: not living(process.pid))
    assert Path("interrupted").read_text() == "cancelled"

    run = Client().get_pipeline_run("naps")
    assert run.status == "cancelled"
    assert [found.status for found in run["nap"]] == ["completed", *["cancelled"] * 4]
    assert run.steps["nap[0]"].load() == 0


@pytest.mark.parametrize("where", ["Endings.end_all", "Course.tell_dropped"])
def test_one_more_interrupt_while_the_first_is_carried_out_leaves_nothing_running(able, until, monkeypatch, where):
    kind, name = where.split(".")
    kind = {"Endings": Endings, "Course": Course}[kind]

    @step
    def gate(x):
        if x:
            Path("started").touch()
            time.sleep(120)
        return x

    @able(n_jobs=1, enable_cache=False)
    def gates(x):
        return gate(x)

    run = gates.start(1)
    until(lambda: os.path.exists("started"), 60)
    faults = []
    real, cancel = getattr(kind, name), Runner._cancel

    def cancelled(self):
        if not faults:
            faults.append(KeyboardInterrupt())
        return cancel(self)

    def interrupted(self):
        if faults and faults[-1] is not None:
            error = faults[-1]
            faults.append(None)
            raise error
        return real(self)

    monkeypatch.setattr(Runner, "_cancel", cancelled)
    monkeypatch.setattr(kind, name, interrupted)
    run.cancel()
    run.wait(60)
    assert len(faults) == 2  # raised, once
    assert run.status == run["gate"].status == "cancelled"
    after = gates.start(0)
    after.wait(60)
    assert after.status == "completed"
