"""Where something was written, in words."""

from __future__ import annotations

import os
import sys

import pytest

from fanlab.core.spec import Step
from fanlab.core.trace import trace
from fanlab.place import Place, file_label, here, is_own, shell


def test_a_place_is_a_file_and_a_line():
    assert str(Place("sweep.py", 2)) == "sweep.py, line 2"


def test_here_is_the_line_that_asks():
    assert here() == Place(__file__, sys._getframe().f_lineno)


def test_a_node_knows_the_line_of_its_call():
    def body():
        Step(print, "say")("hello")

    traced = trace("sweep", body, (), {})

    assert traced.graph.nodes["say"].place == Place(__file__, body.__code__.co_firstlineno + 1)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        (("sweep.py",), "sweep.py"),
        (("lib", "steps.py"), os.path.join("lib", "steps.py")),
        (("..", "other", "steps.py"), "steps.py"),
    ],
    ids=["here", "below", "elsewhere"],
)
def test_a_file_is_called_by_its_path_from_the_working_directory_or_its_name(tmp_path, monkeypatch, path, label):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    assert file_label(os.path.abspath(folder.joinpath(*path))) == label


def test_a_cell_of_another_kernel_has_no_number_that_is_known_here():
    assert file_label("/tmp/ipykernel_4711/1234567890.py") == "a notebook's cell"


def test_a_file_keeps_its_path_where_the_working_directory_is_gone(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()

    assert file_label("/data/sweep.py") == "/data/sweep.py"


def test_where_ipython_is_not_imported_there_is_no_shell(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)

    assert shell() is None


def test_two_places_of_one_line_are_equal():
    assert Place("sweep.py", 2) == Place("sweep.py", 2)
    assert hash(Place("sweep.py", 2)) == hash(Place("sweep.py", 2))


def test_a_line_of_compiled_code_is_not_the_users_own():
    assert not is_own("pandas/_libs/parsers.pyx")
