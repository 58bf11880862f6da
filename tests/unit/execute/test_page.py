"""The status page of a worker: written in one process, read in another, also after the first has died."""

import os
import struct
import subprocess
import sys

import pytest

from fanlab.execute.page import Page, Status


@pytest.fixture
def page(tmp_path):
    found = Page(str(tmp_path / "1.page"), create=True)
    yield found
    found.close()


def test_a_new_page_says_nothing(page):
    assert page.read() is None


def test_a_page_says_what_was_written_last(page):
    page.write(1, 2, 3.5)
    page.write(7, 0, 4.25)
    assert page.read() == Status(7, 0, 4.25)


def test_a_page_can_tell_the_largest_numbers(page):
    page.write(2**62, 10**9, 1e12)
    assert page.read() == (2**62, 10**9, 1e12)


def test_an_idle_page_says_nothing(page):
    page.write(1, 2, 3.0)
    page.idle()
    assert page.read() is None


def test_a_branch_whose_time_is_not_written_yet_has_not_begun_long_ago(page):
    page.idle()
    page._map[:16] = struct.pack("<qq", 7, 0)
    assert page.read() == Status(7, 0, float("inf"))


def test_a_page_is_read_through_another_opening_of_its_file(page):
    reader = Page(page.path)
    page.write(1, 2, 3.0)
    assert reader.read() == (1, 2, 3.0)
    page.idle()
    assert reader.read() is None


def test_a_page_tells_what_a_process_wrote_that_was_killed(page):
    program = (
        "import os, signal, sys; from fanlab.execute.page import Page; "
        "Page(sys.argv[1]).write(5, 6, 7.0); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program, page.path])
    assert done.returncode == -9
    assert page.read() == (5, 6, 7.0)


def test_creating_a_page_again_forgets_what_it_said(tmp_path):
    path = str(tmp_path / "1.page")
    first = Page(path, create=True)
    first.write(1, 2, 3.0)
    assert Page(path, create=True).read() is None


def test_only_its_user_may_read_a_page(page):
    assert os.stat(page.path).st_mode & 0o777 == 0o600


def test_a_closed_page_has_no_file(tmp_path):
    page = Page(str(tmp_path / "1.page"), create=True)
    page.close()
    assert os.listdir(tmp_path) == []


def test_a_page_whose_file_is_gone_can_be_closed(tmp_path):
    page = Page(str(tmp_path / "1.page"), create=True)
    os.unlink(page.path)
    page.close()


def test_a_page_that_is_not_there_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        Page(str(tmp_path / "none.page"))


def test_a_fork_writes_where_nobody_reads(tmp_path):
    page = Page(str(tmp_path / "1.page"), create=True)
    page.write(1, 2, 3.0)
    read = Page(str(tmp_path / "1.page"))
    page.detach()
    page.write(4, 5, 6.0)
    assert read.read() == Status(1, 2, 3.0)
    assert page.read() == Status(4, 5, 6.0)
    page.close()
