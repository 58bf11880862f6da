"""The live view while its cell runs, in JupyterLab."""

import pytest

pytestmark = pytest.mark.browser

STEPS = """
import time
from fanlab import step, unmapped

@step
def load(path):
    print("loading", path)
    time.sleep(0.3)
    return list(range(10))

@step
def fit(n, seconds=0.05):
    for part in range(2):
        print(f"fit {n}: part {part}", flush=True)
        time.sleep(seconds / 2)
    return n

@step
def report(fits):
    time.sleep(0.2)
    return len(fits)
"""


def pipeline(branches, seconds):
    return f"""
%%pipeline sweep -j 2
data = load("houses.csv")
fits = fit.map(range({branches}), seconds={seconds}, after=data)
total = report(fits)
"""


def test_states_change_while_the_cell_runs(open_notebook):
    notebook = open_notebook([STEPS, pipeline(40, 0.2)])
    notebook.begin()
    seen, prompts = [], set()
    look = """() => { const view = document.querySelector(".fanlab[data-phase=running]");
        return view && [[...view.querySelectorAll(".fl-node")].map(node => +node.dataset.done),
            document.querySelectorAll(".jp-CodeCell .jp-InputPrompt")[2].innerText]; }"""
    shot = False
    while found := notebook.page.evaluate(look):  # counts and prompt at the same instant
        seen.append(tuple(found[0]))
        prompts.add(found[1])
        if found[0][1] > 12 and not shot:
            shot = True
            notebook.shoot("running")
    assert len(set(seen)) > 10
    assert seen == sorted(seen)
    assert prompts == {"[*]:"}
    notebook.wait_idle()
    assert notebook.page.locator(".fanlab").count() == 0
    assert "40 of 40 completed" in notebook.output(2).inner_text()
