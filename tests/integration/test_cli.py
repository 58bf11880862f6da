"""The program `fanlab`, run as a person runs it: what it prints, writes and returns."""

import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from tests.conftest import run_program

PROGRAM = str(Path(sys.executable).parent / "fanlab")
SWEEP = """
    from fanlab import pipeline, step

    @step
    def inverse(x):
        return {"inverse": 1 / x}

    @step
    def total(found):
        return sum(one["inverse"] for one in found)

    @pipeline
    def sweep(xs=(1, 2, 4), label: str = "plain"):
        return total(inverse.map(xs))

    number = 3
"""


@pytest.fixture
def fanlab(tmp_path):
    """Run the program in this test's folder, and return what it said. A code other than the wanted one fails."""

    def fanlab(*words, code=0, env=None):
        environment = {**os.environ, "COLUMNS": "200", **(env or {})}
        done = run_program([PROGRAM, *words], cwd=tmp_path, env=environment, timeout=300)
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done

    return fanlab


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "sweep.py").write_text(textwrap.dedent(SWEEP))
    return "sweep:sweep"


def table(done):
    """The rows of a table on stdout, each as its words."""
    return [line.split() for line in done.stdout.splitlines()]


def test_a_pipeline_of_a_module_runs_and_prints_its_record(fanlab, sweep):
    done = fanlab("run", sweep)
    record, _, name = done.stdout.rpartition("run: ")
    assert record == "sweep: completed\n  ✓ inverse  3 of 3 completed\n  ✓ total    completed\n"
    assert re.fullmatch(r"sweep-[\d_]+-[\d_]+\n", name)
    assert [line for line in done.stderr.splitlines() if not line.startswith("fanlab: ")] == []


def test_a_pipeline_of_a_file_is_found_by_its_path(fanlab, sweep, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "sweep.py").rename(tmp_path / "work" / "sweep.py")
    assert fanlab("run", "work/sweep.py:sweep").stdout.startswith("sweep: completed\n")


def test_parameters_reach_the_pipeline(fanlab, sweep):
    fanlab("run", sweep, "-p", "xs=[1, 2, 5]", "-p", "label=7", "-j", "1", "--backend", "threading")
    done = fanlab("results", "sweep", "--format", "json")
    rows = json.loads(done.stdout)
    assert [row["x"] for row in rows] == [1, 2, 5, None]
    assert rows[-1]["name"] == "total"
    assert rows[-1]["output"] == pytest.approx(1.7)


def test_a_failed_run_ends_with_1_and_its_record(fanlab, sweep):
    done = fanlab("run", sweep, "-p", "xs=[1, 0]", code=1)
    assert done.stdout.startswith(
        "sweep: failed\n  ✗ inverse  1 of 2 completed, 1 failed\n  ⊘ total    skipped\n"
        "  inverse[1]: ZeroDivisionError: division by zero\n"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["swep:sweep"], "NotFound: there is no module 'swep'\n  do:    name it as `import` would from {here}, or give its file\n"),
        (["gone.py:sweep"], "NotFound: there is no file gone.py\n  do:    the working directory is {here}\n"),
        (["sweep:swep"], "NotFound: sweep has no pipeline 'swep'\n  do:    did you mean 'sweep'?\n"),
        (["sweep:number"], "NotFound: 'number' of sweep is no pipeline\n  do:    it has 'sweep'\n"),
        (["sweep:sweep", "-p", "lable=1"], "NotFound: pipeline 'sweep' has no parameter 'lable'\n  do:    did you mean 'label'?\n"),
        (["gone.ipynb"], "NotFound: there is no notebook gone.ipynb\n  do:    the working directory is {here}\n"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_there_is_told(fanlab, sweep, tmp_path, words, told):
    assert fanlab("run", *words, code=1).stderr == told.format(here=tmp_path)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sweep"], "'sweep' is neither a notebook (.ipynb) nor MODULE:PIPELINE"),
        (["sweep:sweep", "-p", "xs"], "'xs' is not name=value, as in -p alpha=0.1"),
        (["sweep:sweep", "-o", "f"], "--output is for notebooks: see `fanlab results` for a pipeline's values"),
        (["a.ipynb", "-j", "2"], "a notebook's %%pipeline cells say their own --n-jobs and --backend"),
    ],
)
def test_words_that_are_not_understood_end_with_2(fanlab, words, told):
    assert f"Invalid value: {told}" in fanlab("run", *words, code=2).stderr


