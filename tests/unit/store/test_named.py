"""What in a stored value may name files: found without making anything of the user's."""

from pathlib import Path

import pytest

from fanlab.store.artifacts import Artifacts
from fanlab.store.named import names


class Loud:
    """An object that must not be made."""

    def __init__(self):
        self.path = "loud.txt"

    def __setstate__(self, state):
        raise AssertionError("it has been made")


@pytest.fixture
def named(tmp_path):
    artifacts = Artifacts(str(tmp_path))
    return lambda value: names(artifacts.put(value), artifacts)


def test_texts_and_paths_are_found_in_lists_tuples_dicts_and_sets(named):
    value = {"key.txt": ["b.txt", ("a/c", Path("folder"))], "more": {"b.txt", 3.5}}
    assert named(value) == ["a/c", "b.txt", "folder", "key.txt"]


@pytest.mark.parametrize("value", ["a.txt", "folder/a", "no. 1"])
def test_a_text_by_itself_may_name_a_file(named, value):
    assert named(value) == [value]


@pytest.mark.parametrize(
    "value", [1.5, [1.5] * 100, ["word", "two words"], {"rmse": 0.5}, "word", ["x." + "y" * 5000], None]
)
def test_what_has_no_name_of_a_file_in_it_names_none(named, value):
    assert named(value) == []


def test_objects_beside_the_paths_are_not_made(named):
    assert named([Loud(), "a.txt", {"model": Loud()}]) == ["a.txt"]


def test_a_list_that_holds_itself_is_looked_into_once(named):
    value = ["a.txt"]
    value.append(value)
    assert named(value) == ["a.txt"]


def test_a_long_list_is_read_from_its_artifact_file(named):
    assert len(named([f"folder/{number}.csv" for number in range(20_000)])) == 20_000


def test_a_very_long_list_is_not_looked_into(named):
    assert named([f"{'folder' * 10}/{number}.csv" for number in range(100_000)]) == []
