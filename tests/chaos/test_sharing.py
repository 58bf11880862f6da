"""Two processes that run one pipeline on one store at once, while a third makes room in it."""

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from fanlab.client import Client

ROUNDS = 4
BRANCHES = 60
PROGRAM = f"""
import sys
import time
import numpy as np
from fanlab import pipeline, step

@step
def fill(x, generation):
    time.sleep(0.002)
    return np.full(20_000, x + 1000.0 * generation)

@step
def total(arrays):
    return float(sum(array[-1] for array in arrays))

@pipeline(n_jobs=2)
def sweep(generation):
    filled = fill.map(range({BRANCHES}), generation)
    return filled, total(filled)

sweep.plan(0)  # which imports what a run needs, and keeps nothing
print("ready", flush=True)
for line in sys.stdin:
    generation = int(line)
    run = sweep(generation)
    assert run.steps["total"].load() == sum(x + 1000.0 * generation for x in range({BRANCHES}))
    print(run.name, flush=True)
"""


@pytest.fixture
def programs():
    """Two programs that have imported what they need and wait for their generation."""
    Path("program.py").write_text(textwrap.dedent(PROGRAM))
    found = [
        subprocess.Popen(
            [sys.executable, "program.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [program.stdout.readline() for program in found] == ["ready\n"] * 2
    yield found
    for program in found:
        program.kill()
        program.communicate(timeout=180)


def begin(programs, generation):
    for program in programs:
        program.stdin.write(f"{generation}\n")
        program.stdin.flush()


def names(programs):
    """The names of the runs that the programs have ended."""
    found = [program.stdout.readline().strip() for program in programs]
    assert all(found), "\n".join(program.communicate(timeout=180)[1] for program in programs)
    return found


def values():
    return len(list(Path(".fanlab/artifacts").glob("*/*")))


@pytest.mark.chaos
def test_two_processes_at_once_are_both_right_and_each_value_is_there_once(programs):
    for generation in range(ROUNDS):
        begin(programs, generation)
        first, second = map(Client().get_pipeline_run, names(programs))
        assert first.name != second.name
        assert (first.status, second.status) == ("completed", "completed")
        for run in (first, second):
            assert [found.load()[0] for found in run["fill"]] == [x + 1000.0 * generation for x in range(BRANCHES)]
        assert values() == BRANCHES * (generation + 1)
    begin(programs, 0)
    for name in names(programs):
        run = Client().get_pipeline_run(name)
        assert {found.status for found in run.steps.values()} == {"cached"}


@pytest.mark.chaos
def test_what_makes_room_meanwhile_takes_nothing_that_a_run_needs(programs):
    cleared = []
    with ThreadPoolExecutor(1) as threads:
        for generation in range(ROUNDS):
            begin(programs, generation)
            ended = threads.submit(names, programs)
            while not wait([ended], 0.02).done:
                cleared.append(Client().gc(older_than=0, max_size=0))
            ended.result()
    assert sum(found.runs for found in cleared) > 0
    begin(programs, ROUNDS)
    for name in names(programs):
        assert [found.load()[0] for found in Client().get_pipeline_run(name)["fill"]] == [
            x + 1000.0 * ROUNDS for x in range(BRANCHES)
        ]
