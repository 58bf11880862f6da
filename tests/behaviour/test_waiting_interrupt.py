"""Ctrl-C in a body that waits for a value: back at once, and what was done is kept."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from fanlab.client import Client

PROGRAM = """
import pathlib
import threading
from fanlab import pipeline, step

@step
def nap(i):
    pathlib.Path(f"started{i}").touch()
    if i:
        threading.Event().wait(60)
    return i

@pipeline(n_jobs=2)
def naps():
    nap(0).load()
    try:
        nap(1).load()
    finally:
        pathlib.Path("left").touch()

naps()
"""


def test_an_interrupt_of_a_body_that_waits_leaves_through_the_body_and_keeps_what_was_done(tmp_path, until, living):
    Path("program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "program.py"], start_new_session=True, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        until(lambda: os.path.exists("started1"), 60)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=180)
        until(lambda: not living(process.pid), 30)
    finally:
        for left in living(process.pid):
            os.kill(left, signal.SIGKILL)
        process.wait()

    assert errors.splitlines()[-1] == "KeyboardInterrupt: 'naps' has been interrupted"
    assert Path("left").exists()
    run = Client().get_pipeline_run("naps")
    assert run.status == "cancelled"
    assert {name: found.status for name, found in run.steps.items()} == {"nap": "completed", "nap_2": "cancelled"}
