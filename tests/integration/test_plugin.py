"""fanlab's pytest plugin as a stranger has it: a project of its own, in an environment with fanlab[test] only."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

from tests.conftest import DIED_EARLY

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(1800)]
ROOT = Path(__file__).resolve().parents[2]
CELLS = [
    "%load_ext fanlab\nfrom fanlab import step",
    """
@step
def load():
    print("three numbers")
    return [1, 2, 3]

@step
def fit(x, power):
    if x == 2:
        raise ValueError(f"{x} cannot be fitted")
    return {"value": x**power}

@step
def total(found):
    return sum(value["value"] for value in found)
""",
    "%%pipeline sweep\nfits = fit.map(load(), power=2)\nall_of_them = total(fits.successful())",
    "sweep.last_run.results[['step', 'value', 'status', 'error']]",
    "%%combine best --from sweep\nresults['value'].max()",
    "all_of_them, fits[0], fits[1]",
    "sweep.last_run",
    "display(sweep.last_run.dag, sweep.last_run.timeline())",
    "%%pipeline broken\nbad = fit(2, power=1)",
]
RAISES = len(CELLS) - 1
TESTS = """
import pytest
from sweep import sweep

def test_a_mock_works_in_worker_processes(fanlab_store):
    with sweep.mock(load=[5], fit=lambda x: x + 1):
        assert list(sweep().load()) == [6]
    assert fanlab_store.exists()

def test_everything_in_this_process(fanlab_store, fanlab_sequential, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sweep.FACTOR", 100)
    assert list(sweep().load()) == [100, 200]
    assert not (tmp_path / ".fanlab").exists()
"""
MODULE = """
from fanlab import pipeline, step

FACTOR = 2

@step
def load():
    return [1, 2]

@step
def fit(x):
    return FACTOR * x

@pipeline(n_jobs=2)
def sweep():
    return fit.map(load())
"""


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """The Python of an environment in which only `pip install fanlab[test]` was done."""
    folder = tmp_path_factory.mktemp("stranger")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{ROOT}[test]"], check=True
    )
    return python


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A notebook as a person leaves it: run here, one cell a second time, and saved."""
    folder = tmp_path_factory.mktemp("saved")
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS]
    cells[RAISES].metadata["tags"] = ["raises-exception"]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    with tempfile.TemporaryDirectory(prefix="kernel-") as sockets:  # and no ports, which another kernel may take
        config = Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/at"})
        client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}, config=config)
        with client.setup_kernel():
            for index in (0, 1, 1, *range(2, len(cells))):  # so that numbers of cells differ from those of another run
                client.execute_cell(cells[index], index)
    nbformat.write(notebook, folder / "sweep.ipynb")
    return folder / "sweep.ipynb"


@pytest.fixture
def project(tmp_path, saved):
    """A folder with a notebook, a module, and its tests."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(saved, folder / "sweep.ipynb")
    (folder / "sweep.py").write_text(MODULE)
    (folder / "test_sweep.py").write_text(TESTS)
    (tmp_path / "tmp").mkdir()
    return folder


@pytest.fixture
def run(stranger, project):
    """Begin pytest in the project, and give what it said when it has ended."""

    def run(*options, path=None, **environment):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "FANLAB"))}
        found = {
            **kept,
            "TMPDIR": str(project.parent / "tmp"),
            "IPYTHONDIR": str(project.parent / "ipython"),
            **environment,
        }
        found["PATH"] = os.pathsep.join([str(stranger.parent), path if path is not None else os.environ["PATH"]])

        def begun():
            return subprocess.Popen(
                [stranger, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", "--nbval", *options],
                cwd=project, env=found, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip

        process = begun()

        def ended():
            nonlocal process
            told, _ = process.communicate(timeout=900)
            if DIED_EARLY in told:
                process = begun()
                told, _ = process.communicate(timeout=900)
            return process.returncode, told

        return ended

    return run


def test_the_saved_notebook_holds_what_differs_between_machines(saved):
    text = saved.read_text(encoding="utf-8")
    assert text.count("data:image/svg+xml;base64,") >= 4
    assert "Cell In[3], line" in text
    outputs = [cell["outputs"] for cell in json.loads(text)["cells"]]
    assert outputs[RAISES][-1]["ename"] == "PipelineError"


def test_a_project_with_notebook_and_tests_passes_and_nothing_is_left_behind(run, project):
    code, told = run()()
    assert code == 0, told
    assert f"{len(CELLS) + 2} passed" in told
    assert not list(project.rglob(".fanlab"))
    assert not [found for found in (project.parent / "tmp").iterdir() if found.name.startswith("fanlab-nbval")]


def test_a_notebook_passes_without_dot_on_a_cold_store_and_on_a_warm_one(run, project):
    for _ in range(2):
        code, told = run("--fanlab-store=kept", "sweep.ipynb", path="")()
        assert code == 0, told
    assert (project / "kept").is_dir()


def test_two_kernels_pass_at_once_on_one_store_in_whatever_order_tests_come(run, project):
    shutil.copy(project / "sweep.ipynb", project / "another.ipynb")
    (project / "conftest.py").write_text("def pytest_collection_modifyitems(items):\n    items.reverse()\n")
    both = [run(FANLAB_STORE=str(project.parent / "shared")) for _ in range(2)]
    for ended in both:
        code, told = ended()
        assert code == 0, told
        assert f"{2 * len(CELLS) + 2} passed" in told


@pytest.mark.parametrize(
    ("before", "after"),
    [("2 of 3 completed, 1 failed", "3 of 3 completed"), ("line 9, in fit", "line 8, in fit")],
    ids=["counts", "lines"],
)
def test_what_a_record_says_is_compared(run, project, before, after):
    path = project / "sweep.ipynb"
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")
    code, told = run("sweep.ipynb")()
    assert code == 1
    assert "Cell outputs differ" in told
