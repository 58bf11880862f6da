"""The same notebook in other clients, run as their own programs: what they write has the record and the values."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pexpect
import pytest

from tests.browser.conftest import free_port
from tests.conftest import run_program

CELLS = (
    "%load_ext fanlab\nfrom fanlab import step\n@step\ndef inverse(x):\n    return {'inverse': 1 / x}",
    "# parameters\nxs = [1, 2]",
    "%%pipeline sweep\nfound = inverse.map(xs)",
    "%%combine largest\nfloat(results['inverse'].max())",
)
RECORD = "sweep: completed\n  ✓ inverse  2 of 2 completed"
pytestmark = pytest.mark.kernel


@pytest.fixture
def notebook(tmp_path):
    made = nbformat.v4.new_notebook()
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    for source in CELLS:
        tags = {"tags": ["parameters"]} if source.startswith("# parameters") else {}
        made.cells.append(nbformat.v4.new_code_cell(source, metadata=tags))
    nbformat.write(made, tmp_path / "work.ipynb")
    return tmp_path / "work.ipynb"


def run(folder, program, *words):
    """Run a program of this environment in a folder, and return what it printed."""
    path = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}
    done = run_program([path / program, *words], cwd=folder, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(path):
    """What the pipeline's cell and the combine cell of a written notebook show, as plain text."""
    found = [cell for cell in nbformat.read(path, as_version=4).cells if cell.source.startswith("%%")]
    return [[output.data["text/plain"] for output in cell.outputs if output.data] for cell in found]


def test_jupyter_execute_keeps_the_record(notebook):
    run(notebook.parent, "jupyter", "execute", "--inplace", notebook.name)
    assert shown(notebook) == [[RECORD], ["1.0"]]


def test_papermill_runs_with_parameters(notebook):
    run(notebook.parent, "papermill", "--no-progress-bar", "-y", "xs: [4, 5]", notebook.name, "out.ipynb")
    assert shown(notebook.parent / "out.ipynb") == [[RECORD], ["0.25"]]


def test_the_program_reads_the_runs_of_other_clients(notebook):
    run(notebook.parent, "jupyter", "execute", notebook.name)
    assert "sweep: completed" in run(notebook.parent, "fanlab", "show", "sweep")


def test_a_page_of_nbconvert_has_the_record_and_needs_no_kernel(notebook):
    run(notebook.parent, "jupyter", "nbconvert", "--to", "html", "--execute", notebook.name)
    page = notebook.with_suffix(".html").read_text(encoding="utf-8")
    cell = page[page.index('<span class="k">pipeline') : page.index('<span class="k">combine')]
    assert re.search(r"<strong[^>]*>sweep</strong>", cell)
    assert "2 of 2 completed" in cell
    assert "vnd.jupyter.widget-view" not in cell
    assert not re.search(r"<script|<style", cell)


def test_voila_shows_the_record_and_the_value_without_the_code(notebook):
    port = free_port()
    path = Path(sys.executable).parent
    with (notebook.parent / "log").open("w") as log:
        server = subprocess.Popen(
            [path / "voila", "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1", notebook.name],
            cwd=notebook.parent,
            env={**os.environ, "PATH": f"{path}:{os.environ['PATH']}"},
            stdout=log,
            stderr=log,
        )
    try:
        page = fetched(f"http://127.0.0.1:{port}/", server)
    finally:
        server.terminate()
        server.wait(120)
    assert "2 of 2 completed" in page
    assert "1.0" in page
    assert "inverse.map" not in page


def fetched(url, server, seconds=300):
    """A page, when its server is up."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    limit = time.monotonic() + seconds
    while True:
        try:
            return opener.open(url, timeout=seconds).read().decode()
        except urllib.error.URLError:
            assert server.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.1)


@pytest.fixture
def sockets():
    """A folder with a short path, as a kernel's sockets need it."""
    folder = tempfile.mkdtemp(prefix="kernel-")
    yield folder
    shutil.rmtree(folder)


def test_a_terminals_console_shows_the_record_as_text(tmp_path, sockets):
    console = pexpect.spawn(
        str(Path(sys.executable).parent / "jupyter-console"),
        ["--ZMQTerminalInteractiveShell.highlighting_style=bw", "--transport=ipc", f"--ip={sockets}/at"],
        cwd=str(tmp_path),
        env={**os.environ, "PROMPT_TOOLKIT_NO_CPR": "1"},  # nobody answers where the cursor is: nothing is said of it
        encoding="utf-8",
        timeout=300,
        dimensions=(60, 200),
    )
    style = r"(?:\x1b\[[\d;]*m)*"
    for number, cell in enumerate((*CELLS, "largest"), 1):
        # Nothing else: what is typed before the prompt is there may get lost.
        console.expect(rf"In \[{style}{number}{style}\]: ")
        console.send(f"\x1b[200~{cell}\x1b[201~")  # pasted, as terminals paste
        console.send("\x1b\r")  # Escape and Enter: run
        if cell.startswith("%%pipeline"):
            console.expect_exact("sweep: completed")
            console.expect(r"inverse +2 of 2 completed")
    console.expect(rf"Out\[{style}5{style}\]: {style}1\.0")
    console.expect(rf"In \[{style}6{style}\]: ")
    console.send("exit\x1b\r")
    console.expect(pexpect.EOF)
    console.close()
