"""What the live view in a kernel tells its page of the cell that it belongs to."""

import sys
from types import ModuleType

import ipywidgets

from fanlab.show.kernel import captured, cell_of


def test_a_view_knows_its_cell_and_the_request_and_session_that_ran_it():
    header = {"msg_id": "4711", "session": "of the page", "msg_type": "execute_request"}
    parent = {"header": header, "metadata": {"cellId": "a-cell", "deletedCells": []}, "content": {}}
    assert cell_of(parent) == {"id": "a-cell", "request": "4711", "session": "of the page"}


def test_of_a_front_end_that_names_no_cell_nothing_is_known():
    assert cell_of({"header": {"msg_id": "4711", "session": "of nbclient"}, "metadata": {}}) == {}
    assert cell_of({}) == {}


def test_there_is_no_output_widget_while_another_thread_loads_what_makes_them(monkeypatch):
    """As where the first cell runs while the view's needs are still being loaded: the module is there, and is empty."""
    monkeypatch.setitem(sys.modules, "ipywidgets", ModuleType("ipywidgets"))
    assert captured() is False
    monkeypatch.delitem(sys.modules, "ipywidgets")
    assert captured() is False


def test_an_output_widget_takes_what_its_own_request_displays(bare):
    bare.parent_header = {"header": {"msg_id": "this"}}
    widget = ipywidgets.Output()
    assert captured() is False
    widget.msg_id = "this"
    assert captured() is True
    widget.close()
    assert captured() is False
