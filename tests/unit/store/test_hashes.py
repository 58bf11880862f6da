"""Hashes of content: equal values have equal ones, in any process; values that a step can tell apart have others."""

import collections
import copy
import datetime as dt
import decimal
import enum
import functools
import logging
import math
import os
import pickle
import re
import struct
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from fanlab import Unhashable, register_hash
from fanlab.store import hashes
from fanlab.store.codecs import digest
from fanlab.store.hashes import hash_value

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
hashable = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=8)
nested = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(hashable, inner, max_size=5)
        | st.tuples(inner)
        | st.sets(hashable)
    ),
    max_leaves=30,
)
dtypes = arrays.scalar_dtypes() | arrays.array_dtypes(arrays.scalar_dtypes(), max_size=3)
any_array = arrays.arrays(dtypes, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))


@dataclass
class Point:
    x: float
    tags: tuple = ()


@dataclass(frozen=True, slots=True)
class Slotted:
    x: float
    y: float = 0.0


class Pair(NamedTuple):
    left: object
    right: object


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2


class Plain:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Handle:
    def __init__(self, name):
        self.name, self.lock = name, threading.Lock()


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(hashes, "_registered", {})
    monkeypatch.setattr(hashes, "_tellers", {})


@given(nested)
def test_a_copy_has_the_hash_of_the_value(value):
    assert hash_value(copy.deepcopy(value)) == hash_value(value)
    assert hash_value(pickle.loads(pickle.dumps(value))) == hash_value(value)


@given(nested, nested)
def test_values_of_different_text_have_different_hashes(left, right):
    if not _holds_sets(left) and not _holds_sets(right):
        assert (hash_value(left) == hash_value(right)) == (_text(left) == _text(right))


def _text(value):
    """Its repr, where numbers that are none differ by their bits: all of them are written as nan."""
    if isinstance(value, float):
        return value.hex() if value == value else struct.pack("d", value).hex()
    if isinstance(value, complex):
        return f"complex {_text(value.real)} {_text(value.imag)}"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(map(_text, value))})"
    if isinstance(value, dict):
        return f"dict({', '.join(f'{_text(key)}: {_text(item)}' for key, item in value.items())})"
    return repr(value)


def _holds_sets(value):
    if isinstance(value, (set, frozenset)):
        return True
    if isinstance(value, dict):
        return any(map(_holds_sets, [*value, *value.values()]))
    return isinstance(value, (list, tuple)) and any(map(_holds_sets, value))


@given(st.lists(hashable, min_size=1, max_size=20, unique=True))  # of equal ones, as 0 and False, a set keeps the first
def test_a_set_has_one_hash_whatever_order_it_was_made_in(items):
    assert hash_value(set(items)) == hash_value({*items[::-1]})
    assert hash_value([frozenset(items)]) == hash_value([frozenset(items[::-1])])
    assert hash_value(set(items)) != hash_value(frozenset(items))


@given(any_array)
def test_an_array_has_one_hash_however_it_lies_in_memory(array):
    base = hash_value(array)
    assert hash_value(array.copy()) == base
    if array.ndim:
        assert hash_value(np.asfortranarray(array)) == base
        twice = np.repeat(array, 2, axis=0)
        assert hash_value(twice[::2]) == base
        assert hash_value(np.flip(np.flip(array, 0).copy(), 0)) == base


@given(arrays.arrays(np.float64, st.integers(1, 50)), st.data())
def test_one_other_item_makes_another_hash_of_an_array(array, data):
    at = data.draw(st.integers(0, len(array) - 1))
    other = array.copy()
    other[at] = 0.5 if array[at] != 0.5 else 0.25
    assert hash_value(other) != hash_value(array)


def test_a_large_array_that_is_not_in_order_is_hashed_piece_by_piece():
    array = np.arange(3_000_000, dtype="f8").reshape(1500, 2000)
    assert hash_value(array.T.copy().T) == hash_value(array)
    assert hash_value(np.asfortranarray(array)[::-1]) == hash_value(array[::-1])


def test_the_order_of_bytes_does_not_count_since_pickles_turn_it():
    assert hash_value(np.array([1, 2], ">i8")) == hash_value(np.array([1, 2], "<i8"))


def test_what_lies_between_the_fields_of_a_record_does_not_count():
    dtype = np.dtype({"names": ["a", "b"], "formats": ["u1", "u4"], "offsets": [0, 4], "itemsize": 8})
    first, second = np.frombuffer(bytes(16), dtype).copy(), np.frombuffer(bytes([0, 9, 9, 9, 0, 0, 0, 0] * 2), dtype)
    assert hash_value(first) == hash_value(second)
    assert hash_value(np.ones(2, "g")) == hash_value(np.ones(2, "g"))


