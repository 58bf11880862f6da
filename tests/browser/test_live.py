"""The live view while its cell runs, in JupyterLab."""

import time

import pytest

pytestmark = pytest.mark.browser

BUSY = "document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')[2].innerText === '[*]:'"


def stop(notebook):
    notebook.command("notebook:interrupt-kernel")
    notebook.wait_idle()


WATCHED = """
import pathlib

@step
def watched(n):
    if not pathlib.Path("enough").exists():
        time.sleep(0.1 if n < 100 else 1)
    return n
"""


def test_states_change_while_the_cell_runs(open_notebook, steps):
    calls = "data = load('houses.csv')\nvalues = watched.map(range(600), after=data)"
    notebook = open_notebook([steps + WATCHED, f"%%pipeline sweep -j 2\n{calls}"])
    notebook.begin()
    look = """() => { const view = document.querySelector(".fanlab[data-phase=running]");
        return view && [[...view.querySelectorAll(".fl-node")].map(node => +node.dataset.done),
            document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")[2].innerText]; }"""
    seen, prompts = [], set()
    while len(set(seen)) <= 10:
        counts, prompt = notebook.page.evaluate(look)  # at the same instant
        seen.append(tuple(counts))
        prompts.add(prompt)
    notebook.shoot("running")
    assert seen == sorted(seen)
    assert prompts == {"[*]:"}
    notebook.path.with_name("enough").touch()
    notebook.wait_idle()
    notebook.wait_output(2, "600 of 600 completed")
    notebook.wait_gone()


def test_a_map_of_1000_branches_is_one_node_and_opens_to_a_grid(open_notebook, sweep):
    notebook = open_notebook([*sweep(1000, 0.1, ", bad=7")])
    notebook.begin()
    page = notebook.page
    assert page.locator(".fl-node").count() == 3
    notebook.wait_done(1, 1)
    page.click(".fl-node[data-node='1']")
    page.wait_for_selector(".fl-cell")
    assert page.locator(".fl-cell").count() == 1000
    notebook.wait_done(1, 60)
    page.click(".fl-cell[data-branch='7']")
    page.wait_for_selector(".fl-panel .fl-error")
    notebook.shoot("grid")
    panel = page.inner_text(".fl-panel")
    assert "fit[7]" in panel
    assert "ValueError: 7 does not converge" in panel
    assert "Cell In[2], line" in panel
    assert "raise ValueError" in page.inner_text(".fl-here")
    assert "fit 7 begins" in page.inner_text(".fl-log")
    assert page.evaluate(BUSY)
    stop(notebook)


BESIDE = """path => jupyterapp.commands.execute("docmanager:open", { path, factory: "Notebook", options: { mode: "split-right" } })
    .then(opened => Promise.all([opened.context.ready, opened.sessionContext.ready])).then(() => void jupyterapp.commands.execute("notebook:run-all-cells"))"""
PANELS = """[...document.querySelectorAll(".jp-NotebookPanel")].map(panel =>
    panel.querySelector(".fanlab[data-phase=running]") ? "running" : panel.innerText.includes("sweep ■ cancelled") ? "cancelled" : "")"""


def test_cancel_is_heard_while_the_cell_runs_and_ends_the_run_of_its_own_notebook(open_notebook, sweep, write_notebook):
    notebook = open_notebook(sweep(800, 0.2), at="lab/tree")
    notebook.begin()
    page = notebook.page
    page.set_viewport_size({"width": 1900, "height": 1240})
    notebook.command("docmanager:clone")  # which shows the same run once more
    write_notebook(notebook.path.with_name("other.ipynb"), ["%load_ext fanlab", *sweep(800, 0.21)])
    page.evaluate(BESIDE, f"{notebook.path.parent.name}/other.ipynb")
    page.wait_for_function(f'JSON.stringify({PANELS}) === \'["running","running","running"]\'')
    clone = page.locator(".jp-NotebookPanel").nth(1)
    clone.locator(".fl-node[data-node='1']").click()
    page.wait_for_function("document.querySelectorAll('.fl-drawer:not([hidden])').length === 2")
    notebook.shoot("three-panels")
    begun = time.monotonic()
    clone.locator(".fl-cancel").click()
    page.wait_for_function(f"{PANELS}.filter(word => word === 'cancelled').length === 2")
    print(f"cancelled {time.monotonic() - begun:.2f} s after the click")
    assert page.evaluate(PANELS).count("running") == 1
    notebook.shoot("cancelled")


