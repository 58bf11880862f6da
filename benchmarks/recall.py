"""What looking up and keeping add to many short branches, and what a second run of them takes."""

from __future__ import annotations

from joblib import Parallel, delayed
from measure import Row, median, pairs, seconds

from fanlab import pipeline, step

COUNT = 10_000


@step
def noop(x):
    return x


@pipeline(n_jobs=2)
def many(count):
    return noop.map(range(count))


cold = many.with_options(fresh=True)  # keys are made and values are kept, and none is found


def joblib_many():
    """The same in joblib, which keeps nothing."""
    return Parallel(n_jobs=2)(delayed(noop.function)(i) for i in range(COUNT))


def first_and_second() -> list[Row]:
    """10,000 branches that do nothing: run with everything kept, and then found again."""
    ours, theirs, ratio = pairs(lambda: cold(COUNT), joblib_many, 11)
    figure = f"{1e3 * ours:.0f} ms, joblib {1e3 * theirs:.0f} ms"
    first = Row("10,000 no-ops, keys, cache and store on, cold", figure, ratio, 1.5, "of joblib's time")
    many(COUNT)
    ours, theirs, ratio = pairs(lambda: many(COUNT), joblib_many, 11)
    figure = f"{1e3 * ours:.0f} ms, joblib {1e3 * theirs:.0f} ms"
    return [first, Row("10,000 no-ops, all of them cached", figure, ratio, 1.0, "of joblib's time")]


def plan() -> list[Row]:
    """What 10,000 branches would do that are all in the store."""
    many(COUNT)
    took = median(lambda: seconds(lambda: many.plan(COUNT)), 9)
    return [Row("plan() of 10,000 cached branches", f"{1e3 * took:.0f} ms", took, 0.1, "s")]