def test_runs_are_listed_latest_first_and_by_pipeline_and_status(fanlab, sweep):
    fanlab("run", sweep)
    fanlab("run", sweep, "-p", "xs=[0]", code=1)
    rows = table(fanlab("runs"))
    assert rows[0] == ["run", "pipeline", "status", "start", "(UTC)", "took"]
    assert [row[1:3] for row in rows[1:]] == [["sweep", "failed"], ["sweep", "completed"]]
    assert len(table(fanlab("runs", "sweep", "--status", "failed"))) == 2
    assert len(table(fanlab("runs", "--limit", "1"))) == 2


def test_runs_of_an_unknown_pipeline_are_told_with_the_nearest(fanlab, sweep):
    fanlab("run", sweep)
    assert fanlab("runs", "swep", code=1).stderr == (
        "NotFound: there is no pipeline 'swep' in the store\n  do:    did you mean 'sweep'?\n"
    )


def test_an_empty_store_has_no_runs(fanlab):
    done = fanlab("runs")
    assert (done.stdout, done.stderr) == ("", "no runs\n")


def test_show_takes_a_pipelines_name_for_its_latest_run(fanlab, sweep):
    name = fanlab("run", sweep).stdout.rpartition("run: ")[2].strip()
    by_pipeline, by_name = fanlab("show", "sweep").stdout, fanlab("show", name[:-2]).stdout
    assert by_pipeline == by_name
    assert by_pipeline.endswith("\nsweep: completed\n  ✓ inverse  3 of 3 completed\n  ✓ total    completed\n")


def test_results_are_written_in_every_format(fanlab, sweep, tmp_path):
    fanlab("run", sweep)
    printed = pd.read_csv(io.StringIO(fanlab("results", "sweep", "-f", "csv").stdout), index_col="name")
    assert list(printed["inverse"].dropna()) == [1.0, 0.5, 0.25]
    fanlab("results", "sweep", "-f", "csv", "-o", "out.csv", "--step", "inverse")
    assert list(pd.read_csv(tmp_path / "out.csv")["name"]) == ["inverse[0]", "inverse[1]", "inverse[2]"]
    fanlab("results", "sweep", "-f", "parquet", "-o", "out.parquet")
    kept = pd.read_parquet(tmp_path / "out.parquet")
    assert list(kept["x"].dropna()) == [1, 2, 4]
    assert kept["x"].dtype == "Int64"
    rows = json.loads(fanlab("results", "sweep", "-f", "json").stdout)
    assert rows[0] == {
        "name": "inverse[0]", "step": "inverse", "branch": 0, "x": 1, "inverse": 1.0, "output": None,
        "status": "completed", "error": None,
    }  # fmt: skip
    assert table(fanlab("results", "sweep"))[1][:4] == ["inverse[0]", "inverse", "0", "1"]


def test_an_unknown_step_of_results_is_told(fanlab, sweep):
    fanlab("run", sweep)
    assert fanlab("results", "sweep", "--step", "invers", code=1).stderr == (
        "NotFound: the run has no step 'invers'\n  do:    did you mean 'inverse'?\n"
    )


def test_why_says_what_changed(fanlab, sweep, tmp_path):
    fanlab("run", sweep)
    module = tmp_path / "sweep.py"
    module.write_text(
        module.read_text().replace("1 / x", "10 / x")
    )  # of another size: Python looks at it and the second
    fanlab("run", sweep)
    told = fanlab("why", "sweep", "inverse[0]").stdout
    assert told.startswith("ran: the code of inverse changed\n")
    assert '-    return {"inverse": 1 / x}'.replace('"', "'") in told
    assert [row[:2] for row in table(fanlab("why", "sweep"))[1:]] == [
        ["inverse[0]", "completed"], ["inverse[1]", "completed"], ["inverse[2]", "completed"], ["total", "completed"],
    ]  # fmt: skip


def test_diff_shows_the_branches_that_differ(fanlab, sweep):
    names = [
        fanlab("run", sweep, "-p", f"xs={xs}").stdout.rpartition("run: ")[2].strip() for xs in ("[1, 2]", "[1, 4]")
    ]
    told = fanlab("diff", *names).stdout
    assert "inverse[1]" in told
    assert "inverse[0]" not in told
    assert fanlab("diff", names[0], names[0]).stdout == "the runs do not differ\n"


