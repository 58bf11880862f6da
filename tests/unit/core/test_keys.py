"""Keys: equal for equal work, wherever a branch stands, and different for anything else."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanlab.core.keys import KEY_BYTES, Texts, branch_keys, numbered, seed_of, short, split

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.complex_numbers()
NESTED = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)
)


def told(value):
    return Texts(repr, lambda path: None).of(value)


def keys(shared=None, mapped=None, size=1, code="c", outputs=("output",)):
    return branch_keys(code, outputs, shared or {}, mapped or {}, size)


@settings(deadline=None)
@given(NESTED)
def test_a_value_is_told_the_same_each_time_on_one_line(value):
    assert told(value) == told(value)
    assert "\n" not in told(value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True), (1, 1.0), (1, "1"), (0.0, -0.0), (None, "None"), ([1, 2], (1, 2)), ([1, 2], [2, 1]), ([1, [2]], [[1], 2]),
        (["a", "b"], ["a, b"]), ({"a": 1}, {"a": 2}), ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ([], ()), ("x" * 100, "x" * 101),
    ],
)  # fmt: skip
def test_values_that_differ_are_told_apart(one, other):
    assert told(one) != told(other)


def test_numbers_in_a_row_are_told_as_each_alone():
    values = [1, 2.5, None, True, 10**5000]
    assert Texts(repr, lambda path: None).many(values) == [told(value) for value in values]


def test_a_path_is_told_by_its_name_and_what_its_file_holds():
    texts = Texts(repr, {"a.csv": "d1", "b.csv": "d1"}.get)
    assert texts.of("a.csv") not in (texts.of("b.csv"), texts.of("c.csv"))
    assert Texts(repr, {"a.csv": "d2"}.get).of("a.csv") != texts.of("a.csv")
    assert texts.files == {"a.csv": "d1", "b.csv": "d1"}


def test_a_long_text_is_shortened_to_one_that_only_it_has():
    assert short("a" * 64) == "a" * 64
    assert len(short("a" * 65)) < len("a" * 65) * 2
    assert short("a" * 65) != short("a" * 66)


def test_an_argument_counts_the_same_mapped_or_shared_and_in_any_order():
    (alone,) = keys({"x": "1", "y": "2"})
    assert keys({"y": "2", "x": "1"}) == [alone]
    assert keys({"y": "2"}, {"x": ["1", "5"]}, 2)[0] == alone
    assert keys({}, {"y": ["2"], "x": ["1"]})[0] == alone


@pytest.mark.parametrize(
    "other",
    [
        {"shared": {"x": "1", "y": "3"}}, {"shared": {"x": "1"}}, {"shared": {"x": "2", "y": "1"}},
        {"shared": {"x": "1", "y": "2"}, "code": "d"}, {"shared": {"x": "1", "y": "2"}, "outputs": ("a", "b")},
        {"shared": {"x": "1", "z": "2"}},
    ],
)  # fmt: skip
def test_anything_else_has_another_key(other):
    assert keys({"x": "1", "y": "2"}) != keys(**other)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(), st.integers()), unique=True))
def test_each_branch_has_the_key_of_its_own_arguments(rows):
    found = keys({"k": "0"}, {"a": [str(a) for a, _ in rows], "b": [str(b) for _, b in rows]}, len(rows))
    assert len(set(found)) == len(rows)
    assert found == [keys({"k": "0", "a": str(a), "b": str(b)})[0] for a, b in rows]
    assert split(b"".join(found)) == found
    assert all(len(key) == KEY_BYTES for key in found)


def test_a_node_without_arguments_has_one_key():
    assert len(set(keys(size=3))) == 1


def test_equal_calls_are_told_apart_by_their_number():
    key = keys()[0]
    assert numbered(key, 0) == key
    assert len({key, numbered(key, 1), numbered(key, 2)}) == 3


def test_a_seed_is_below_two_to_the_32_and_follows_from_the_key():
    assert 0 <= seed_of(b"\xff" * KEY_BYTES) < 2**32
    assert seed_of(b"\1" * KEY_BYTES) == seed_of(b"\1" * KEY_BYTES)


def test_a_key_does_not_depend_on_the_process():
    program = "from fanlab.core.keys import *; print(branch_keys('c', ['o'], {'x': '1'}, {'y': ['2']}, 1)[0].hex())"
    told = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert told == {keys({"x": "1"}, {"y": ["2"]}, 1, "c", ("o",))[0].hex() + "\n"}
