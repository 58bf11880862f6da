"""The live view in other front ends: Notebook 7, Voilà, and the versions that Binder's base image has."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

APP = ["--no-browser", "--allow-root", "--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
       "--ServerApp.root_dir={root}"]  # fmt: skip


@pytest.fixture
def serve(tmp_path, new_server):
    """Start a server for one test."""
    return lambda *command, **options: new_server(tmp_path / "server", command, **options)


def live_while_busy(notebook):
    """The view's counts grow while the prompt says that the cell runs; then Cancel ends the run."""
    page = notebook.page
    notebook.begin()
    for least in (2, 5, 9):
        notebook.wait_done(1, least)
        assert page.locator(".jp-CodeCell .jp-InputPrompt").nth(2).inner_text() == "[*]:"
    page.click(".fl-node[data-node='1']")
    page.wait_for_selector(".fl-cell")
    page.click(".fl-cancel")
    notebook.wait_idle()
    assert "sweep ■ cancelled" in notebook.output(2).inner_text()
    assert page.locator(".fanlab").count() == 0


def test_notebook_7_shows_the_live_view_and_hears_its_buttons(serve, open_notebook, sweep):
    server = serve("notebook", *APP, "--JupyterNotebookApp.expose_app_in_browser=True")
    notebook = open_notebook(sweep(400, 0.1), server=server, at="notebooks")
    live_while_busy(notebook)


BUTTON = """
import ipywidgets, time
from fanlab import pipeline, step

@step
def wait(n):
    time.sleep(0.2)
    return n

@pipeline(n_jobs=2)
def sweep():
    wait.map(range(30))

button, shown = ipywidgets.Button(description="Go"), ipywidgets.Output()
@button.on_click
def go(_):
    with shown:
        sweep()
ipywidgets.VBox([button, shown])
"""


def test_voila_shows_the_live_view_of_a_run_that_a_button_starts(serve, browser, tmp_path, write_notebook):
    path = tmp_path / "app.ipynb"
    write_notebook(path, [BUTTON])
    server = serve("voila", "--no-browser", "--port={port}", "--Voila.ip=127.0.0.1", str(path), ready="/")
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(server.url)
    page.click("button:has-text('Go')")
    page.wait_for_function("+document.querySelector('.fl-node')?.dataset.done >= 6")
    page.screenshot(path=Path(__file__).parent / "shots" / "voila.png")
    page.wait_for_selector(".jp-OutputArea-output table")
    assert "30 of 30 completed" in page.inner_text("body")
    page.wait_for_selector(".fanlab", state="detached")
    page.close()
