"""What an error says of the failures that it does not tell: counts by kind, however many there are."""

import pytest

from fanlab import pipeline, step
from fanlab.errors import PipelineError

ERRORS = [ValueError, KeyError, OSError, TypeError, IndexError, AttributeError]


@step
def picky(x):
    if x < 0:
        raise ValueError(f"{x} is negative")
    if x > 100:
        raise OverflowError("too large")
    return x


@step
def various(i):
    raise ERRORS[i](str(i))


def what(body):
    with pytest.raises(PipelineError) as caught:
        pipeline(backend="sequential")(body)()
    return caught.value.what


def test_one_failure_is_told_alone():
    assert what(lambda: picky.map([1, -1])) == "picky[1] (x=-1) failed: ValueError: -1 is negative"


def test_failures_at_one_line_are_alike_whatever_their_messages():
    assert what(lambda: picky.map([-1, -2, 3, -4])) == (
        "picky[0] (x=-1) failed: ValueError: -1 is negative (and 2 more like it)"
    )


def test_another_line_is_another_kind():
    assert what(lambda: picky.map([-1, 101, -2, 102])) == (
        "picky[0] (x=-1) failed: ValueError: -1 is negative (and 1 more like it; 2 others: OverflowError in picky (2))"
    )


def test_another_step_is_another_kind():
    def body():
        picky(-1)
        various(0)

    assert what(body) == "picky (x=-1) failed: ValueError: -1 is negative (and 1 other: ValueError in various)"


def test_many_kinds_are_cut():
    assert what(lambda: various.map(range(6))) == (
        "various[0] (i=0) failed: ValueError: 0 (and 5 others: KeyError in various, OSError in various, "
        "TypeError in various and 2 more kinds)"
    )


def test_ten_thousand_failures_are_one_line():
    assert what(lambda: picky.map([-1] * 10_000)) == (
        "picky[0] (x=-1) failed: ValueError: -1 is negative (and 9999 more like it)"
    )


def divide(a, b):
    return a / b


def test_an_error_in_a_function_that_the_step_calls_is_told_with_both_lines():
    @step
    def ratio(a):
        return divide(a, 0)

    with pytest.raises(PipelineError) as caught:
        pipeline(backend="sequential")(lambda: ratio(1))()
    inner, outer = divide.__code__.co_firstlineno + 1, ratio.function.__code__.co_firstlineno + 2
    assert caught.value.where == (
        f"test_kinds.py, line {inner}, in divide: return a / b (called at test_kinds.py, line {outer}, in ratio)"
    )
