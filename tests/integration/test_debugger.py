"""A debugger attached to the kernel, as JupyterLab's attaches: worker processes would wait for it for ever."""

import pytest

pytestmark = pytest.mark.kernel

STEPS = """\
import os
from fanlab import pipeline, step

@step
def where(x):
    return os.getpid()
"""


@pytest.fixture
def debugged(new_notebook):
    """A notebook whose kernel a debugger is attached to."""
    notebook = new_notebook(STEPS)
    session, channel = notebook.client.session, notebook.client.control_channel
    arguments = {"clientID": "test", "adapterID": "", "linesStartAt1": True, "columnsStartAt1": True}
    for number, command in enumerate(("initialize", "attach")):
        request = {"type": "request", "seq": number + 1, "command": command, "arguments": arguments}
        channel.send(session.msg("debug_request", request))
        answer = notebook.client.get_control_msg(timeout=300)
        assert answer["msg_type"] == "debug_reply"
    return notebook


CELL = "%%pipeline places\npids = where.map([1, 2])"


def test_a_run_under_a_debugger_ends_in_the_kernel_itself(debugged):
    debugged.run(CELL)
    assert debugged.value("set(pids) == {os.getpid()}") == "True"


def test_a_run_under_a_debugger_says_so_in_one_line(debugged):
    told = [output["text"] for output in debugged.run(CELL) if output["kind"] == "stream"]
    assert told == ["fanlab: a debugger is attached, so branches run one after the other in the kernel\n"]
