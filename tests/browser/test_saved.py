"""What stays in a notebook that had a live view: the record, with a kernel or without, trusted or not."""

import os
import subprocess
import sys

import nbformat
import pytest

pytestmark = pytest.mark.browser

WIDTH = "image => image.decode().then(() => image.naturalWidth)"


@pytest.fixture
def saved(open_notebook, sweep):
    """A notebook that was run, saved and closed."""
    notebook = open_notebook(sweep(20, 0.1))
    notebook.run_to_end()
    notebook.wait_output(2, "20 of 20 completed")
    notebook.wait_gone()
    notebook.saved()
    return notebook.path


def look(open_notebook, path):
    """Open it again without a kernel; its third cell's output."""
    notebook = open_notebook(name=path.name, kernel=False)
    notebook.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown?.().then(() => 1)")
    notebook.page.wait_for_selector(".jp-OutputArea-output table")
    return notebook, notebook.output(2)


def test_reopened_without_a_kernel_the_record_is_there(open_notebook, saved):
    notebook, output = look(open_notebook, saved)
    text = output.inner_text()
    assert "sweep ✓ completed" in text
    assert "20 of 20 completed" in text
    assert "Loading widget" not in notebook.page.inner_text("body")
    assert output.locator("img").first.evaluate(WIDTH) > 0
    notebook.shoot("saved")


def test_in_a_notebook_that_is_not_trusted_the_record_is_there(open_notebook, saved):
    found = nbformat.read(saved, 4)
    found.cells.append(nbformat.v4.new_markdown_cell("changed elsewhere"))  # no signature is kept for this text
    nbformat.write(found, saved.with_name("untrusted.ipynb"))
    notebook, output = look(open_notebook, saved.with_name("untrusted.ipynb"))
    assert notebook.page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.get(2).trusted") is False
    assert "20 of 20 completed" in output.inner_text()
    assert output.locator("img").first.evaluate(WIDTH) > 0
    notebook.shoot("untrusted")


def test_what_was_saved_passes_nbval_unchanged(saved):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--nbval", "-p", "no:cacheprovider", saved.name],
        cwd=saved.parent,
        env={**os.environ, "FANLAB_STORE": str(saved.parent / "store")},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert "3 passed" in done.stdout, done.stdout[-3000:]