def test_the_stop_button_ends_the_run(open_notebook, sweep):
    notebook = open_notebook([*sweep(400, 0.2)])
    notebook.begin()
    notebook.wait_done(1, 4)
    stop(notebook)
    notebook.wait_output(2, "sweep ■ cancelled", "KeyboardInterrupt")
    assert notebook.cell("print(sweep.last_run.status)") == "cancelled\n"


def test_where_the_kernel_cannot_hear_the_button_the_view_says_what_works(open_notebook, sweep):
    deaf = "import fanlab.show.kernel as k\nk.InKernel._hear = lambda self, content: None"
    notebook = open_notebook([*sweep(400, 0.2), "pass"])
    assert notebook.cell(deaf) == ""
    notebook.begin()
    notebook.page.click(".fl-cancel")
    notebook.page.wait_for_selector(".fl-hint:visible")
    assert "stop button" in notebook.page.inner_text(".fl-hint")
    stop(notebook)


TALKING = """
import pathlib, time
from fanlab import step

@step
def talk(n):
    for word in ("begins", "is halfway", "is over"):
        print(f"talk {n} {word}", flush=True)
        while not pathlib.Path(word).exists():
            time.sleep(0.05)
"""


def test_lines_of_a_chosen_branch_arrive_while_it_runs(open_notebook):
    notebook = open_notebook([TALKING, "%%pipeline sweep -j 2\ntalk.map(range(4))"])
    notebook.begin()
    page = notebook.page
    page.click(".fl-node[data-node='0']")
    page.wait_for_selector(".fl-cell[data-branch='0'][data-state='running']")
    page.click(".fl-cell[data-branch='0']")
    page.wait_for_function("document.querySelector('.fl-log')?.innerText.includes('talk 0 begins')")
    assert "halfway" not in page.inner_text(".fl-log")
    notebook.path.with_name("begins").touch()
    page.wait_for_function("document.querySelector('.fl-log')?.innerText.includes('talk 0 is halfway')")
    assert page.evaluate(BUSY)
    assert page.get_attribute(".fl-cell[data-branch='0']", "data-state") == "running"
    stop(notebook)


FLAKY = """
import pathlib
@step
def flaky(n):
    if n in (1, 4) and not pathlib.Path("mended").exists():
        raise OSError(f"cannot reach host {n}")
    time.sleep(0.2)
    while n == 11 and not pathlib.Path("asked").exists():
        time.sleep(0.05)
    return n * 10
"""


def test_re_run_failed_runs_what_failed_and_binds_the_names_anew(open_notebook, steps):
    notebook = open_notebook(
        [steps, FLAKY, "%%pipeline sweep -j 2\nvalues = flaky.map(range(6))\ntotal = report(values)"]
    )
    notebook.run_to_end()
    page = notebook.page
    page.wait_for_selector(".fl-kept .fl-again:visible")
    notebook.wait_output(3, "PipelineError")
    notebook.shoot("failed")
    saved = notebook.saved().cells[3].outputs
    assert not any("widget-view" in mime for output in saved for mime in output.get("data", {}))
    page.click(".fl-explore")
    page.click(".fl-failure >> nth=0")
    page.wait_for_selector(".fl-panel .fl-error")
    notebook.shoot("failed-closer")
    assert notebook.cell("import pathlib; pathlib.Path('mended').touch(); first = sweep.last_run") == ""
    page.click(".fl-again")
    notebook.wait_output(3, "sweep ✓ completed")
    assert "PipelineError" not in notebook.output(3).inner_text()
    notebook.wait_gone()
    asked = (
        "print(list(values), total, first.status, sweep.last_run.status, [s.attempts for s in sweep.last_run['flaky']])"
    )
    assert notebook.cell(asked).startswith("[0, 10, 20, 30, 40, 50] 6 failed completed")


