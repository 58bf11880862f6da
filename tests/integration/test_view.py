"""The live view in a real kernel: what is sent, and what stays in the saved notebook."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.kernel

STEPS = """
import time
from pathlib import Path
from fanlab import step

@step
def wait(n, seconds=0.0):
    if not Path("enough").exists():
        time.sleep(seconds)
    if n < 0:
        raise ValueError("unlucky")
    return n
"""
SLOW = "%%pipeline sweep -j 2\nwait.map(range(300), seconds=0.2)"
VIEW = "application/vnd.jupyter.widget-view+json"


class Watcher:
    """Everything that a cell makes the kernel send. Its branches take no more time when four states have come."""

    def __init__(self, notebook, code):
        request = notebook.begin(code)
        self.messages = []
        while True:
            message = notebook.client.get_iopub_msg(timeout=300)
            if message["parent_header"].get("msg_id") != request:
                continue
            self.messages.append(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return
            if len(self.states()) >= 4:
                Path("enough").touch()

    def of(self, kind):
        return [message["content"] for message in self.messages if message["msg_type"] == kind]

    def states(self):
        """The states that were sent of a widget, the first with it."""
        sent = [content["data"] for content in self.of("comm_open") + self.of("comm_msg")]
        return [data["state"]["state"] for data in sent if "state" in data.get("state", {})]


@pytest.fixture
def notebook(new_notebook):
    return new_notebook(STEPS)


def test_the_live_output_holds_the_view_alone_and_is_emptied_before_the_record(notebook):
    watcher = Watcher(notebook, SLOW)
    shown = [content["data"] for content in watcher.of("update_display_data")]
    assert [list(data) for data in shown] == [[VIEW], []]
    assert sorted(watcher.of("display_data")[-1]["data"]) == ["text/html", "text/plain"]


def test_the_states_lead_from_the_first_to_the_last(notebook):
    states = Watcher(notebook, SLOW).states()
    assert len(states) > 3
    assert states[-1]["nodes"][0][:2] == [300, "d300"]
    assert states[-1]["status"] == "completed"


def test_a_short_run_shows_its_record_only(notebook):
    notebook.run("import fanlab.show.kernel\nfanlab.show.kernel.FIRST_SECONDS = 600  # so that any run is short")
    watcher = Watcher(notebook, "%%pipeline sweep -j 2\nwait.map(range(2))")
    assert watcher.of("comm_open") == []
    assert len(watcher.of("display_data")) == 2


def test_the_widget_of_a_completed_run_is_closed(notebook):
    assert len(Watcher(notebook, SLOW).of("comm_close")) >= 1


FAILING = "%%pipeline sweep -j 2\nwait.map(range(-1, 300), seconds=0.2)"


def test_the_view_of_a_failed_run_is_no_part_of_its_output(notebook):
    watcher = Watcher(notebook, FAILING)
    shown = [content["data"] for content in watcher.of("update_display_data")]
    assert [list(data) for data in shown] == [[VIEW], []]
    assert sorted(watcher.of("display_data")[-1]["data"]) == ["text/html", "text/plain"]
    assert watcher.of("error")[0]["ename"] == "PipelineError"


def test_the_view_of_a_failed_run_is_closed_by_the_next_run_of_its_pipeline(notebook):
    assert Watcher(notebook, FAILING).of("comm_close") == []
    assert len(Watcher(notebook, SLOW).of("comm_close")) >= 1


def test_a_view_that_cannot_be_drawn_costs_no_run(notebook):
    notebook.run("import fanlab.show.snapshot as s\ns.Snapshots.graph = lambda self: 1 / Path('enough').touch()")
    watcher = Watcher(notebook, SLOW)
    assert Path("enough").exists()  # it was to be drawn
    assert watcher.of("error") == []
    assert "300 of 300 completed" in watcher.of("display_data")[-1]["data"]["text/plain"]


def test_the_page_may_say_in_which_shell_it_is_heard(notebook):
    notebook.run("from fanlab.show.widget import PipelineWidget\nview = PipelineWidget({}, {}, print)")
    assert notebook.value("view.comm._reply_subshell_for is None") == "True"
    notebook.run("from ipykernel.comm.comm import BaseComm\nimport ipykernel")
    # What the view takes away is there in the kernels that need it, under this name.
    assert notebook.value("ipykernel.version_info < (7, 4) or hasattr(BaseComm, '_reply_subshell_for')") == "True"


def test_snapshots_are_small_and_whole(notebook):
    states = Watcher(notebook, SLOW).states()
    assert all(len(json.dumps(state)) < 1_000 and state["nodes"][0][0] == 300 for state in states)
