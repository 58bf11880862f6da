"""fanlab in real kernels: what a cell leaves in the notebook, interrupts, restarts, and kernels that die."""

import os
import re
from pathlib import Path

import pytest

from fanlab.client import Client

pytestmark = pytest.mark.kernel

# The steps of each notebook are in its first cell, below %load_ext: line 1 here is line 2 there.
STEPS = """\
import json
import os, threading
from fanlab import Client, pipeline, step

@step
def inv(x):
    return 1 / x

@step
def say(text):
    print(text)
    return text

@step
def nap(i):
    os.symlink(str(os.getpid()), f"started{i}")
    if i:
        threading.Event().wait(600)
    return i

@step
def parse(text):
    return json.loads(text)
"""


@pytest.fixture
def notebook(new_notebook):
    return new_notebook(STEPS)


def alive(pid):
    """Whether a process runs; one that has ended and was not asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def napping(notebook, until):
    """Begin a run of which branch 0 is done while 1 and 2 run; what its outputs are asked for with."""
    request = notebook.begin("%%pipeline naps -j 2\nnaps_done = nap.map(range(5))")
    begun = ("started1", "started2")  # links, which are there whole or not at all
    until(lambda: all(map(os.path.lexists, begun)), 180)
    until(lambda: Client().get_pipeline_run("naps").steps["nap[0]"].status == "completed", 180)
    return request


def pids():
    return [int(os.readlink(f"started{i}")) for i in (1, 2)]


# what a cell leaves in the notebook


def test_a_pipeline_cell_leaves_an_empty_display_and_the_record(notebook):
    outputs = notebook.run("%%pipeline p\nxs = inv.map([1, 2])")
    assert [output["kind"] for output in outputs] == ["display_data", "display_data"]
    assert outputs[0]["data"] == {}
    assert set(outputs[1]["data"]) == {"text/html", "text/plain"}
    assert outputs[1]["data"]["text/plain"] == "p: completed\n  ✓ inv  2 of 2 completed"


def test_prints_of_plain_calls_stand_between_them(notebook):
    outputs = notebook.run("%%pipeline p\na = say('one')\nb = say('two')\nc = say.map(['in', 'a', 'log'])")
    assert [output["kind"] for output in outputs] == ["display_data", "stream", "display_data"]
    assert (outputs[1]["name"], outputs[1]["text"]) == ("stdout", "one\ntwo\n")


def test_a_long_run_leaves_its_progress_line_empty(notebook):
    notebook.run("import time\n@step\ndef slow(i):\n    time.sleep(0.4)")
    outputs = notebook.run("%%pipeline p\nslow.map(range(3));")
    assert [output["data"] for output in outputs][:1] == [{}]
    assert len(outputs) == 2


def test_the_value_of_a_pipeline_cell_follows_the_record(notebook):
    outputs = notebook.run("%%pipeline p\nx = inv(4)\nx")
    assert [output["kind"] for output in outputs] == ["display_data", "display_data", "execute_result"]
    assert outputs[2]["data"] == {"text/plain": "0.25"}


CELLS = [
    "%%pipeline p -j 2\na = say('one')\nxs = inv.map([1, 2])\nsay(xs)",
    "%%combine best\nresults",
    "%%pipeline q --allow-failed\nys = inv.map([1, 0, 4])\nys",
    "ys.load()",
    "@pipeline\ndef plain():\n    return inv.map([1, 2])\nplain()",
]


def test_two_runs_of_a_notebook_leave_equal_outputs(new_notebook):
    first, second = ([found.run(cell) for cell in CELLS] for found in (new_notebook(STEPS), new_notebook(STEPS)))
    assert first == second
    assert not [output for outputs in first for output in outputs if output["kind"] == "error"]


def test_the_record_shows_nothing_of_one_run_or_one_machine(notebook, tmp_path):
    record = notebook.run("%%pipeline p --allow-failed\na = say('one')\nxs = inv.map([1, 0])")[-1]["data"]
    run = Client().get_pipeline_run("p")
    for text in record.values():
        assert run.name not in text
        assert run.id not in text
        assert str(tmp_path) not in text
        said = re.sub(r"<img [^>]*>|</\w+>", "", text)  # the image is what fanlab's pytest plugin leaves out
        assert not re.search(r"second|\d ?m?s\b|\d:\d\d|0x[0-9a-f]|/\w|\b20\d\d\b", said)


def test_a_call_as_the_last_expression_shows_its_record_once(notebook):
    outputs = notebook.run("@pipeline\ndef plain():\n    return inv.map([1, 2])\nplain()")
    assert [output["data"].get("text/plain") for output in outputs] == [
        None,
        "plain: completed\n  ✓ inv  2 of 2 completed",
    ]


def test_a_run_shown_in_a_later_cell_shows_its_record(notebook):
    notebook.run("%%pipeline p\nx = inv(4)")
    (output,) = notebook.run("p.last_run")
    assert output["data"]["text/plain"] == "p: completed\n  ✓ inv  completed"
    assert set(output["data"]) == {"text/html", "text/plain"}


def test_a_combine_cell_leaves_its_value_only(notebook):
    notebook.run("%%pipeline p\nxs = inv.map([1, 2])")
    assert notebook.value("%%combine n\nlen(results)") == "2"


# errors


def test_a_value_that_is_not_there_yet_is_told_at_its_line(notebook):
    error = notebook.run("\n%%pipeline p\n\nx = inv(4)\nif x:\n    pass")[-1]
    assert error["ename"] == "NoValueYet"
    assert plain("\n".join(error["traceback"])).splitlines()[1:] == [
        "  where: Cell In[2], line 5",
        "  do:    move this into a step, which runs later, or wait for the value here with .load()",
    ]


def test_a_steps_error_is_told_at_its_line(notebook):
    error = notebook.run("%%pipeline p\nx = inv(0)")[-1]
    assert error["ename"] == "PipelineError"
    assert plain("\n".join(error["traceback"])) == (
        "PipelineError: inv (x=0) failed: ZeroDivisionError: division by zero\n"
        "  where: Cell In[1], line 8, in inv: return 1 / x\n"
        "  do:    mend the step and run again; error.run.results has everything that finished"
    )


def test_an_error_in_the_standard_library_is_told_at_the_steps_line(notebook):
    error = notebook.run("%%pipeline p\nx = parse('{')")[-1]
    assert "  where: Cell In[1], line 24, in parse: return json.loads(text)" in plain("\n".join(error["traceback"]))


def test_the_record_of_a_failed_run_is_shown_before_its_error(notebook):
    outputs = notebook.run("%%pipeline p\nx = inv(0)")
    assert [output["kind"] for output in outputs] == ["display_data", "display_data", "error"]
    assert outputs[1]["data"]["text/plain"].splitlines() == [
        "p: failed",
        "  ✗ inv  failed",
        "  inv: ZeroDivisionError: division by zero",
        "    Cell In[1], line 8, in inv: return 1 / x",
    ]


def test_an_error_of_the_body_is_told_at_its_line(notebook):
    error = notebook.run("%%pipeline p\n\nx = inv(4)\n1 / 0")[-1]
    text = plain("\n".join(error["traceback"]))
    assert error["ename"] == "ZeroDivisionError"
    assert "Cell In[2], line 4\n" in text
    assert "----> 4 1 / 0" in text
    assert "fanlab/" not in text


def test_use_of_a_missing_value_is_told_at_its_line(notebook):
    notebook.run("%%pipeline p\nx = inv(0)")
    error = notebook.run("y = 1\nx + y")[-1]
    assert plain("\n".join(error["traceback"])) == (
        "NotAvailable: there is no value of 'inv': it failed (ZeroDivisionError: division by zero)\n"
        "  where: Cell In[3], line 2\n"
        "  do:    mend its step and run the pipeline cell again"
    )


# interrupts


@pytest.fixture
def interrupted(notebook, until):
    """A notebook whose run has been interrupted, and what stands under the cell."""
    request = napping(notebook, until)
    notebook.interrupt()
    return notebook, notebook.outputs(request)  # long before the branches would have slept


def test_an_interrupt_ends_the_cell_at_once_with_keyboard_interrupt(interrupted):
    _, outputs = interrupted
    assert outputs[-1]["ename"] == "KeyboardInterrupt"
    assert "\n".join(outputs[-1]["traceback"]) == (
        "KeyboardInterrupt: 'naps' has been interrupted\n"
        "  where: Cell In[2], line 1\n"
        "  do:    run it again to go on: what has finished is kept"
    )


def test_an_interrupt_leaves_the_record_of_what_was_done(interrupted):
    _, outputs = interrupted
    assert [output["kind"] for output in outputs] == ["display_data", "display_data", "error"]
    assert outputs[1]["data"]["text/plain"] == "naps: cancelled\n  ■ nap  1 of 5 completed, 4 cancelled"


def test_an_interrupted_run_is_cancelled_and_has_what_finished(interrupted):
    notebook, _ = interrupted
    assert notebook.value("naps.last_run.status, naps.last_run['nap'][0].load()") == "('cancelled', 0)"
    assert notebook.value("naps_done[0], naps_done[1]") == "(0, <missing: nap[1] was cancelled>)"
    assert Client().get_pipeline_run("naps").steps["nap[0]"].load() == 0


def test_the_cell_after_an_interrupt_works(interrupted):
    notebook, _ = interrupted
    outputs = notebook.run("%%pipeline p -j 2\nxs = inv.map([1, 2, 4])")
    assert outputs[-1]["data"]["text/plain"] == "p: completed\n  ✓ inv  3 of 3 completed"
    assert notebook.value("list(xs)") == "[1.0, 0.5, 0.25]"


def test_an_interrupt_ends_the_branches_that_ran(interrupted, until):
    until(lambda: not any(map(alive, pids())))


# restarts and kernels that die


def test_a_restarted_kernel_loads_values_of_earlier_runs(notebook):
    notebook.run("%%pipeline p\nxs = inv.map({'us': 1, 'de': 2})")
    notebook.restart()
    notebook.run("from fanlab import Client\nrun = Client().get_pipeline_run('p')")
    assert notebook.value("run.status, run.steps['inv[de]'].load()") == "('completed', 0.5)"
    assert notebook.value("[found.load() for found in run['inv']]") == "[1.0, 0.5]"


def test_combine_reads_a_run_from_before_the_restart(notebook):
    notebook.run("%%pipeline p\nxs = inv.map([1, 2])")
    notebook.restart()
    notebook.run("%load_ext fanlab")
    assert notebook.value("%%combine n --from p\nlen(results)") == "2"


def test_a_killed_kernel_leaves_no_worker_behind(notebook, until):
    napping(notebook, until)
    assert all(map(alive, pids()))
    notebook.kill()
    until(lambda: not any(map(alive, pids())))


def test_a_killed_kernel_leaves_no_idle_worker_behind(notebook, until):
    notebook.run("@step\ndef pid(i):\n    return os.getpid()")
    notebook.run("%%pipeline p -j 2\npids = pid.map(range(20))")
    workers = set(Client().get_pipeline_run("p").results["output"])
    assert workers
    assert all(map(alive, workers))
    notebook.kill()
    until(lambda: not any(map(alive, workers)))


def test_the_run_of_a_killed_kernel_is_interrupted_and_has_what_finished(notebook, until):
    napping(notebook, until)
    notebook.kill()
    run = Client().get_pipeline_run("naps")
    assert run.status == "interrupted"
    assert run.steps["nap[0]"].load() == 0


def test_another_kernel_sees_a_run_that_goes_on_as_running(notebook, until):
    napping(notebook, until)
    assert Client().get_pipeline_run("naps").status == "running"
