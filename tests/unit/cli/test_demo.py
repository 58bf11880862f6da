"""The demo's steps, called as the plain functions that they are."""

from fanlab.cli.demo import PACKAGES, compare, read


def test_reading_a_package_counts_what_it_has():
    found = read("json")
    assert found["files"] == 5
    assert found["functions"] > 20
    assert found["longest"] == "_make_iterencode"


def test_every_package_is_named_once_in_order():
    assert list(PACKAGES) == sorted(set(PACKAGES))


def test_comparing_names_the_package_with_the_longest_function():
    counts = {
        "a": {"functions": 1000, "longest": "small", "length": 9},
        "b": {"functions": 200, "longest": "large", "length": 80},
    }
    assert compare(counts) == "Of 1,200 functions in 2 packages, the longest is large of b: 80 lines."
