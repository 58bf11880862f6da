"""The live view in other front ends: Notebook 7, Voilà, and the versions that Binder's base image has."""

import subprocess
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
    notebook.wait_output(2, "sweep ■ cancelled")
    notebook.wait_gone()


FLAKY = """
import pathlib, time
from fanlab import step

@step
def flaky(n):
    time.sleep(0.3)
    if not pathlib.Path("mended").exists():
        raise OSError("not yet")
    return n
"""


AGAIN = "%%pipeline flaky_run -j 2\nflaky.map(range(6))"


def runs_failed_again(notebook):
    """After a failure there is a button that does it, and the cell's output is the new run's then."""
    notebook.run_to_end()
    notebook.page.wait_for_selector(".fl-kept .fl-again:visible")
    notebook.path.with_name("mended").touch()
    notebook.page.click(".fl-again")
    notebook.wait_output(2, "flaky_run ✓ completed")


def test_notebook_7_shows_the_live_view_and_hears_its_buttons(serve, open_notebook, sweep):
    server = serve("notebook", *APP, "--JupyterNotebookApp.expose_app_in_browser=True")
    live_while_busy(open_notebook(sweep(400, 0.2), server=server, at="notebooks"))
    runs_failed_again(open_notebook([FLAKY, AGAIN], "again.ipynb", server=server, at="notebooks"))


BUTTON = """
import ipywidgets, pathlib, time
from fanlab import pipeline, step

@step
def wait(n):
    time.sleep(0.1)
    while n == 29 and not pathlib.Path(LOOKED_AT).exists():
        time.sleep(0.05)
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
    write_notebook(path, [f"LOOKED_AT = {str(tmp_path / 'looked-at')!r}", BUTTON])
    server = serve("voila", "--no-browser", "--port={port}", "--Voila.ip=127.0.0.1", str(path), ready="/")
    page = browser.new_page()
    page.set_default_timeout(180_000)
    page.goto(server.url)
    page.click("button:has-text('Go')")
    page.wait_for_function("+document.querySelector('.fl-node')?.dataset.done >= 6")
    page.screenshot(path=Path(__file__).parent / "shots" / "voila.png")
    (tmp_path / "looked-at").touch()
    page.wait_for_function("document.body.innerText.includes('30 of 30 completed')")
    page.wait_for_selector(".fanlab", state="detached")
    page.close()


@pytest.mark.timeout(1800)  # the environment is made once, which takes a minute or some
def test_the_versions_of_binder_show_the_live_view_and_hear_its_buttons(base_python, serve, open_notebook, sweep):
    versions = "import jupyterlab, ipykernel; print(jupyterlab.__version__, ipykernel.__version__)"
    assert subprocess.check_output([base_python, "-c", versions], text=True) == "4.4.9 7.0.1\n"
    server = serve("jupyterlab", *APP, "--LabApp.expose_app_in_browser=True", python=base_python)
    live_while_busy(open_notebook(sweep(400, 0.2), server=server))
    runs_failed_again(open_notebook([FLAKY, AGAIN], "again.ipynb", server=server))
