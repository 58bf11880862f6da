"""Cells that wait for values, in a real kernel."""

import pytest

from fanlab.client import Client

pytestmark = pytest.mark.kernel

STEPS = """\
import threading
from pathlib import Path
from fanlab import step

@step
def better(x, n):
    return (x + n / x) / 2

@step
def error(x, n):
    return abs(x * x - n)

@step
def nap(i):
    Path("napping").touch()
    threading.Event().wait(600)
"""


@pytest.fixture
def notebook(new_notebook):
    return new_notebook(STEPS)


def test_a_cell_loops_on_a_value_and_leaves_one_record_with_every_step(notebook):
    outputs = notebook.run("%%pipeline root\nx = better(2, 2)\nwhile error(x, 2).load() > 1e-9:\n    x = better(x, 2)")

    shown = [output for output in outputs if output.get("data")]
    assert len(shown) == 1
    assert shown[0]["data"]["text/plain"].splitlines()[0] == "root: completed"
    assert "better_4" in shown[0]["data"]["text/plain"]
    assert notebook.value("round(x, 6)") == "1.414214"


def test_an_interrupt_of_a_cell_that_waits_keeps_what_was_done_and_the_next_cell_works(notebook, until, tmp_path):
    request = notebook.begin("%%pipeline slow\nx = better(2, 2)\nx.load()\nnap(1).load()")
    until((tmp_path / "napping").exists, 180)
    notebook.interrupt()
    outputs = notebook.outputs(request)

    assert [output["ename"] for output in outputs if output["kind"] == "error"] == ["KeyboardInterrupt"]
    run = Client().get_pipeline_run("slow")
    assert (run.status, run["better"].load(), run["nap"].status) == ("cancelled", 1.5, "cancelled")
    assert notebook.value("1 + 1") == "2"