FRAMES = [
    pd.DataFrame({"x": [1, 2, 3], "y": [1.5, None, 3.0], "s": ["a", None, "c"]}),
    pd.DataFrame({"c": pd.Categorical(["u", "v", "u"]), "i": pd.array([1, None, 3], dtype="Int64")}),
    pd.DataFrame({"b": pd.array([True, None], dtype="boolean"), "p": pd.period_range("2020", periods=2, freq="D")}),
    pd.DataFrame({"t": pd.to_datetime(["2020", "2021"], utc=True), "o": [{"a": 1}, [1, 2]]}),
    pd.DataFrame({"x": [1.0]}, index=pd.MultiIndex.from_tuples([("a", 1)], names=["k", "n"])),
    pd.DataFrame(),
    pd.DataFrame([[1, 2], [3, 4]], columns=["x", "x"]),
    pd.Series([1, 2], name="s"),
    pd.Index(["a", "b"], name="i"),
    pd.date_range("2020", periods=3),
    pd.interval_range(0, 2),
]


@pytest.mark.parametrize("frame", FRAMES, ids=[f"{type(f).__name__}{i}" for i, f in enumerate(FRAMES)])
def test_a_frame_and_its_copy_have_one_hash(frame):
    assert hash_value(pickle.loads(pickle.dumps(frame))) == hash_value(frame.copy()) == hash_value(frame)


def test_all_frames_have_different_hashes():
    assert len({hash_value(frame) for frame in FRAMES}) == len(FRAMES)


def test_it_does_not_matter_how_pandas_has_the_columns_lie():
    made = pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": [5.0, 6.0]})
    grown = pd.DataFrame({"a": [1, 2]})
    grown["b"], grown["c"] = [3, 4], [5.0, 6.0]
    rows = pd.DataFrame({"a": [0, 1, 2], "b": [0, 3, 4], "c": [0.0, 5.0, 6.0]}).iloc[1:].reset_index(drop=True)
    assert hash_value(made) == hash_value(grown) == hash_value(rows)


def test_the_step_of_an_index_of_dates_counts():
    months, days = (pd.date_range("2020", "2021", freq=freq)[:1] for freq in ("MS", "D"))
    assert len({hash_value(index) for index in (months, days, days._with_freq(None))}) == 3
    assert hash_value(pd.DataFrame({"x": [1]}, days)) != hash_value(pd.DataFrame({"x": [1]}, months))
    assert hash_value(days) == hash_value(pd.date_range("2020", periods=1, freq="D"))


def test_what_lies_under_a_missing_number_does_not_count():
    first, second = pd.array([1, 2], dtype="Int64"), pd.array([1, 7], dtype="Int64")
    first[1] = second[1] = pd.NA
    assert hash_value(pd.Series(first)) == hash_value(pd.Series(second))


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.rename(columns={"x": "z"}),
        lambda f: f.assign(x=f["x"].astype("int32")),
        lambda f: f[["y", "x", "s"]],
        lambda f: f.iloc[::-1],
        lambda f: f.set_axis([7, 8, 9]),
        lambda f: f.rename_axis("i"),
        lambda f: f.assign(s=f["s"].astype(object)),
        lambda f: f.assign(s=["a", None, "d"]),
        lambda f: f.iloc[:2],
    ],
)
def test_a_change_of_a_frame_is_a_change_of_its_hash(change):
    assert hash_value(change(FRAMES[0])) != hash_value(FRAMES[0])


