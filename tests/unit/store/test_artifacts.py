"""Artifact files: written whole, mapped privately, and never a wrong value."""

import os
import stat
import threading

import numpy as np
import pytest

from fanlab.errors import StoreError
from fanlab.store import codecs
from fanlab.store.artifacts import Artifacts


@pytest.fixture
def artifacts(tmp_path):
    return Artifacts(str(tmp_path))


@pytest.fixture
def array():
    return np.random.default_rng(0).random(10_000)


@pytest.fixture
def stored(artifacts, array):
    return artifacts.put(array)


def damaged(tmp_path, stored):
    """What reading with fresh eyes raises."""
    with pytest.raises(StoreError) as caught:
        Artifacts(str(tmp_path)).get(stored)
    return str(caught.value)


def edit(path, position, new):
    with open(path, "r+b") as file:
        file.seek(position, os.SEEK_END if position < 0 else os.SEEK_SET)
        file.write(new)


def test_a_large_value_comes_back_equal(artifacts, array, stored):
    assert (artifacts.get(stored) == array).all()


def test_a_small_value_makes_no_file(artifacts, tmp_path):
    stored = artifacts.put([1, 2, 3])
    assert artifacts.path(stored) is None
    assert artifacts.get(stored) == [1, 2, 3]
    assert os.listdir(tmp_path) == []


def test_a_long_text_makes_a_file(artifacts):
    stored = artifacts.put("x" * 100_000)
    assert os.path.getsize(artifacts.path(stored)) >= 100_000
    assert artifacts.get(stored) == "x" * 100_000


def test_equal_values_share_one_file(artifacts, array, tmp_path):
    assert artifacts.put(array) == artifacts.put(array.copy())
    assert sum(len(files) for _, _, files in os.walk(tmp_path)) == 1


def test_changing_a_loaded_value_changes_no_other(artifacts, array, stored):
    first, second = artifacts.get(stored), artifacts.get(stored)
    first[:] = 0
    assert (second == array).all()
    assert (artifacts.get(stored) == array).all()


def test_a_loaded_value_outlives_its_file(artifacts, array, stored):
    found = artifacts.get(stored)
    os.unlink(artifacts.path(stored))
    assert (found == array).all()


def test_a_missing_file_is_said_to_be_missing(artifacts, stored, tmp_path):
    os.unlink(artifacts.path(stored))
    assert damaged(tmp_path, stored) == (
        f"the stored numpy.ndarray {stored.hash[:8]} is missing or damaged\n  do:    run its step again to make it anew"
    )


def test_an_empty_file_is_damaged(artifacts, stored, tmp_path):
    os.truncate(artifacts.path(stored), 0)
    assert "missing or damaged" in damaged(tmp_path, stored)


@pytest.mark.parametrize("left", [1, 8, 20, 30, 4096, 4097, 50_000, -1])
def test_a_file_that_is_cut_short_is_damaged(artifacts, stored, tmp_path, left):
    path = artifacts.path(stored)
    os.truncate(path, left if left > 0 else os.path.getsize(path) + left)
    assert "missing or damaged" in damaged(tmp_path, stored)


def test_a_file_with_another_beginning_is_damaged(artifacts, stored, tmp_path):
    edit(artifacts.path(stored), 0, b"fanlab2\n")
    assert "missing or damaged" in damaged(tmp_path, stored)


@pytest.mark.parametrize("position", [8, 15, 16, 23, 24, 31, 40, 4096, 40_000, -1])
def test_a_file_with_a_changed_byte_is_damaged(artifacts, stored, tmp_path, position):
    path = artifacts.path(stored)
    with open(path, "rb") as file:
        content = bytearray(file.read())
    content[position] ^= 0xFF
    with open(path, "wb") as file:
        file.write(content)
    assert "missing or damaged" in damaged(tmp_path, stored)


def test_files_of_another_value_are_not_taken_for_it(artifacts, stored, tmp_path):
    other = artifacts.put(np.zeros(10_000))
    os.replace(artifacts.path(other), artifacts.path(stored))
    assert "missing or damaged" in damaged(tmp_path, stored)


def test_buffers_begin_on_pages(artifacts):
    stored = artifacts.put([np.ones(10_000), np.ones(5_000, dtype="i2")])
    for array in artifacts.get(stored):
        assert array.ctypes.data % 4096 == 0


def test_writing_leaves_no_temporary_file(artifacts, stored, tmp_path):
    names = [name for _, _, files in os.walk(tmp_path) for name in files]
    assert len(names) == 1
    assert not names[0].endswith(".tmp")


def test_folders_are_for_their_owner_only(artifacts, stored):
    folder = os.path.dirname(artifacts.path(stored))
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_a_store_error(artifacts, tmp_path):
    (tmp_path / "artifacts").write_text("a file in its place")
    with pytest.raises(StoreError) as caught:
        artifacts.put(np.ones(10_000), "of 'fit'")
    assert str(caught.value) == (
        "the value of 'fit' cannot be written to the store: Not a directory\n"
        "  do:    make room on the disk, or set FANLAB_STORE to a folder that can be written"
    )


def test_many_threads_may_write_one_value_at_once(tmp_path, array):
    start = threading.Barrier(8)
    found = []

    def write():
        start.wait(30)
        found.append(Artifacts(str(tmp_path)).put(array))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert (Artifacts(str(tmp_path)).get(found[0]) == array).all()
    assert sum(len(files) for _, _, files in os.walk(tmp_path)) == 1


def test_equal_values_have_one_hash_though_their_bytes_differ(artifacts):
    text = "".join(["ab"] * 50_000)
    first, second = artifacts.put([text, text]), artifacts.put([text, "".join(["ab"] * 50_000)])
    assert first.hash == second.hash
    assert first.digest != second.digest
    assert artifacts.get(first) == artifacts.get(second)
    assert artifacts.path(first) != artifacts.path(second)


def test_a_value_without_a_hash_of_its_content_has_that_of_its_bytes(artifacts, monkeypatch):
    def refuse(value):
        raise ValueError("no content")

    monkeypatch.setattr("fanlab.store.artifacts.hash_value", refuse)
    stored = artifacts.put([1, 2])
    assert stored.hash == codecs.digest(stored.inline)
    large = artifacts.put(np.arange(20_000.0))
    assert large.hash == large.digest
