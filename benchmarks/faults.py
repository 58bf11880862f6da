"""What a killed worker, a timeout and an interrupt cost on top of the run."""

from __future__ import annotations

import os
import signal
import threading
import time

from measure import Row, median, seconds

import fanlab
from fanlab import pipeline, step

CULPRIT = 100


@step
def brief(i, die=False):
    if die and i == CULPRIT:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.005)
    return i


@step(timeout=0.5)
def limited(i, stuck=False):
    if stuck and i == CULPRIT:
        time.sleep(60)
    time.sleep(0.005)
    return i


@step
def nap(i):
    time.sleep(60)
    return i


@pipeline(enable_cache=False, n_jobs=2)
def dies(die):
    return brief.map(range(400), die=die)


@pipeline(enable_cache=False, n_jobs=2)
def sticks(stuck):
    return limited.map(range(400), stuck=stuck)


@pipeline(enable_cache=False, n_jobs=2)
def naps():
    return nap.map(range(10))


def failing(call) -> float:
    """How long a run takes that fails, as it should, in exactly one branch."""

    def once() -> None:
        try:
            call()
        except fanlab.PipelineError as error:
            assert list(error.run.results["status"]).count("failed") == 1
        else:
            raise AssertionError("the run did not fail")

    return seconds(once)


def death() -> list[Row]:
    """400 branches of 5 ms, one of which kills its worker."""
    dies(False)
    extra = median(lambda: failing(lambda: dies(True)), 5) - median(lambda: seconds(lambda: dies(False)), 5)
    return [Row("a killed worker", f"{extra:.2f} s extra", extra, 0.5, "s")]


def timeout() -> list[Row]:
    """400 branches of 5 ms, one of which sleeps until its timeout of 0.5 s ends it; the other worker goes on."""
    sticks(False)
    took = median(lambda: failing(lambda: sticks(True)), 5) - median(lambda: seconds(lambda: sticks(False)), 5)
    # While one of two workers is stuck for 0.5 s the other one does 0.5 s of work: half of it is not lost.
    extra = took - 0.25
    return [Row("a timeout", f"{took:.2f} s more, 0.25 s of them the wait itself", extra, 0.5, "s")]


def interrupt() -> list[Row]:
    """From an interrupt until the call is back, branches sleeping."""

    def once() -> float:
        threading.Timer(0.7, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        begun = time.perf_counter()
        try:
            naps()
        except KeyboardInterrupt:
            return time.perf_counter() - begun - 0.7
        raise AssertionError("not interrupted")

    took = median(once, 3)
    return [Row("an interrupt", f"back after {took:.2f} s", took, 1.0, "s")]