DIFFERENT = [
    1, 1.0, True, "1", b"1", bytearray(b"1"), None, 0, -0.0, 0.0, False, 1j, math.nan, math.inf, 2**70, "", b"", "None",
    (), [], {}, set(), frozenset(), [1], (1,), [[1]], [1, [2]], [[1], 2], [1, 2], [2, 1], [12], ["12"], ["1", "2"],
    {1: 2}, {2: 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {1}, range(1), range(2), slice(1), ...,
    np.float64(1), np.float32(1), np.int64(1), np.array(1), np.array([1]), np.array([1.0]), np.array([[1]]),
    np.array(["1"]), np.array([1], object), np.array([b"1"]), np.dtype("f8"), np.dtype("f4"),
    np.ma.array([1], mask=[True]), np.ma.array([1], mask=[False]), np.datetime64("2020"), np.timedelta64(1, "s"),
    dt.date(2020, 1, 1), dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.time(1), dt.timedelta(1),
    decimal.Decimal("1"), decimal.Decimal("1.0"), uuid.UUID(int=1), PurePosixPath("a"), Path("a"), Path("b"), re.compile("a"),
    re.compile("a", re.I), collections.OrderedDict(a=1), collections.Counter("a"), collections.defaultdict(list, a=1),
    collections.defaultdict(set, a=1), collections.deque([1]), collections.deque([1], 3), Point(1.0), Point(1.5),
    Point(1.0, ("t",)), Slotted(1.0), Slotted(1.0, 1.0), Pair(1, 2), (1, 2), Colour.RED, Colour.BLUE, Level.LOW, Level.HIGH,
    Level.LOW | Level.HIGH, Plain(a=1), Plain(a=2), Plain(), int, float, Point, Plain, math.sin, math.cos, len, np.mean,
    functools.partial(math.pow, 2), functools.partial(math.pow, 3), logging.getLogger("a"), logging.getLogger("b"),
    lambda x: x, lambda x: x + 1, Plain(a=1).__init__, ValueError("a"), ValueError("b"), KeyError("a"), pd.NA, pd.NaT,
    pd.Timestamp("2020"), pd.Timedelta(1), collections.OrderedDict([("a", 1), ("b", 2)]),
    collections.OrderedDict([("b", 2), ("a", 1)]), [0] * 17, [0] * 18, tuple([0] * 17), [0.0] * 17, ["0"] * 17, [False] * 17,
    math, os,
]  # fmt: skip


def test_values_that_a_step_can_tell_apart_have_different_hashes():
    found = {}
    for value in DIFFERENT:
        other = found.setdefault(hash_value(value), value)
        assert other is value, f"{value!r} has the hash of {other!r}"


def test_a_value_has_the_same_hash_each_time_and_when_it_has_travelled():
    for value in DIFFERENT:
        assert hash_value(value) == hash_value(value), repr(value)
        if not callable(value) and value is not math and value is not os:
            assert hash_value(pickle.loads(pickle.dumps(value))) == hash_value(value), repr(value)


def test_it_does_not_matter_which_items_are_one_object():
    text = "".join(["a", "b"] * 600)
    again = "".join(["a", "b"] * 600)
    assert hash_value([text, text]) == hash_value([text, again])
    assert hash_value([text] * 40) == hash_value([text] * 39 + [again])
    point = Point(1.0)
    assert hash_value([point, point]) == hash_value([point, Point(1.0)])
    row = [1, 2]
    assert hash_value([row, [row, row]]) == hash_value([[1, 2], [[1, 2], [1, 2]]])


def test_the_order_of_attributes_does_not_count():
    assert hash_value(Plain(a=1, b=2)) == hash_value(Plain(b=2, a=1))


def test_values_that_hold_themselves_have_hashes():
    first, second, third = [1], [1], [2]
    for value in (first, second, third):
        value.append(value)
    assert hash_value(first) == hash_value(second) != hash_value(third)
    inner = [first, first]
    assert hash_value(inner) == hash_value([second, second])


def test_lists_within_one_another_a_thousand_times_cost_no_more_than_their_number():
    value = [1]
    for _ in range(60):
        value = [value, value]
    assert hash_value(value) == hash_value(copy.deepcopy(value))


def test_what_is_nested_too_deeply_is_told():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(Unhashable) as caught:
        hash_value(value)
    assert str(caught.value) == "a list is nested too deeply to be compared"
    while value:
        value = value.pop()


class Node:
    """One of many that know one another."""

    def heard(self):
        return self.near


def knows_all(number, **attributes):
    nodes = [Node() for _ in range(number)]
    for node in nodes:
        node.near = nodes
        vars(node).update(attributes)
    return nodes[0]


def test_a_few_things_that_all_refer_to_one_another_have_a_hash():
    assert hash_value(knows_all(5)) == hash_value(knows_all(5))
    assert hash_value(knows_all(5)) != hash_value(knows_all(5, more=1))


def test_many_things_that_all_refer_to_one_another_are_told_instead_of_going_round_for_ever():
    node = knows_all(40)
    for other in node.near:
        other.nearest = list(node.near)
    with pytest.raises(Unhashable) as caught:
        hash_value(node)
    assert str(caught.value) == (
        "a Node has parts that refer to one another in too many ways to be compared\n"
        "  do:    tell what it is with fanlab.register_hash(Node, function)"
    )


def test_methods_of_things_that_refer_to_one_another_end_too():
    node = knows_all(30)
    for other in node.near:
        other.callbacks = [each.heard for each in node.near]
    with pytest.raises(Unhashable):
        hash_value(node)


def test_what_has_no_content_is_told_with_the_way_out():
    with pytest.raises(Unhashable) as caught:
        hash_value({"a": [threading.Lock()]})
    assert str(caught.value) == (
        "a lock has no content that can be compared: cannot pickle '_thread.lock' object\n"
        "  do:    tell what it is with fanlab.register_hash(lock, function)"
    )


def test_a_registered_function_tells_what_a_value_is():
    with pytest.raises(Unhashable):
        hash_value(Handle("a"))
    register_hash(Handle, lambda handle: handle.name)
    assert hash_value(Handle("a")) == hash_value([Handle("a")][0]) != hash_value(Handle("b"))
    assert hash_value(Handle("a")) != hash_value("a")


def test_it_holds_for_subclasses_which_are_not_taken_for_their_base():
    class Special(Handle):
        pass

    register_hash(Handle, lambda handle: handle.name)
    assert hash_value(Special("a")) == hash_value(Special("a")) != hash_value(Handle("a"))


def test_it_goes_before_what_is_known_of_a_class():
    register_hash(np.ndarray, lambda array: array.shape)
    assert hash_value(np.zeros(3)) == hash_value(np.ones(3)) != hash_value(np.ones(4))


def test_a_registered_function_that_fails_is_named_with_what_it_raised():
    register_hash(Handle, lambda handle: handle.nam)
    with pytest.raises(Unhashable) as caught:
        hash_value([Handle("a")])
    assert str(caught.value) == (
        "the function that tells what a Handle is raised AttributeError: 'Handle' object has no attribute 'nam'\n"
        "  do:    mend the function that fanlab.register_hash has been given"
    )


@pytest.mark.parametrize("arguments", [("Handle", len), (Handle, "len")])
def test_only_a_class_and_a_function_can_be_registered(arguments):
    with pytest.raises(TypeError) as caught:
        register_hash(*arguments)
    assert str(caught.value) == "register_hash takes a class and a function of one of its values"


def test_an_instance_of_a_class_of_the_users_counts_with_the_classs_code():
    def make(source):
        namespace = {"__name__": "__main__"}
        exec(f"class Model:\n    def __init__(self): self.a = 1\n    def f(self): return {source}", namespace)
        return namespace["Model"]()

    assert hash_value(make("self.a")) == hash_value(make("self.a")) != hash_value(make("self.a + 1"))


def test_a_function_counts_by_its_code():
    def make(offset):
        return lambda x: x + offset

    assert hash_value(make(1)) == hash_value(make(1)) != hash_value(make(2))
    assert hash_value([make(1)]) == hash_value([make(1)])


def test_functions_in_a_set_have_one_hash_whatever_their_order():
    functions = [lambda x: x + 1, lambda x: x + 2, lambda x: x + 3]
    assert hash_value(set(functions)) == hash_value({*functions[::-1]})


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_the_hash_of_a_plain_value_is_that_of_its_stored_bytes(value):
    assert hash_value(value) == digest(pickle.dumps(value, 5))


@settings(max_examples=5, deadline=None)
@given(st.lists(st.integers() | st.text() | st.floats(), min_size=20))
def test_long_rows_count_item_by_item(items):
    assert hash_value(items) == hash_value(list(items)) != hash_value([*items, 0])
    assert hash_value(items) != hash_value([*items[:-1], [items[-1]]])


PROGRAM = """
import collections, enum, numpy as np, pandas as pd
from dataclasses import dataclass
from fanlab.store.hashes import hash_value
class Colour(enum.Enum):
    RED = 1
@dataclass
class Point:
    x: float
def f(x):
    return x in {"a", "b", "c"}
values = [
    {"ada", "bob", "cyd", 1, None}, {frozenset("abc"), frozenset("def")}, {"k": {"x", "y"}}, Colour.RED, {Colour.RED},
    Point(1.0), [Point, Colour], f, {f, len}, pd.DataFrame({"a": [1], "b": ["x"]}), np.arange(3), collections.Counter("abc"),
]
print(*map(hash_value, values))
"""


def test_hashes_are_the_same_in_every_process_under_every_hash_seed():
    found = set()
    for seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60
        )
        found.add(done.stdout or done.stderr)
    assert len(found) == 1
    assert len(set(found.pop().split())) == 12
