"""Arguments as they are kept and sent, and back."""

from __future__ import annotations

import datetime
import decimal
import fractions
import pathlib
import uuid
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlab.core.expand import Items
from fanlab.core.seal import (
    LONGEST_TEXT,
    Packed,
    Ref,
    Stored,
    Unsendable,
    is_scalar,
    rebuild,
    seal,
    unsendable,
)
from fanlab.core.spec import Step
from fanlab.core.trace import trace


class Point(NamedTuple):
    x: Any
    y: Any


class Single(NamedTuple):
    value: Any


class Kept:
    """Keeps values in a dict, as a store keeps them in files."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def keep(self, value: Any) -> Stored:
        name = str(len(self.values))
        self.values[name] = value
        return Stored(type(value).__name__, 0, name, None)

    def give(self, leaf: Stored) -> Any:
        return self.values[leaf.hash]


def refuse(value: Any) -> Stored:
    raise AssertionError(f"{value!r} should not be stored")


LITERALS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=10),
    st.binary(max_size=10),
    st.dates(),
    st.frozensets(st.integers(), max_size=3),
    st.text(min_size=2, max_size=2).map(lambda text: text * LONGEST_TEXT),
    st.builds(bytearray, st.binary(max_size=5)),
)
VALUES = st.recursive(
    LITERALS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=4),
        st.builds(Point, inner, inner),
        st.builds(Single, inner),
        st.lists(inner, max_size=3).map(lambda items: Items(tuple(items))),
    ),
    max_leaves=15,
)


def shape_of(value: Any) -> Any:
    """A value with its types, so that a list is told from a tuple and True from 1."""
    if isinstance(value, Items):
        return Items, shape_of(value.values), value.keys
    if isinstance(value, (list, tuple)):
        return type(value), [shape_of(item) for item in value]
    if isinstance(value, dict):
        return dict, [(shape_of(key), shape_of(item)) for key, item in value.items()]
    return type(value), value


@settings(deadline=None)
@given(value=VALUES)
def test_a_sealed_value_is_rebuilt_as_it_was(value):
    kept = Kept()

    rebuilt = rebuild(seal(value, kept.keep), lambda leaf: kept.give(leaf) if isinstance(leaf, Stored) else leaf)

    assert shape_of(rebuilt) == shape_of(value)


@settings(deadline=None)
@given(value=VALUES)
def test_what_is_stored_is_never_a_scalar_nor_a_plain_container(value):
    kept = Kept()

    seal(value, kept.keep)

    assert [v for v in kept.values.values() if is_scalar(v) or isinstance(v, (list, dict, tuple, Items))] == []


@settings(deadline=None)
@given(value=VALUES)
def test_sealing_leaves_the_value_as_it_is(value):
    before = shape_of(value)

    seal(value, Kept().keep)

    assert shape_of(value) == before


def test_a_sealed_list_is_another_list():
    value = [1, [2]]

    sealed = seal(value, refuse)

    assert sealed == value
    assert sealed is not value
    assert sealed[1] is not value[1]


def test_the_items_of_a_mapped_argument_keep_their_keys():
    kept = Kept()
    items = Items(([1], {"a"}), ("us", "eu"))

    sealed = seal(items, kept.keep)

    assert sealed.keys == ("us", "eu")
    assert rebuild(sealed, lambda leaf: kept.give(leaf) if isinstance(leaf, Stored) else leaf) == items


def test_equal_values_are_stored_one_by_one():
    kept = Kept()

    seal([{1}, {1}], kept.keep)

    assert len(kept.values) == 2


# references


def sealed_in_body(make):
    """What sealing makes of something in a body."""
    found = []
    trace("sweep", lambda: found.append(seal(make(), refuse)), (), {})
    return found[0]


LOAD = Step(lambda *args: args, "load")
SPLIT = Step(lambda *args: args, "split", ("train", "test"))


@pytest.mark.parametrize(
    ("make", "ref"),
    [
        (lambda: LOAD(), Ref("load", None, None)),
        (lambda: SPLIT()[1], Ref("split", None, "test")),
        (lambda: LOAD.map([1, 2])[1], Ref("load", 1, None)),
        (lambda: LOAD.map([1, 2]), Ref("load", None, None, many=True)),
        (lambda: LOAD.map([1, 2]).unpack(2)[0], Ref("load", None, "output_0", many=True)),
    ],
    ids=["output", "one-of-several", "branch", "branches", "one-output-of-branches"],
)
def test_a_reference_is_sealed_by_name(make, ref):
    assert sealed_in_body(make) == ref


def test_references_are_sealed_inside_containers():
    sealed = sealed_in_body(lambda: {"x": [LOAD(), (1, Point(LOAD(), "y"))]})

    assert sealed == {"x": [Ref("load", None, None), (1, Point(Ref("load_2", None, None), "y"))]}


def test_references_are_sealed_among_the_items_of_a_mapped_argument():
    assert sealed_in_body(lambda: Items((LOAD(), 2))) == Items((Ref("load", None, None), 2))


@pytest.mark.parametrize(
    "leaf",
    [Stored("set", 1, "h", b""), Ref("load", None, None), Packed(b"", None), Unsendable("why")],
    ids=lambda leaf: type(leaf).__name__,
)
def test_rebuilding_hands_each_leaf_over_whole(leaf):
    seen = []

    rebuilt = rebuild([{"x": (leaf, 1)}], lambda found: seen.append(found) or "opened")

    assert seen == [leaf, 1]
    assert rebuilt == [{"x": ("opened", "opened")}]


# what cannot be sent


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (3, None),
        ([1, {"x": "text"}], None),
        (Stored("set", 1, "h", b""), None),
        (Unsendable("a lock"), "a lock"),
        ([1, {"x": (2, Unsendable("a lock"))}], "a lock"),
        ([Unsendable("first"), Unsendable("second")], "first"),
        (Items((1, Unsendable("an item"))), "an item"),
    ],
    ids=["scalar", "containers", "stored", "itself", "nested", "first", "item"],
)
def test_the_first_part_that_cannot_be_sent_gives_the_reason(value, reason):
    assert unsendable(value) == reason


# scalars


class OwnText(str):
    pass


class OwnNumber(float):
    pass


SCALARS = {
    "none": None,
    "true": True,
    "integer": 3,
    "big-integer": 10**100,
    "float": 1.5,
    "nan": float("nan"),
    "complex": 1j,
    "text": "abc",
    "longest-text": "a" * LONGEST_TEXT,
    "bytes": b"abc",
    "longest-bytes": b"a" * LONGEST_TEXT,
    "date": datetime.date(2024, 1, 1),
    "moment": datetime.datetime(2024, 1, 1),
    "time": datetime.time(12),
    "duration": datetime.timedelta(1),
    "decimal": decimal.Decimal("1.5"),
    "fraction": fractions.Fraction(1, 3),
    "path": pathlib.Path("a.csv"),
    "pure-path": pathlib.PureWindowsPath("a.csv"),
    "uuid": uuid.UUID(int=1),
    "numpy-float": np.float64(1.5),
    "numpy-integer": np.int8(1),
    "numpy-truth": np.bool_(True),
    "numpy-text": np.str_("abc"),
    "numpy-date": np.datetime64("2024-01-01"),
    "timestamp": pd.Timestamp("2024-01-01"),
    "timedelta": pd.Timedelta(1),
}
OTHERS = {
    "long-text": "a" * (LONGEST_TEXT + 1),
    "long-bytes": b"a" * (LONGEST_TEXT + 1),
    "own-text": OwnText("abc"),
    "own-number": OwnNumber(1.5),
    "list": [1],
    "empty-list": [],
    "tuple": (1,),
    "named-tuple": Point(1, 2),
    "dict": {"a": 1},
    "set": {1},
    "bytearray": bytearray(b"a"),
    "object": object(),
    "class": int,
    "function": len,
    "array": np.array([1]),
    "0-d-array": np.array(1),
    "series": pd.Series([1]),
    "frame": pd.DataFrame({"a": [1]}),
    "range": range(3),
}


@pytest.mark.parametrize("value", SCALARS.values(), ids=SCALARS)
def test_a_scalar_is_shown_as_it_is(value):
    assert is_scalar(value)
    assert seal(value, refuse) is value


@pytest.mark.parametrize("value", OTHERS.values(), ids=OTHERS)
def test_what_is_no_scalar_is_not_shown_as_it_is(value):
    assert not is_scalar(value)


@pytest.mark.parametrize("name", ["long-text", "own-text", "own-number", "set", "object", "array", "frame", "range"])
def test_a_literal_that_is_neither_scalar_nor_container_is_stored(name):
    kept = Kept()

    sealed = seal(OTHERS[name], kept.keep)

    assert isinstance(sealed, Stored)
    assert kept.give(sealed) is OTHERS[name]
