"""A program that is killed at any moment: nothing recorded as finished is lost, runs twice, or is wrong."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

from fanlab.client import Client

KILLS = 50
BRANCHES = 300
LONGEST_SECONDS = 0.6  # after the first branch: a run of all branches takes about as long
PROGRAM = f"""
import os
import time
from fanlab import pipeline, step

@step
def square(x, generation):
    with open("ran.txt", "a") as file:
        file.write(f"{{generation}}:{{x}}\\n")
    time.sleep(0.002)
    return [x * x, "text" * x]

@step
def total(values):
    return sum(value for value, _ in values)

@pipeline(n_jobs=2)
def sweep(generation):
    squares = square.map(range({BRANCHES}), generation)
    return squares, total(squares)

sweep.plan("")  # which imports what a run needs, and keeps nothing
squares, summed = sweep(input()).load()
assert squares == [[x * x, "text" * x] for x in range({BRANCHES})]
assert summed == sum(x * x for x in range({BRANCHES}))
"""


def ran(generation):
    """How often each branch of a generation has run."""
    lines = Path("ran.txt").read_text().splitlines() if Path("ran.txt").exists() else []
    return Counter(int(line.partition(":")[2]) for line in lines if line.startswith(f"{generation}:"))


def finished(generation):
    """The branches of a generation that some run has recorded as finished."""
    runs = Client().list_pipeline_runs("sweep", limit=None)
    return {
        found.branch
        for run in runs
        if run.parameters["generation"] == str(generation)
        for found in run["square"]
        if found.status in ("completed", "cached")
    }


@pytest.fixture
def programs():
    """Programs that have imported what they need and wait for their generation; there is always one more of them."""
    waiting = []

    def start():
        process = subprocess.Popen(
            [sys.executable, "program.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        waiting.append(process)

    def begin(generation):
        if not waiting:
            start()
        process = waiting.pop()
        process.stdin.write(f"{generation}\n".encode())
        process.stdin.flush()
        start()
        return process

    yield begin
    for process in waiting:
        process.kill()
        process.communicate(timeout=60)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_what_was_recorded_as_finished_is_never_lost_and_never_runs_again(programs, until):
    dice = random.Random(20)
    Path("program.py").write_text(textwrap.dedent(PROGRAM))
    generation, kills, recorded, died = 0, 0, {}, True
    while kills < KILLS or died:  # the last one may come to its end
        before = sum(ran(generation).values())
        process = programs(generation)
        until(lambda: process.poll() is not None or sum(ran(generation).values()) > before)
        left = 1 - len(recorded) / BRANCHES
        end = time.monotonic() + dice.uniform(0, LONGEST_SECONDS * left)  # any moment: this is what is tried
        while process.poll() is None and (time.monotonic() < end or kills == KILLS):
            time.sleep(0.001)
        died = process.poll() is None
        os.kill(process.pid, signal.SIGKILL) if died else None
        _, told = process.communicate(timeout=60)
        assert died or process.returncode == 0, told.decode()
        counts = ran(generation)
        for branch, times in recorded.items():
            assert counts[branch] == times, f"branch {branch} was recorded as finished and has run again"
        now = finished(generation)
        assert now >= recorded.keys()  # nothing that was finished is lost
        if died:
            kills += 1
            workers_have_ended(process.pid, until)
            counts = ran(generation)
            recorded = {branch: counts[branch] for branch in now}
        else:
            assert len(now) == BRANCHES
            generation, recorded = generation + 1, {}
    statuses = {run.status for run in Client().list_pipeline_runs("sweep", limit=None)}
    assert statuses <= {"interrupted", "completed"}


def workers_have_ended(group, until):
    """Wait until no process of a program that was killed is left to write anything."""

    def over():
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                state, _, pgrp = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(pgrp) == group and state != "Z":
                return False
        return True

    until(over)
