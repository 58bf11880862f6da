"""%fanlab resume, names of runs, and the line magics that there are not."""

import pytest

from fanlab.errors import PipelineError

FRAGILE = """\
from pathlib import Path
@step
def fragile(i):
    with open("seen", "a") as file:
        file.write(str(i))
    if i == 1 and not Path("mended").exists():
        raise OSError("not yet")
    return i * 10
"""


@pytest.fixture
def failed(run, tmp_path):
    """A notebook whose pipeline has failed in one branch, which is mended by now."""
    run(FRAGILE)
    run("%%pipeline p --allow-failed\nxs = fragile.map(range(3))\ncount = len(xs)")
    (tmp_path / "mended").touch()


@pytest.mark.parametrize("line", ["%fanlab resume", "%fanlab resume p"])
def test_resume_runs_what_is_missing_and_binds_the_names_of_the_cell(run, failed, tmp_path, line):
    assert repr(run("xs[1]")).startswith("<missing: fragile[1] failed")
    run(line)
    assert run("list(xs), p.last_run.status") == ([0, 10, 20], "completed")
    assert sorted((tmp_path / "seen").read_text()) == ["0", "1", "1", "2"]


def test_resume_gives_the_value_of_the_cell(run, tmp_path):
    run(FRAGILE)
    run("%%pipeline p --allow-failed\nxs = fragile.map(range(2))\nxs")
    (tmp_path / "mended").touch()
    assert list(run("%fanlab resume")) == [0, 10]


def test_resume_takes_the_name_of_a_run(run, failed):
    name = run("p.last_run.name")
    run(f"%fanlab resume {name}")
    assert run("list(xs)") == [0, 10, 20]


def test_resume_of_a_run_that_fails_again_raises(run, failed, tmp_path):
    (tmp_path / "mended").unlink()
    with pytest.raises(PipelineError) as caught:
        run("%fanlab resume")
    assert caught.value.what == "fragile[1] (i=1) failed: OSError: not yet"


def test_resume_of_a_function_gives_its_run(run, tmp_path):
    run(FRAGILE)
    run("from fanlab import pipeline\n@pipeline\ndef plain():\n    return fragile.map(range(3))")
    with pytest.raises(PipelineError):
        run("plain()")
    (tmp_path / "mended").touch()
    assert run("%fanlab resume").load() == [0, 10, 20]


def test_resume_without_a_run_says_what_to_do(told):
    assert told("%fanlab resume") == (
        "UsageError: %fanlab resume has no run to take up yet: name one, %fanlab runs lists them"
    )


def test_show_takes_the_name_of_a_pipeline(run):
    run("%%pipeline sweep\ninv(4)")
    run("%%pipeline sweep\ninv(2)")
    assert run("%fanlab show sweep") is run("sweep.last_run")


def test_show_takes_the_name_of_a_pipeline_of_the_store(run, shell):
    run("%%pipeline sweep\ninv(4)")
    run("%%pipeline sweep\ninv(2)")
    name = run("sweep.last_run.name")
    run("del sweep")
    shell.run_line_magic("reload_ext", "fanlab")
    assert run("%fanlab show sweep").name == name


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "%pipeline p",
            "%pipeline is for whole cells: begin one with %%pipeline NAME, and write the calls of steps below",
        ),
        (
            "%step f(x)",
            "%step is for whole cells: begin one with %%step NAME(SIGNATURE), and write its body below",
        ),
        (
            "%combine c",
            "%combine is for whole cells: begin one with %%combine NAME, and write what is to be made of `results` below",
        ),
    ],
)
def test_a_line_magic_says_which_cell_to_write(told, line, message):
    assert told(line) == f"UsageError: {message}"


@pytest.mark.parametrize("magic", ["pipeline p", "combine c --from p"])
def test_a_cell_that_python_cannot_read_is_told_in_one_line(run, told, magic):
    run("%%pipeline p\ninv(4)")
    name = magic.split()[0]
    at = len(f"%%{magic}\nx = '")
    assert told(f"%%{magic}\nx = '\ud800'") == (
        f"UsageError: a %%{name} body that Python cannot read: "
        f"'utf-8' codec can't encode character '\\ud800' in position {at}: surrogates not allowed"
    )


def test_two_shells_in_one_process_share_no_state(shell, run, tmp_path):
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    other = InteractiveShell(config=config)
    other.run_line_magic("load_ext", "fanlab")
    run("%config FanlabMagics.backend = 'sequential'")
    run("%%pipeline p\ninv(4)")
    assert other.magics_manager.registry["FanlabMagics"].backend is None
    assert other.magics_manager.registry["FanlabMagics"].pipelines.last_runs() == {}
    assert list(shell.magics_manager.registry["FanlabMagics"].pipelines.last_runs()) == ["p"]
    other.run_line_magic("unload_ext", "fanlab")
    assert run("%%pipeline p\ninv(2)") == 0.5
