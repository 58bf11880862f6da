"""A kernel that is killed at any moment: nothing recorded as finished is lost, runs twice, or is wrong."""

import contextlib
import os
import queue
import random
import sqlite3
import time
from collections import Counter
from pathlib import Path

import pytest

from fanlab.client import Client
from tests.integration.conftest import Notebook

KILLS = 50
BRANCHES = 300
LONGEST_SECONDS = 0.6  # after the first branch: a run of all branches takes about as long
STEPS = """
%load_ext fanlab
import time
from fanlab import step

@step
def square(x, generation):
    with open("ran.txt", "a") as file:
        file.write(f"{generation}:{x}\\n")
    time.sleep(0.002)
    return [x * x, "text" * x]

@step
def total(values):
    return sum(value for value, _ in values)
"""
CELL = """%%pipeline sweep{generation} -j 2
squares = square.map(range({branches}), {generation})
summed = total(squares)
"""
CHECKS = """
assert list(squares) == [[x * x, "text" * x] for x in range({branches})]
assert summed == sum(x * x for x in range({branches}))
"""


def ran(generation):
    """How often each branch of a generation has run."""
    lines = Path("ran.txt").read_text().splitlines() if Path("ran.txt").exists() else []
    return Counter(int(line.partition(":")[2]) for line in lines if line.startswith(f"{generation}:"))


def finished(generation):
    """The branches of a generation that some run has recorded as finished."""
    return {
        found.branch
        for run in Client().list_pipeline_runs(f"sweep{generation}", limit=None)
        for found in run["square"]
        if found.status in ("completed", "cached")
    }


class Kernel(Notebook):
    """A kernel whose cell is watched while it runs."""

    def begin(self, code):
        self.request, self.has_ended = super().begin(code), False
        return self.request

    def ended(self):
        """Whether the cell has ended. Its errors fail the test."""
        with contextlib.suppress(queue.Empty):
            while not self.has_ended:
                message = self.client.get_iopub_msg(timeout=0)
                if message["parent_header"].get("msg_id") == self.request:
                    assert message["msg_type"] != "error", "\n".join(message["content"]["traceback"])
                    self.has_ended = message["content"].get("execution_state") == "idle"
        return self.has_ended


@pytest.fixture
def kernels(tmp_path):
    """Kernels that have begun to define the steps before they are asked for: there is always one more of them."""
    waiting = []

    def start():
        waiting.append(Kernel(tmp_path))
        waiting[-1].begin(STEPS)

    def take(until):
        if not waiting:
            start()
        kernel = waiting.pop()
        until(kernel.ended, 180)
        return kernel

    take.start = start
    yield take
    for kernel in waiting:
        kernel.close()


@pytest.mark.chaos
@pytest.mark.kernel
@pytest.mark.timeout(1800)
def test_what_was_recorded_as_finished_is_never_lost_and_never_runs_again(kernels, until):
    dice = random.Random(20)
    generation, kills, recorded, died = 0, 0, {}, True
    while kills < KILLS or died:  # the last one may come to its end
        before = sum(ran(generation).values())
        kernel = kernels(until)
        kernel.begin(CELL.format(generation=generation, branches=BRANCHES))
        kernels.start() if kills < KILLS else None
        if dice.random() < 0.8:  # else it may be before the first branch too
            until(lambda: kernel.ended() or sum(ran(generation).values()) > before, 180)
        left = 1 - len(recorded) / BRANCHES
        end = time.monotonic() + dice.uniform(0, LONGEST_SECONDS * left)  # any moment: this is what is tried
        while not kernel.ended() and (time.monotonic() < end or kills == KILLS):
            time.sleep(0.005)
        died = not kernel.has_ended
        if not died:
            assert kernel.run(CHECKS.format(branches=BRANCHES)) == []
        group = kernel.pid
        kernel.kill()
        kernel.close()
        counts = ran(generation)
        for branch, times in recorded.items():
            assert counts[branch] == times, f"branch {branch} was recorded as finished and has run again"
        now = finished(generation)
        assert now >= recorded.keys()  # nothing that was finished is lost
        with contextlib.closing(sqlite3.connect(".fanlab/runs.sqlite")) as database:
            assert database.execute("pragma integrity_check").fetchall() == [("ok",)]
        if died:
            kills += 1
            workers_have_ended(group, until)
            counts = ran(generation)
            recorded = {branch: counts[branch] for branch in now}
        else:
            assert len(now) == BRANCHES
            generation, recorded = generation + 1, {}
    statuses = Counter(run.status for run in Client().list_pipeline_runs(limit=None))
    assert statuses.keys() == {"interrupted", "completed"}
    assert statuses["interrupted"] <= KILLS


def workers_have_ended(group, until):
    """Wait until no process of a kernel that was killed is left to write anything."""

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
