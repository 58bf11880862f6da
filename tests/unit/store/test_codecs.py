"""Values to bytes and back, in memory: equal again, and the same bytes in every process."""

import dataclasses
import math
from typing import NamedTuple

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from hypothesis.extra import pandas as frames

from fanlab.core.seal import Piece, Stored
from fanlab.store import codecs

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)
scalar_dtypes = (
    arrays.boolean_dtypes()
    | arrays.integer_dtypes()
    | arrays.unsigned_integer_dtypes()
    | arrays.floating_dtypes()
    | arrays.complex_number_dtypes()
    | arrays.datetime64_dtypes(endianness="=")  # NumPy's own pickles turn the others' bytes around
    | arrays.timedelta64_dtypes(endianness="=")
    | arrays.unicode_string_dtypes(max_len=5)
    | arrays.byte_string_dtypes(max_len=5)
)
dtypes = scalar_dtypes | arrays.array_dtypes(scalar_dtypes, max_size=3)
any_array = arrays.arrays(dtypes, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6))


def round_trip(value):
    body, buffers = codecs.dump(value)
    return codecs.load(body, [bytearray(buffer) for buffer in buffers])


def same_bits(left, right):
    assert left.dtype == right.dtype
    assert left.shape == right.shape
    assert left.tobytes() == right.tobytes()


@given(plain | st.sets(st.integers()) | st.frozensets(st.text()))
def test_nested_built_in_values_come_back_equal_and_of_the_same_types(value):
    found = round_trip(value)
    assert found == value
    assert type(found) is type(value)
    assert isinstance(value, (set, frozenset)) or repr(found) == repr(value)


@given(plain)
def test_a_value_and_its_copy_have_one_digest(value):
    assert codecs.digest(*codecs.dump(value)) == codecs.digest(*codecs.dump(round_trip(value)))


@given(any_array)
def test_arrays_come_back_bit_for_bit(array):
    same_bits(round_trip(array), array)


@given(any_array.filter(lambda array: array.ndim > 0), st.integers(1, 3), st.booleans())
def test_views_of_arrays_come_back_bit_for_bit(array, stride, transpose):
    if not array.dtype.isnative:  # NumPy itself pickles such a view in the machine's byte order
        array = array.astype(array.dtype.newbyteorder("="))
    view = array[::-stride].T if transpose else array[::stride]
    same_bits(round_trip(view), view)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(20_000.0),
        np.arange(20_000.0)[::2],
        np.asfortranarray(np.arange(20_000.0).reshape(100, 200)),
        np.arange(20_000.0).reshape(100, 200)[:, ::3],
        np.arange(20_000).astype(">i4"),
        np.zeros(5_000, dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["text"] * 5_000),
        np.arange(20_000).astype("M8[s]"),
    ],
    ids=["plain", "strided", "fortran", "columns", "big-endian", "record", "text", "datetime"],
)
def test_large_arrays_come_back_bit_for_bit_and_writable(array):
    found = round_trip(array)
    same_bits(found, array)
    assert found.flags.writeable


def test_a_large_array_is_no_part_of_its_pickle():
    body, buffers = codecs.dump(np.zeros(100_000))
    assert len(body) < 1_000
    assert [buffer.nbytes for buffer in buffers] == [800_000]


def test_a_small_array_is_part_of_its_pickle():
    assert codecs.dump(np.zeros(10))[1] == []


def test_arrays_of_objects_come_back_equal():
    array = np.array([1, "two", None, [3, 4], {"five": 5.0}], dtype=object)
    found = round_trip(array)
    assert found.dtype == object
    assert found.tolist() == array.tolist()


def test_one_array_twice_in_a_value_is_one_array_again():
    array = np.zeros(10_000)
    first, second = round_trip([array, array])
    assert first is second


@settings(max_examples=50, deadline=None)
@given(
    frames.data_frames(
        index=frames.range_indexes(max_size=6),
        columns=[
            frames.column("whole", dtype="int64"),
            frames.column("part", dtype="float64"),
            frames.column("flag", dtype=bool),
            frames.column("text", elements=st.text(max_size=5)),
            frames.column("when", dtype="datetime64[ns]"),
        ],
    )
)
def test_frames_come_back_equal(frame):
    pd.testing.assert_frame_equal(round_trip(frame), frame)


