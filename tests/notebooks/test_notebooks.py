"""The saved notebooks are complete and portable; strict nbval passes cold and warm, in any order, two at a time."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import run_program

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob("notebooks/*.ipynb"))}
SHOWN = {"text/plain", "text/html", "text/markdown", "image/png"}
OF_ONE_MACHINE = re.compile(r"/(root|work|tmp|home|Users)\b")
OF_ONE_RUN = re.compile(r"(?<!timeout of )\b\d+(\.\d+)? ?(s|ms|seconds?)\b|\b\d+:\d\d\b|\b0x[0-9a-f]+")


def cells(kind):
    for name, notebook in NOTEBOOKS.items():
        for cell in notebook["cells"]:
            if cell["cell_type"] == kind:
                yield pytest.param(cell, id=f"{name}-{cell['id']}")


def texts(cell):
    """Everything that a cell shows, as (kind, text)."""
    for output in cell["outputs"]:
        parts = output.get("data", {"text/plain": output.get("text", output.get("evalue", ""))})
        for kind, text in parts.items():
            yield kind, "".join(text)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_cells_have_been_run_once_from_top_to_bottom(name):
    code = [cell for cell in NOTEBOOKS[name]["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))


@pytest.mark.parametrize("cell", list(cells("code")))
def test_a_cell_that_shows_something_has_kept_it(cell):
    """A cell that ends with an expression, or is a pipeline, shows something; one that only defines does not."""
    source = "".join(cell["source"])
    last = source.rstrip().splitlines()[-1]
    shows = source.startswith("%%") and not source.startswith("%%step")
    quiet = source.startswith(("%load_ext", "import os\nimport tempfile", "import tempfile")) or last.startswith((" ", ")", "}", "]")) or bool(re.match(r"\w+(\[.*\])? = ", last))
    assert shows or quiet or list(texts(cell)), "this cell should show something"


@pytest.mark.parametrize("cell", list(cells("code")))
def test_a_saved_cell_has_no_error_that_it_does_not_announce(cell):
    found = [output for output in cell["outputs"] if output["output_type"] == "error"]
    assert bool(found) == ("raises-exception" in cell["metadata"].get("tags", ()))


@pytest.mark.parametrize("cell", list(cells("code")))
def test_a_saved_cell_shows_nothing_of_one_machine_or_one_run(cell):
    for kind, text in texts(cell):
        assert kind in SHOWN
        if kind != "image/png":
            assert not OF_ONE_MACHINE.search(text)
        if kind in ("text/plain", "text/html"):
            assert not OF_ONE_RUN.search(re.sub(r"data:image/[^\"]*", "", text))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_metadata_says_nothing_of_one_run(name):
    assert set(NOTEBOOKS[name]["metadata"]) == {"kernelspec", "language_info"}
    for cell in NOTEBOOKS[name]["cells"]:
        assert set(cell["metadata"]) <= {"tags"}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_can_be_read_in_five_minutes(name):
    """At 240 words of prose a minute, and two seconds for a line of code."""
    prose = code = 0
    for cell in NOTEBOOKS[name]["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            prose += len(re.findall(r"\w+", source))
        else:
            code += len([line for line in source.splitlines() if line.strip()])
    assert prose / 240 + code / 30 <= 5.5, (prose, code)
    assert NOTEBOOKS[name]["cells"][0]["cell_type"] == "markdown"


@pytest.mark.parametrize("cell", list(cells("code")))
def test_code_is_not_wider_than_a_page(cell):
    assert max(map(len, "".join(cell["source"]).splitlines())) <= 120


def nbval(store, names, *options, **environment):
    """Run nbval on notebooks, strictly, as a reader would; all their cells must pass."""
    count = sum(cell["cell_type"] == "code" for name in names for cell in NOTEBOOKS[name]["cells"])
    done = run_program(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval", *options]
        + [f"notebooks/{name}.ipynb" for name in names],
        cwd=ROOT,
        env={**os.environ, "FANLAB_STORE": str(store), **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} passed" in done.stdout


@pytest.mark.kernel
@pytest.mark.timeout(1800)
def test_outputs_are_the_same_cold_and_warm_in_any_order_and_two_at_a_time(tmp_path):
    """Two kernels at once fill one store; then all notebooks again in another order, from what is there."""
    # The cache of fonts is there before: while it is made matplotlib writes to a cell that it will take a moment.
    subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], check=True)
    names = list(NOTEBOOKS)
    random.shuffle(names)
    nbval(tmp_path / "store", names, "-n", "2", "--dist", "loadfile")
    random.shuffle(names)
    nbval(tmp_path / "store", names)


@pytest.mark.kernel
@pytest.mark.timeout(900)
def test_outputs_are_the_same_without_dot(tmp_path):
    nbval(tmp_path / "store", ["quickstart"], PATH=os.path.dirname(sys.executable))
