"""Temporary folders go with their process, and those of killed processes with the next one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fanlab.execute.folders import make_folder, remove_folder


@pytest.fixture
def killed(tmp_path):
    """Make a folder in a process that is then killed; its path."""

    def killed():
        source = f"""if True:
            from fanlab.execute.folders import make_folder
            print(make_folder("fanlab-", {str(tmp_path)!r}), flush=True)
            input()
        """
        with subprocess.Popen(
            [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            folder = Path(process.stdout.readline().strip())
            assert folder.is_dir()
            process.send_signal(signal.SIGKILL)
        return folder

    return killed


def test_a_folder_is_for_its_user_only(tmp_path):
    assert os.stat(make_folder("fanlab-", str(tmp_path))).st_mode & 0o777 == 0o700


def test_a_folder_is_removed_with_what_is_in_it(tmp_path):
    folder = make_folder("fanlab-", str(tmp_path))
    (Path(folder) / "x").write_text("x")
    remove_folder(folder)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_process_goes_when_the_next_is_made(killed, tmp_path):
    left = killed()
    assert left.is_dir()
    folder = make_folder("fanlab-", str(tmp_path))
    assert [str(found) for found in tmp_path.iterdir()] == [folder]


def test_the_folder_of_a_living_process_stays(tmp_path):
    first = make_folder("fanlab-", str(tmp_path))
    second = make_folder("fanlab-", str(tmp_path))
    assert {first, second} == {str(found) for found in tmp_path.iterdir()}


def test_what_has_no_lock_or_another_name_stays(killed, tmp_path):
    left = killed()
    (tmp_path / "fanlab-of-a-person").mkdir()
    left.rename(tmp_path / "other")
    folder = make_folder("fanlab-", str(tmp_path))
    assert {"fanlab-of-a-person", "other", Path(folder).name} == {found.name for found in tmp_path.iterdir()}


def test_a_link_is_not_followed(killed, tmp_path):
    left = killed()
    kept = left.rename(tmp_path / "kept")
    folder = tmp_path / "fanlab-link"
    folder.mkdir()
    (folder / "lock").symlink_to(kept / "lock")
    make_folder("fanlab-", str(tmp_path))
    assert [folder.is_dir(), kept.is_dir()] == [True, True]