@pytest.mark.parametrize("rows", [3, 3_000], ids=["small", "large"])
@pytest.mark.parametrize(
    "column",
    [
        pd.array([1, None, 3], dtype="Int64"),
        pd.array([1.5, None, 3.5], dtype="Float64"),
        pd.array([True, None, False], dtype="boolean"),
        pd.array(["a", None, "c"], dtype="string"),
        pd.array(["a", None, "c"], dtype="str"),
        pd.Categorical(["b", None, "a"], categories=["b", "a"], ordered=True),
        pd.to_datetime(["2024-01-01", None, "2024-01-03"], utc=True).array,
        pd.period_range("2024-01", periods=3, freq="M").array,
        pd.to_timedelta([1, None, 3], unit="h").array,
        pd.interval_range(0, 3).array,
        pd.arrays.SparseArray([0, 0, 1]),
        np.array([1, "two", None], dtype=object),
    ],
    ids=lambda column: str(column.dtype),
)
def test_columns_of_every_kind_keep_their_dtype(column, rows):
    frame = pd.DataFrame({"x": pd.Series(column).take(np.arange(rows) % 3).array})
    found = round_trip(frame)
    pd.testing.assert_frame_equal(found, frame)
    assert found["x"].dtype == frame["x"].dtype


def test_frames_keep_their_index_and_column_names():
    frame = pd.DataFrame(
        [[1, 2.0]],
        index=pd.MultiIndex.from_tuples([("a", 1)], names=["letter", "number"]),
        columns=pd.Index(["x", "y"], name="which"),
    )
    pd.testing.assert_frame_equal(round_trip(frame), frame)


def test_instances_of_local_classes_come_back():
    class Point:
        def __init__(self, x):
            self.x = x

    assert round_trip(Point(3)).x == 3


def test_nan_comes_back_as_nan():
    assert math.isnan(round_trip([math.nan])[0])


VALUES = (
    "[None, True, 7, 2**70, 0.5, 'text', b'bytes', (1, 'a'), [1, [2, 'a']], {'b': 1, 'a': [1.5, None]},"
    " numpy.arange(20_000.0), numpy.arange(7)]"
)


def test_digests_of_plain_values_are_the_same_in_every_process(python):
    program = f"import numpy; from fanlab.store.codecs import digest, dump; print([digest(*dump(v)) for v in {VALUES}])"
    outputs = {python(program, env={"PYTHONHASHSEED": seed}) for seed in ("1", "2")}
    here = [codecs.digest(*codecs.dump(value)) for value in eval(VALUES, {"numpy": np})]
    assert outputs == {f"{here}\n"}
    assert len(set(here)) == len(here)


def test_a_digest_covers_the_buffers():
    one, other = np.zeros(10_000), np.zeros(10_000)
    other[-1] = 1
    assert codecs.digest(*codecs.dump(one)) != codecs.digest(*codecs.dump(other))


def test_packed_outputs_come_back():
    outputs = {"a": Stored("int", 5, "f" * 32, b"bytes"), "b": Stored("dict", 9, "e" * 32, None, (("x", 1),))}
    assert codecs.unpack(codecs.pack(outputs)) == outputs


@dataclasses.dataclass
class Fit:
    score: float
    model: list


class Pair(NamedTuple):
    low: int
    high: int


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ({"a": 1, "b": [2]}, {"a": 1, "b": [2]}),
        (Pair(1, 2), {"low": 1, "high": 2}),
        (Fit(0.5, [1]), {"score": 0.5, "model": [1]}),
        ({}, None),
        ({1: 2}, None),
        ({"a": 1, 2: 3}, None),
        ((1, 2), None),
        ([1], None),
        (Fit, None),
        (Pair, None),
        (7, None),
    ],
    ids=str,
)
def test_fields_are_those_of_dicts_with_text_keys_named_tuples_and_dataclasses(value, fields):
    assert codecs.fields_of(value) == fields


def test_a_summary_keeps_scalars_and_the_types_of_the_rest():
    assert codecs.summary({"score": 0.5, "model": np.zeros(3)}) == (("score", 0.5), ("model", Piece("numpy.ndarray")))


@pytest.mark.parametrize(
    ("value", "name"),
    [(1.5, "float"), (np.zeros(2), "numpy.ndarray"), (pd.DataFrame(), "pandas.DataFrame"), (None, "NoneType")],
)
def test_type_names_are_those_that_a_person_writes(value, name):
    assert codecs.type_name(value) == name
