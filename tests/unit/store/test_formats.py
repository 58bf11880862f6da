"""Formats of the user's own: what is written, what comes back, and what is said when a function fails."""

import pathlib
import threading

import numpy as np
import pytest

from fanlab import CannotStore, NotAvailable, PipelineError, StoreError, pipeline, register_format, register_hash, step
from fanlab.errors import Unhashable
from fanlab.store import formats, hashes
from fanlab.store.artifacts import Artifacts
from fanlab.store.hashes import hash_value


class Handle:
    """What no pickle can hold."""

    def __init__(self, name):
        self.name, self.lock = name, threading.Lock()


class Special(Handle):
    pass


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(hashes, "_registered", {})
    monkeypatch.setattr(hashes, "_tellers", {})
    monkeypatch.setattr(formats, "_registered", {})
    monkeypatch.setattr(formats, "_by_name", {})


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(str(tmp_path / "store"))


@pytest.fixture
def written():
    """The format of handles, and the names that it has written."""
    names = []

    def save(handle, path):
        names.append(handle.name)
        pathlib.Path(path).write_text(handle.name)

    register_format(Handle, save, lambda path: Handle(pathlib.Path(path).read_text()))
    return names


@pytest.mark.parametrize("name", ["", "a", "a" * 5000, "a" * 100_000], ids=len)
def test_a_value_comes_back_through_the_two_functions_however_long_its_file_is(artifacts, written, name):
    found = artifacts.get(artifacts.put(Handle(name)))
    assert type(found) is Handle
    assert found.name == name


def test_it_holds_anywhere_inside_a_value(artifacts, written):
    value = {"all": [Handle("a"), (Handle("b" * 9000), np.arange(9000))], "by": lambda: Handle}
    found = artifacts.get(artifacts.put(value))
    assert [found["all"][0].name, found["all"][1][0].name] == ["a", "b" * 9000]
    assert (found["all"][1][1] == np.arange(9000)).all()


def test_what_is_one_object_in_a_value_is_one_object_again(artifacts, written):
    one = Handle("a")
    first, second = artifacts.get(artifacts.put([one, one]))
    assert first is second


def test_a_value_is_written_once_for_its_hash_and_its_file(artifacts, written):
    artifacts.put([Handle("a"), lambda: Handle])  # which no plain pickle holds, so that it is tried in two ways
    assert written == ["a"]


def test_a_large_file_is_checked_like_any_artifact(artifacts, written):
    stored = artifacts.put(Handle("a" * 100_000))
    path = pathlib.Path(artifacts.path(stored))
    path.write_bytes(path.read_bytes()[:-1] + b"b")
    with pytest.raises(StoreError) as caught:
        artifacts.get(stored)
    assert str(caught.value) == (
        f"the stored {stored.type} {stored.hash[:8]} is missing or damaged\n  do:    run its step again to make it anew"
    )


def test_the_bytes_of_its_file_are_its_content(artifacts, written):
    assert artifacts.put(Handle("a")).hash == artifacts.put(Handle("a")).hash == hash_value(Handle("a"))
    assert hash_value(Handle("a")) != hash_value(Handle("b"))


def test_a_registered_hash_goes_before_the_bytes_of_its_file(written):
    register_hash(Handle, lambda handle: len(handle.name))
    assert hash_value(Handle("a")) == hash_value(Handle("b")) != hash_value(Handle("bb"))
    assert written == []


def test_a_format_goes_before_what_is_known_of_a_class(artifacts):
    register_format(np.ndarray, lambda array, path: pathlib.Path(path).write_text(f"{array.size}"), _ones)
    assert artifacts.get(artifacts.put(np.zeros(3))).tolist() == [1.0, 1.0, 1.0]
    assert hash_value(np.zeros(3)) == hash_value(np.ones(3)) != hash_value(np.ones(4))


def _ones(path):
    return np.ones(int(pathlib.Path(path).read_text()))


def test_a_subclass_is_not_written_as_its_base(artifacts, written):
    with pytest.raises(TypeError, match=r"cannot pickle '_thread\.lock' object"):
        artifacts.put(Special("a"))
    assert written == []


def test_where_the_format_is_not_registered_it_is_said_what_to_do(artifacts, written):
    stored = artifacts.put([Handle("a")])
    formats._by_name.clear()
    with pytest.raises(NotAvailable) as caught:
        artifacts.get(stored)
    assert str(caught.value) == (
        f"the stored {__name__}.Handle has a format of its own, which is not registered here\n"
        "  do:    call fanlab.register_format(Handle, save, load) as it was called where the value was stored"
    )


def test_a_function_that_cannot_load_is_named_with_what_it_raised(artifacts, written):
    stored = artifacts.put(Handle("a"))
    register_format(Handle, print, lambda path: 1 / 0)
    with pytest.raises(StoreError) as caught:
        artifacts.get(stored)
    assert str(caught.value) == (
        f"the stored {__name__}.Handle cannot be read: the function that loads it raised "
        "ZeroDivisionError: division by zero\n"
        "  do:    mend the function that fanlab.register_format has been given"
    )


def failing(save):
    """What a run whose step returns a handle fails with."""
    register_format(Handle, save, Handle)

    @step
    def fit():
        return [Handle("a")]

    @pipeline(backend="sequential")
    def sweep():
        return fit()

    with pytest.raises(PipelineError) as caught:
        sweep()
    return caught.value.__cause__


@pytest.mark.parametrize(
    ("save", "why"),
    [
        (lambda handle, path: 1 / 0, "the function that saves a Handle raised ZeroDivisionError: division by zero"),
        (lambda handle, path: None, "the function that saves a Handle wrote no file at the path that it was given"),
    ],
    ids=["raises", "writes nothing"],
)
def test_a_function_that_cannot_save_fails_the_branch_that_returned_the_value(save, why):
    error = failing(save)
    assert type(error) is CannotStore
    assert str(error) == (
        f"the result of 'fit', of type list, cannot be stored: {why}\n"
        "  do:    mend the function that fanlab.register_format has been given, or return something else"
    )


def test_what_cannot_be_saved_has_no_content_either():
    register_format(Handle, lambda handle, path: 1 / 0, Handle)
    with pytest.raises(Unhashable) as caught:
        hash_value(Handle("a"))
    assert str(caught.value) == (
        "the function that saves a Handle raised ZeroDivisionError: division by zero\n"
        "  do:    mend the function that fanlab.register_format has been given, or return something else"
    )


@pytest.mark.parametrize("arguments", [("Handle", len, len), (Handle, "len", len), (Handle, len, None)])
def test_only_a_class_and_two_functions_can_be_registered(arguments):
    with pytest.raises(TypeError) as caught:
        register_format(*arguments)
    assert str(caught.value) == "register_format takes a class and two functions, save(value, path) and load(path)"


@pytest.mark.parametrize("kind", [int, str, list, dict])
def test_what_is_built_in_has_no_format(kind):
    with pytest.raises(TypeError) as caught:
        register_format(kind, len, len)
    assert str(caught.value) == (
        f"register_format cannot change how a {kind.__name__} is kept: give it a class of your own"
    )
