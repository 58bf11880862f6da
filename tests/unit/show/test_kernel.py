"""What the live view in a kernel tells its page of the cell that it belongs to."""

from fanlab.show.kernel import cell_of


def test_a_view_knows_its_cell_and_the_request_and_session_that_ran_it():
    header = {"msg_id": "4711", "session": "of the page", "msg_type": "execute_request"}
    parent = {"header": header, "metadata": {"cellId": "a-cell", "deletedCells": []}, "content": {}}
    assert cell_of(parent) == {"id": "a-cell", "request": "4711", "session": "of the page"}


def test_of_a_front_end_that_names_no_cell_nothing_is_known():
    assert cell_of({"header": {"msg_id": "4711", "session": "of nbclient"}, "metadata": {}}) == {}
    assert cell_of({}) == {}
