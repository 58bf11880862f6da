"""Metadata on their way: what stays as it is, and what is bytes until somebody asks."""

import datetime as dt
import threading

import pytest

from fanlab.core.seal import Stored
from fanlab.store.logged import keep, opened


@pytest.mark.parametrize("value", [None, 1, 0.5, "a text", "long " * 10_000, b"x", dt.date(2026, 1, 2)])
def test_a_scalar_or_a_text_travels_as_it_is(value):
    assert keep(value) is value
    assert opened({"a": value}) == {"a": value}


def test_anything_else_travels_as_bytes_and_comes_back():
    value = {"a": [1, 2]}
    kept = keep(value)
    assert isinstance(kept, Stored)
    value["a"].append(3)
    assert opened({"a": kept, "b": 1}) == {"a": {"a": [1, 2]}, "b": 1}


def test_what_cannot_be_opened_is_a_text_that_says_so():
    kept = Stored("torch.Tensor", 1, "", b"no pickle")
    assert opened({"a": kept, "b": 1}) == {
        "a": "<torch.Tensor that cannot be opened here: invalid load key, 'n'.>",
        "b": 1,
    }


def test_what_cannot_be_pickled_is_refused_at_once():
    with pytest.raises(TypeError):
        keep(threading.Lock())