def test_re_run_failed_can_be_asked_for_before_the_run_has_ended(open_notebook, steps):
    notebook = open_notebook([steps, FLAKY, "%%pipeline sweep -j 1\nvalues = flaky.map(range(12))"])
    notebook.run()
    page = notebook.page
    page.wait_for_selector(".fl-again:visible")
    notebook.path.with_name("mended").touch()
    page.click(".fl-again")
    page.wait_for_selector(".fl-again[aria-pressed='true']")
    notebook.path.with_name("asked").touch()
    notebook.wait_output(3, "sweep ✓ completed")


def test_what_failed_can_be_run_again_in_a_page_that_was_loaded_anew(open_notebook, steps):
    notebook = open_notebook([steps, FLAKY, "%%pipeline sweep -j 1\nvalues = flaky.map(range(6))"])
    notebook.run_to_end()
    page = notebook.page
    page.wait_for_selector(".fl-kept .fl-again:visible")
    notebook.saved()
    page.reload()
    page.wait_for_selector(".fl-kept .fl-again:visible")
    notebook.shoot("reloaded")
    notebook.path.with_name("mended").touch()
    page.click(".fl-again")
    notebook.wait_output(3, "sweep ✓ completed")
    notebook.wait_gone()
    notebook.shoot("reloaded-again")
    assert notebook.cell("print(list(values))") == "[0, 10, 20, 30, 40, 50]\n"
    outputs = notebook.saved().cells[3].outputs
    assert [output.data.get("text/plain") for output in outputs] == [
        None,
        "sweep: completed\n  ✓ flaky  6 of 6 completed",
    ]


def test_a_page_that_was_closed_before_the_run_ended_gets_the_record_when_it_is_opened_again(open_notebook, steps):
    calls = "data = load('houses.csv')\nvalues = watched.map(range(600), after=data)"
    notebook = open_notebook([steps + WATCHED, f"%%pipeline sweep -j 2\n{calls}", "pathlib.Path('over').touch()"])
    notebook.begin()
    page, address = notebook.page, notebook.page.url
    notebook.wait_done(1, 40)
    notebook.saved()
    page.goto("about:blank")
    notebook.path.with_name("enough").touch()
    while not notebook.path.with_name("over").exists():
        time.sleep(0.05)
    page.goto(address)
    notebook.wait_output(2, "loading houses.csv", "600 of 600 completed")
    notebook.wait_gone()
    assert "Loading widget" not in notebook.output(2).inner_text()
    assert "sweep: completed" in notebook.saved().cells[2].outputs[0].data["text/plain"]


def test_the_view_can_be_used_with_the_keyboard_alone(open_notebook, sweep):
    notebook = open_notebook([*sweep(600, 0.2)])
    notebook.begin()
    page = notebook.page
    notebook.wait_done(1, 2)
    active = "document.activeElement"
    page.focus(".fl-node[tabindex='0']")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(f"{active}.dataset.node") == "1"
    page.keyboard.press("Enter")
    assert page.get_attribute(".fl-node[data-node='1']", "aria-expanded") == "true"
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate(f"{active}.classList.contains('fl-grid')"):
            break
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector(".fl-panel h4[data-state]")
    assert "fit[1]" in page.inner_text(".fl-panel h4")
    assert (
        page.evaluate(f"document.getElementById({active}.getAttribute('aria-activedescendant')).dataset.branch") == "1"
    )
    page.keyboard.press("Escape")
    assert page.evaluate(f"{active}.dataset.node") == "1"
    assert page.locator(".fl-drawer:visible").count() == 0
    page.focus(".fl-tab[aria-selected='true']")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(f"{active}.dataset.tab") == "steps"
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".fl-lanes")
    notebook.shoot("timeline")
    assert page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length") == 3  # no key was a command
    page.focus(".fl-cancel")
    page.keyboard.press("Enter")
    notebook.wait_idle()
    notebook.wait_output(2, "sweep ■ cancelled")


FRAMED = """() => { const at = document.querySelector(".fl-frame").getBoundingClientRect();
    return [...document.querySelectorAll(".fl-node")].map(node => node.getBoundingClientRect()).map(box =>
        box.left > at.left && box.right < at.right && box.top > at.top && box.bottom < at.bottom); }"""


