"""Columns: for any mix of values, no dtype of objects where all are numbers, and nothing is lost."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from fanlab.show.columns import ABSENT, branch_column, column, text_column

GAPS = st.sampled_from([ABSENT, None])
KINDS = {
    "int64": (st.integers(-(2**63), 2**63 - 1), "Int64"),
    "float64": (st.floats(allow_nan=False), "Float64"),
    "bool": (st.booleans(), "boolean"),
}


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_a_column_of_one_kind_has_its_dtype_and_its_values(kind, data):
    values, nullable = KINDS[kind]
    given = data.draw(st.lists(values | GAPS, min_size=1))
    found = column(given)
    present = [value for value in given if value is not ABSENT and value is not None]
    if present:
        assert str(found.dtype) == (kind if len(present) == len(given) else nullable)
    assert [pd.NA if value is ABSENT or value is None else value for value in given] == [
        value if value is pd.NA else type(present[0])(value) for value in found
    ]


@given(st.lists(st.integers() | st.floats(allow_nan=False) | st.text() | st.booleans() | GAPS))
def test_nothing_is_lost_in_a_column_of_many_kinds(given):
    found = list(column(given))
    assert len(found) == len(given)
    for value, kept in zip(given, found, strict=True):
        if value is ABSENT or value is None:
            assert pd.isna(kept)
        else:
            assert kept == value


@given(st.lists(st.text() | st.just(ABSENT)))
def test_a_column_of_text_is_never_of_objects(given):
    assert str(text_column(given).dtype) in ("str", "string")


@given(st.lists(st.integers(0, 9) | st.just(ABSENT)))
def test_branches_with_numbers_are_numbers(given):
    assert branch_column(given).dtype in ("int64", "Int64")


def test_branches_with_any_text_are_text():
    assert branch_column(["us", 1, ("de", 2), ABSENT]).tolist() == ["us", "1", "de,2", pd.NA]
