"""Large values: one array to many branches, many arrays into one step; time and memory against joblib."""

from __future__ import annotations

import gc
import itertools
import os

import numpy as np
from joblib import Parallel, delayed
from measure import Row, pairs, peak_pss, pss, touch_memory

from fanlab import pipeline, step, unmapped

MB = 1 << 17  # float64 numbers


@step
def mean(array, i):
    return float(array[:: 1 + i].mean())


@step
def produce(i, salt):
    return np.full(20 * MB, float(i) + salt)


@step
def combine(arrays):
    return float(sum(array.sum() for array in arrays))


@pipeline(enable_cache=False, n_jobs=2)
def broadcast(array):
    return mean.map(unmapped(array), range(16))


@pipeline(enable_cache=False, n_jobs=2)
def gather(salt):
    return combine(produce.map(range(16), salt))


def to_many() -> list[Row]:
    """A 200 MB array to 16 branches. The array differs at each run, so that nothing of it is stored already."""
    array = np.random.default_rng(0).random(200 * MB)
    touch_memory(os.path.dirname(os.environ["FANLAB_STORE"]))

    def ours() -> None:
        array[0] += 1
        broadcast(array)

    def theirs() -> None:
        array[0] += 1
        Parallel(n_jobs=2)(delayed(mean.function)(array, i) for i in range(16))

    took, other, ratio = pairs(ours, theirs, 5)
    gc.collect()
    idle = pss()
    peak = peak_pss(ours)
    figure = f"{took:.2f} s, joblib {other:.2f} s"
    memory = f"{peak:.0f} MB; idle with the array {idle:.0f} MB"
    return [
        Row("200 MB array to 16 branches: time", figure, ratio, 0.8, "of joblib's time"),
        Row(
            "200 MB array to 16 branches: peak memory",
            memory,
            (peak - idle) / 200,
            1.3,
            "of the array, over idle",
        ),
    ]


def into_one() -> list[Row]:
    """16 arrays of 20 MB from branches into a fan-in; in joblib they come back to the caller, which adds them."""
    salts = itertools.count()  # so that no value has been stored already

    def ours() -> None:
        gather(next(salts) / 1000)

    def theirs() -> float:
        return combine.function(Parallel(n_jobs=2)(delayed(produce.function)(i, 0.5) for i in range(16)))

    took, other, ratio = pairs(ours, theirs, 5)
    gc.collect()
    idle = pss()
    peak = peak_pss(ours)
    figure = f"{took:.2f} s, joblib {other:.2f} s"
    memory = f"{peak:.0f} MB; idle {idle:.0f} MB"
    return [
        Row("16 x 20 MB into a fan-in: time", figure, ratio, 1.0, "of joblib's time"),
        Row("16 x 20 MB into a fan-in: peak memory", memory, (peak - idle) / 320, 1.3, "of the data, over idle"),
    ]
