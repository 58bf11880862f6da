"""Random deaths of workers: nothing is lost, and nobody is blamed for it who was not hit."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

import fanlab
from fanlab import pipeline, step
from fanlab.execute.slots import slots

EVERY_SECONDS = 0.5
MOST = 30  # deaths: on a machine where it takes a second to start a worker, hardly a branch would end between two
MOST_EARLY = 2  # of workers that run nothing yet: a batch that loses more before it has begun answers for them
BRANCHES = 2000


class Killer:
    """Kills a random worker every half second, and keeps what branch each one was running."""

    def __init__(self, seed):
        self._dice = random.Random(seed)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._kill)
        self.running = []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _kill(self):
        pool, early = slots(), 0
        while len(self.running) < MOST and not self._over.wait(EVERY_SECONDS):
            with pool.lock:  # so that the slot does not take another worker meanwhile
                slot = self._dice.choice(pool.first(2))
                if not slot.worker:
                    continue
                try:
                    os.kill(slot.worker, signal.SIGSTOP)  # it stands still while its page is read
                    while (state := stands(slot.worker)) not in "TZX":
                        time.sleep(0.0005)
                    if state != "T":  # the one that was killed before: nobody has noticed yet
                        continue
                    status = slot.status()
                    spared = status is None and early == MOST_EARLY
                    os.kill(slot.worker, signal.SIGCONT if spared else signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if status is not None:
                self.running.append(status.branch)
            elif not spared:
                early += 1


def stands(process):
    """The letter by which the kernel of the system tells what a process does; Z for one that is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def square(x):
    time.sleep(0.005)
    return x * x


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(10))
def test_all_results_are_right_where_branches_are_tried_again(seed):
    again = step(retries=3)(square)

    @pipeline(n_jobs=2)
    def squares():
        return again.map(range(BRANCHES))

    with Killer(seed) as killer:
        assert squares().load() == [x * x for x in range(BRANCHES)]
    assert killer.running  # somebody was hit


@pytest.mark.chaos
@pytest.mark.parametrize("seed", range(10))
def test_exactly_the_branches_that_were_hit_fail(seed):
    once = step(square)

    @pipeline(n_jobs=2)
    def squares():
        return once.map(range(BRANCHES))

    with Killer(seed) as killer, pytest.raises(fanlab.PipelineError) as caught:
        squares()
    results = caught.value.run.results
    failed = results[results["status"] == "failed"]
    assert sorted(failed["branch"]) == sorted(killer.running)
    assert all(error.startswith("WorkerDied: ") for error in failed["error"])
    good = results[results["status"] == "completed"]
    assert list(good["output"]) == [x * x for x in good["branch"]]
    assert len(good) == BRANCHES - len(failed)
