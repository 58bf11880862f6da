"""The saved quickstart is complete and portable; nbval passes with a cold store, a warm one, and without dot."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
QUIET = {"extension", "steps", "vote-step"}  # cells that only define or import


def texts(cell):
    """Everything that a cell shows, as (kind, text)."""
    for output in cell["outputs"]:
        parts = output.get("data", {"stream": output.get("text", "")})
        for kind, text in parts.items():
            yield kind, "".join(text)


@pytest.mark.parametrize("cell", CODE, ids=lambda cell: cell["id"])
def test_a_saved_cell_shows_what_it_should(cell):
    assert cell["execution_count"] is not None
    assert bool(list(texts(cell))) is (cell["id"] not in QUIET)
    assert not [output for output in cell["outputs"] if output["output_type"] in ("stream", "error")]


@pytest.mark.parametrize("cell", CODE, ids=lambda cell: cell["id"])
def test_a_saved_cell_shows_nothing_of_one_machine_or_one_run(cell):
    for kind, text in texts(cell):
        assert kind in ("text/plain", "text/html")
        assert not re.search(r"/(root|work|tmp|home|Users)\b", text)
        assert not re.search(r"\b\d+(\.\d+)? ?(s|ms|seconds?)\b|\b\d+:\d\d\b|\b0x[0-9a-f]+", text)


def test_cells_have_been_run_once_from_top_to_bottom():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))


def test_metadata_says_nothing_of_one_run():
    assert not any(cell["metadata"] for cell in CELLS)
    assert set(json.loads(NOTEBOOK.read_text(encoding="utf-8"))["metadata"]) == {"kernelspec", "language_info"}


def nbval(store, **environment):
    """Run nbval on the notebooks as `make test` does."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval", "notebooks"],
        cwd=ROOT,
        env={**os.environ, "FANLAB_STORE": str(store), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CODE)} passed" in done.stdout


@pytest.mark.kernel
@pytest.mark.timeout(300)
def test_outputs_are_the_same_with_a_cold_and_a_warm_store(tmp_path):
    nbval(tmp_path / "store")
    nbval(tmp_path / "store")


@pytest.mark.kernel
@pytest.mark.timeout(300)
def test_outputs_are_the_same_without_dot(tmp_path):
    nbval(tmp_path / "store", PATH=os.path.dirname(sys.executable))