def test_gc_forgets_old_runs_and_what_they_left(fanlab, sweep):
    fanlab("run", sweep)
    assert fanlab("gc", "--older-than", "1d").stdout == "removed 0 runs and 0 values: 0 bytes\n"
    assert fanlab("gc", "--older-than", "0s", "--max-size", "1 GB").stdout.startswith("removed 1 runs and ")
    assert fanlab("runs").stderr == "no runs\n"


def test_a_time_that_is_not_understood_is_told(fanlab):
    assert (
        "'soon' is no time: write it as 30d, 12h, 90m or 3600s" in fanlab("gc", "--unused-for", "soon", code=2).stderr
    )


def test_what_users_wrote_is_never_markup(fanlab, tmp_path):
    (tmp_path / "marked.py").write_text(
        "from fanlab import pipeline, step\n"
        "@step\ndef say(text):\n    raise ValueError(text)\n"
        "@pipeline\ndef marked():\n    say.map(['[red]:smile:[/red]'])\n"
    )
    assert "ValueError: [red]:smile:[/red]" in fanlab("run", "marked:marked", code=1).stdout
    assert "[red]:smile:[/red]" in fanlab("results", "marked").stdout


def test_store_names_the_folder(fanlab, sweep, tmp_path):
    fanlab("--store", "elsewhere", "run", sweep)
    assert (tmp_path / "elsewhere" / "runs.sqlite").exists()
    assert not (tmp_path / ".fanlab").exists()
    assert len(table(fanlab("runs", env={"FANLAB_STORE": "elsewhere"}))) == 2


def test_doctor_finds_everything_in_order(fanlab):
    lines = fanlab("doctor").stdout.splitlines()
    assert lines[0].startswith("Python 3.")
    assert "kernel: no Jupyter kernel: the program fanlab" in lines
    assert not [line for line in lines if "does not work" in line or "is missing" in line]


def test_doctor_ends_with_1_if_something_does_not_work(fanlab, tmp_path):
    (tmp_path / "file").write_text("")
    done = fanlab("--store", "file", "doctor", code=1)
    assert "store: does not work: StoreError: " in done.stdout


def test_the_demo_prints_its_table_and_its_answer(fanlab):
    done = fanlab("demo")
    assert table(done)[0] == ["files", "lines", "functions", "longest", "length"]
    assert [row[0] for row in table(done)[1:15]][:3] == ["asyncio", "collections", "concurrent"]
    assert re.search(r"^Of [\d,]+ functions in 14 packages, the longest is \w+ of \w+: \d+ lines\.$", done.stdout, re.M)
    assert fanlab("show", "demo").stdout.endswith(
        "\ndemo: completed\n  ✓ read     14 of 14 completed\n  ✓ compare  completed\n"
    )


def test_version_and_help_need_no_store(fanlab, tmp_path):
    from importlib.metadata import version

    assert fanlab("--version").stdout == f"fanlab {version('fanlab')}\n"
    assert "Run a notebook, or a pipeline of a module" in fanlab("--help").stdout
    assert os.listdir(tmp_path) == []


def notebook(path, *cells):
    """Write a notebook; a cell that begins with `# parameters` gets that tag."""
    made = nbformat.v4.new_notebook()
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    for source in cells:
        tags = {"tags": ["parameters"]} if source.startswith("# parameters") else {}
        made.cells.append(nbformat.v4.new_code_cell(source, metadata=tags))
    nbformat.write(made, path)


CELLS = (
    "%load_ext fanlab\nfrom fanlab import step\n@step\ndef inverse(x):\n    return 1 / x",
    "# parameters\nxs = [1, 2]",
    "%%pipeline sweep\nfound = inverse.map(xs)",
    "list(found)",
)


@pytest.mark.kernel
def test_a_notebook_runs_with_parameters_and_is_written_beside(fanlab, tmp_path):
    notebook(tmp_path / "work.ipynb", *CELLS)
    done = fanlab("run", "work.ipynb", "-p", "xs=[4, 5]")
    assert done.stdout == "written: work-executed.ipynb\n"
    lines = [re.sub(r" +\d+\.\d s$", "", line) for line in done.stderr.splitlines()]
    assert lines == [
        "✓   1 of 5  %load_ext fanlab", "✓   2 of 5  xs = [1, 2]", "✓   3 of 5  xs = [4, 5]",
        "✓   4 of 5  %%pipeline sweep", "✓   5 of 5  list(found)",
    ]  # fmt: skip
    written = nbformat.read(tmp_path / "work-executed.ipynb", as_version=4)
    assert written.cells[2].source == "# Parameters\nxs = [4, 5]"
    assert written.cells[2].metadata.tags == ["injected-parameters"]
    assert written.cells[-1].outputs[0].data["text/plain"] == "[0.25, 0.2]"
    assert len(nbformat.read(tmp_path / "work.ipynb", as_version=4).cells) == 4