def test_the_graph_grows_and_keeps_what_is_open(open_notebook):
    grow = """
import time
import fanlab.show.kernel as k
from fanlab.core.events import NodeInfo, RunStarted, Expanded, Started
from fanlab.core.expand import Shape, CALL
from fanlab.core.record import NodeRecord, Record
from fanlab.show.live import bundle
record = Record()
info = lambda name, kind, *needs: NodeInfo(name, name.rpartition(".")[2], kind, ("output",), (), needs)
record.apply(RunStarted("1", "grow-1", "grow", {}, (info("load", "call"), info("fit", "map", "load")), None, time.time(), 1))
record.apply(Expanded("load", CALL, (), time.time()))
record.apply(Expanded("fit", Shape(30), (), time.time()))
view = k.InKernel(record, k.Controls(lambda: None, lambda: None, lambda: 2), bundle)
go = []
for turn in range(10_000):
    time.sleep(0.05)
    if len(record.nodes) == 2 and view._watched.get("branch") == [1, 3]:  # it grows once the page has opened something
        for number in range(3):
            record.nodes[f"inner.more_{number}"] = NodeRecord(info(f"inner.more_{number}", "call", "fit"))
    view.see(None)
    view.pulse()
    if view._watched.get("branch") == [1, 4]:
        break
view.close()
"""
    notebook = open_notebook([grow])
    notebook.begin()
    page = notebook.page
    page.click(".fl-node[data-node='1']")
    page.click(".fl-cell[data-branch='3']")
    page.wait_for_selector(".fl-node[data-node='4']")
    assert page.inner_text(".fl-frame") == "inner"
    page.wait_for_function(f"JSON.stringify(({FRAMED})()) === '[false,false,true,true,true]'")
    notebook.shoot("framed")
    assert page.inner_text(".fl-node[data-node='4'] .fl-node-name") == "more_2"
    assert page.get_attribute(".fl-node[data-node='4']", "aria-label").startswith("inner.more_2: ")
    assert page.get_attribute(".fl-node[data-node='1']", "aria-expanded") == "true"
    assert page.get_attribute(".fl-cell[data-branch='3']", "aria-selected") == "true"
    page.click(".fl-cell[data-branch='4']")  # which ends the cell
    notebook.wait_idle()


def test_of_a_grid_of_5000_branches_only_those_in_sight_are_drawn(open_notebook, sweep):
    notebook = open_notebook(sweep(5000, 0.04))
    notebook.begin()
    page = notebook.page
    notebook.wait_done(1, 1)
    page.click(".fl-node[data-node='1']")
    page.wait_for_selector(".fl-cell")
    assert page.locator(".fl-cell").count() < 1500
    page.focus(".fl-grid")
    page.keyboard.press("End")
    page.wait_for_selector(".fl-cell[data-branch='4999'].fl-active")
    assert page.get_attribute(".fl-cell[data-branch='4999']", "aria-setsize") == "5000"
    assert page.locator(".fl-cell").count() < 1500
    stop(notebook)


def test_a_graph_of_200_steps_can_be_read_and_seen_whole(open_notebook, steps):
    calls = "%%pipeline sweep -j 2\nlast = [load('a')] * 5\nfor turn in range(39):\n    last = [report([last[i], last[i - 1]], 0.5 if turn < 2 else 20) for i in range(5)]\nload('b')"
    notebook = open_notebook([steps, calls])
    notebook.begin()
    page = notebook.page
    assert page.locator(".fl-node").count() == 197
    shown = "(() => { const box = document.querySelector('.fl-node').getBoundingClientRect(); return [box.width, box.height]; })()"
    assert page.evaluate(shown)[0] > 110
    notebook.wait_done(2, 1)
    notebook.shoot("200")
    page.click("[aria-label='Zoom to fit']")
    whole = "(() => { const c = document.querySelector('.fl-canvas'); return c.scrollWidth <= c.clientWidth + 1 && c.scrollHeight <= c.clientHeight + 1; })()"
    page.wait_for_function(whole)  # also where a better layout comes meanwhile, and the nodes move to it
    notebook.shoot("200-fit")
    page.set_viewport_size({"width": 900, "height": 1240})
    page.wait_for_function(whole)
    page.set_viewport_size({"width": 1180, "height": 1240})
    page.click(".fl-tab[data-tab='steps']")
    names = page.locator(".fl-table tbody th").all_inner_texts()
    assert names[:3] == ["load", "report", "report_2"]
    notebook.shoot("200-steps")
    stop(notebook)
