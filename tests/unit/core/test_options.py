"""Which values the options of a step take, and what is said of others."""

import datetime as dt

import numpy as np
import pytest

from fanlab import StepDefinitionError, step
from fanlab.core.options import Options


@pytest.mark.parametrize(
    ("option", "value", "do"),
    [
        ("retries", -1, "give a whole number of new attempts, 0 or more"),
        ("retries", 1.5, "give a whole number of new attempts, 0 or more"),
        ("retries", "2", "give a whole number of new attempts, 0 or more"),
        ("retry_delay", -0.5, "give a number of seconds, 0 or more"),
        ("retry_delay", float("inf"), "give a number of seconds, 0 or more"),
        ("retry_backoff", None, "give a factor by which each further delay is longer"),
        ("retry_on", "OSError", "give an exception class, or a tuple of them"),
        ("retry_on", (OSError, int), "give an exception class, or a tuple of them"),
        ("retry_on", (), "give an exception class, or a tuple of them"),
        ("timeout", "5", "give a number of seconds above 0, or None"),
        ("timeout", 0, "give a number of seconds above 0, or None"),
        ("timeout", True, "give a number of seconds above 0, or None"),
        ("max_parallel", 0, "give a whole number of branches, 1 or more, or None"),
        ("expires_after", "1 day", "give seconds or a timedelta, or None"),
    ],
)
def test_a_value_that_an_option_does_not_take_is_refused_where_the_step_is_made(option, value, do):
    with pytest.raises(StepDefinitionError) as caught:
        step(**{option: value})
    assert str(caught.value) == f"{option} of a step is {value!r}\n  do:    {do}"


@pytest.mark.parametrize(
    "options",
    [
        {"retries": np.int64(2), "retry_delay": np.float32(0.5)},
        {"retry_on": (OSError, KeyError), "retry_delay": 0, "timeout": 1},
        {"expires_after": dt.timedelta(days=1), "max_parallel": 1},
        {"expires_after": 0, "timeout": None},
    ],
)
def test_numbers_of_any_kind_are_taken(options):
    assert Options(**options) == Options(**options)