@pytest.mark.kernel
def test_a_notebook_that_fails_ends_with_1_and_is_written_all_the_same(fanlab, tmp_path):
    notebook(tmp_path / "work.ipynb", *CELLS)
    done = fanlab("run", "work.ipynb", "-p", "xs=[4, 0]", "-o", "kept.ipynb", code=1)
    assert "✗   4 of 5  %%pipeline sweep" in done.stderr
    assert "PipelineError: inverse[1] (x=0) failed: ZeroDivisionError: division by zero" in done.stderr
    written = nbformat.read(tmp_path / "kept.ipynb", as_version=4)
    assert "1 of 2 completed, 1 failed" in str(written.cells[3].outputs)
    assert written.cells[4].outputs == []


@pytest.mark.kernel
def test_a_notebook_whose_kernel_dies_ends_with_1(fanlab, tmp_path):
    notebook(tmp_path / "work.ipynb", "import os", "os.write(2, b'out of luck'); os._exit(3)")
    done = fanlab("run", "work.ipynb", code=1)
    assert "\nthe kernel has died\n" in done.stderr
    assert done.stderr.endswith("out of luck\n")


def test_parameters_of_a_notebook_need_their_cell(fanlab, tmp_path):
    notebook(tmp_path / "work.ipynb", "x = 1")
    assert fanlab("run", "work.ipynb", "-p", "x=2", code=1).stderr == (
        "NotAvailable: work.ipynb takes no parameters: it has no cell with the tag 'parameters'\n"
        "  do:    put the defaults in a cell of their own, and give it the tag 'parameters' in the notebook's property panel\n"
    )


def test_an_unknown_parameter_of_a_notebook_is_told(fanlab, tmp_path):
    notebook(tmp_path / "work.ipynb", *CELLS)
    assert fanlab("run", "work.ipynb", "-p", "x=2", code=1).stderr == (
        "NotFound: work.ipynb has no parameter 'x'\n  do:    did you mean 'xs'?\n"
    )


@pytest.mark.kernel
def test_an_interrupt_reaches_the_notebooks_cell_and_ends_with_130(tmp_path, until):
    notebook(
        tmp_path / "work.ipynb",
        "%load_ext fanlab\nfrom fanlab import step\nimport pathlib, time\n"
        "@step\ndef wait(x):\n    pathlib.Path('started').touch()\n    time.sleep(600)",
        "%%pipeline waiting\nwait.map([1])",
    )
    program = subprocess.Popen(
        [PROGRAM, "run", "work.ipynb"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    until((tmp_path / "started").exists, 180)
    program.send_signal(signal.SIGINT)
    program.communicate(timeout=300)
    assert program.returncode == 130
    written = nbformat.read(tmp_path / "work-executed.ipynb", as_version=4)
    assert "waiting: cancelled" in str(written.cells[1].outputs)


@pytest.mark.kernel
def test_in_a_terminal_a_running_cell_tells_how_its_pipeline_stands(tmp_path, until):
    notebook(
        tmp_path / "work.ipynb",
        "%load_ext fanlab\nfrom fanlab import step\nimport pathlib, time\n"
        "@step\ndef wait(x):\n    while not pathlib.Path('told').exists():\n        time.sleep(0.01)",
        "%%pipeline waiting\nwait.map([1, 2])",
    )
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [PROGRAM, "run", "work.ipynb"],
        cwd=tmp_path,
        stderr=theirs,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    seen = b""
    while b"waiting: 0 of 2 done" not in seen:  # the suite's own time limit ends a wait in vain
        seen += os.read(ours, 4096)
    (tmp_path / "told").touch()
    with contextlib.suppress(OSError):  # the end of a terminal whose program has ended
        while True:
            seen += os.read(ours, 4096)
    os.close(ours)
    assert program.wait(timeout=300) == 0
    assert "✓   2 of 2  %%pipeline waiting" in seen.decode()
