"""Files by content: read once as long as they stay as they are, and never taken for what they were."""

import builtins
import os
import threading
import time
from pathlib import Path

import pytest

from fanlab.store.files import file_digest

OLD = time.time() - 100


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that have been opened here."""
    found, here = [], threading.get_ident()
    opened = builtins.open

    def noting(name, *args, **kwargs):
        if threading.get_ident() == here:
            found.append(name)
        return opened(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", noting)
    return found


def write(name, text, at=None):
    with open(name, "w") as file:
        file.write(text)
    if at is not None:
        os.utime(name, (at, at))


def test_equal_files_have_equal_digests_and_other_files_others():
    write("a", "one")
    write("b", "one")
    write("c", "two")
    assert file_digest("a") == file_digest("b") != file_digest("c")
    assert file_digest(Path("a")) == file_digest(Path("a").absolute()) == file_digest("a")


@pytest.mark.parametrize("name", ["nothing", "", "folder", "with\0null", "x" * 5000, "gone/file"])
def test_what_names_no_file_has_no_digest(name):
    os.mkdir("folder")
    assert file_digest(name) is None


def test_a_pipe_is_not_waited_for():
    os.mkfifo("pipe")
    assert file_digest("pipe") is None


def test_a_file_that_stays_as_it_is_is_read_once(reads):
    write("a", "one", OLD)
    first = file_digest("a")
    reads.clear()
    assert file_digest("a") == first
    assert reads == []


def test_a_file_that_was_changed_just_now_is_read_again(reads):
    write("a", "one", time.time() + 600)  # however long it takes from here to there
    file_digest("a")
    reads.clear()
    file_digest("a")
    assert reads == ["a"]


@pytest.mark.parametrize(
    "change",
    [
        lambda: write("a", "three", OLD),  # its size
        lambda: write("a", "two", OLD + 1),  # its time
        lambda: (write("b", "two", OLD), os.replace("b", "a")),  # its inode
    ],
    ids=["size", "time", "inode"],
)
def test_a_file_is_read_again_when_one_sign_of_a_change_is_there(change):
    write("a", "one", OLD)
    before = file_digest("a")
    change()
    assert file_digest("a") != before


def test_a_file_that_has_been_touched_only_keeps_its_digest():
    write("a", "one", OLD)
    before = file_digest("a")
    os.utime("a")
    assert file_digest("a") == before


def test_the_same_name_in_another_folder_is_another_file(monkeypatch):
    os.mkdir("folder")
    write("a", "one", OLD)
    write("folder/a", "two", OLD)
    here = file_digest("a")
    monkeypatch.chdir("folder")
    assert file_digest("a") != here
